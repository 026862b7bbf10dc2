// Replicas that share a store of sessions, in random schedules of callers, time, lost answers, failures of IMS and of the
// store, sign-outs and restarts. A failure prints the seed and the shortest list of commands that was found. MODEL_RUNS
// sets the number of schedules.
import { assert, describe, it } from "@effect/vitest"
import { SessionStore } from "@effect-itwin/core"
import { FakeIms } from "@effect-itwin/testing"
import { Clock, Effect, Exit, Fiber, Option, Redacted, Schema, Scope } from "effect"
import { HttpClient, HttpClientError, HttpServerResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { email, layerIms, reasonOf, replica, signIn, silent, storeError, textOf, withFaults } from "./userSupport.ts"

const runs = Number(process.env.MODEL_RUNS ?? 120)
const seed = Number(process.env.MODEL_SEED ?? 2026)

const Replica = Schema.Literals([0, 1, 2])
const User = Schema.Literals([0, 1])
const Command = Schema.Union([
  Schema.TaggedStruct("get", { replica: Replica, user: User }),
  Schema.TaggedStruct("refresh", { replica: Replica, user: User }),
  Schema.TaggedStruct("pass", { seconds: Schema.Literals([0.1, 1, 10, 60, 600, 2_000, 3_590]) }),
  Schema.TaggedStruct("restart", { replica: Replica }),
  Schema.TaggedStruct("signOut", { replica: Replica, user: User }),
  Schema.TaggedStruct("ims", { next: Schema.Literals(["lost", "down", "slow", "slow and lost"]) }),
  Schema.TaggedStruct("store", { fails: Schema.Literals(["get", "set", "tryLock"]) }),
  Schema.TaggedStruct("revoke", {})
])
type Command = typeof Command.Type

const seen = { tokens: 0, failures: 0, refreshes: 0, lost: 0, unsaved: 0, signedOut: 0, restarts: 0 }

/** What the model knows of a session. */
interface Known {
  readonly id: SessionStore.SessionId
  /** The refresh tokens that IMS granted for it. */
  readonly family: Set<string>
  /** When a sign-out was complete. */
  closedAt: number | undefined
  isClosing: boolean
  /** An answer of IMS was lost, or the store did not take it. So a refresh token may be used twice, and IMS may end it. */
  mayBeUsedTwice: boolean
  isRevoked: boolean
  inFlight: number
  lastToken: { readonly value: string; readonly expiresAt: number } | undefined
}

const run = Effect.fnUntraced(function* (commands: ReadonlyArray<Command>) {
  yield* TestClock.setTime(1_000_000_000)
  const fake = yield* FakeIms.FakeIms
  const ims = yield* HttpClient.HttpClient
  const backend = yield* SessionStore.makeMemory
  const problems: Array<string> = []
  const failing = new Set<string>()
  const next: Array<string> = []
  const users: Array<Known> = []
  const sent = new Map<string, "answered" | "lost">()
  const now = Effect.map(Clock.currentTimeMillis, (millis) => millis / 1000)

  // A failure to extend a lock for 5 s would end it while its holder is alive, so only taking one fails.
  const owners = new Set<string>()
  const faulty = withFaults(backend, (step) =>
    Effect.suspend(() => (step !== "tryLock" && failing.delete(step) ? Effect.fail(storeError) : Effect.void))
  )
  const store = SessionStore.make({
    ...faulty,
    tryLock: (name, owner, life) =>
      Effect.suspend(() => {
        if (!owners.has(owner) && failing.delete("tryLock")) return Effect.fail(storeError)
        return Effect.tap(backend.tryLock(name, owner, life), (got) => Effect.sync(() => got && owners.add(owner)))
      }),
    set: (name, text, options) =>
      Effect.tapError(faulty.set(name, text, options), () =>
        Effect.sync(() => {
          seen.unsaved++
        })
      )
  })

  const grantOf = (body: unknown): string | undefined => {
    const text = body instanceof Uint8Array ? new TextDecoder().decode(body) : ""
    return new URLSearchParams(text).get("refresh_token") ?? undefined
  }

  const reset = (request: Parameters<Parameters<typeof HttpClient.make>[0]>[0]) =>
    new HttpClientError.HttpClientError({
      reason: new HttpClientError.TransportError({ request, cause: { code: "ECONNRESET" } })
    })

  /** The fake, on a network that loses answers. It checks what is sent. */
  const client = HttpClient.make((request) =>
    Effect.gen(function* () {
      const token = request.body._tag === "Uint8Array" ? grantOf(request.body.body) : undefined
      if (token === undefined) return yield* ims.execute(request)
      const user = users.find(({ family }) => family.has(token))
      if (user === undefined) return yield* Effect.die("a refresh token that IMS did not grant")
      seen.refreshes++
      user.inFlight++
      if (user.inFlight > 1) problems.push("two renewals of a session at once")
      const how = next.shift() ?? ""
      return yield* Effect.gen(function* () {
        if (how.includes("slow")) yield* Effect.sleep("2 seconds")
        if (how === "down") {
          return HttpServerResponse.toClientResponse(HttpServerResponse.jsonUnsafe({}, { status: 503 }), { request })
        }
        if (sent.get(token) === "answered" && !user.mayBeUsedTwice) problems.push("a refresh token was used twice")
        const response = yield* ims.execute(request)
        const body: unknown = yield* response.json
        const granted = Schema.decodeUnknownOption(Schema.Struct({ refresh_token: Schema.String }))(body)
        if (Option.isSome(granted)) user.family.add(granted.value.refresh_token)
        if (how.includes("lost")) {
          seen.lost++
          user.mayBeUsedTwice = true
          sent.set(token, "lost")
          return yield* Effect.fail(reset(request))
        }
        // A refresh token that IMS rejected may be sent again, for example when the store failed then.
        if (Option.isSome(granted)) sent.set(token, "answered")
        return response
      }).pipe(
        Effect.ensuring(
          Effect.sync(() => {
            user.inFlight--
          })
        )
      )
    })
  )

  const start = Effect.gen(function* () {
    const scope = yield* Scope.make()
    yield* Effect.addFinalizer(() => Scope.close(scope, Exit.void))
    const tokens = yield* Scope.provide(replica(store), scope).pipe(
      Effect.provideService(HttpClient.HttpClient, client)
    )
    return { scope, tokens }
  })
  const replicas = [yield* start, yield* start, yield* start]
  const replicaOf = (index: number) => replicas[index] ?? assert.fail("no such replica")

  for (let i = 0; i < 2; i++) {
    const signedIn = yield* signIn()
    const id = yield* replicaOf(0).tokens.open(signedIn)
    const refreshToken = signedIn.refreshToken === undefined ? "" : Redacted.value(signedIn.refreshToken)
    users.push({
      id,
      family: new Set([refreshToken]),
      closedAt: undefined,
      isClosing: false,
      mayBeUsedTwice: false,
      isRevoked: false,
      inFlight: 0,
      lastToken: undefined
    })
  }
  const signedInAt = yield* now
  const userOf = (index: number) => users[index] ?? assert.fail("no such user")

  const judge = (user: Known, isGet: boolean, startedAt: number, outcome: string, at: number) => {
    const token = user.lastToken
    if (outcome === "success" && user.closedAt !== undefined && startedAt > user.closedAt) {
      problems.push("a token after the sign-out")
    }
    if (!outcome.startsWith("SignedOut") || user.isClosing || user.isRevoked) return
    if (at >= signedInAt + 86_400) return
    if (!user.mayBeUsedTwice) problems.push(`a lost session: ${outcome}`)
    else if (isGet && token !== undefined && at < token.expiresAt - 5) {
      problems.push(`a lost session whose access token is valid: ${outcome}`)
    }
  }

  const callers: Array<Fiber.Fiber<void>> = []
  const call = (index: number, user: Known, isGet: boolean) =>
    Effect.gen(function* () {
      const { tokens } = replicaOf(index)
      const startedAt = yield* now
      const exit = yield* Effect.exit(isGet ? tokens.get(user.id) : tokens.cacheOf(user.id).refresh())
      const at = yield* now
      if (Exit.isSuccess(exit)) {
        seen.tokens++
        user.lastToken = { value: textOf(exit.value), expiresAt: exit.value.expiresAt.epochMilliseconds / 1000 }
        if (at >= user.lastToken.expiresAt) problems.push("an expired token")
      } else seen.failures++
      judge(user, isGet, startedAt, reasonOf(exit), at)
    })

  const pass = Effect.fnUntraced(function* (seconds: number) {
    for (let i = 0; i < 10; i++) yield* TestClock.adjust(`${(seconds / 10) * 1000} millis`)
  })

  for (const command of commands) {
    switch (command._tag) {
      case "get":
      case "refresh":
        callers.push(
          yield* Effect.forkChild(call(command.replica, userOf(command.user), command._tag === "get"), {
            startImmediately: true
          })
        )
        break
      case "pass":
        yield* pass(command.seconds)
        break
      case "restart": {
        seen.restarts++
        const { scope } = replicaOf(command.replica)
        callers.push(yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true }))
        replicas[command.replica] = yield* start
        break
      }
      case "signOut": {
        const user = userOf(command.user)
        user.isClosing = true
        const closing = Effect.flatMap(Effect.exit(replicaOf(command.replica).tokens.close(user.id)), (exit) =>
          Effect.map(now, (at) => {
            if (Exit.isSuccess(exit)) {
              seen.signedOut++
              user.closedAt ??= at
            }
          })
        )
        callers.push(yield* Effect.forkChild(closing, { startImmediately: true }))
        break
      }
      case "ims":
        next.push(command.next)
        break
      case "store":
        failing.add(command.fails)
        // Three failures in a row, as many as there are attempts, keep new tokens from the store.
        if (command.fails === "set") for (const user of users) user.mayBeUsedTwice ||= user.inFlight > 0
        break
      case "revoke":
        for (const user of users) user.isRevoked = true
        yield* fake.revokeSignIns(email)
        break
    }
  }

  // Everything works again. Each session that nobody ended still does.
  next.length = 0
  failing.clear()
  for (let i = 0; i < 12; i++) yield* pass(10)
  for (const caller of callers) {
    if (caller.pollUnsafe() === undefined) problems.push("a caller that waits for ever")
    yield* Fiber.interrupt(caller)
  }
  for (const user of users) {
    for (const index of [0, 1, 2]) {
      const last = yield* Effect.forkChild(call(index, user, true), { startImmediately: true })
      yield* pass(20)
      yield* Fiber.join(last)
    }
  }
  assert.deepStrictEqual(problems, [], JSON.stringify(commands))
}, Effect.scoped)

describe("the sessions of users", () => {
  it.effect.prop(
    "are lost by no schedule, and end when they are ended",
    { commands: Schema.Array(Command).check(Schema.isMinLength(5), Schema.isMaxLength(40)) },
    ({ commands }) => run(commands).pipe(Effect.provide([layerIms(), silent])),
    { arbitrary: { runs, seed, size: 40 }, timeout: 600_000 }
  )

  it("have met each kind of event when all schedules have run", () => {
    if (process.env.MODEL_RUNS !== undefined) console.log(seen)
    for (const [kind, count] of Object.entries(seen)) assert.isAbove(count, 0, kind)
  })
})
