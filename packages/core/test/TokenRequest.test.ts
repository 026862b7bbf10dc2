import { inspect } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import { ClientCredentials, Environment, RetryPolicy, Scopes, type TokenError, TokenRequest } from "@effect-itwin/core"
import {
  Cause,
  Clock,
  DateTime,
  Duration,
  Effect,
  Exit,
  Fiber,
  Layer,
  Logger,
  Redacted,
  Result,
  Schema,
  Stream,
  Tracer
} from "effect"
import { Headers, HttpClient, HttpClientError, HttpClientRequest, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import packageJson from "../package.json" with { type: "json" }
import { credentials, json, type Step, scripted, secret, tokenAnswer, transportError } from "./support.ts"

const endpoint = Environment.production.tokenEndpoint
const scopes = Scopes.make("itwins:read users:read")
const sentAt = DateTime.makeUnsafe("2026-01-01T00:00:00Z")
const context: TokenRequest.RequestContext = {
  credentials,
  scopes,
  endpoint,
  correlationId: "sent-id",
  sentAt,
  receivedAt: DateTime.add(sentAt, { seconds: 1 })
}

const form = (request: HttpClientRequest.HttpClientRequest) => {
  assert.strictEqual(request.body._tag, "Uint8Array")
  return request.body._tag === "Uint8Array" ? new TextDecoder().decode(request.body.body) : ""
}

const answer = (status: number, body: unknown, headers: Headers.Input = {}): TokenRequest.Response => ({
  status,
  headers: Headers.fromInput(headers),
  body: typeof body === "string" ? body : JSON.stringify(body)
})

const decodeOk = (body: object) => {
  const result = TokenRequest.decode(
    answer(200, { access_token: "a.b-c_d~e+f/g==", token_type: "Bearer", expires_in: 3600, ...body }),
    context
  )
  return Result.getOrThrow(result)
}

const decodeError = (answer: TokenRequest.Response) => {
  const result = TokenRequest.decode(answer, context)
  assert.isTrue(Result.isFailure(result))
  return Result.getOrThrow(Result.flip(result))
}

describe("TokenRequest.encode", () => {
  it("builds a form POST with id and secret, form-encoded", () => {
    const request = TokenRequest.encode({ credentials, scopes, endpoint, correlationId: "id" })
    assert.strictEqual(request.method, "POST")
    assert.strictEqual(request.url, endpoint)
    assert.deepInclude(request.body, { contentType: "application/x-www-form-urlencoded" })
    assert.strictEqual(
      form(request),
      "grant_type=client_credentials&scope=itwins%3Aread+users%3Aread&client_id=service-Ab12" +
        "&client_secret=fake-secret-Ab%2BCd%2FEf%3D%26g+%7E"
    )
    assert.isUndefined(request.headers.authorization)
    assert.strictEqual(request.headers["x-correlation-id"], "id")
    assert.strictEqual(request.headers["user-agent"], `effect-itwin/${packageJson.version}`)
  })

  it("builds a request with Basic authentication, id and secret form-encoded first", () => {
    const request = TokenRequest.encode({
      credentials,
      scopes,
      endpoint,
      correlationId: "id",
      authentication: "client_secret_basic"
    })
    const [scheme, value] = (request.headers.authorization ?? "").split(" ")
    assert.strictEqual(scheme, "Basic")
    assert.strictEqual(atob(value ?? ""), "service-Ab12:fake-secret-Ab%2BCd%2FEf%3D%26g+%7E")
    assert.strictEqual(form(request), "grant_type=client_credentials&scope=itwins%3Aread+users%3Aread")
  })

  it("puts no secret into the URL or into what is printed", () => {
    const request = TokenRequest.encode({ credentials, scopes, endpoint, correlationId: "id" })
    assert.notInclude(JSON.stringify(request), "fake-secret")
    assert.strictEqual(request.urlParams.params.length, 0)
  })
})

describe("TokenRequest.decode", () => {
  it("returns a token whose life counts from before the request", () => {
    const token = decodeOk({})
    assert.strictEqual(Redacted.value(token.value), "a.b-c_d~e+f/g==")
    assert.strictEqual(Redacted.value(token.authorizationHeader), "Bearer a.b-c_d~e+f/g==")
    assert.strictEqual(token.requestedScopes, scopes)
    assert.strictEqual(token.scopes, scopes)
    assert.strictEqual(token.clientId, credentials.clientId)
    assert.strictEqual(DateTime.formatIso(token.issuedAt), "2026-01-01T00:00:00.000Z")
    assert.strictEqual(DateTime.formatIso(token.expiresAt), "2026-01-01T01:00:00.000Z")
  })

  it.each([
    [3599, 3599],
    ["3600", 3600],
    ["3600.9", 3600],
    [3600.9, 3600],
    [0, 0],
    [null, 300],
    [undefined, 300],
    ["0.5", 0],
    [86_400, 86_400],
    [86_401, 86_400],
    [9_999_999_999, 86_400],
    ["9999999999.9", 86_400]
  ])("returns for expires_in %j a life of %d s", (expires_in, seconds) => {
    assert.strictEqual(Duration.toSeconds(decodeOk({ expires_in }).life), seconds)
  })

  it("accepts the token type in any case", () => {
    assert.strictEqual(decodeOk({ token_type: "bEARER" }).tokenType, "Bearer")
  })

  it("keeps the granted scopes in addition to the requested ones", () => {
    assert.strictEqual(decodeOk({ scope: "users:read" }).scopes, Scopes.make("users:read"))
  })

  it.each([
    { expires_in: -1 },
    { expires_in: -0.5 },
    { expires_in: "-1" },
    { expires_in: 10_000_000_000 },
    { expires_in: "10000000000" },
    { access_token: "null" },
    { access_token: "undefined" },
    { error: "" },
    { error: {} },
    { error: false },
    { error: 0 },
    { error: [] },
    { expires_in: "soon" },
    { expires_in: true },
    { token_type: "mac" },
    { token_type: undefined },
    { access_token: "" },
    { access_token: 1 },
    { access_token: "a b" },
    { access_token: "a\nb" },
    { access_token: "é" },
    { access_token: "x".repeat(32 * 1024 + 1) },
    { scope: ["a"] },
    { scope: 'a"b' }
  ])("rejects %j as a token response", (fields) => {
    const error = decodeError(answer(200, { access_token: "t", token_type: "Bearer", expires_in: 1, ...fields }))
    assert.strictEqual(error.reason._tag, "InvalidResponse")
    assert.isFalse(error.isRetryable)
  })

  it.each([
    ["invalid_client", 401, "InvalidClient"],
    ["invalid_client", 400, "InvalidClient"],
    ["unauthorized_client", 400, "UnauthorizedClient"],
    ["invalid_scope", 400, "InvalidScope"],
    ["invalid_request", 400, "InvalidRequest"],
    ["unsupported_grant_type", 400, "UnsupportedGrantType"],
    ["account_locked", 400, "OAuthError"],
    ["invalid_client", 200, "InvalidClient"],
    ["server_error", 500, "ServerError"]
  ])("fails with the right reason for the error %s with status %d: %s", (error, status, tag) => {
    const failure = decodeError(answer(status, { error, error_description: "Because." }))
    assert.strictEqual(failure.reason._tag, tag)
    assert.strictEqual(failure.status, status)
    assert.include(failure.message, "Because.")
    assert.include(failure.message, endpoint)
  })

  it.each([
    [200, "", "InvalidResponse"],
    [200, "[]", "InvalidResponse"],
    [200, '"text"', "InvalidResponse"],
    [200, "{", "InvalidResponse"],
    [200, "{}", "InvalidResponse"],
    [201, '{"access_token":"t","token_type":"Bearer"}', "UnexpectedStatus"],
    [204, "", "UnexpectedStatus"],
    [302, "", "RedirectRefused"],
    [0, "", "RedirectRefused"],
    [404, "<html>", "UnexpectedStatus"],
    [407, "", "Transport"],
    [408, "", "UnexpectedStatus"],
    [429, "", "RateLimited"],
    [500, "<html>", "ServerError"],
    [503, "", "ServerError"]
  ])("fails with the right reason for the status %d with body %j: %s", (status, body, tag) => {
    const error = decodeError(answer(status, body))
    assert.strictEqual(error.reason._tag, tag)
    assert.strictEqual(error.isRetryable, ["RateLimited", "ServerError"].includes(tag) || status === 408)
  })

  it("names the origin to which a redirect leads", () => {
    const error = decodeError(answer(302, "", { location: "https://login.example.com/x?token=y" }))
    assert.deepInclude(error.reason, { origin: "https://login.example.com", followed: false })
    assert.notInclude(error.message, "token=y")
  })

  it.each([
    ["7", 7],
    ["Thu, 01 Jan 2026 00:00:31 GMT", 30],
    ["Thu, 01 Jan 2025 00:00:00 GMT", 0],
    ["soon", undefined],
    ["-1", undefined],
    ["1.5", undefined]
  ])("reads Retry-After %j", (value, seconds) => {
    for (const status of [429, 503]) {
      const { retryAfter } = decodeError(answer(status, "", { "retry-after": value }))
      assert.strictEqual(retryAfter === undefined ? undefined : Duration.toSeconds(retryAfter), seconds)
    }
  })

  it("keeps the server's correlation id when it is a UUID or 32 hexadecimal digits, otherwise the one sent", () => {
    const idOf = (id?: string) =>
      decodeError(answer(500, "", id === undefined ? {} : { "x-correlation-id": id })).correlationId
    assert.strictEqual(idOf(), "sent-id")
    assert.strictEqual(idOf("0123456789abcdef0123456789abcdef"), "0123456789abcdef0123456789abcdef")
    assert.strictEqual(idOf("abc-1"), "sent-id")
  })

  it("shows words of a description only, and decides by the complete code", () => {
    const error = decodeError(
      answer(400, {
        error: "invalid_client",
        error_description: `AADSTS7000215: x\u001b[31m "b" ${secret.slice(0, 5)}`
      })
    )
    assert.deepInclude(error.reason, { _tag: "InvalidClient", description: `AADSTS7000215: … "b" fake-` })
    const code = btoa(secret)
    assert.deepInclude(decodeError(answer(400, { error: code })).reason, { _tag: "OAuthError", code: "unknown" })
    assert.deepInclude(decodeError(answer(500, { error: code })).reason, { _tag: "ServerError", code: "unknown" })
  })

  it("decides by the complete code when that repeats the secret", () => {
    const result = TokenRequest.decode(answer(400, { error: "invalid_scope" }), {
      ...context,
      credentials: new ClientCredentials.ClientCredentials({
        clientId: "service-Ab12",
        clientSecret: Redacted.make("invalid_scope")
      })
    })
    assert.strictEqual(Result.getOrThrow(Result.flip(result)).reason._tag, "InvalidScope")
  })

  it.each([
    ["https://login.example.com/x", "https://login.example.com"],
    [`https://${btoa("fake-secret").replace(/=/g, "")}.example/`, "unknown"],
    ["/elsewhere", "https://ims.bentley.com"],
    ["http://[", undefined]
  ])("shows the origin of Location %s as %s", (location, origin) => {
    const { reason } = decodeError(answer(302, "", { location }))
    assert.strictEqual(reason._tag === "RedirectRefused" ? reason.origin : reason._tag, origin)
  })

  it("fails with the OAuth error of a 200 that also has a token", () => {
    const token = { access_token: "t", token_type: "Bearer", expires_in: 1 }
    assert.strictEqual(decodeError(answer(200, { ...token, error: "invalid_scope" })).reason._tag, "InvalidScope")
    assert.strictEqual(decodeOk({ error: null }).tokenType, "Bearer")
  })

  it("fails when the access token is the client secret", () => {
    const own = "fake-secret-Ab+Cd/Ef="
    const result = TokenRequest.decode(answer(200, { access_token: own, token_type: "Bearer" }), {
      ...context,
      credentials: new ClientCredentials.ClientCredentials({
        clientId: "service-Ab12",
        clientSecret: Redacted.make(own)
      })
    })
    assert.deepInclude(Result.getOrThrow(Result.flip(result)).reason, { detail: "access_token is the client secret" })
  })

  it.each([
    ["users:read", "users:read"],
    ["other users:read", "other users:read"],
    ["users:read a=b fake-secret-AbCdEfg", "users:read"],
    [`users:read ${btoa("fake-secret").slice(0, 12)}`, "users:read"],
    ["users:read fake-s ecret -Ab", "users:read"],
    ["users:read fake.token-value", "users:read"],
    ["fake-secret-AbCdEfg", "unknown"]
  ])("returns the token when %s is granted, with the scopes that may be shown: %s", (scope, shown) => {
    const token = decodeOk({ access_token: "fake.token-value", scope })
    assert.strictEqual(token.scopes, Scopes.make(shown))
  })

  it("keeps requested scopes, whatever they look like", () => {
    const scopes = Scopes.make("a=b+c9d itwins:read")
    const body = { access_token: "t", token_type: "Bearer", scope: "itwins:read  a=b+c9d" }
    assert.strictEqual(Result.getOrThrow(TokenRequest.decode(answer(200, body), { ...context, scopes })).scopes, scopes)
  })

  it("accepts as many scopes as the limit allows", () => {
    const letter = (i: number) => String.fromCharCode(97 + (i % 26))
    const scope = Array.from({ length: 170 }, (_, i) => `some-service:read-${letter(i)}${letter(i / 26)}`).join(" ")
    assert.isAbove(scope.length, 3500)
    assert.strictEqual(decodeOk({ access_token: "t".repeat(1200), scope }).scopes, Scopes.make(scope))
  })

  it.effect.prop("shows nothing of an invalid response", [Schema.Json], ([value]) =>
    Effect.sync(() => {
      const details = new Set<string>()
      for (const key of ["error", "access_token", "token_type", "expires_in", "scope"]) {
        const fields = {
          access_token: "t",
          token_type: "Bearer",
          expires_in: 1,
          "fake-secret-key": value,
          [key]: value
        }
        const result = TokenRequest.decode(answer(200, fields), context)
        if (Result.isFailure(result) && result.failure.reason._tag === "InvalidResponse") {
          details.add(result.failure.reason.detail)
        }
      }
      const known = [
        "the response also contains an error",
        "access_token is not a string",
        "access_token is empty or has a forbidden character",
        "token_type is not Bearer",
        "expires_in is not a number of seconds with at most 10 digits",
        "scope is not a list of scope tokens"
      ]
      assert.includeMembers(known, [...details])
    })
  )
})

describe("TokenRequest.send", () => {
  const send = TokenRequest.send({ credentials, scopes })
  const run = (script: ReturnType<typeof scripted>, policy = RetryPolicy.make({})) =>
    send.pipe(Effect.provide([script.layer, RetryPolicy.layer(policy)]), Effect.exit)

  const runWithTime = (script: ReturnType<typeof scripted>, policy?: RetryPolicy.RetryPolicy) =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(run(script, policy))
      yield* TestClock.adjust("1 minute")
      return yield* Fiber.join(fiber)
    })

  const failure = (exit: Exit.Exit<unknown, TokenError.TokenError>): Effect.Effect<TokenError.TokenError> =>
    Effect.flip(exit).pipe(Effect.catch(() => Effect.die("expected a failure")))

  it.effect.each<readonly [string, ReadonlyArray<Step>, number, string]>([
    ["a token is not asked for twice", [tokenAnswer()], 1, "ok"],
    ["500, then a token", [json({}, { status: 500 }), tokenAnswer()], 2, "ok"],
    ["503 each time", [json({}, { status: 503 })], 3, "ServerError"],
    ["reset, 429, then a token", [transportError("ECONNRESET"), json({}, { status: 429 }), tokenAnswer()], 3, "ok"],
    ["invalid_client, which is not retried", [json({ error: "invalid_client" }, { status: 401 })], 1, "InvalidClient"],
    ["invalid_scope, which is not retried", [json({ error: "invalid_scope" }, { status: 400 })], 1, "InvalidScope"],
    ["a malformed token, which is not retried", [tokenAnswer({ access_token: 1 })], 1, "InvalidResponse"],
    ["an unknown host, which is not retried", [transportError("ENOTFOUND")], 1, "Transport"],
    ["a bad certificate, which is not retried", [transportError("CERT_HAS_EXPIRED")], 1, "Transport"],
    [
      "500, then invalid_client",
      [json({}, { status: 500 }), json({ error: "invalid_client" }, { status: 401 })],
      2,
      "InvalidClient"
    ],
    [
      "a Retry-After of a day, which fails at once",
      [json({}, { status: 429, headers: { "retry-after": "86400" } })],
      1,
      "RateLimited"
    ],
    ["no response, then a token", [() => Effect.never, tokenAnswer()], 2, "ok"],
    ["no response until the total time limit", [() => Effect.never], 3, "Timeout"]
  ])("makes the expected requests when IMS returns %s", ([_name, steps, requests, outcome]) =>
    Effect.gen(function* () {
      const script = scripted(...steps)
      const exit = yield* runWithTime(script)
      assert.strictEqual(script.requests.length, requests)
      assert.strictEqual(Exit.isSuccess(exit) ? "ok" : (yield* failure(exit)).reason._tag, outcome)
    })
  )

  it.effect.each([
    ["ENOTFOUND", "dns"],
    ["EAI_AGAIN", "dns"],
    ["ECONNREFUSED", "refused"],
    ["ECONNRESET", "reset"],
    ["UND_ERR_SOCKET", "reset"],
    ["DEPTH_ZERO_SELF_SIGNED_CERT", "tls"],
    ["ERR_TLS_CERT_ALTNAME_INVALID", "tls"],
    ["ERR_PROXY_TUNNEL", "proxy"],
    ["EHOSTUNREACH", "other"]
  ] as const)("fails with a transport failure and its code when the client reports %s: kind %s", ([code, kind]) =>
    Effect.gen(function* () {
      const error = yield* failure(yield* run(scripted(transportError(code)), RetryPolicy.none))
      assert.deepInclude(error.reason, { _tag: "Transport", kind, code })
      assert.isUndefined(error.cause)
    })
  )

  it.effect("waits as long as a short Retry-After asks", () =>
    Effect.gen(function* () {
      const script = scripted(json({}, { status: 429, headers: { "retry-after": "4" } }), tokenAnswer())
      const fiber = yield* Effect.forkChild(run(script))
      yield* TestClock.adjust("3999 millis")
      assert.strictEqual(script.requests.length, 1)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(script.requests.length, 2)
      assert.isTrue(Exit.isSuccess(yield* Fiber.join(fiber)))
    })
  )

  it.effect("sends a new correlation id with each attempt", () =>
    Effect.gen(function* () {
      const script = scripted(json({}, { status: 500 }))
      yield* runWithTime(script)
      assert.strictEqual(new Set(script.requests.map((request) => request.headers["x-correlation-id"])).size, 3)
    })
  )

  it.effect("says which time limit was reached: that of an attempt, or that of all attempts", () =>
    Effect.gen(function* () {
      const limitOf = (policy: RetryPolicy.RetryPolicy) =>
        Effect.gen(function* () {
          const { reason } = yield* failure(
            yield* runWithTime(
              scripted(() => Effect.never),
              policy
            )
          )
          return reason._tag === "Timeout" ? Duration.toSeconds(reason.limit) : undefined
        })
      assert.strictEqual(yield* limitOf(RetryPolicy.none), 5)
      assert.strictEqual(yield* limitOf(RetryPolicy.make({ attempts: 99 })), 15)
    })
  )

  it.effect("jitters the pauses between attempts", () =>
    Effect.gen(function* () {
      const pauses = new Set<number>()
      for (let i = 0; i < 10; i++) {
        const times: Array<number> = []
        const script = scripted(() => {
          times.push(clock.currentTimeMillisUnsafe())
          return Response.json({}, { status: 500 })
        })
        const clock = yield* Clock.Clock
        yield* runWithTime(script)
        const pause = (times[1] ?? 0) - (times[0] ?? 0)
        assert.isAtLeast(pause, 160)
        assert.isAtMost(pause, 240)
        pauses.add(pause)
      }
      assert.isAbove(pauses.size, 1)
    })
  )

  it.effect("finds the code of a failure to connect to each of several addresses", () =>
    Effect.gen(function* () {
      const codes = new AggregateError([Object.assign(new Error("x"), { code: "ECONNREFUSED" })], "all failed")
      const step: Step = () =>
        Effect.fail(
          new HttpClientError.HttpClientError({
            reason: new HttpClientError.TransportError({
              request: HttpClientRequest.get("https://ims.bentley.com"),
              cause: new TypeError("fetch failed", { cause: codes })
            })
          })
        )
      const error = yield* failure(yield* run(scripted(step), RetryPolicy.none))
      assert.deepInclude(error.reason, { kind: "refused", code: "ECONNREFUSED" })
    })
  )

  const withRequest = (request: HttpClientRequest.HttpClientRequest) =>
    Object.assign(new TypeError(`cannot send ${secret}`), { request })

  it.effect.each<readonly [string, HttpClient.HttpClient, string]>([
    ["dies", scripted(() => Effect.die(withRequest(HttpClientRequest.get("/")))).client, "TypeError"],
    [
      "throws when it is called",
      HttpClient.make((request) => {
        throw withRequest(request)
      }),
      "TypeError"
    ],
    [
      "throws in mapRequestInput",
      HttpClient.mapRequestInput(scripted(tokenAnswer()).client, (request) => {
        throw withRequest(request)
      }),
      "TypeError"
    ],
    [
      "throws in mapRequest",
      HttpClient.mapRequest(scripted(tokenAnswer()).client, (request) => {
        throw withRequest(request)
      }),
      "TypeError"
    ],
    [
      "throws before it has the request",
      HttpClient.makeWith((): never => {
        throw withRequest(HttpClientRequest.get("/"))
      }, Effect.succeed),
      "TypeError"
    ],
    ["throws what is not an error", scripted(() => Effect.die({ secret })).client, "object"],
    ["interrupts itself", scripted(() => Effect.interrupt).client, "Interrupt"],
    [
      "interrupts the fiber that called it",
      HttpClient.make((_request, _url, _signal, fiber) => {
        fiber.interruptUnsafe()
        return Effect.never
      }),
      "Interrupt"
    ],
    [
      "fails with what is not an HttpClientError",
      scripted(() => Effect.fail(withRequest(HttpClientRequest.get("/")) as unknown as HttpClientError.HttpClientError))
        .client,
      "TypeError"
    ],
    [
      "returns a body that dies",
      HttpClient.make((request) =>
        Effect.succeed(
          Object.assign(HttpClientResponse.fromWeb(request, new Response("x")), {
            get stream() {
              return Stream.die(withRequest(request))
            }
          })
        )
      ),
      "TypeError"
    ]
  ])("fails once with the reason Defect, without the request, when the client %s", ([_name, client, errorName]) =>
    Effect.gen(function* () {
      const exits: Array<unknown> = []
      const tracer = Tracer.make({
        span: (options) => {
          const span = new Tracer.NativeSpan(options)
          const end = span.end.bind(span)
          return Object.assign(span, {
            end: (time: bigint, exit: Exit.Exit<unknown, unknown>) => {
              exits.push(exit)
              end(time, exit)
            }
          })
        }
      })
      let calls = 0
      const counting = HttpClient.makeWith(client.postprocess, (request) => {
        calls++
        return client.preprocess(request)
      })
      const exit = yield* send.pipe(
        Effect.provideService(HttpClient.HttpClient, counting),
        Effect.provideService(Tracer.Tracer, tracer),
        Effect.exit
      )
      const error = yield* failure(exit)
      assert.deepInclude(error.reason, { _tag: "Defect", module: "HttpClient", errorName })
      assert.isFalse(error.isRetryable)
      assert.strictEqual(calls, 1)
      assert.strictEqual(exits.length, 1)
      for (const seen of [exit, ...exits]) {
        assert.notInclude(inspect(seen, { showHidden: true, depth: 20 }), "fake-secret")
      }
    })
  )

  it.effect("fails with the reason Defect when the client fails and dies", () =>
    Effect.gen(function* () {
      const client = HttpClient.transform(scripted(transportError("ECONNRESET")).client, (response) =>
        Effect.catchCause(response, (cause) => Effect.failCause(Cause.combine(cause, Cause.die(new Error(secret)))))
      )
      const exit = yield* send.pipe(
        Effect.provideService(HttpClient.HttpClient, client),
        Effect.provide(RetryPolicy.layer(RetryPolicy.none)),
        Effect.exit
      )
      assert.deepInclude((yield* failure(exit)).reason, { _tag: "Defect" })
      assert.notInclude(inspect(exit, { showHidden: true, depth: 20 }), "fake-secret")
    })
  )

  it.effect("interrupts the request when the caller is interrupted", () =>
    Effect.gen(function* () {
      let interrupted = 0
      const script = scripted(() => Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted++)))
      const fiber = yield* Effect.forkChild(run(script))
      yield* Effect.yieldNow
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(interrupted, 1)
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)))
    })
  )

  it.effect("logs one warning, and returns the token, when none of the requested scopes is granted", () =>
    Effect.gen(function* () {
      const lines: Array<string> = []
      const logger = Logger.layer([Logger.make(({ logLevel, message }) => lines.push(`${logLevel}: ${message}`))])
      const granted = (scope: string) =>
        Effect.flatMap(run(scripted(tokenAnswer({ scope }))), (exit) => exit).pipe(Effect.provide(logger))
      assert.strictEqual((yield* granted("other")).scopes, "other")
      assert.deepStrictEqual(lines, [
        'Warn: IMS granted the scopes "other", but none of the requested scopes "itwins:read users:read". Check the scopes ' +
          "of the app under My Apps. (client id service-Ab12)"
      ])
      yield* granted("users:read")
      yield* granted("users:read other")
      assert.strictEqual(lines.length, 1)
    })
  )

  it.effect("makes one attempt when the policy is RetryPolicy.none", () =>
    Effect.gen(function* () {
      const script = scripted(json({}, { status: 500 }))
      yield* run(script, RetryPolicy.none)
      assert.strictEqual(script.requests.length, 1)
    })
  )

  it.effect("aborts the exchange on the wire when an attempt takes too long", () =>
    Effect.gen(function* () {
      let aborted = 0
      const client = HttpClient.make((_request, _url, signal) =>
        Effect.callback(() => {
          signal.addEventListener("abort", () => aborted++)
        })
      )
      const fiber = yield* send.pipe(
        Effect.provideService(HttpClient.HttpClient, client),
        Effect.provide(RetryPolicy.layer(RetryPolicy.none)),
        Effect.flip,
        Effect.forkChild
      )
      yield* TestClock.adjust("5 seconds")
      const error = yield* Fiber.join(fiber)
      assert.strictEqual(error.reason._tag, "Timeout")
      assert.strictEqual(aborted, 1)
    })
  )

  it.effect("fails when a body is too large, and stops reading it", () =>
    Effect.gen(function* () {
      let pulled = 0
      const endless = () =>
        new Response(
          new ReadableStream({
            pull(controller) {
              pulled++
              controller.enqueue(new Uint8Array(64 * 1024))
            }
          })
        )
      const error = yield* failure(yield* run(scripted(endless), RetryPolicy.none))
      assert.deepInclude(error.reason, { _tag: "ResponseTooLarge", limit: 256 * 1024 })
      assert.isBelow(pulled, 10)
    })
  )

  it.effect("fails when the response came from another URL, and says that the secret may have been sent there", () =>
    Effect.gen(function* () {
      let to = ""
      const elsewhere = () => {
        const response = Response.json({ access_token: "t", token_type: "Bearer" })
        Object.defineProperty(response, "url", { value: to })
        return response
      }
      for (const url of ["https://elsewhere.example/connect/token", "https://ims.bentley.com/other"]) {
        to = url
        const error = yield* failure(yield* run(scripted(elsewhere)))
        assert.deepInclude(error.reason, { _tag: "RedirectRefused", origin: new URL(url).origin, followed: true })
        assert.include(error.message, "Rotate")
      }
    })
  )

  it.effect("reads the response of a client that turns statuses into failures", () =>
    Effect.gen(function* () {
      const script = scripted(json({ error: "invalid_client" }, { status: 401 }))
      const error = yield* Effect.flip(
        Effect.provideService(send, HttpClient.HttpClient, HttpClient.filterStatusOk(script.client))
      )
      assert.strictEqual(error.reason._tag, "InvalidClient")
    })
  )

  it.effect("authenticates as ClientAuthentication says", () =>
    Effect.gen(function* () {
      const script = scripted(tokenAnswer())
      yield* send.pipe(
        Effect.provide([script.layer, Layer.succeed(TokenRequest.ClientAuthentication, "client_secret_basic")])
      )
      assert.match(script.requests[0]?.headers.authorization ?? "", /^Basic /)
    })
  )
})
