// The canary: secret and token have known values, everything that can fail fails, and every string that a user could
// print is searched for them.
import { inspect } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import {
  AccessToken,
  ClientCredentials,
  ITwin,
  ITwinHttpClient,
  RetryPolicy,
  SecretProvider,
  TokenCache,
  TokenError,
  Users
} from "@effect-itwin/core"
import { Cause, Effect, Exit, Layer, Logger, References, Result, Schema, Tracer } from "effect"
import { HttpClient, HttpClientError, HttpClientRequest } from "effect/http"
import { credentials, json, type Step, scripted, secret, transportError } from "./support.ts"

const token = "fake.token-canary_0123456789abcdef"

const forms = (value: string) => [
  value,
  encodeURIComponent(value),
  new URLSearchParams({ v: value }).toString().slice(2),
  btoa(unescape(encodeURIComponent(value))).replace(/=+$/, "")
]
const needles = [
  ...forms(secret),
  ...forms(token),
  ...forms(`service-Ab12:${new URLSearchParams({ v: secret }).toString().slice(2)}`)
]

const strings = (thing: unknown): ReadonlyArray<string> => [
  inspect(thing, { showHidden: true, depth: 30 }),
  inspect(thing, { customInspect: false, showHidden: true, depth: 30 }),
  String(thing),
  JSON.stringify(thing, (_key, value) => (typeof value === "bigint" ? String(value) : value)) ?? "",
  ...(thing instanceof Error ? [thing.message, thing.stack ?? "", Cause.pretty(Cause.fail(thing))] : [])
]

const search = (thing: unknown, where: string) => {
  for (const text of strings(thing)) {
    for (const needle of needles)
      assert.isFalse(text.includes(needle), `${where} shows ${needle} in ${text.slice(0, 300)}`)
  }
}

/** Collects what logs, spans and their attributes show. */
const collecting = () => {
  const seen: Array<unknown> = []
  const logger = Logger.make((options) => {
    seen.push(options.message, Cause.pretty(options.cause), options.cause)
  })
  const tracer = Tracer.make({
    span(options) {
      const span = new Tracer.NativeSpan(options)
      seen.push(span)
      return span
    }
  })
  const layer = Layer.mergeAll(
    Logger.layer([logger]),
    Layer.succeed(References.MinimumLogLevel, "All"),
    Layer.succeed(Tracer.Tracer, tracer),
    Layer.succeed(HttpClient.TracerHeaderFilter, () => true)
  )
  return { seen, layer }
}

const echo =
  (status: number): Step =>
  () =>
    new Response(
      JSON.stringify({
        error: `invalid ${secret}`,
        error_description: forms(secret).join(" "),
        message: `Bearer ${token}`
      }),
      { status, headers: { "x-correlation-id": secret.replace(/[^\w]/g, "") + secret.slice(0, 5) } }
    )

const ok: Step = () => Response.json({ access_token: token, token_type: "Bearer", expires_in: 3600 })

const failingTokenRequests: ReadonlyArray<readonly [string, Step]> = [
  ...[200, 204, 302, 400, 401, 403, 407, 429, 500, 503].map(
    (status) =>
      [
        `status ${status} that echoes the request`,
        status === 204 ? () => new Response(null, { status }) : echo(status)
      ] as const
  ),
  ["a token with a bad life", json({ access_token: token, token_type: "Bearer", expires_in: "x" })],
  [
    "a token beside an error",
    json({ access_token: token, token_type: "Bearer", error: "x", error_description: token })
  ],
  ["a token of another type", json({ access_token: token, token_type: token })],
  ["a scope that is the secret", json({ access_token: token, token_type: "Bearer", scope: secret })],
  ["a body cut amid the token", () => new Response(`{"access_token":"${token}`)],
  ["a body that is the form", () => new Response(`client_secret=${encodeURIComponent(secret)}`)],
  ["a broken connection", transportError("ECONNRESET")],
  [
    "a client that puts the request into its error",
    () =>
      Effect.fail(
        new HttpClientError.HttpClientError({
          reason: new HttpClientError.TransportError({
            request: HttpClientRequest.post("https://ims.bentley.com").pipe(
              HttpClientRequest.bodyText(`client_secret=${secret}`, "text/plain")
            ),
            description: `sending ${secret}`,
            cause: new Error(secret, { cause: { code: secret, body: secret } })
          })
        })
      )
  ]
]

