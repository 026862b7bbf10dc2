// The model that the cache is tested against: an IMS and a vault that do as they are told, what must be at hand by the
// rules, and the judgement of each request, token and failure.
import { assert } from "@effect/vitest"
import { type AccessToken, ClientCredentials, Scopes, type TokenError } from "@effect-itwin/core"
import { Clock, Duration, Effect, Redacted, Schema } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"

export const keys = [Scopes.make("a"), Scopes.make("b"), Scopes.make("a b")] as const
const Key = Schema.Literals([0, 1, 2])

const Answer = Schema.Union([
  Schema.TaggedStruct("Token", { life: Schema.Literals([0, 1, 10, 60, 300, 3600]), after: Schema.Literals([0, 2]) }),
  Schema.TaggedStruct("Down", { after: Schema.Literals([0, 2]) }),
  Schema.TaggedStruct("RateLimited", { retryAfter: Schema.Literals([1, 60, 3600]) }),
  Schema.TaggedStruct("Refused", { after: Schema.Literals([0, 2]) }),
  Schema.TaggedStruct("Hang", {})
])

const Get = Schema.TaggedStruct("Get", { key: Key })
const Pass = Schema.TaggedStruct("Pass", { seconds: Schema.Literals([0.5, 2, 5, 20, 31, 200, 700, 2600, 3500]) })

// Those that drive the rest come more often.
const Command = Schema.Union([
  Get,
  Get,
  Get,
  Pass,
  Pass,
  Pass,
  Schema.TaggedStruct("Refresh", { key: Key }),
  Schema.TaggedStruct("Invalidate", { key: Key }),
  Schema.TaggedStruct("Interrupt", { which: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 20 })) }),
  Schema.TaggedStruct("Answer", { answer: Answer }),
  Schema.TaggedStruct("Answer", {
    answer: Schema.TaggedStruct("Token", { life: Schema.Literal(3600), after: Schema.Literals([0, 2]) })
  }),
  Schema.TaggedStruct("Rotate", { where: Schema.Literals(["both", "ims", "vault"]) })
])
export type Command = typeof Command.Type

export const Commands = Schema.Array(Command).check(Schema.isMinLength(10), Schema.isMaxLength(60))

/** What the model knows of a token: whose it is, and when it was asked for and came. */
interface Issued {
  readonly key: Scopes.Scopes
  readonly issuedAt: number
  readonly expiry: number
  readonly cameAt: number
  /** Set when somebody invalidated it. */
  invalidatedAt: number | undefined
}

interface Landing {
  readonly at: number
  readonly key: Scopes.Scopes
  readonly outcome: "ok" | "passing" | "lasting"
}

const hardOf = ({ issuedAt, expiry }: Issued) => expiry - Math.min(60_000, (expiry - issuedAt) / 10)
const earliestSoftOf = ({ issuedAt, expiry }: Issued) =>
  expiry - Math.min(900_000, (expiry - issuedAt) / 4) - (expiry - issuedAt) / 10
const lastOf = (token: Issued) => Math.max(hardOf(token), token.expiry - 5_000)

