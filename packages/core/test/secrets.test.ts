// The canary: secret and token have known values, every failure is caused, and every string that a user could print is
// searched for them.
import { assert, describe, it } from "@effect/vitest"
import {
  AccessToken,
  ClientCredentials,
  ITwin,
  ITwinHttpClient,
  RetryPolicy,
  Scopes,
  SecretProvider,
  TokenCache,
  TokenError,
  TokenRequest,
  Users
} from "@effect-itwin/core"
import { Cause, Effect, Exit, Fiber, Layer, Result, Schema } from "effect"
import { HttpClient, HttpClientError, HttpClientRequest } from "effect/http"
import { TestClock } from "effect/testing"
import { type Observed, observe, strings } from "./canary.ts"
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

const search = (thing: unknown, where: string) => {
  for (const text of strings(thing)) {
    for (const needle of needles)
      assert.isFalse(text.includes(needle), `${where} shows ${needle} in ${text.slice(0, 300)}`)
  }
}

/** Searches everything that telemetry shows. */
const searchTelemetry = ({ exit, exported, seen }: Observed<unknown, unknown>, name: string) => {
  search(exit, name)
  assert.isAbove(seen.length, 2)
  for (const thing of seen) search(thing, `${name}, logs and spans`)
  assert.include(exported.traces, '"caller"')
  assert.include(exported.logs, "failed")
  assert.include(exported.metrics, "itwin")
  for (const [signal, text] of Object.entries(exported)) search(text, `${name}, exported ${signal}`)
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
    "a token next to an error",
    json({ access_token: token, token_type: "Bearer", error: "x", error_description: token })
  ],
  ["a token of another type", json({ access_token: token, token_type: token })],
  ["a body cut in the middle of the token", () => new Response(`{"access_token":"${token}`)],
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

/** Clients that throw or die with the request. */
const dying: ReadonlyArray<readonly [string, (client: HttpClient.HttpClient) => HttpClient.HttpClient]> = [
  [
    "throws in mapRequestInput",
    HttpClient.mapRequestInput((request) => {
      throw brokenBy(request)
    })
  ],
  [
    "throws in mapRequest",
    HttpClient.mapRequest((request) => {
      throw brokenBy(request)
    })
  ],
  [
    "throws when it is called",
    () =>
      HttpClient.make((request) => {
        throw brokenBy(request)
      })
  ],
  ["dies", () => HttpClient.make((request) => Effect.die(brokenBy(request)))],
  [
    "dies after a failure",
    () =>
      HttpClient.make((request) =>
        Effect.failCause(
          Cause.combine(
            Cause.fail(
              new HttpClientError.HttpClientError({
                reason: new HttpClientError.TransportError({ request, cause: brokenBy(request) })
              })
            ),
            Cause.die(brokenBy(request))
          )
        )
      )
  ],
  [
    "fails with what is not an HttpClientError",
    () => HttpClient.make((request) => Effect.fail(brokenBy(request) as unknown as HttpClientError.HttpClientError))
  ]
]

const brokenBy = (request: HttpClientRequest.HttpClientRequest) =>
  Object.assign(new TypeError(`cannot send ${secret}\n    at ${secret} (/${secret}:1:1)`), {
    request,
    body: request.body._tag === "Uint8Array" ? new TextDecoder().decode(request.body.body) : "",
    headers: { ...request.headers }
  })

const cacheOver = (client: HttpClient.HttpClient) =>
  TokenCache.layer.pipe(
    Layer.provide([
      Layer.succeed(HttpClient.HttpClient, client),
      SecretProvider.layerStatic(credentials),
      RetryPolicy.layer(RetryPolicy.none)
    ])
  )

const tokenOf = (client: HttpClient.HttpClient) =>
  observe(Effect.flatMap(TokenCache.TokenCache, (cache) => cache.get()).pipe(Effect.provide(cacheOver(client))))

describe("the canary of secret and token", () => {
  it.effect.each<readonly [string, HttpClient.HttpClient]>([
    ...failingTokenRequests.map(([name, step]) => [name, scripted(step).client] as const),
    ...dying.map(([name, on]) => [`a client that ${name}`, on(scripted(ok).client)] as const)
  ])("shows no secret and no token when the token request fails: %s", ([name, client]) =>
    Effect.gen(function* () {
      const observed = yield* tokenOf(client)
      assert.isTrue(Exit.isFailure(observed.exit))
      const error = yield* Effect.flip(observed.exit)
      assert.instanceOf(error, TokenError.TokenError)
      search(error, name)
      search(Schema.encodeSync(TokenError.TokenError)(error), name)
      search(Schema.encodeSync(Schema.toCodecJson(TokenError.TokenError))(error), name)
      searchTelemetry(observed, name)
    })
  )

  it.effect("shows no secret and no token when IMS grants a scope that is the secret", () =>
    Effect.gen(function* () {
      const step = json({ access_token: token, token_type: "Bearer", scope: secret })
      const observed = yield* tokenOf(scripted(step).client)
      assert.notInclude((yield* observed.exit).scopes, "secret")
      search(yield* observed.exit, "a token")
      for (const thing of [...observed.seen, ...Object.values(observed.exported)]) search(thing, "logs and spans")
    })
  )

  it.effect("shows no secret and no token when the caller is interrupted and the client dies of that", () =>
    Effect.gen(function* () {
      const client = HttpClient.make((request) => Effect.onInterrupt(Effect.never, () => Effect.die(brokenBy(request))))
      const asked = TokenRequest.send({ credentials, scopes: Scopes.itwinPlatform }).pipe(
        Effect.provideService(HttpClient.HttpClient, client)
      )
      const { seen, exit, exported } = yield* observe(Effect.timeoutOption(asked, "1 second")).pipe(
        Effect.forkChild,
        Effect.tap(() => TestClock.adjust("1 second")),
        Effect.flatMap(Fiber.join)
      )
      for (const thing of [...seen, exit, ...Object.values(exported)]) search(thing, "an interruption")
    })
  )

  it.effect.each<readonly [string, Step]>([
    ["401", echo(401)],
    ["500", echo(500)],
    ["not JSON", () => new Response(`Bearer ${token}`)],
    ["a lost connection", transportError("ECONNRESET")]
  ])("shows no secret and no token when an API returns %s", ([name, step]) =>
    Effect.gen(function* () {
      const observed = yield* observe(
        Effect.provide(
          Users.me,
          ITwin.layer.pipe(Layer.provide([scripted(ok, step).layer, SecretProvider.layerStatic(credentials)]))
        )
      )
      assert.isTrue(Exit.isFailure(observed.exit))
      search(yield* Effect.flip(observed.exit), name)
      searchTelemetry(observed, name)
    })
  )

  it.effect("shows no secret and no token in credentials, token, cache and client", () =>
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

  it("finds a secret that is shown, when one is planted", () => {
    assert.throws(() => search(new Error(`has ${secret}`), "it"), /it shows/)
    assert.throws(() => search({ deep: { er: [token] } }, "it"), /it shows/)
  })
})
