// The model with which the cache is compared: a scripted IMS, secret backend and two clocks; the rules about pauses,
// tokens and credentials; and the checks of each request, read, token and failure.
import { assert } from "@effect/vitest"
import { type AccessToken, ClientCredentials, Scopes, SecretProviderError, TokenError } from "@effect-itwin/core"
import { Clock, Duration, Effect, Exit, Option, Redacted, Schema, Tracer } from "effect"
import { HttpClient, HttpClientError, HttpClientResponse } from "effect/http"

export const keys = [Scopes.make("a"), Scopes.make("b"), Scopes.make("a b")] as const
const Key = Schema.Literals([0, 1, 2])
const After = Schema.Literals([0, 0, 2, 7])

const Answer = Schema.Union([
  Schema.TaggedStruct("Token", { life: Schema.Literals([0, 1, 10, 60, 300, 3600]), after: After }),
  Schema.TaggedStruct("Down", { after: After, retryAfter: Schema.Literals([0, 0, 3, 60]) }),
  Schema.TaggedStruct("RateLimited", { retryAfter: Schema.Literals([0, 1, 4, 60, 3600]) }),
  Schema.TaggedStruct("Refused", { after: After }),
  Schema.TaggedStruct("Failed", {
    status: Schema.Literals([400, 403]),
    error: Schema.Literals(["invalid_scope", "x"])
  }),
  Schema.TaggedStruct("Reset", {}),
  Schema.TaggedStruct("Defect", {}),
  Schema.TaggedStruct("Hang", {})
])

const Backend = Schema.Union([
  Schema.TaggedStruct("Works", { after: After }),
  Schema.TaggedStruct("Works", { after: Schema.Literal(0) }),
  Schema.TaggedStruct("Fails", {
    reason: Schema.Literals(["Unavailable", "Unavailable", "Throttled", "Disabled", "NotFound"]),
    after: After
  }),
  Schema.TaggedStruct("Dies", {}),
  Schema.TaggedStruct("Hangs", {})
])

const Get = Schema.TaggedStruct("Get", { key: Key })
const Pass = Schema.TaggedStruct("Pass", {
  seconds: Schema.Literals([0.5, 1.1, 2, 5, 11, 20, 31, 200, 700, 2600, 3500])
})

// Commands that cause others are more frequent.
const Command = Schema.Union([
  Get,
  Get,
  Get,
  Get,
  Pass,
  Pass,
  Pass,
  Pass,
  Schema.TaggedStruct("Refresh", { key: Key }),
  Schema.TaggedStruct("Replace", { key: Key }),
  Schema.TaggedStruct("Invalidate", { key: Key }),
  Schema.TaggedStruct("Interrupt", { which: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 20 })) }),
  Schema.TaggedStruct("Answer", { answer: Answer }),
  Schema.TaggedStruct("Answer", {
    answer: Schema.TaggedStruct("Token", { life: Schema.Literal(3600), after: Schema.Literals([0, 2]) })
  }),
  Schema.TaggedStruct("Backend", { backend: Backend }),
  Schema.TaggedStruct("Backend", { backend: Schema.TaggedStruct("Works", { after: Schema.Literal(0) }) }),
  Schema.TaggedStruct("Rotate", { where: Schema.Literals(["both", "ims", "vault", "client"]) }),
  Schema.TaggedStruct("Jump", { seconds: Schema.Literals([-86_400, -3000, -600, -3, 3, 600, 3000, 86_400]) })
])
export type Command = typeof Command.Type

export const Commands = Schema.Array(Command).check(Schema.isMinLength(10), Schema.isMaxLength(60))

/** A time on both clocks, in milliseconds. */
interface Moment {
  readonly wall: number
  readonly monotonic: number
}

/** What the model knows about a token: its client, and when it was requested and arrived. */
interface Issued {
  readonly key: Scopes.Scopes
  readonly client: string
  readonly born: Moment
  readonly life: number
  readonly came: Moment
  /** When it was invalidated, on the monotonic clock. */
  invalidatedAt: number | undefined
}

const hardOf = (life: number) => life - Math.min(60_000, life / 10)
const earliestSoftOf = (life: number) => life - Math.min(900_000, life / 4) - life / 10
const lastOf = (life: number) => Math.max(hardOf(life), life - 5_000)

/** The shortest pause that the rules allow after a failure. */
interface Pause {
  readonly length: number
  readonly from: number
  readonly until: number
  readonly statedUntil: number
  readonly isSettled: boolean
}

/** A shared request, as its span shows it. */
interface Flight {
  readonly key: Scopes.Scopes
  readonly startedAt: number
  readonly isInsistent: boolean
  /** When the backend last rejected credentials before the request began. */
  readonly killedAt: number
  /** When it last sent a request to IMS. */
  sentAt: number
}

