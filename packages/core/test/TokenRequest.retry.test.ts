// The exact number of requests and the pauses between them, as RetryPolicy and Retry-After say.
import { assert, describe, it } from "@effect/vitest"
import { RetryPolicy, Scopes, TokenError, TokenRequest } from "@effect-itwin/core"
import { Clock, DateTime, Duration, Effect, Exit, Fiber } from "effect"
import { HttpClient } from "effect/http"
import { TestClock } from "effect/testing"
import { BeforeAttempt } from "../src/internal/http/beforeAttempt.ts"
import { formatDuration } from "../src/internal/shown/formatDuration.ts"
import { credentials, json, type Step, scripted, tokenAnswer, transportError } from "./support.ts"

const send = TokenRequest.send({ credentials, scopes: Scopes.itwinPlatform })
const status =
  (status: number, headers: Record<string, string> = {}, body: unknown = {}): Step =>
  () =>
    Response.json(body, { status, headers })
const oauth = (error: string, code = 400) => json({ error }, { status: code })
const limited = (retryAfter: string, code = 429) => status(code, { "retry-after": retryAfter })

/** Sends with a minute of time. Returns the outcome, and the times of the requests in milliseconds. */
const run = (steps: ReadonlyArray<Step>, policy: RetryPolicy.RetryPolicy = RetryPolicy.make({})) =>
  Effect.gen(function* () {
    // A full second, because an HTTP date has no fractions.
    yield* TestClock.setTime(1_767_225_600_000)
    const clock = yield* Clock.Clock
    const began = clock.currentTimeMillisUnsafe()
    const times: Array<number> = []
    const script = scripted(
      ...steps.map(
        (step): Step =>
          () => {
            times.push(clock.currentTimeMillisUnsafe() - began)
            return step()
          }
      )
    )
    const fiber = yield* send.pipe(Effect.provide([script.layer, RetryPolicy.layer(policy)]), Effect.forkChild)
    yield* TestClock.adjust("1 minute")
    const exit = yield* Fiber.await(fiber)
    const error = Exit.isFailure(exit) ? yield* Effect.flip(exit) : undefined
    return { error, outcome: error === undefined ? "ok" : error.reason._tag, times }
  })

describe("the number of requests", () => {
  it.effect.each<readonly [string, Step, string]>([
    ["unauthorized_client", oauth("unauthorized_client"), "UnauthorizedClient"],
    ["invalid_request", oauth("invalid_request"), "InvalidRequest"],
    ["unsupported_grant_type", oauth("unsupported_grant_type"), "UnsupportedGrantType"],
    ["an unknown code", oauth("interaction_required"), "OAuthError"],
    ["a redirect", status(302, { location: "https://elsewhere.example/" }), "RedirectRefused"],
    ["404", status(404), "UnexpectedStatus"],
    ["407 of a proxy", status(407), "Transport"],
    ["a page instead of a token", () => new Response("<html>", { status: 200 }), "InvalidResponse"],
    ["a body that is too large", () => new Response("x".repeat(300_000), { status: 200 }), "ResponseTooLarge"]
  ])("makes one request when the failure is %s", ([_name, step, outcome]) =>
    Effect.gen(function* () {
      const seen = yield* run([step, tokenAnswer()])
      assert.strictEqual(seen.outcome, outcome)
      assert.strictEqual(seen.times.length, 1)
    })
  )

  it.effect.each<readonly [string, Step]>([
    ["500", status(500)],
    ["502", status(502)],
    ["503", status(503)],
    ["504", status(504)],
    ["429", status(429)],
    ["408", status(408)],
    ["500 with an OAuth error", oauth("invalid_client", 500)],
    ["a refused connection", transportError("ECONNREFUSED")],
    ["a lost connection", transportError("ECONNRESET")],
    ["a name that can't be resolved now", transportError("EAI_AGAIN")],
    ["silence", () => Effect.never]
  ])("makes three requests when %s does not pass, two when it passes, and one without retries", ([_name, step]) =>
    Effect.gen(function* () {
      const always = yield* run([step])
      assert.notStrictEqual(always.outcome, "ok")
      assert.strictEqual(always.times.length, 3)
      const passing = yield* run([step, tokenAnswer()])
      assert.strictEqual(passing.outcome, "ok")
      assert.strictEqual(passing.times.length, 2)
      assert.strictEqual((yield* run([step], RetryPolicy.none)).times.length, 1)
    })
  )

  it.effect("makes the attempts of the policy, with pauses that double", () =>
    Effect.gen(function* () {
      const { times } = yield* run([status(500)], RetryPolicy.make({ attempts: 5 }))
      assert.strictEqual(times.length, 5)
      for (const [i, full] of [200, 400, 800, 1600].entries()) {
        const pause = (times[i + 1] ?? 0) - (times[i] ?? 0)
        assert.isAtLeast(pause, full * 0.8)
        assert.isAtMost(pause, full * 1.2)
      }
    })
  )
})

