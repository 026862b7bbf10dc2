// Neither the id of a session nor a token of its user is shown, whatever fails.
import { assert, describe, it } from "@effect/vitest"
import { AuthorizationCode, SecretProvider, SessionStore } from "@effect-itwin/core"
import { FakeIms, Fault } from "@effect-itwin/testing"
import { Effect, Exit, Fiber, Logger, Option, Redacted, Scope } from "effect"
import { TestClock } from "effect/testing"
import { observe, strings } from "./canary.ts"
import { email, faultyMemory, layerIms, minutes, replica, script, signIn } from "./userSupport.ts"

const key = Redacted.make(Buffer.from("fake-secret-a+b/c=fake-secret-a+").toString("base64"))

// Tokens live for two minutes, because the exporter runs every few seconds.
const outcome = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
    yield* TestClock.adjust("20 seconds")
    return yield* Effect.exit(Fiber.join(fiber))
  })

/** Drives each failure. `printed` gets all that a program can print, and `secrets` what it must not contain. */
const drive = Effect.fnUntraced(function* (printed: Array<unknown>, secrets: Set<string>) {
  const add = (secret: Redacted.Redacted | undefined) => secret !== undefined && secrets.add(Redacted.value(secret))
  const fake = yield* FakeIms.FakeIms
  const { credentials } = yield* SecretProvider.SecretProvider
  add((yield* credentials).clientSecret)
  const { failing, store } = yield* faultyMemory

  const begin = Effect.gen(function* () {
    const scope = yield* Scope.make()
    const tokens = yield* Scope.provide(replica(store), scope)
    const signedIn = yield* signIn()
    const id = yield* tokens.open(signedIn)
    add(id)
    for (const token of [signedIn.accessToken.value, signedIn.refreshToken, signedIn.idToken]) add(token)
    const cache = tokens.cacheOf(id)
    if (printed.length === 0) printed.push(tokens, cache)
    printed.push(id, signedIn, yield* tokens.session(id), yield* tokens.get(id))
    return { scope, tokens, id, cache }
  })
  const keep = (id: SessionStore.SessionId) =>
    Effect.map(store.get(id), (session) => {
      printed.push(session)
      if (Option.isNone(session)) return
      const { accessToken, idToken, refreshToken } = session.value
      for (const token of [accessToken.value, refreshToken, idToken]) add(token)
    })

  const { cache, id, scope, tokens } = yield* begin
  printed.push(yield* outcome(cache.refresh()), yield* cache.status)
  yield* keep(id)
  for (const fault of [
    Fault.respond({ status: 500, body: { error: "server_error", error_description: [...secrets].join(" ") } }),
    Fault.respond({ status: 400, body: { error: "invalid_request", error_description: [...secrets].join(" ") } }),
    Fault.respond({ status: 429, headers: { "retry-after": "1" }, body: {} }),
    Fault.resetAmidBody,
    Fault.garbage,
    Fault.hang
  ]) {
    const { cache, id, tokens } = yield* begin
    yield* minutes(2)
    yield* script(Fault.once(fault))
    printed.push(yield* outcome(tokens.get(id)), yield* outcome(tokens.get(id)), yield* cache.status)
    yield* keep(id)
    yield* fake.clearScripts
  }
  for (const step of ["get", "set", "tryLock", "remove"] as const) {
    const { cache, id, tokens } = yield* begin
    yield* minutes(2)
    failing.add(step)
    printed.push(yield* outcome(tokens.get(id)), yield* outcome(tokens.close(id)), yield* cache.status)
    failing.clear()
    yield* minutes(1)
    yield* Effect.ignore(keep(id))
  }
  yield* fake.script(
    "POST /connect/revocation",
    Fault.once(Fault.respond({ status: 400, body: { error: [...secrets].join(" ") } }))
  )
  const closing = yield* begin
  printed.push(yield* outcome(closing.tokens.close(closing.id)), yield* outcome(closing.tokens.get(closing.id)))
  const ended = yield* begin
  yield* fake.revokeSignIns(email)
  yield* minutes(2)
  printed.push(
    yield* outcome(ended.tokens.get(ended.id)),
    yield* outcome(ended.cache.replace((yield* signIn()).accessToken))
  )
  yield* Scope.close(scope, Exit.void)
  printed.push(yield* outcome(tokens.get(id)))

  // A sealed row under another key.
  const memory = yield* SessionStore.makeMemory
  const sealed = SessionStore.make({ ...memory, isPrivate: false }, { keys: [key] })
  const other = SessionStore.make(
    { ...memory, isPrivate: false },
    { keys: [Redacted.make(Buffer.alloc(32, 3).toString("base64"))] }
  )
  const session = new SessionStore.Session({
    ...(yield* begin.pipe(
      Effect.flatMap(({ id }) => store.get(id)),
      Effect.map(Option.getOrThrow)
    )),
    user: new AuthorizationCode.IdToken({ subject: "1" })
  })
  for (const token of [session.accessToken.value, session.refreshToken, session.idToken]) add(token)
  const own = yield* SessionStore.makeId
  add(own)
  yield* sealed.set(own, session, { create: true })
  printed.push(yield* other.get(own), yield* Effect.exit(Effect.scoped(sealed.lock(own))), session, sealed)
})

describe("the tokens of users", () => {
  it.effect(
    "show neither an id nor a token in values, errors, logs, spans and metrics",
    () =>
      Effect.gen(function* () {
        const printed: Array<unknown> = []
        const secrets = new Set([Redacted.value(key)])
        const { exit, exported, seen } = yield* observe(
          Effect.scoped(drive(printed, secrets)).pipe(Effect.provide(layerIms({ tokenLife: "2 minutes" })))
        )
        if (Exit.isFailure(exit)) return yield* Effect.failCause(exit.cause)
        assert.isAbove(secrets.size, 20)
        assert.isAbove(seen.length, 50)
        const texts = [...printed, ...seen].flatMap(strings).concat(Object.values(exported)).join("\n")
        assert.include(texts, "itwin.session")
        assert.include(texts, "SessionUnavailable")
        for (const secret of secrets) {
          for (const form of [secret, encodeURIComponent(secret), JSON.stringify(secret).slice(1, -1)]) {
            const at = texts.indexOf(form)
            assert.strictEqual(at, -1, `shown: ${texts.slice(Math.max(0, at - 200), at).replaceAll(form, "…")}`)
          }
        }
      }).pipe(Effect.provide(Logger.layer([]))),
    60_000
  )
})
