import { readFileSync } from "node:fs"
import { createServer } from "node:http"
import { connect } from "node:net"
import { fileURLToPath } from "node:url"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { assert, describe, it } from "@effect/vitest"
import { SecretProvider, SecretProviderError } from "@effect-itwin/core"
import { FakeIms, FakeImsServer, Fault } from "@effect-itwin/testing"
import { Effect, Fiber, Layer, Redacted, Schedule } from "effect"
import {
  FetchHttpClient,
  HttpClient,
  HttpClientRequest,
  HttpRouter,
  HttpServer,
  HttpServerRequest,
  HttpServerResponse
} from "effect/http"
import { TestClock } from "effect/testing"
import { Platform, Routes } from "../backend/server.ts"
import { start } from "./spawn.ts"

const App = Platform.pipe(Layer.provideMerge(FakeIms.layerTest({ app: { name: "My App" } })))

/** Handles a request in process, without a socket and in virtual time. */
const get = (path: string) =>
  Effect.gen(function* () {
    const request = HttpServerRequest.fromClientRequest(HttpClientRequest.get(`http://backend.test${path}`))
    const handler = yield* HttpRouter.toHttpEffect(Routes)
    const response = yield* Effect.provideService(handler, HttpServerRequest.HttpServerRequest, request)
    const { headers, status, text } = HttpServerResponse.toClientResponse(response)
    return { headers, status, text: yield* text }
  }).pipe(Effect.scoped)

const statusOf = (path: string) => Effect.map(get(path), ({ status }) => status)

/** Requests readiness every 10 s, as Kubernetes does by default, and returns the statuses. */
const probe = (minutes: number) =>
  Effect.replicateEffect(Effect.andThen(TestClock.adjust("10 seconds"), statusOf("/readyz")), minutes * 6)

/** Lets the retries of a request pass, and returns its response. */
const settled = (path: string) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(get(path))
    yield* TestClock.adjust("30 seconds")
    return yield* Fiber.join(fiber)
  })

const maintenance = Fault.html(503, "Maintenance")

describe("the probes of examples/backend", () => {
  it.effect("stays ready for an hour without traffic, with two token requests", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* statusOf("/livez"), 200)
      assert.deepStrictEqual([...new Set(yield* probe(60))], [200])
      yield* (yield* FakeIms.FakeIms).assertTokenRequests(2)
    }).pipe(Effect.provide(App))
  )

  it.effect.each([1, 7, 14, 21, 28, 35, 38, 40, 42, 44, 46])(
    "stays ready during an outage of 12 minutes from minute %d on",
    (minute) =>
      Effect.gen(function* () {
        const fake = yield* FakeIms.FakeIms
        yield* probe(minute)
        yield* fake.script("POST /connect/token", Fault.always(maintenance))
        const during = yield* probe(12)
        yield* fake.clearScripts
        assert.notInclude([...during, ...(yield* probe(60))], 503)
      }).pipe(Effect.provide(App))
  )

  it.effect("becomes ready after an outage in which it started, and is live during it", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      yield* fake.script("POST /connect/token", Fault.forDuration(maintenance, "12 minutes"))
      yield* Effect.gen(function* () {
        assert.notInclude(yield* probe(11), 200)
        assert.strictEqual(yield* statusOf("/livez"), 200)
        yield* probe(2)
        assert.strictEqual(yield* statusOf("/readyz"), 200)
      }).pipe(Effect.provide(Platform))
    }).pipe(Effect.provide(FakeIms.layerTest()))
  )
})

