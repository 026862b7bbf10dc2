// Mutations of the shared token store, for scripts/mutations.ts. Their "rule" is 12: the store.
import { mutationOf, type Row } from "./mutationRow.ts"

const share = "internal/store/share.ts"
const guard = "internal/store/guard.ts"
const step = "internal/store/step.ts"
const seal = "internal/store/seal.ts"
const aead = "internal/store/aead.ts"
const values = "internal/store/values.ts"
const row = "internal/store/row.ts"
const life = "internal/life/tokenLife.ts"
const cache = "TokenCache.ts"

const cacheTest = "TokenStore.cache"
const sealTest = "TokenStore.seal"
const stepsTest = "TokenStore"
const liesTest = "TokenStore.lies"

const mutation = mutationOf(12)

export const storeRows: ReadonlyArray<Row> = [
  mutation("never asks the store", cache, "store?.share(", "[store].find(() => false)?.share(", cacheTest),
  mutation("renews as late as without a store", cache, "phase.softWithStore", "phase.defaults.soft", cacheTest),
  mutation(
    "joins a request for `refresh` that reads the store",
    cache,
    "sharing?.fromIms(refresh) ?? refresh",
    "refresh",
    cacheTest
  ),
  mutation("forgets what was invalidated", cache, "sharing?.drop(token) ?? Effect.void", "Effect.void", cacheTest),
  mutation("returns a rejected token from the store again", life, "options.onRejected?.(token)", "", cacheTest),
  mutation(
    "keeps a due token of another replica",
    life,
    'isDue && options.renewal === "background" ? start(key)',
    "isDue && Math.random() > 1 ? start(key)",
    cacheTest
  ),
  mutation("is not held by other replicas", life, "until: at + left", "until: at", cacheTest),
  mutation("tries three times after others failed", share, "{ ...attempt, isProbe: true }", "attempt", cacheTest),
  mutation("waits for ever for another replica", share, "if (wait <= 0 || claim.forget", "if (claim.forget", cacheTest),
  mutation(
    "waits for another replica with `refresh`",
    share,
    'wait <= 0 || claim.forget === "any"',
    "wait <= 0",
    cacheTest
  ),
  mutation("does not wait for another replica", share, "const longestWait = 5_000", "const longestWait = 0", cacheTest),
  mutation(
    "keeps the lease when the cache is closed",
    share,
    "Effect.onInterrupt(send, () => Effect.forkDetach(run(released)))",
    "send",
    cacheTest
  ),
  mutation(
    "keeps the lease after a failure",
    share,
    "failure === undefined\n            ? released",
    "failure === undefined\n            ? Effect.void",
    cacheTest
  ),
  mutation(
    "takes the token in memory from the store again",
    share,
    ": version(held?.token)\n",
    ": undefined\n",
    cacheTest
  ),
  mutation(
    "does not remove a rejected token",
    share,
    'isRejected && known !== undefined ? "known" : "none"',
    '"none"',
    cacheTest
  ),
  mutation(
    "returns a stored token to `refresh`",
    share,
    'attempt.isInsistent ? "any"',
    'attempt.isInsistent && false ? "any"',
    cacheTest
  ),
  mutation(
    "is held by refusals though failures are not replayed",
    share,
    "|| !replayFailures) return 3",
    ") return 3",
    cacheTest
  ),
  mutation(
    "is held without a token by an outage of another replica",
    share,
    "attempt.held() === undefined ? 2 : 1",
    "1",
    cacheTest
  ),
  mutation(
    "returns a rejected token of unknown origin",
    share,
    "(refused === undefined || !isSame(refused, acquired.token))",
    "acquired !== refused",
    cacheTest
  ),
  mutation("warns of each value that is not used", share, "warned = true\n", "", sealTest),
  mutation(
    "shares tokens that are about to expire",
    share,
    "left < shortest ? released : published",
    "published",
    cacheTest
  ),
  mutation("believes what a claim returns", share, "isClaimed, invalidClaim", "() => true, invalidClaim", liesTest),
  mutation(
    "believes the level of a setback",
    share,
    "|| level === undefined || level < claim.level) yield* unusable",
    ") yield* unusable",
    liesTest
  ),
  mutation("asks a store all the time", share, "Math.max(firstPoll, got.left)", "Math.max(1, got.left)", liesTest),
  mutation("accepts each age of a token", values, "&& age <= longestLife", "", liesTest),
  mutation(
    "waits for a store that can't be interrupted",
    step,
    "detached(Effect.suspend(step))",
    "Effect.suspend(step)",
    cacheTest
  ),
  mutation(
    "waits for a store that does not answer",
    guard,
    "const millis = Math.min(full, limit)",
    "const millis = limit",
    cacheTest
  ),
  mutation(
    "turns a token into a timeout",
    guard,
    "const millis = Math.min(full, limit)",
    "const millis = full",
    cacheTest
  ),
  mutation("never leaves a store alone that has little time", guard, "full * tellingPart", "full", cacheTest),
  mutation("asks a failing store each time", guard, "const leftAloneFor = 5_000", "const leftAloneFor = 0", cacheTest),
  mutation("leaves a store alone for ever", guard, "const leftAloneFor = 5_000", "const leftAloneFor = 1e9", cacheTest),
  mutation("warns of each failure of the store", guard, "const isNews = !isFailing", "const isNews = true", cacheTest),
  mutation("warns again when some steps work", guard, "const calmAfter = 30_000", "const calmAfter = 0", cacheTest),
  mutation(
    "shares failures of one replica's network",
    values,
    "default:\n      return undefined",
    "default:\n      return 2",
    cacheTest
  ),
  mutation(
    "does not share a refusal",
    values,
    'case "OAuthError":\n    case "RateLimited":\n      return statedBy(error) > 0 ? 3 : 2',
    'case "OAuthError":\n    case "RateLimited":\n      return statedBy(error) > 0 ? 3 : undefined',
    cacheTest
  ),
  mutation(
    "lets `refresh` pass a wait that IMS asked for",
    values,
    'case "RateLimited":\n      return statedBy(error) > 0 ? 3 : 2',
    'case "RateLimited":\n      return 2',
    cacheTest
  ),
  mutation("holds everybody when IMS is down", values, "return statedBy(error) > 0 ? 3 : 1", "return 3", cacheTest),
  mutation(
    "believes the store's expiry",
    values,
    "Math.min(claimed.left, decoded.expiresAt - askedAt.wall)",
    "claimed.left",
    sealTest
  ),
  mutation(
    "believes the end of a failure that the store says",
    values,
    "Math.min(left, until - now.wall)",
    "left",
    sealTest
  ),
  mutation(
    "does not age a token in the store",
    values,
    "bornAt: askedAt.monotonic - age",
    "bornAt: askedAt.monotonic",
    stepsTest
  ),
  mutation(
    "lets the pause of the fleet stay at 1 s",
    values,
    "lengthAfter(error, replays ? previous : undefined)",
    "lengthAfter(error, undefined)",
    cacheTest
  ),
  mutation(
    "has one row for all secrets",
    seal,
    "const secret = bytesOf(Redacted.value(subject.credentials.clientSecret))",
    'const secret = bytesOf("secret")',
    sealTest
  ),
  mutation(
    "ignores the additional key",
    seal,
    'additionalKey === undefined ? ""',
    'additionalKey !== null ? ""',
    sealTest
  ),
  mutation(
    "opens a failure as a token",
    seal,
    "sealWith(key, identity(subject, kind), text),\n        open: (kind, value) => openWith(key, identity(subject, kind), value)",
    'sealWith(key, identity(subject, ""), text),\n        open: (kind, value) => openWith(key, identity(subject, ""), value)',
    sealTest
  ),
  mutation(
    "has one row for all scopes and endpoints",
    seal,
    'JSON.stringify(["effect-itwin", form, use, endpoint, credentials.clientId, scopes])',
    'JSON.stringify([form, use, endpoint === "", credentials.clientId, scopes === ""])',
    sealTest
  ),
  mutation(
    "accepts other spellings of a value",
    aead,
    "bytes === undefined || Base64Url.encode(bytes) !== value",
    "bytes === undefined",
    sealTest
  ),
  mutation(
    "has one private row for all secrets",
    seal,
    "Hash.string(Redacted.value(credentials.clientSecret))",
    "0",
    cacheTest
  ),
  mutation(
    "grants the lease twice",
    row,
    "lease !== undefined && lease.owner !== owner",
    "lease !== undefined && lease.owner === owner",
    stepsTest
  ),
  mutation(
    "returns tokens that are about to expire",
    row,
    "left(token, now) >= minLeft",
    "left(token, now) >= 0",
    stepsTest
  ),
  mutation(
    "lets a late owner replace a better token",
    row,
    "isOwner || token === undefined || left(token, now) < tokenLeft",
    "true",
    stepsTest
  ),
  mutation(
    "ends a setback by an older token",
    row,
    "setback === undefined || setback.from <= now - age ? undefined : setback",
    "undefined",
    stepsTest
  ),
  mutation(
    "replaces a stronger setback",
    row,
    "setback !== undefined && isStronger(setback, row.setback, now)",
    "setback !== undefined",
    stepsTest
  ),
  mutation("stretches a pause when the clock is set back", row, "now >= span.from && ", "", stepsTest),
  mutation(
    "remembers setbacks for ever",
    row,
    "holds(setback, now, -rememberedFor)",
    "holds(setback, now, -1e9)",
    stepsTest
  ),
  mutation(
    "ends the lease of another owner",
    row,
    "lease: row.lease?.owner === owner ? undefined : row.lease",
    "lease: undefined",
    stepsTest
  ),
  mutation(
    "drops any version",
    row,
    "row.token?.version === version ? { ...row, token: undefined } : row",
    "({ ...row, token: undefined })",
    stepsTest
  )
]
