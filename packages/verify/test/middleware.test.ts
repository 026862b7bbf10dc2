import { assert, describe, it } from "@effect/vitest"
import { AccessTokenVerifier, BearerMiddleware, BearerSecurity, VerifiedToken } from "@effect-itwin/verify"
import { Effect, Layer, type Scope } from "effect"
import { HttpClientRequest, HttpRouter, HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"
import { HttpApi, HttpApiBuilder, HttpApiEndpoint, HttpApiGroup, HttpApiTest } from "effect/http-api"
import { TestClock } from "effect/testing"
import { type Answer, clientId, ims, json, keySet, rsaKey, token } from "./support.ts"

const key = rsaKey("key-1")
const realm = 'Bearer realm="itwin-platform"'

const whoami = Effect.map(VerifiedToken.CurrentToken, ({ clientId, kind, scopes }) =>
  HttpServerResponse.text(`${kind} ${clientId} ${scopes.join(",")}`)
)

const Verifier = (answer: Answer, options: Partial<AccessTokenVerifier.Options> = {}) =>
  AccessTokenVerifier.layer({ clientIds: [clientId], ...options }).pipe(Layer.provide(ims(answer).layer))

const Router = (answer: Answer) =>
  Layer.mergeAll(
    HttpRouter.add("POST", "/whoami", whoami).pipe(Layer.provide(BearerMiddleware.layer)),
    HttpRouter.add("POST", "/write", whoami).pipe(
      Layer.provide(BearerMiddleware.layerWith({ scopes: ["itwins:modify", "itwins:read"] }))
    ),
    HttpRouter.add("POST", "/open", HttpServerResponse.text("open"))
  ).pipe(Layer.provide(Verifier(answer)))

class Api extends HttpApi.make("backend").add(
  HttpApiGroup.make("backend", { topLevel: true })
    .add(
      HttpApiEndpoint.post("whoami", "/whoami"),
      HttpApiEndpoint.post("write", "/write").annotate(BearerSecurity.RequiredScopes, ["itwins:modify", "itwins:read"])
    )
    .middleware(BearerSecurity.BearerSecurity)
) {}

const Handlers = HttpApiBuilder.group(Api, "backend", (handlers) =>
  handlers.handleRaw("whoami", () => whoami).handleRaw("write", () => whoami)
)

const ApiRoutes = (answer: Answer) =>
  HttpApiBuilder.layer(Api).pipe(
    Layer.provide(Handlers),
    Layer.provide(BearerSecurity.layer),
    Layer.provide(Verifier(answer)),
    Layer.provide(HttpServer.layerServices)
  )

type Routes = Layer.Layer<never, unknown, HttpRouter.HttpRouter>

/** Sends a request to routes in process. */
const makeSend = (routes: Routes) =>
  Effect.map(
    HttpRouter.toHttpEffect(routes),
    (handler) => (request: HttpClientRequest.HttpClientRequest) =>
      Effect.map(
        Effect.provideService(
          handler,
          HttpServerRequest.HttpServerRequest,
          HttpServerRequest.fromClientRequest(request)
        ) as Effect.Effect<HttpServerResponse.HttpServerResponse, unknown, Scope.Scope>,
        HttpServerResponse.toClientResponse
      )
  )

const post = (path: string, authorization?: string) =>
  HttpClientRequest.post(`http://backend.test${path}`, {
    headers: authorization === undefined ? {} : { authorization }
  })

const good = json(keySet(key))
const bearer = (text: string) => `Bearer ${text}`
const invalid = (description: string) => `${realm}, error="invalid_token", error_description="${description}"`
const malformed = `${realm}, error="invalid_request", error_description="The header Authorization is malformed"`

interface Case {
  readonly name: string
  readonly request: () => HttpClientRequest.HttpClientRequest
  readonly status: number
  readonly challenge?: string
  readonly body?: string
}

const cases: ReadonlyArray<Case> = [
  {
    name: "the token is valid",
    request: () => post("/whoami", bearer(token(key))),
    status: 200,
    body: `service ${clientId} itwin-platform`
  },
  { name: "the scheme is in other letters", request: () => post("/whoami", `bEaReR ${token(key)}`), status: 200 },
  { name: "there are two spaces", request: () => post("/whoami", `Bearer  ${token(key)}`), status: 200 },
  { name: "there is no token", request: () => post("/whoami"), status: 401, challenge: realm },
  { name: "the scheme is Basic", request: () => post("/whoami", "Basic YTpi"), status: 401, challenge: realm },
  {
    name: "the scheme only begins with Bearer",
    request: () => post("/whoami", `Bearers ${token(key)}`),
    status: 401,
    challenge: realm
  },
  {
    name: "the token is in the query",
    request: () => post(`/whoami?access_token=${token(key)}`),
    status: 401,
    challenge: realm
  },
  {
    name: "the token is in a form",
    request: () => post("/whoami").pipe(HttpClientRequest.bodyUrlParams({ access_token: token(key) })),
    status: 401,
    challenge: realm
  },
  { name: "nothing follows the scheme", request: () => post("/whoami", "Bearer"), status: 400, challenge: malformed },
  {
    name: "two tokens follow the scheme",
    request: () => post("/whoami", `Bearer ${token(key)}, Bearer ${token(key)}`),
    status: 400,
    challenge: malformed
  },
  {
    name: "the token has a quote",
    request: () => post("/whoami", `Bearer "${token(key)}"`),
    status: 400,
    challenge: malformed
  },
  {
    name: "the token is not a JWT",
    request: () => post("/whoami", "Bearer fake-token"),
    status: 401,
    challenge: invalid("The access token is malformed")
  },
  {
    name: "the token has expired",
    request: () => post("/whoami", bearer(token(key, { exp: -60 }))),
    status: 401,
    challenge: invalid("The access token expired")
  },
  {
    name: "the token belongs to another client",
    request: () => post("/whoami", bearer(token(key, { client_id: "service-Other" }))),
    status: 401,
    challenge: invalid("The access token belongs to another client")
  },
  {
    name: "another key made the signature",
    request: () => post("/whoami", bearer(token({ ...rsaKey("rogue"), kid: key.kid }))),
    status: 401,
    challenge: invalid("The signature of the access token is not valid")
  },
  {
    name: "a scope is missing",
    request: () => post("/write", bearer(token(key, { scope: ["itwins:read"] }))),
    status: 403,
    challenge: `${realm}, error="insufficient_scope", error_description="The access token lacks a scope", scope="itwins:modify itwins:read"`
  },
  {
    name: "the route's scopes are there",
    request: () => post("/write", bearer(token(key, { scope: "itwins:modify itwins:read" }))),
    status: 200
  }
]

for (const [name, routesOf] of [
  ["BearerMiddleware", Router],
  ["BearerSecurity", ApiRoutes]
] as const) {
  describe(name, () => {
    it.effect.each(cases)("returns $status when $name", ({ body, challenge, request, status }) =>
      Effect.gen(function* () {
        const send = yield* makeSend(routesOf(good))
        for (let time = 0; time < 2; time++) {
          const response = yield* send(request())
          assert.strictEqual(response.status, status)
          assert.strictEqual(response.headers["www-authenticate"], challenge)
          const text = yield* response.text
          if (body !== undefined) assert.strictEqual(text, body)
          if (status !== 200) assert.strictEqual(text, "")
          if (status !== 200) assert.strictEqual(response.headers["cache-control"], "no-store")
        }
      }).pipe(Effect.scoped)
    )

    it.effect("returns 503 with Retry-After when the keys can't be read", () =>
      Effect.gen(function* () {
        const busy = () => new Response(null, { status: 503, headers: { "retry-after": "7" } })
        const send = yield* makeSend(routesOf(busy))
        const response = yield* send(post("/whoami", bearer(token(key))))
        assert.strictEqual(response.status, 503)
        assert.strictEqual(response.headers["retry-after"], "7")
        assert.isUndefined(response.headers["www-authenticate"])
        yield* TestClock.adjust("3 seconds")
        assert.strictEqual((yield* send(post("/whoami", bearer(token(key))))).headers["retry-after"], "4")
      }).pipe(Effect.scoped)
    )
  })
}

describe("BearerMiddleware.layer", () => {
  it.effect("leaves other routes open", () =>
    Effect.gen(function* () {
      const send = yield* makeSend(Router(good))
      assert.strictEqual((yield* send(post("/open"))).status, 200)
    }).pipe(Effect.scoped)
  )

  it.effect("uses the verifier that it is provided with when one router has two", () =>
    Effect.gen(function* () {
      const guarded = (path: "/a" | "/b", clientIds: ReadonlyArray<string>) =>
        HttpRouter.add("POST", path, whoami).pipe(
          Layer.provide(BearerMiddleware.layer),
          Layer.provide(Verifier(good, { clientIds }))
        )
      const send = yield* makeSend(Layer.merge(guarded("/a", [clientId]), guarded("/b", ["service-Other"])))
      assert.strictEqual((yield* send(post("/a", bearer(token(key))))).status, 200)
      assert.strictEqual((yield* send(post("/b", bearer(token(key))))).status, 401)
    }).pipe(Effect.scoped)
  )

  it.effect("dies when a scope has a quote", () =>
    Effect.gen(function* () {
      const exit = yield* Effect.exit(
        Layer.build(BearerMiddleware.layerWith({ scopes: ['a"b'] }).pipe(Layer.provide(Verifier(good))))
      )
      assert.strictEqual(exit._tag, "Failure")
    }).pipe(Effect.scoped)
  )
})

describe("BearerSecurity.layer", () => {
  it.effect("requires the scopes of the group", () =>
    Effect.gen(function* () {
      const Listing = HttpApi.make("listing").add(
        HttpApiGroup.make("listing")
          .add(HttpApiEndpoint.post("whoami", "/whoami"))
          .annotate(BearerSecurity.RequiredScopes, ["itwins:read"])
          .middleware(BearerSecurity.BearerSecurity)
      )
      const send = yield* makeSend(
        HttpApiBuilder.layer(Listing).pipe(
          Layer.provide(
            HttpApiBuilder.group(Listing, "listing", (handlers) => handlers.handleRaw("whoami", () => whoami))
          ),
          Layer.provide(BearerSecurity.layer),
          Layer.provide(Verifier(good)),
          Layer.provide(HttpServer.layerServices)
        )
      )
      assert.strictEqual((yield* send(post("/whoami", bearer(token(key))))).status, 403)
      const allowed = token(key, { scope: ["itwins:read"] })
      assert.strictEqual((yield* send(post("/whoami", bearer(allowed)))).status, 200)
    }).pipe(Effect.scoped)
  )

  it.effect("gives a generated client typed failures", () =>
    Effect.gen(function* () {
      const client = yield* HttpApiTest.groups(Api, ["backend"])
      const error = yield* Effect.flip(client.whoami())
      assert.strictEqual(error._tag, "Unauthorized")
    }).pipe(
      Effect.provide(
        Layer.mergeAll(Handlers, HttpServer.layerServices).pipe(
          Layer.provideMerge(BearerSecurity.layer),
          Layer.provide(Verifier(good))
        )
      )
    )
  )
})
