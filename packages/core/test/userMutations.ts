// Mutations of the tokens of users, for scripts/mutations.ts. Their "rule" is 14: sessions.
import { mutationOf, type Row } from "./mutationRow.ts"

const renewal = "internal/session/renewal.ts"
const finishing = "internal/session/finishing.ts"
const lock = "internal/session/lock.ts"
const memory = "internal/session/memory.ts"
const life = "internal/life/tokenLife.ts"
const backoff = "internal/life/backoff.ts"
const cacheOf = "internal/session/cacheOf.ts"
const users = "UserTokens.ts"
const store = "SessionStore.ts"
const sealed = "SealedText.ts"

const usersTest = "UserTokens"
const storeTest = "SessionStore"
const sealedTest = "SealedText"
const secretsTest = "UserTokens.secrets"

const mutation = mutationOf(14)

export const userRows: ReadonlyArray<Row> = [
  mutation(
    "hands out a token that is not stored",
    renewal,
    "yield* save(known, { session: next, replaces: refreshToken })",
    "",
    usersTest
  ),
  mutation("renews without the lock", renewal, "yield* lock(known.id, attempt)\n", "", usersTest),
  mutation(
    "renews what another replica has renewed",
    renewal,
    "if (isUseful(accessToken, known, held)) return",
    "if (false) return",
    usersTest
  ),
  mutation("drops what could not be stored", renewal, "known.unsaved = unsaved\n", "", usersTest),
  mutation(
    "waits for a caller before it stores what could not be stored",
    renewal,
    "Effect.tapError(() => keepSaving(known)),",
    "",
    usersTest
  ),
  mutation(
    "drops what could not be stored at the end",
    renewal,
    "options.unsaved(), saveLater",
    "[], saveLater",
    usersTest
  ),
  mutation(
    "replaces what another replica stored",
    renewal,
    "!isSameSecret(session.refreshToken, unsaved.replaces)",
    "session === unsaved.session",
    usersTest
  ),
  mutation(
    "interrupts a renewal that was sent",
    finishing,
    "Effect.uninterruptible(Effect.flatMap(Effect.forkDetach(self, { startImmediately: true }), Fiber.join))",
    "self",
    usersTest
  ),
  mutation("does not wait for a renewal at the end", finishing, "running.add(done)", "", usersTest),
  mutation(
    "brings back a session that ended",
    renewal,
    "session, { create: false }), saveAgain",
    "session, { create: true }), saveAgain",
    usersTest
  ),
  mutation(
    "leaves the refresh token of an ended session valid",
    renewal,
    "if (session.refreshToken !== undefined) yield* options.revoke(session.refreshToken)",
    "",
    usersTest
  ),
  mutation(
    "leaves a refresh token that was not stored valid",
    renewal,
    "token === undefined ? Effect.void : options.revoke(token)",
    "token === undefined ? Effect.void : Effect.void",
    usersTest
  ),
  mutation(
    "does not look in the store after invalid_grant",
    renewal,
    "if (!isSameSecret(session.refreshToken, sent.refreshToken)) return session",
    "",
    usersTest
  ),
  mutation("ends a session after a lost answer", renewal, "if (isLost && left > travelTime)", "if (false)", usersTest),
  mutation(
    "does not tell others of a lost answer",
    renewal,
    "change(session, { isRenewalLost: true })",
    "session",
    usersTest
  ),
  mutation("does not remember a lost answer", renewal, "known.lost = refreshToken\n", "", usersTest),
  mutation("keeps a rejected session in the store", renewal, "yield* stored(store.remove(known.id))\n", "", usersTest),
  mutation(
    "keeps a session longer than its life",
    renewal,
    "if (session.expiresAt.epochMilliseconds > wall()) return session",
    "if (wall() > 0) return session",
    usersTest
  ),
  mutation(
    "sends a refresh token of another client",
    renewal,
    "session.clientId !== client.clientId",
    "false",
    usersTest
  ),
  mutation(
    "keeps a pause of an ended session",
    life,
    'if (error.reason._tag === "SignedOut") return',
    "if (false) return",
    "tokenLife"
  ),
  mutation(
    "believes the clock of another replica",
    life,
    "Math.min(at.wall, token.issuedAt.epochMilliseconds)",
    "token.issuedAt.epochMilliseconds",
    usersTest
  ),
  mutation("keeps any number of pauses", backoff, "&& pauses.size <= capacity", "", "backoff"),
  mutation(
    "uses the token that another replica replaced",
    users,
    "yield* life.adopt(key, accessToken)",
    'yield* (life.status(key).state === "none" ? life.adopt(key, accessToken) : Effect.void)',
    usersTest
  ),
  mutation(
    "takes an invalidated token from the store again",
    users,
    "if (known !== undefined) known.rejected = token",
    "",
    usersTest
  ),
  mutation(
    "serves scopes that were not granted",
    cacheOf,
    "Scopes.tokens(scopes).every((scope) => has.has(scope))",
    "true",
    usersTest
  ),
  mutation(
    "renews without a refresh token",
    cacheOf,
    "refreshToken === undefined ? Effect.succeed(accessToken) : life.get(key)",
    "life.get(key)",
    usersTest
  ),
  mutation(
    "keeps a session without a refresh token",
    users,
    "refreshToken === undefined ? DateTime.min(latest, accessToken.expiresAt) : latest",
    "latest",
    usersTest
  ),
  mutation("keeps a session that was closed", users, "yield* stored(store.remove(id))\n", "", usersTest),
  mutation(
    "keeps a session that was closed where its key is unknown",
    users,
    "yield* stored(store.remove(id))\n          if (session === undefined) return\n",
    "if (session === undefined) return\n          yield* stored(store.remove(id))\n",
    usersTest
  ),
  mutation(
    "hands on what the secret provider failed with",
    users,
    "credentials: readCredentials(provider, totalTimeout),",
    "credentials: provider.credentials,",
    usersTest
  ),
  mutation(
    "revokes nothing at the sign-out",
    users,
    "if (token !== undefined) yield* revoke(token)",
    "void token",
    usersTest
  ),
  mutation(
    "uses the id as the public key",
    users,
    "key: randomText(12),",
    "key: Redacted.value(id),",
    secretsTest,
    usersTest
  ),
  mutation(
    "never extends the lock",
    lock,
    "Effect.andThen(Effect.ignore(attempt)),",
    "Effect.andThen(Effect.void),",
    storeTest
  ),
  mutation("never releases the lock", lock, "Effect.ignore(unlock(owner))", "Effect.void", storeTest),
  mutation("lets waiters wait long", lock, "const longestPoll = 100", "const longestPoll = 10_000", storeTest),
  mutation("holds the lock of a dead replica", lock, "const lockLife = 5_000", "const lockLife = 60_000", storeTest),
  mutation(
    "stores what was removed",
    memory,
    "onlyIfPresent && current(rows, name, now) === undefined",
    "false",
    storeTest
  ),
  mutation("gives the lock to everybody", memory, "held !== undefined && held.owner !== owner", "false", storeTest),
  mutation(
    "shows ids to the backend",
    store,
    "Base64Url.encode(new Uint8Array(digest))",
    "String(digest) + Redacted.value(id)",
    storeTest
  ),
  mutation(
    "stores sessions as plain text",
    store,
    "...SealedText.make(keys)",
    "seal: plain.seal, open: plain.open",
    storeTest
  ),
  mutation("warns of each session that does not open", store, "hasWarned = true\n", "", storeTest),
  mutation("opens what was sealed for another context", sealed, '"text", context]', '"text"]', sealedTest, storeTest),
  mutation(
    "opens with the first key only",
    sealed,
    "for (const key of yield* cryptoKeys)",
    "for (const key of (yield* cryptoKeys).slice(0, 1))",
    sealedTest
  ),
  mutation("accepts a key of any length", sealed, "|| bytes.length !== keyBytes", "", sealedTest)
]