describe("Retry-After", () => {
  const date = (seconds: number) => new Date(1_767_225_600_000 + seconds * 1000).toUTCString()

  it.effect.each<readonly [string, string, number]>([
    ["seconds", "3", 3000],
    ["an HTTP date", date(3), 3000],
    [
      "an old HTTP date, of the longest day",
      new Date(1_767_225_600_000 + 3000).toUTCString().replace(/^(\w+), (\d+) (\w+) \d\d(\d\d)/, "Wednesday, $2-$3-$4"),
      3000
    ],
    ["all that the policy allows", "5", 5000]
  ])("waits for a Retry-After of %s", ([_name, value, pause]) =>
    Effect.gen(function* () {
      const { outcome, times } = yield* run([limited(value), tokenAnswer()])
      assert.strictEqual(outcome, "ok")
      assert.deepStrictEqual(times, [0, pause])
    })
  )

  it.effect.each<readonly [string, string]>([
    ["malformed", "soon"],
    ["negative", "-5"],
    ["empty", ""],
    ["in the past", date(-60)],
    ["zero", "0"]
  ])("does not delay a retry when Retry-After is %s", ([_name, value]) =>
    Effect.gen(function* () {
      const { outcome, times } = yield* run([limited(value), tokenAnswer()])
      assert.strictEqual(outcome, "ok")
      assert.strictEqual(times.length, 2)
      assert.isBelow(times[1] ?? 0, 250)
    })
  )

  it.effect.each<readonly [string, string, number]>([
    ["a second more than the policy allows", "6", 6],
    ["a day", "86400", 86_400],
    ["a date tomorrow", date(86_400), 86_400],
    ["a date in a year", date(365 * 86_400), 86_400],
    ["more than a day", "99999999999", 86_400],
    ["a number of 10,000 digits", "9".repeat(10_000), 86_400]
  ])("fails at once, and says how long to wait, when Retry-After is %s", ([_name, value, seconds]) =>
    Effect.gen(function* () {
      for (const code of [429, 503]) {
        const { error, outcome, times } = yield* run([limited(value, code), tokenAnswer()])
        assert.strictEqual(outcome, code === 429 ? "RateLimited" : "ServerError")
        assert.deepStrictEqual(times, [0])
        assert.strictEqual(Duration.toSeconds(error?.retryAfter ?? 0), seconds)
        if (code === 429) assert.include(error?.message, `asked to wait ${formatDuration(Duration.seconds(seconds))}`)
      }
    })
  )
})

it.effect("aborts the exchange on the wire, and makes no further one, when the total time limit has passed", () =>
  Effect.gen(function* () {
    const aborted: Array<number> = []
    let requests = 0
    const clock = yield* Clock.Clock
    const began = DateTime.toEpochMillis(yield* DateTime.now)
    const client = HttpClient.make((_request, _url, signal) =>
      Effect.callback(() => {
        requests++
        signal.addEventListener("abort", () => aborted.push(clock.currentTimeMillisUnsafe() - began))
      })
    )
    const policy = RetryPolicy.make({ attemptTimeout: Duration.seconds(10) })
    const fiber = yield* send.pipe(
      Effect.provideService(HttpClient.HttpClient, client),
      Effect.provide(RetryPolicy.layer(policy)),
      Effect.flip,
      Effect.forkChild
    )
    yield* TestClock.adjust("1 minute")
    assert.deepInclude((yield* Fiber.join(fiber)).reason, { _tag: "Timeout", limit: Duration.seconds(15) })
    assert.deepStrictEqual(aborted, [10_000, 15_000])
    assert.strictEqual(requests, 2)
  })
)