const secretOf = (client: string, n: number) => `fake-secret-+/=${client}-${n}`

/** IMS, the backend and the clocks, with what the model records about them. */
export const makeWorld = Effect.gen(function* () {
  const testClock = yield* Clock.Clock
  /** How far the wall clock is off. */
  let offset = 0
  const clock: Clock.Clock = {
    currentTimeMillisUnsafe: () => testClock.currentTimeMillisUnsafe() + offset,
    currentTimeMillis: Effect.sync(() => testClock.currentTimeMillisUnsafe() + offset),
    currentTimeNanosUnsafe: () => testClock.currentTimeNanosUnsafe() + BigInt(offset) * 1_000_000n,
    currentTimeNanos: Effect.sync(() => testClock.currentTimeNanosUnsafe() + BigInt(offset) * 1_000_000n),
    monotonicTimeNanosUnsafe: () => testClock.monotonicTimeNanosUnsafe(),
    monotonicTimeNanos: testClock.monotonicTimeNanos,
    sleep: (duration) => testClock.sleep(duration)
  }
  const monotonic = () => Number(testClock.monotonicTimeNanosUnsafe()) / 1e6
  const now = (): Moment => ({ wall: clock.currentTimeMillisUnsafe(), monotonic: monotonic() })

  let answer: typeof Answer.Type = { _tag: "Token", life: 3600, after: 0 }
  let backend: typeof Backend.Type = { _tag: "Works", after: 0 }
  let client = "service-Model"
  const secrets = { ims: 0, vault: 0 }
  const issued = new Map<string, Issued>()
  /** The token that must be in memory, by the rules. */
  const held = new Map<Scopes.Scopes, Issued>()
  const pauses = new Map<Scopes.Scopes, Pause>()
  let pauseOfAll: Pause | undefined
  const flights = new Map<Scopes.Scopes, Flight>()
  const inProgress = new Map<Scopes.Scopes, number>()
  /** When a caller asked for a new token, whatever is in memory. */
  const wantedAt = new Map<Scopes.Scopes, number>()
  const refreshedAt = new Map<Scopes.Scopes, number>()
  /** When the last read of each secret began, in the order of events. */
  const read = new Map<string, number>()
  let clientRead: string | undefined
  let killedAt = Number.NEGATIVE_INFINITY
  let sequence = 0
  const counts = { requests: 0, reads: 0, failures: 0, jumps: 0, bridged: 0 }
  const violations: Array<unknown> = []

  const judged = (judge: () => void) => {
    try {
      judge()
    } catch (violation) {
      violations.push(violation)
    }
  }

  const ageOf = (token: Issued): number => {
    const { monotonic, wall } = now()
    return Math.max(wall - token.born.wall, monotonic - token.born.monotonic)
  }

  const lastPause = (key: Scopes.Scopes) => {
    const known = pauses.get(key)
    // The pause may be forgotten a minute after its end.
    const pause = known !== undefined && monotonic() < known.until + 60_000 ? known : undefined
    const ofAll = pauseOfAll?.isSettled === true ? undefined : pauseOfAll
    if (pause === undefined || ofAll === undefined) return pause ?? ofAll
    return pause.from > ofAll.from ? pause : ofAll
  }

  /** Records the shortest pause that must follow. */
  const failed = (flight: Flight, error: TokenError.TokenError) => {
    counts.failures++
    const { key } = flight
    const at = monotonic()
    const { reason } = error
    const stated = Math.min(900_000, Duration.toMillis(error.retryAfter ?? Duration.zero))
    const mayPass = reason._tag === "Transport" || (error.isRetryable && reason._tag !== "RateLimited")
    const previous = lastPause(key)
    const doubled = previous !== undefined && flight.startedAt <= previous.from ? 1 : 2
    const length = previous === undefined ? 1_000 : Math.min(previous.length * doubled, mayPass ? 10_000 : 60_000)
    const tags = ["SecretUnavailable", "InvalidClient", "UnauthorizedClient", "RateLimited"]
    const isOfAll = stated > 0 || tags.includes(reason._tag)
    const replaced = isOfAll ? pauseOfAll : pauses.get(key)
    const until = at + Math.max(length, stated)
    const pause = {
      length,
      from: at,
      until: Math.max(until, replaced?.until ?? 0),
      statedUntil: Math.max(stated > 0 ? until : 0, replaced?.statedUntil ?? 0),
      isSettled: false
    }
    if (isOfAll) pauseOfAll = pause
    else pauses.set(key, pause)
  }

  /** No request is made with a fresh token in memory, unless a caller asks for another one. */
  const judgeNeed = (key: Scopes.Scopes) => {
    const token = held.get(key)
    if (token === undefined || token.invalidatedAt !== undefined || now().wall < token.born.wall) return
    if (ageOf(token) >= earliestSoftOf(token.life)) return
    assert.strictEqual(wantedAt.get(key), monotonic(), `asked for "${key}" with a fresh token`)
  }

  const tracer = Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      if (options.name !== "TokenCache.request") return span
      const end = span.end.bind(span)
      let flight: Flight | undefined
      const attribute = span.attribute.bind(span)
      span.attribute = (name, value) => {
        attribute(name, value)
        if (name !== "itwin.scopes") return
        const key = Scopes.make(String(value))
        flight = {
          key,
          startedAt: monotonic(),
          isInsistent: refreshedAt.get(key) === monotonic(),
          killedAt,
          sentAt: monotonic()
        }
        flights.set(key, flight)
        judged(() => judgeNeed(key))
      }
      span.end = (time, exit) => {
        if (flight !== undefined) {
          const { key } = flight
          const error = Option.getOrUndefined(Exit.findErrorOption(exit))
          if (Exit.isSuccess(exit)) {
            const token = held.get(key)
            if (token === undefined || ageOf(token) < lastOf(token.life)) {
              pauses.delete(key)
              if (pauseOfAll !== undefined) {
                pauseOfAll = pauseOfAll.from < flight.sentAt ? undefined : { ...pauseOfAll, isSettled: true }
              }
            }
          } else if (error instanceof TokenError.TokenError && error.nextAttemptIn === undefined) failed(flight, error)
          flights.delete(key)
        }
        end(time, exit)
      }
      return span
    }
  })

  /** No request is made during a pause, unless a caller may ignore that pause. */
  const judgePauses = (key: Scopes.Scopes, what: string) => {
    const at = monotonic()
    for (const pause of [pauses.get(key), pauseOfAll]) {
      if (pause === undefined || at >= pause.until) continue
      const flight = flights.get(key)
      const mayPass = flight?.isInsistent === true && flight.startedAt >= pause.statedUntil
      const passes = mayPass && flight.startedAt - pause.from >= 10_000
      assert.isTrue(passes, `${what} for "${key}" ${pause.until - at} ms before the end of a pause`)
    }
  }

  const serve = (key: Scopes.Scopes, id: string, secret: string): Effect.Effect<Response | "reset"> =>
    Effect.gen(function* () {
      const said = answer
      const born = now()
      if ("after" in said && said.after > 0) yield* Effect.sleep(Duration.seconds(said.after))
      switch (said._tag) {
        case "Hang":
          return yield* Effect.never
        case "Reset":
          return "reset"
        case "Defect":
          return yield* Effect.die(new TypeError(secret))
        case "RateLimited": {
          const headers = said.retryAfter === 0 ? {} : { "retry-after": String(said.retryAfter) }
          return Response.json({}, { status: 429, headers })
        }
        case "Down": {
          const headers = said.retryAfter === 0 ? {} : { "retry-after": String(said.retryAfter) }
          return Response.json({}, { status: 500, headers })
        }
        case "Failed":
          return Response.json({ error: said.error }, { status: said.status })
        case "Refused":
          return Response.json({ error: "invalid_client" }, { status: 401 })
        case "Token": {
          if (secret !== secretOf(client, secrets.ims))
            return Response.json({ error: "invalid_client" }, { status: 401 })
          const value = `t${issued.size}`
          const token: Issued = { key, client: id, born, life: said.life * 1000, came: now(), invalidatedAt: undefined }
          issued.set(value, token)
          if (ageOf(token) < lastOf(token.life) && id === clientRead) held.set(key, token)
          return Response.json({ access_token: value, token_type: "Bearer", expires_in: said.life })
        }
      }
    })

  const http = HttpClient.make((request) =>
    Effect.suspend(() => {
      const form = new URLSearchParams(
        request.body._tag === "Uint8Array" ? new TextDecoder().decode(request.body.body) : ""
      )
      const key = Scopes.make(form.get("scope") ?? "")
      const secret = form.get("client_secret") ?? ""
      const id = form.get("client_id") ?? ""
      const count = (inProgress.get(key) ?? 0) + 1
      inProgress.set(key, count)
      counts.requests++
      judged(() => {
        assert.strictEqual(count, 1, `requests for "${key}" at once`)
        judgePauses(key, "asked IMS")
        const flight = flights.get(key)
        if (flight !== undefined) flight.sentAt = monotonic()
        const last = read.get(secret)
        if (last === undefined) assert.fail(`a secret that was never read: ${secret}`)
        // A request in progress continues with the credentials that it has.
        const since = flight?.killedAt ?? Number.POSITIVE_INFINITY
        assert.isTrue(last > since, "credentials that the backend or IMS took back")
      })
      return serve(key, id, secret).pipe(
        Effect.ensuring(Effect.sync(() => inProgress.set(key, (inProgress.get(key) ?? 0) - 1))),
        Effect.flatMap((response) =>
          response === "reset"
            ? Effect.fail(
                new HttpClientError.HttpClientError({
                  reason: new HttpClientError.TransportError({ request, cause: { code: "ECONNRESET" } })
                })
              )
            : Effect.succeed(HttpClientResponse.fromWeb(request, response))
        )
      )
    })
  )

  const provider = {
    credentials: Effect.suspend(() => {
      const said = backend
      const startedAt = sequence++
      counts.reads++
      judged(() => {
        const at = monotonic()
        if (pauseOfAll !== undefined && at < pauseOfAll.until) {
          const insists = [...flights.values()].some(
            ({ isInsistent, startedAt }) =>
              isInsistent &&
              pauseOfAll !== undefined &&
              startedAt >= pauseOfAll.statedUntil &&
              startedAt - pauseOfAll.from >= 10_000
          )
          assert.isTrue(insists, `read the secret ${pauseOfAll.until - at} ms before the end of a pause`)
        }
      })
      const wait = "after" in said && said.after > 0 ? Effect.sleep(Duration.seconds(said.after)) : Effect.void
      return Effect.andThen(
        wait,
        Effect.suspend(() => {
          switch (said._tag) {
            case "Hangs":
              return Effect.never
            case "Dies":
              killedAt = sequence++
              return Effect.die(new TypeError("fake-secret-+/="))
            case "Fails": {
              const isOutage = said.reason === "Unavailable" || said.reason === "Throttled"
              if (!isOutage) killedAt = sequence++
              else counts.bridged++
              const fields = { provider: "Vault", secretName: "itwin" }
              const reason =
                said.reason === "Throttled"
                  ? new SecretProviderError.Throttled({ ...fields, retryAfter: Duration.seconds(30) })
                  : new SecretProviderError[said.reason](fields)
              return Effect.fail(new SecretProviderError.SecretProviderError({ reason }))
            }
            case "Works": {
              const secret = secretOf(client, secrets.vault)
              read.set(secret, Math.max(startedAt, read.get(secret) ?? 0))
              clientRead = client
              for (const [key, token] of held) if (token.client !== client) held.delete(key)
              return Effect.succeed(
                new ClientCredentials.ClientCredentials({ clientId: client, clientSecret: Redacted.make(secret) })
              )
            }
          }
        })
      )
    })
  }

  /** The result of a caller must be right at the time when it got it. */
  const judgeToken = (key: Scopes.Scopes, askedAt: number, token: AccessToken.AccessToken) => {
    const known = issued.get(Redacted.value(token.value)) ?? assert.fail("a token that nobody issued")
    assert.strictEqual(token.requestedScopes, key, "the scopes that were asked for")
    assert.strictEqual(known.key, key, "a token of these scopes")
    if (known.came.monotonic >= askedAt) return
    // A reading of both clocks is used for a second.
    assert.isTrue(ageOf(known) < lastOf(known.life) + 1_000, `an expired token for "${key}"`)
    if (known.invalidatedAt !== undefined) {
      assert.isTrue(known.invalidatedAt > askedAt, `an invalidated token for "${key}"`)
    }
  }

  const judgeFailure = (key: Scopes.Scopes) => {
    const token = held.get(key)
    if (token === undefined || token.invalidatedAt !== undefined) return
    assert.isTrue(ageOf(token) >= lastOf(token.life), `a failure for "${key}" with a usable token in memory`)
  }

  return {
    monotonic,
    clock,
    tracer,
    client: http,
    provider,
    violations,
    counts,
    judged,
    judgeToken,
    judgeFailure,
    invalidated: (token: AccessToken.AccessToken) => {
      const known = issued.get(Redacted.value(token.value))
      if (known === undefined) return
      known.invalidatedAt ??= monotonic()
      if (held.get(known.key) === known) held.delete(known.key)
    },
    wanted: (key: Scopes.Scopes, isRefresh: boolean) => {
      wantedAt.set(key, monotonic())
      if (isRefresh) refreshedAt.set(key, monotonic())
    },
    answer: (next: typeof Answer.Type) => {
      answer = next
    },
    backend: (next: typeof Backend.Type) => {
      backend = next
    },
    jump: (seconds: number) => {
      counts.jumps++
      offset += seconds * 1000
    },
    rotate: (where: "both" | "ims" | "vault" | "client") => {
      if (where === "vault") secrets.vault = secrets.ims
      else if (where === "client") {
        client = client === "service-Model" ? "service-Other" : "service-Model"
        secrets.vault = secrets.ims
      } else {
        secrets.ims++
        if (where === "both") secrets.vault = secrets.ims
      }
    }
  }
})