/** IMS and the vault, with what the model keeps of both. */
export const makeWorld = Effect.gen(function* () {
  const clock = yield* Clock.Clock
  const now = () => clock.currentTimeMillisUnsafe()
  let answer: typeof Answer.Type = { _tag: "Token", life: 3600, after: 0 }
  const secrets = { ims: 0, vault: 0 }
  const issued = new Map<string, Issued>()
  /** The token that must be at hand, by the rules. */
  const held = new Map<Scopes.Scopes, Issued>()
  const flying = new Map<string, number>()
  const landings: Array<Landing> = []
  const refreshedAt = new Map<Scopes.Scopes, number>()
  /** When a flight was refused: it may make one more request at once. */
  const refusedAt = new Map<Scopes.Scopes, number>()
  let cooledUntil = 0
  let requests = 0

  const respond = (body: object, init?: ResponseInit) => Response.json(body, init)

  const serve = (key: Scopes.Scopes, secret: string): Effect.Effect<Response> =>
    Effect.gen(function* () {
      const said = answer
      const issuedAt = now()
      if ("after" in said && said.after > 0) yield* Effect.sleep(Duration.seconds(said.after))
      if (said._tag === "Hang") return yield* Effect.never
      const at = now()
      if (said._tag === "Refused" || (said._tag === "Token" && secret !== `fake-secret-+/=${secrets.ims}`)) {
        refusedAt.set(key, at)
        landings.push({ at, key, outcome: "lasting" })
        return respond({ error: "invalid_client" }, { status: 401 })
      }
      if (said._tag === "RateLimited") {
        cooledUntil = Math.max(cooledUntil, at + Math.min(900, said.retryAfter) * 1000)
        landings.push({ at, key, outcome: "passing" })
        return respond({}, { status: 429, headers: { "retry-after": String(said.retryAfter) } })
      }
      if (said._tag === "Down") {
        landings.push({ at, key, outcome: "passing" })
        return respond({}, { status: 500 })
      }
      const value = `t${issued.size}`
      const token = { key, issuedAt, expiry: issuedAt + said.life * 1000, cameAt: at, invalidatedAt: undefined }
      issued.set(value, token)
      landings.push({ at, key, outcome: "ok" })
      if (at < hardOf(token)) held.set(key, token)
      return respond({ access_token: value, token_type: "Bearer", expires_in: said.life })
    })

  /** A request must have a reason. */
  const judge = (key: Scopes.Scopes, at: number) => {
    if (refusedAt.get(key) === at) {
      // Still the same flight, with a secret that was read again: it was not refused yet.
      landings.splice(
        landings.findLastIndex((landing) => landing.key === key),
        1
      )
      refusedAt.delete(key)
      return
    }
    assert.isTrue(at >= cooledUntil, `asked for "${key}" while cooling down`)
    if (refreshedAt.get(key) === at) return
    const token = held.get(key)
    if (token !== undefined && at < earliestSoftOf(token)) assert.fail(`asked for "${key}" with a young token at hand`)
    const failed = landings.findLast((landing) => landing.key === key)
    if (token !== undefined && at < hardOf(token) && failed !== undefined && failed.outcome !== "ok") {
      assert.isTrue(at >= failed.at + 30_000, `asked for "${key}" again before 30 s were over`)
    }
    const ended = landings.findLast(({ outcome }) => outcome !== "passing")
    if (ended?.outcome === "lasting") {
      assert.isTrue(at >= ended.at + 4_000, `asked for "${key}" while a failure is replayed`)
    }
  }

  const violations: Array<unknown> = []
  const client = HttpClient.make((request) =>
    Effect.suspend(() => {
      const form = new URLSearchParams(
        request.body._tag === "Uint8Array" ? new TextDecoder().decode(request.body.body) : ""
      )
      const key = Scopes.make(form.get("scope") ?? "")
      const count = (flying.get(key) ?? 0) + 1
      flying.set(key, count)
      requests++
      try {
        assert.strictEqual(count, 1, `flights for "${key}" at once`)
        judge(key, now())
      } catch (violation) {
        violations.push(violation)
      }
      const startedAt = now()
      return serve(key, form.get("client_secret") ?? "").pipe(
        Effect.onInterrupt(() => Effect.sync(() => landings.push({ at: startedAt + 5_000, key, outcome: "passing" }))),
        Effect.ensuring(Effect.sync(() => flying.set(key, (flying.get(key) ?? 0) - 1))),
        Effect.map((response) => HttpClientResponse.fromWeb(request, response))
      )
    })
  )
  const provider = {
    credentials: Effect.sync(
      () =>
        new ClientCredentials.ClientCredentials({
          clientId: "service-Model",
          clientSecret: Redacted.make(`fake-secret-+/=${secrets.vault}`)
        })
    )
  }

  /** What a caller got must be right, at the moment it got it. */
  const judgeToken = (key: Scopes.Scopes, askedAt: number, token: AccessToken.AccessToken) => {
    const at = now()
    const known = issued.get(Redacted.value(token.value)) ?? assert.fail("a token that nobody issued")
    assert.strictEqual(token.requestedScopes, key, "the scopes that were asked for")
    assert.strictEqual(known.key, key, "a token of these scopes")
    const fresh = known.cameAt === at
    assert.isTrue(fresh || at < known.expiry, `an expired token for "${key}"`)
    if (known.invalidatedAt !== undefined && !fresh) {
      assert.isTrue(known.invalidatedAt > askedAt, `an invalidated token for "${key}"`)
    }
    if (!fresh && at >= hardOf(known)) {
      assert.isTrue(at < lastOf(known), `a token for "${key}" in its last 5 s`)
      const excused = at < cooledUntil || landings.some((landing) => landing.at === at && landing.outcome === "passing")
      assert.isTrue(excused, `an old token for "${key}" without need`)
    }
  }

  const judgeFailure = (key: Scopes.Scopes, error: TokenError.TokenError) => {
    const at = now()
    const token = held.get(key)
    if (token === undefined) return
    assert.isTrue(at >= hardOf(token), `a failure for "${key}" with a valid token at hand`)
    assert.isFalse(error.isRetryable && at < lastOf(token), `a failure for "${key}" with an old token at hand`)
  }

  return {
    now,
    client,
    provider,
    violations,
    judgeToken,
    judgeFailure,
    requests: () => requests,
    invalidated: (token: AccessToken.AccessToken) => {
      const known = issued.get(Redacted.value(token.value))
      if (known === undefined) return
      known.invalidatedAt ??= now()
      if (held.get(known.key) === known) held.delete(known.key)
    },
    refreshing: (key: Scopes.Scopes) => refreshedAt.set(key, now()),
    answer: (next: typeof Answer.Type) => {
      answer = next
    },
    rotate: (where: "both" | "ims" | "vault") => {
      if (where === "vault") {
        secrets.vault = secrets.ims
        return
      }
      secrets.ims++
      if (where === "both") secrets.vault = secrets.ims
    }
  }
})
