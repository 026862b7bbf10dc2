// Mutations of the token's life: each breaks one rule, and a test must fail. `node scripts/mutations.ts` runs them.
// `search` must occur exactly once in the source.
import type { Row } from "./mutationRow.ts"
import { signInRows } from "./signInMutations.ts"
import { storeRows } from "./storeMutations.ts"
import { userRows } from "./userMutations.ts"

export interface Mutation {
  /** Groups the mutations of one mechanism, for the filter of scripts/mutations.ts. */
  readonly rule: number
  /** What is broken. */
  readonly breaks: string
  /** In packages/core/src. */
  readonly file: string
  readonly search: string
  readonly replace: string
  /** Test files, without `.test.ts`. */
  readonly tests: ReadonlyArray<string>
}

const life = "internal/life/tokenLife.ts"
const flight = "internal/life/singleFlight.ts"
const phase = "internal/life/phase.ts"
const backoff = "internal/life/backoff.ts"
const acquire = "internal/life/acquireToken.ts"
const request = "internal/life/runRequest.ts"
const tokens = "internal/life/tokens.ts"
const telemetry = "internal/life/telemetry.ts"

const rows: ReadonlyArray<Row> = [
  [
    1,
    "keeps a token of a client that is not the current one",
    life,
    "if (token.clientId === currentClient) tokens.put(key, entry)",
    "tokens.put(key, entry)",
    "TokenCache.credentials"
  ],
  [1, "keeps the tokens of another client", life, "tokens.clear()\n      return", "return", "TokenCache.credentials"],
  [1, "keeps any number of tokens", tokens, "if (entries.size > capacity) evict()", "", "TokenCache.keys"],
  [
    1,
    "drops the most recently used token",
    tokens,
    "if (entry.lastUse < firstUse)",
    "if (oldest === undefined || entry.lastUse > firstUse)",
    "TokenCache.keys"
  ],
  [1, "does not count a peek as use", life, "        hit(entry)\n", "", "TokenCache.keys"],
  [
    1,
    "returns a token that is not fresh to a peek",
    life,
    "if (isKnown || look(",
    "if (true || look(",
    "TokenCache.phases"
  ],
  [
    1,
    "returns a token to a peek when the wall clock was set back",
    life,
    "const isKnown = wall < entry.freshUntil && wall >= entry.freshFrom",
    "const isKnown = wall < entry.freshUntil",
    "TokenCache.clocks"
  ],
  [
    1,
    "remembers failed keys for ever",
    backoff,
    "if (now < until + forgetAfter && pauses.size <= capacity) return",
    "return",
    "backoff"
  ],
  [
    1,
    "forgets a pause that holds",
    backoff,
    "if (now < until + forgetAfter && pauses.size <= capacity) return",
    "",
    "backoff"
  ],
  [2, "shares no request", flight, "flights.set(key, flight)", "", "TokenCache.singleFlight"],
  [
    2,
    "interrupts the request with its first caller",
    flight,
    "fork(fly(key, asked, flight, linkOf(flight.callers, context)))",
    "",
    "TokenCache.singleFlight"
  ],
  [
    2,
    "tells waiting callers of an interruption when the layer is closed",
    flight,
    "Exit.isFailure(exit) && isClosed ? fail(new TokenError.Closed({})) : exit",
    "exit",
    "TokenCache.singleFlight"
  ],
  [
    2,
    "starts a request after the layer was closed",
    flight,
    "if (isClosed) flight.land(fail(new TokenError.Closed({})))",
    "if (Math.random() > 1) {}",
    "TokenCache.singleFlight"
  ],
  [
    2,
    "keeps tokens after the layer was closed",
    life,
    "Effect.sync(() => tokens.clear())",
    "Effect.void",
    "TokenCache.singleFlight"
  ],
  [
    2,
    "waits for ever for a lost request",
    flight,
    "now() < flight.lostAt ? flight : undefined",
    "flight.lostAt > 0 ? flight : undefined",
    "TokenCache.singleFlight"
  ],
  [
    3,
    "has no due phase",
    phase,
    'return age < token.due ? "fresh" : "due"',
    'return age < token.late ? "fresh" : "due"',
    "phase",
    "TokenCache.phases"
  ],
  [
    3,
    "takes the age from the wall clock only",
    phase,
    "Math.max(now.wall - issuedAt.wall, now.monotonic - issuedAt.monotonic)",
    "now.wall - issuedAt.wall",
    "TokenCache.clocks"
  ],
  [
    3,
    "takes the age from the monotonic clock only",
    phase,
    "Math.max(now.wall - issuedAt.wall, now.monotonic - issuedAt.monotonic)",
    "now.monotonic - issuedAt.monotonic",
    "TokenCache.clocks"
  ],
  [
    3,
    "trusts a wall clock that stands before the token's birth",
    phase,
    " || now.wall < token.issuedAt.wall",
    "",
    "TokenCache.clocks"
  ],
  [
    3,
    "hands out a token until it expires",
    phase,
    "over: Math.max(late, life - travelTime)",
    "over: life",
    "phase",
    "TokenCache.phases"
  ],
  [3, "renews without jitter", phase, "- random * jitter * life", "", "phase", "TokenCache.phases"],
  [
    3,
    "looks at the monotonic clock once an hour",
    tokens,
    "const lookMillis = 1_000",
    "const lookMillis = 3_600_000",
    "TokenCache.clocks"
  ],
  [
    3,
    "renews in the background in inline mode",
    life,
    'if (options.renewal === "background")',
    'if (options.name !== "x")',
    "TokenCache.phases"
  ],
  [
    3,
    "makes the holder of a late token wait during a pause",
    life,
    "backoff.holding(key, monotonic()) === undefined ? requestOrKeep(key, awaited) : entry.succeed",
    "requestOrKeep(key, awaited)",
    "TokenCache.backoff"
  ],
  [
    4,
    "fails the holder of a usable token",
    life,
    "usable(key)?.succeed ?? Effect.fail(error)",
    "Effect.fail(error)",
    "TokenCache.phases"
  ],
  [
    4,
    "counts no failure",
    telemetry,
    "Metric.update(Metric.withAttributes(refreshFailures, { ...named, ...attributes }), 1),",
    "",
    "TokenCache.telemetry"
  ],
  [
    4,
    "logs an urgent failure as a warning",
    telemetry,
    "const urgentSeconds = 2 * 60",
    "const urgentSeconds = 0",
    "TokenCache.telemetry"
  ],
  [
    4,
    "logs a defect as an error each time",
    telemetry,
    "defect !== defectIn(previous)",
    "defect !== null",
    "TokenCache.defects"
  ],
  [
    5,
    "keeps a token that has expired when it arrives",
    life,
    'if (look(entry, at) === "over") {',
    'if (options.name === "x") {',
    "TokenCache.backoff"
  ],
  [
    5,
    "pauses for nothing after a token that has expired when it arrives",
    life,
    "backoff.failed(key, { error, startedAt, now: at.monotonic, random })\n      return",
    "return",
    "TokenCache.backoff"
  ],
  [
    6,
    "pauses up to 60 s after failures that may pass",
    backoff,
    "const longestIfPassing = 10_000",
    "const longestIfPassing = 60_000",
    "backoff",
    "TokenCache.backoff"
  ],
  [
    6,
    "pauses at most 10 s after failures that last",
    backoff,
    "const longestIfLasting = 60_000",
    "const longestIfLasting = 10_000",
    "backoff",
    "TokenCache.backoff"
  ],
  [
    6,
    "respects a stated wait of a day",
    backoff,
    "const longestStated = 15 * 60_000",
    "const longestStated = 24 * 3_600_000",
    "backoff",
    "TokenCache.backoff"
  ],
  [6, "does not jitter pauses", backoff, "const jitter = 0.2", "const jitter = 0", "backoff", "TokenCache.backoff"],
  [6, "jitters pauses by 50 %", backoff, "const jitter = 0.2", "const jitter = 0.5", "backoff", "TokenCache.backoff"],
  [
    6,
    "begins with a pause of 5 s",
    backoff,
    "const firstPause = 1_000",
    "const firstPause = 5_000",
    "backoff",
    "TokenCache.backoff"
  ],
  [
    6,
    "doubles the pause for requests that were on their way",
    backoff,
    "startedAt <= before.from ? 1 : 2",
    "2",
    "backoff",
    "TokenCache.backoff"
  ],
  [6, "does not double the pause", backoff, "startedAt <= before.from ? 1 : 2", "1", "backoff", "TokenCache.backoff"],
  [6, "ignores stated waits", backoff, "Math.max(length, stated)", "length", "backoff", "TokenCache.backoff"],
  [6, "holds a stated wait for its key only", backoff, "isStated ||\n", "", "backoff", "TokenCache.backoff"],
  [
    6,
    "holds InvalidClient for its key only",
    backoff,
    'reason._tag === "InvalidClient" ||\n',
    "",
    "backoff",
    "TokenCache.backoff"
  ],
  [
    6,
    "holds every failure for all keys",
    backoff,
    "const isOfAll = concernsEveryKey(error, isStated)",
    "const isOfAll = true",
    "backoff",
    "TokenCache.backoff"
  ],
  [6, "counts an unknown host as lasting", backoff, 'error.reason._tag === "Transport" || ', "", "backoff"],
  [6, "counts 429 as passing", backoff, ' && error.reason._tag !== "RateLimited"', "", "backoff", "TokenCache.backoff"],
  [
    6,
    "goes on with the pause after a success",
    backoff,
    "pauses.delete(key)\n      if (pauseOfAll === undefined) return",
    "return",
    "backoff",
    "TokenCache.backoff"
  ],
  [
    6,
    "ends a pause with the success of an older request",
    backoff,
    "pauseOfAll.from < startedAt",
    "true",
    "backoff",
    "TokenCache.backoff"
  ],
  [6, "doubles a pause after a success", backoff, "pauseOfAll?.isSettled === true", "false", "backoff"],
  [6, "lets a shorter pause hide a longer one", backoff, "Math.max(until, replaced?.until ?? 0)", "until", "backoff"],
  [
    6,
    "lets refresh pass a pause behind a longer one",
    backoff,
    "now < pause.until && blocks(pause)",
    "now < pause.until",
    "backoff"
  ],
  [
    6,
    "replays failures for long though the option says no",
    backoff,
    "options.replays ? grown : firstPause",
    "grown",
    "backoff",
    "TokenCache.backoff"
  ],
  [
    6,
    "makes three attempts in a probe",
    request,
    "attempts: isProbe ? 1 : policy.attempts",
    "attempts: policy.attempts",
    "TokenCache.backoff"
  ],
  [
    6,
    "makes no request a probe",
    life,
    "isProbe: backoff.last(key) !== undefined",
    "isProbe: false",
    "TokenCache.backoff"
  ],
  [
    6,
    "does not look at the pause of another key again",
    life,
    "(pause) => pause.from >= startedAt",
    "() => false",
    "TokenCache.backoff"
  ],
  [
    6,
    "lets refresh pass a stated wait",
    life,
    "at < statedUntil || at - from < insistAfter",
    "at - from < insistAfter",
    "TokenCache.backoff"
  ],
  [
    6,
    "lets refresh pass a pause after 1 s",
    life,
    "const insistAfter = 10_000",
    "const insistAfter = 1_000",
    "TokenCache.backoff"
  ],
  [
    6,
    "waits for a short pause that nobody stated",
    life,
    "pause.until <= pause.statedUntil && pause.until - at <= maxRetryAfter",
    "pause.until - at <= maxRetryAfter",
    "TokenCache.backoff"
  ],
  [6, "waits beyond the time limit of a request", life, " && pause.until < deadline", "", "TokenCache.backoff"],
  [
    6,
    "waits for no stated wait",
    life,
    "pause.until - at <= maxRetryAfter && ",
    "pause.until < at && ",
    "TokenCache.backoff"
  ],
  [
    6,
    "counts a replayed failure as a new one",
    life,
    "if (error.nextAttemptIn !== undefined) return Effect.void",
    "",
    "TokenCache.backoff"
  ],
  [
    6,
    "renews during a pause",
    life,
    "!flights.isClosed() && backoff.holding(key, monotonic()) === undefined",
    "!flights.isClosed()",
    "TokenCache.span"
  ],
  [7, "reads a backend that asked to wait", acquire, "now() < throttled.until", "false", "TokenCache.credentials"],
  [
    7,
    "does not try the secret that was read again",
    acquire,
    "isSameSecret(again, first)\n",
    "isSameSecret(first, first)\n",
    "TokenCache.credentials"
  ],
  [
    7,
    "tries the same secret again",
    acquire,
    "isSameSecret(again, first)\n",
    "!isSameSecret(first, first)\n",
    "TokenCache.credentials"
  ],
  [
    7,
    "reads the secret again in a probe",
    acquire,
    "attempt.isProbe\n",
    "!attempt.timeLeft\n",
    "TokenCache.backoff",
    "TokenCache.credentials"
  ],
  [
    7,
    "remembers credentials that the backend disabled",
    acquire,
    "if (!isOutage(error)) forget()",
    "",
    "TokenCache.credentials"
  ],
  [
    7,
    "remembers what a slower read returned",
    acquire,
    "if (generation === forgotten) known",
    "known",
    "TokenCache.credentials"
  ],
  [
    7,
    "uses the credentials read last for ever",
    acquire,
    "now() < known.readAt + options.lastKnownGood",
    "options.lastKnownGood >= 0",
    "TokenCache.credentials"
  ],
  [
    7,
    "remembers credentials that IMS rejected",
    acquire,
    "forget()\n    if (error",
    "if (error",
    "TokenCache.credentials"
  ],
  [
    7,
    "uses old credentials when the provider throws",
    acquire,
    'reason._tag === "Unavailable" ||',
    'reason._tag === "Unavailable" || reason._tag === "Defect" ||',
    "TokenCache.defects"
  ],
  [7, "forgets that IMS accepted the secret", acquire, "worked = credentials", "", "TokenCache.credentials"],
  [
    8,
    "replaces a token of any age",
    life,
    "const replaceAfter = 30_000",
    "const replaceAfter = 0",
    "TokenCache.replace"
  ],
  [
    8,
    "does not replace a token when the wall clock was set back",
    life,
    "age >= 0 && age < replaceAfter",
    "age < replaceAfter",
    "TokenCache.clocks"
  ],
  [
    8,
    "replaces during a pause",
    life,
    "isYoung(token, entry) || backoff.holding(key, monotonic()) !== undefined",
    "isYoung(token, entry)",
    "TokenCache.replace"
  ],
  [
    8,
    "returns the rejected token as its own replacement",
    life,
    "Option.filter((another) => !isSame(another, token))",
    "Option.filter(() => true)",
    "TokenCache.replace"
  ],
  [
    8,
    "requests a token though a newer one is in memory",
    life,
    "if (entry !== undefined && !isSame(entry.token, token)) return Effect.succeedSome(entry.token)",
    "",
    "TokenCache.replace"
  ],
  [
    8,
    "invalidates a newer token",
    life,
    "if (entry !== undefined && isSame(entry.token, token)) tokens.drop(key)",
    "tokens.drop(key)",
    "TokenCache.test",
    "TokenCache.singleFlight"
  ],
  [
    9,
    "sends the token request with the fetch options of the program",
    request,
    "Effect.updateContext(withOwnTransport),",
    "",
    "TokenCache.tenants",
    "TokenCache.foreign"
  ],
  [
    10,
    "requests tokens from production whatever the variables say",
    request,
    "Effect.provideService(Environment.Environment, environment),",
    "",
    "TokenCache.environment"
  ],
  [10, "makes the span of a request a child of its first caller's", flight, "root: true,", "", "TokenCache.span"],
  [10, "links the span of a request to no caller", flight, "        links,\n", "", "TokenCache.span"],
  [
    10,
    "shares one cache among tenants",
    "TokenCache.ts",
    "Layer.fresh(Layer.effect(TokenCache, make(options)))",
    "Layer.effect(TokenCache, make(options))",
    "TokenCache.tenants"
  ],
  [
    11,
    "only reports whether there is a token",
    life,
    'Effect.as(start(key), phase !== "over")',
    'Effect.succeed(phase !== "over")',
    "TokenCache.readiness"
  ],
  [
    11,
    "is not ready with a token that is due",
    life,
    'Effect.as(start(key), phase !== "over")',
    "Effect.as(start(key), false)",
    "TokenCache.readiness"
  ],
  [11, "warms up once", life, ", warmUp(key))", ", Effect.void)", "TokenCache.readiness"]
]

export const mutations: ReadonlyArray<Mutation> = [...rows, ...storeRows, ...userRows, ...signInRows].map(
  ([rule, breaks, file, search, replace, ...tests]) => ({
    rule,
    breaks,
    file,
    search,
    replace,
    tests
  })
)