describe("secret and token show nowhere", () => {
  it.effect.each(failingTokenRequests)("when the token request fails: %s", ([name, step]) => {
    const { seen, layer } = collecting()
    return Effect.gen(function* () {
      const exit = yield* Effect.flatMap(TokenCache.TokenCache, (cache) => cache.get()).pipe(
        Effect.tapCause((cause) => Effect.logError("failed", cause)),
        Effect.withSpan("caller"),
        Effect.exit,
        Effect.provide(
          TokenCache.layer.pipe(
            Layer.provide([
              scripted(step).layer,
              SecretProvider.layerStatic(credentials),
              RetryPolicy.layer(RetryPolicy.none)
            ])
          )
        )
      )
      assert.isTrue(Exit.isFailure(exit))
      const error = yield* Effect.flip(exit)
      assert.instanceOf(error, TokenError.TokenError)
      search(error, name)
      search(exit, name)
      search(Schema.encodeSync(TokenError.TokenError)(error as TokenError.TokenError), name)
      search(Schema.encodeSync(Schema.toCodecJson(TokenError.TokenError))(error as TokenError.TokenError), name)
      assert.isAbove(seen.length, 2)
      for (const thing of seen) search(thing, `${name}, logs and spans`)
    }).pipe(Effect.provide(layer))
  })

  it.effect.each<readonly [string, Step]>([
    ["401", echo(401)],
    ["500", echo(500)],
    ["not JSON", () => new Response(`Bearer ${token}`)],
    ["a lost connection", transportError("ECONNRESET")]
  ])("when an API answers with %s", ([name, step]) => {
    const { seen, layer } = collecting()
    return Effect.gen(function* () {
      const exit = yield* Users.me.pipe(
        Effect.tapCause((cause) => Effect.logError("failed", cause)),
        Effect.exit,
        Effect.provide(
          ITwin.layer.pipe(Layer.provide([scripted(ok, step).layer, SecretProvider.layerStatic(credentials)]))
        )
      )
      assert.isTrue(Exit.isFailure(exit))
      search(yield* Effect.flip(exit), name)
      for (const thing of seen) search(thing, `${name}, logs and spans`)
    }).pipe(Effect.provide(layer))
  })

  it.effect("in credentials, token, cache and client", () =>
    Effect.gen(function* () {
      const cache = yield* TokenCache.TokenCache
      const value = yield* cache.get()
      search(value, "AccessToken")
      search(value.authorizationHeader, "authorizationHeader")
      search(credentials, "ClientCredentials")
      search(cache, "TokenCache")
      search(yield* ITwinHttpClient.ITwinHttpClient, "ITwinHttpClient")
      for (const [schema, thing] of [
        [AccessToken.AccessToken, value],
        [ClientCredentials.ClientCredentials, credentials]
      ] as const) {
        const encode = (codec: Schema.ConstraintCodec<unknown, unknown>) => Schema.encodeUnknownResult(codec)(thing)
        for (const codec of [schema, Schema.toCodecJson(schema)]) {
          const result = encode(codec as Schema.ConstraintCodec<unknown, unknown>)
          assert.isTrue(Result.isFailure(result))
          search(result, "an encoding")
        }
      }
      for (const input of [
        { clientId: "", clientSecret: secret },
        { clientId: "a", clientSecret: { secret } },
        secret
      ]) {
        const result = Schema.decodeUnknownResult(ClientCredentials.ClientCredentials)(input)
        assert.isTrue(Result.isFailure(result))
        search(result, "a failed decoding")
      }
    }).pipe(
      Effect.provide(ITwin.layer.pipe(Layer.provide([scripted(ok).layer, SecretProvider.layerStatic(credentials)])))
    )
  )

  it("and the search finds what shows", () => {
    assert.throws(() => search(new Error(`has ${secret}`), "it"), /it shows/)
    assert.throws(() => search({ deep: { er: [token] } }, "it"), /it shows/)
  })
})