describe("the effect before each attempt", () => {
  const runWith = (before: Effect.Effect<void, TokenError.TokenError>, ...steps: ReadonlyArray<Step>) =>
    Effect.gen(function* () {
      const script = scripted(...steps)
      const fiber = yield* send.pipe(
        Effect.provide(script.layer),
        Effect.provideService(BeforeAttempt, before),
        Effect.forkChild
      )
      yield* TestClock.adjust("1 minute")
      return { exit: yield* Fiber.await(fiber), requests: script.requests.length }
    })

  it.effect("runs the effect of BeforeAttempt before each attempt", () =>
    Effect.gen(function* () {
      let runs = 0
      const seen = yield* runWith(
        Effect.sync(() => void runs++),
        status(500)
      )
      assert.strictEqual(seen.requests, 3)
      assert.strictEqual(runs, 3)
    })
  )

  it.effect("ends the request without a retry when BeforeAttempt fails", () =>
    Effect.gen(function* () {
      let runs = 0
      const error = new TokenError.TokenError({
        reason: new TokenError.RateLimited({}),
        endpoint: "https://ims.bentley.com/connect/token",
        nextAttemptIn: Duration.seconds(60)
      })
      const before = Effect.suspend(() => (++runs === 2 ? Effect.fail(error) : Effect.void))
      const seen = yield* runWith(before, status(500))
      assert.strictEqual(yield* Effect.flip(seen.exit), error)
      assert.strictEqual(seen.requests, 1)
      assert.strictEqual(runs, 2)
    })
  )

  it.effect("does not count BeforeAttempt against the time limit of the attempt", () =>
    Effect.gen(function* () {
      const answer = () => Effect.delay(Effect.sync(tokenAnswer()), "3 seconds") as Effect.Effect<Response>
      const seen = yield* runWith(Effect.sleep("4 seconds"), answer)
      assert.isTrue(Exit.isSuccess(seen.exit))
      assert.strictEqual(seen.requests, 1)
    })
  )

  it.effect("sends nothing when BeforeAttempt takes longer than the total time limit", () =>
    Effect.gen(function* () {
      const seen = yield* runWith(Effect.sleep("16 seconds"), tokenAnswer())
      assert.deepInclude((yield* Effect.flip(seen.exit)).reason, { _tag: "Timeout", limit: Duration.seconds(15) })
      assert.strictEqual(seen.requests, 0)
    })
  )
})

describe("RetryPolicy", () => {
  it.effect("waits as long as the exchange takes when the policy has no limits", () =>
    Effect.gen(function* () {
      const limits = { attemptTimeout: Duration.infinity, totalTimeout: Duration.infinity }
      const { outcome, times } = yield* run([status(500), tokenAnswer()], RetryPolicy.make(limits))
      assert.strictEqual(outcome, "ok")
      assert.strictEqual(times.length, 2)
    })
  )

  it.effect("fails at once when a pause would exceed the total time limit", () =>
    Effect.gen(function* () {
      const policy = RetryPolicy.make({ totalTimeout: Duration.seconds(2) })
      const { outcome, times } = yield* run([limited("3")], policy)
      assert.strictEqual(outcome, "RateLimited")
      assert.deepStrictEqual(times, [0])
    })
  )

  it.each([
    ["attempts", { attempts: 0 }],
    ["attempts", { attempts: Number.NaN }],
    ["attempts", { attempts: 1.5 }],
    ["attempts", { attempts: Number.POSITIVE_INFINITY }],
    ["attemptTimeout", { attemptTimeout: Duration.zero }],
    ["totalTimeout", { totalTimeout: Duration.millis(Number.NaN) }],
    ["baseDelay", { baseDelay: Duration.millis(-1) }]
  ])("RetryPolicy.make throws when a field is invalid: %s of %j", (name, options) => {
    assert.throws(() => RetryPolicy.make(options), new RegExp(`RetryPolicy: ${name} must be a`))
  })

  it("RetryPolicy.make uses the default when a field is undefined", () => {
    assert.deepStrictEqual(RetryPolicy.make({ attempts: undefined }), RetryPolicy.make({}))
  })
})