describe("GET /me of examples/backend", () => {
  it.effect("returns the name of the app at /me", () =>
    Effect.gen(function* () {
      const { status, text } = yield* get("/me")
      assert.strictEqual(status, 200)
      assert.match(text, /"name":"My App/)
    }).pipe(Effect.provide(App))
  )

  const token = "POST /connect/token"
  const api = "GET /users/me"
  const error = (status: number, error: string) => Fault.respond({ status, body: { error } })

  it.effect.each<
    readonly [string, route: string, fault: Fault.Fault, status: number, reason: string, retryAfter: RegExp]
  >([
    ["IMS is down", token, maintenance, 503, "TokenError/ServerError", /^1$/],
    ["IMS asks to wait", token, Fault.rateLimit(60), 503, "TokenError/RateLimited", /^(6\d|7[0-2])$/],
    ["IMS does not answer", token, Fault.hang, 503, "TokenError/Timeout", /^1$/],
    ["the connection to IMS breaks", token, Fault.reset, 503, "TokenError/Transport", /^1$/],
    ["the secret is wrong", token, error(401, "invalid_client"), 500, "TokenError/InvalidClient", /^undefined$/],
    ["a scope is missing", token, error(400, "invalid_scope"), 500, "TokenError/InvalidScope", /^undefined$/],
    ["a proxy answers for IMS", token, Fault.html(200, "Hi"), 502, "TokenError/InvalidResponse", /^undefined$/],
    ["IMS redirects", token, Fault.redirect("https://a.example"), 502, "TokenError/RedirectRefused", /^undefined$/],
    ["the API limits the rate", api, FakeIms.rateLimited(9), 503, "ITwinApiError/RateLimited", /^9$/],
    ["the API is down", api, maintenance, 503, "ITwinApiError/Unavailable", /^1$/],
    ["the API forbids it", api, error(403, "Forbidden"), 502, "ITwinApiError/Forbidden", /^undefined$/],
    ["the connection to the API breaks", api, Fault.reset, 502, "HttpClientError/TransportError", /^undefined$/]
  ])("returns the status of the failure at /me when %s", ([_name, route, fault, status, reason, retryAfter]) =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      yield* fake.script(route, Fault.always(fault))
      const answer = yield* settled("/me").pipe(Effect.provide(Platform))
      assert.strictEqual(answer.status, status)
      assert.match(String(answer.headers["retry-after"]), retryAfter)
      assert.strictEqual(answer.headers["content-type"], "application/problem+json")
      assert.include(answer.text, `"reason":"${reason}"`)
      assert.notMatch(answer.text, /fake-secret-|eyJ|service-/)
    }).pipe(Effect.provide(FakeIms.layerTest()))
  )

  it.effect("returns the time until the next token request at /me during the pause after a failure", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      yield* fake.script(token, Fault.once(Fault.rateLimit(60)))
      yield* Effect.gen(function* () {
        yield* settled("/me")
        const { headers, status } = yield* get("/me")
        assert.strictEqual(status, 503)
        // The wait that IMS stated, minus the 30 s that have passed, with a jitter of up to 20 %.
        assert.isTrue(Number(headers["retry-after"]) >= 30 && Number(headers["retry-after"]) <= 42)
      }).pipe(Effect.provide(Platform))
    }).pipe(Effect.provide(FakeIms.layerTest()))
  )

  it.effect.each([
    [new SecretProviderError.Unavailable({ provider: "Vault", secretName: "itwin" }), 503],
    [new SecretProviderError.NotFound({ provider: "Vault", secretName: "itwin" }), 500]
  ] as const)("returns the status of the failure when the secret backend fails with %s", ([reason, status]) =>
    Effect.gen(function* () {
      const answer = yield* settled("/me")
      assert.strictEqual(answer.status, status)
      assert.include(answer.text, `"reason":"TokenError/SecretUnavailable"`)
    }).pipe(
      Effect.provide(Platform),
      Effect.provideService(SecretProvider.SecretProvider, {
        credentials: Effect.fail(new SecretProviderError.SecretProviderError({ reason }))
      }),
      Effect.provide(FakeIms.layerTest())
    )
  )
})

describe("examples/backend on a socket", () => {
  // The HttpClient of the fake is for the platform only. The tests get the one that calls the server.
  const Server = HttpRouter.serve(Routes, { disableLogger: true, disableListenLog: true }).pipe(
    Layer.provide(App),
    Layer.provideMerge(HttpServer.layerTestClient),
    Layer.provide(FetchHttpClient.layer),
    Layer.provideMerge(NodeHttpServer.layer(createServer, { host: "127.0.0.1", port: 0 }))
  )

  it.live("responds to a client over a socket when the platform is the fake", () =>
    Effect.gen(function* () {
      const response = yield* HttpClient.get("/me")
      assert.strictEqual(response.status, 200)
      assert.match(yield* response.text, /"name":"My App/)
    }).pipe(Effect.provide(Server))
  )
})

describe("examples/backend as a process", () => {
  const main = fileURLToPath(new URL("../backend/main.ts", import.meta.url))

  /** Starts the backend as a child process, against a fake of the platform on a socket. */
  const backend = Effect.gen(function* () {
    const { environment, registerApp } = yield* FakeIms.FakeIms
    const { credentials } = yield* registerApp({ name: "Mine" })
    return yield* start([main], {
      PORT: "0",
      ITWIN_TOKEN_ENDPOINT: environment.tokenEndpoint,
      ITWIN_API_URL: environment.apiBaseUrl,
      ITWIN_CLIENT_ID: credentials.clientId,
      ITWIN_CLIENT_SECRET: Redacted.value(credentials.clientSecret)
    })
  })
  /**
   * Calls /me on one connection behind /livez. The first response shows that the server has both requests.
   */
  const callMe = (url: string) => {
    const received = Promise.withResolvers<void>()
    const ended = new Promise<string>((resolve, reject) => {
      const { hostname, port } = new URL(url)
      const socket = connect(Number(port), hostname)
      let text = ""
      socket.setEncoding("utf8")
      socket.on("data", (chunk) => {
        text += chunk
        received.resolve()
      })
      socket.on("error", reject)
      socket.on("close", () => resolve(text))
      socket.write(
        "GET /livez HTTP/1.1\r\nHost: backend\r\n\r\nGET /me HTTP/1.1\r\nHost: backend\r\nConnection: close\r\n\r\n"
      )
    })
    return { received: Effect.promise(() => received.promise), ended: Effect.promise(() => ended) }
  }

  it.live("completes a request that waits for the token on SIGTERM, refuses new ones, and ends with code 0", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      yield* fake.script("POST /connect/token", Fault.once(Fault.delay("2 seconds")))
      const { kill, outcome, url } = yield* backend
      yield* fake.awaitRequest("POST /connect/token")
      const call = callMe(url)
      yield* call.received
      yield* kill("SIGTERM")
      const live = Effect.tryPromise(() => fetch(`${url}/livez`))
      yield* Effect.ignore(Effect.repeat(live, Schedule.spaced("50 millis")))
      assert.match(yield* call.ended, /HTTP\/1\.1 200 OK.*HTTP\/1\.1 200 OK.*"name":"Mine"/s)
      const { code, stderr, stdout } = yield* outcome
      assert.deepStrictEqual([code, stderr], [0, ""])
      const logs = stdout
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line).message)
      assert.strictEqual(logs.at(-1), "The backend stopped")
      assert.notMatch(stdout, /fake-secret-|eyJ/)
      yield* fake.assertTokenRequests(1)
    }).pipe(Effect.scoped, Effect.provide(FakeImsServer.layer()))
  )

  it.live("has its token before the first caller, and ends without delay when no request is in progress", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const { kill, outcome } = yield* backend
      yield* fake.awaitRequest("POST /connect/token")
      const before = performance.now()
      yield* kill("SIGTERM")
      assert.strictEqual((yield* outcome).code, 0)
      assert.isBelow(performance.now() - before, 5000)
    }).pipe(Effect.scoped, Effect.provide(FakeImsServer.layer()))
  )
})

describe("docs/backend.md", () => {
  const guide = readFileSync(new URL("../../docs/backend.md", import.meta.url), "utf8")

  it.each(["server.ts", "main.ts"])("shows %s as it is", (file) => {
    assert.include(guide, readFileSync(new URL(`../backend/${file}`, import.meta.url), "utf8"))
  })
})
