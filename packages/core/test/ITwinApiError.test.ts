import { inspect } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import { ITwin, ITwinApiError, ITwinHttpClient, SecretProvider } from "@effect-itwin/core"
import { Cause, Duration, Effect, Exit, Layer, Schema } from "effect"
import { HttpClientRequest, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { credentials, json, scripted, tokenAnswer } from "./support.ts"

const errorOf = (status: number, body: unknown, headers: Readonly<Record<string, string>> = {}) =>
  Effect.flip(
    ITwinApiError.fromResponse(
      HttpClientResponse.fromWeb(
        HttpClientRequest.get("https://api.bentley.com/x"),
        Response.json(body, { status, headers })
      )
    )
  ).pipe(Effect.filterOrFail(ITwinApiError.isITwinApiError, (error) => new Error(`not an ITwinApiError: ${error}`)))

describe("ITwinApiError", () => {
  it.effect.each([
    [400, false],
    [401, false],
    [403, false],
    [404, false],
    [409, false],
    [413, false],
    [418, false],
    [422, false],
    [429, true],
    [500, true],
    [503, true]
  ] as const)("is retryable as the status says when that is %d: %s", ([status, isRetryable]) =>
    Effect.gen(function* () {
      const error = yield* errorOf(status, {}, { "retry-after": "9" })
      assert.strictEqual(error.isRetryable, isRetryable)
      assert.deepStrictEqual(error.retryAfter, isRetryable ? Duration.seconds(9) : undefined)
    })
  )

  it.effect.each<readonly [string | undefined, Duration.Duration | undefined]>([
    ["60", Duration.minutes(1)],
    ["86400", Duration.days(1)],
    ["86401", Duration.days(1)],
    ["9999999999", Duration.days(1)],
    ["Thu, 01 Jan 1970 00:02:00 GMT", Duration.minutes(1)],
    ["Fri, 01 Jan 2100 00:00:00 GMT", Duration.days(1)],
    ["Thu, 01 Jan 1970 00:00:01 GMT", Duration.zero],
    ["soon", undefined],
    [undefined, undefined]
  ])("has a retryAfter of at most a day when Retry-After is %s", ([header, retryAfter]) =>
    Effect.gen(function* () {
      yield* TestClock.adjust("1 minute")
      for (const status of [429, 503]) {
        const error = yield* errorOf(status, {}, header === undefined ? {} : { "retry-after": header })
        assert.deepStrictEqual(error.retryAfter, retryAfter)
        assert.isTrue(error.isRetryable)
      }
    })
  )

  it("isITwinApiError returns true only when the value is an ITwinApiError", () => {
    const reason = new ITwinApiError.NotFound({})
    const error = new ITwinApiError.ITwinApiError({
      reason,
      method: "GET",
      url: "https://api.bentley.com/x",
      status: 404
    })
    assert.isTrue(ITwinApiError.isITwinApiError(error))
    for (const other of [reason, new Error("x"), { ...error }, null, undefined]) {
      assert.isFalse(ITwinApiError.isITwinApiError(other))
    }
  })

  it.effect("shows three details at most, and the number of the rest, in the message of an API error", () =>
    Effect.gen(function* () {
      const details = ["name", "email", "phone", "city", "country"].map((target, n) => ({
        code: "Missing",
        message: `Problem ${n + 1}.`,
        target
      }))
      const error = yield* errorOf(422, { error: { code: "InvalidRequest", message: "No.", details } })
      assert.strictEqual(
        error.message,
        "The API rejected the content of the request (InvalidRequest: No; name: Problem 1; email: Problem 2; " +
          "phone: Problem 3; and 2 more). Correct these fields. (GET https://api.bentley.com/x, status 422) " +
          "See docs/errors.md#api-unprocessable"
      )
    })
  )

  const email = "service-Ab12@apps.imsoidc.bentley.com"

  it.effect.each<readonly [number, unknown, string, ReadonlyArray<string>]>([
    [
      400,
      { error: { code: "InvalidHeaderValue", message: "x" } },
      "BadRequest",
      ["malformed", "documentation of the API"]
    ],
    [
      400,
      { error: { code: "InvalidRequest", message: "x", details: [{ code: "InvalidValue", target: "top" }] } },
      "BadRequest",
      ["malformed", "Correct these fields"]
    ],
    [
      401,
      {
        error: {
          code: "Unauthorized",
          message: "Access denied due to invalid client.",
          details: [{ code: "UnknownClient", message: "Client was not registered." }]
        }
      },
      "Unauthorized",
      [`does not know the app of ${email}`, "My Apps", "same environment"]
    ],
    [401, { error: { code: "HeaderNotFound", message: "x" } }, "Unauthorized", ["without a token", "prox"]],
    [
      401,
      { error: { code: "Unauthorized", details: [{ code: "InvalidToken", message: "IDX10214: Audience failed." }] } },
      "Unauthorized",
      ["another audience", 'The token has "itwin-platform"', "same environment"]
    ],
    [
      401,
      { statusCode: 401, message: "The token does not have the required scopes." },
      "Unauthorized",
      ["lacks a scope", 'The token has "itwin-platform"']
    ],
    [401, { statusCode: 401, message: "Invalid JWT." }, "Unauthorized", ["The API rejected the token (Invalid JWT)"]],
    [
      403,
      { error: { code: "InsufficientPermissions", message: "No administration_manage_roles." } },
      "Forbidden",
      ["administration_manage_roles", `Invite ${email} to the iTwin with a role that has this permission.`]
    ],
    [
      403,
      { error: { code: "InsufficientScope", message: "No." } },
      "Forbidden",
      [`The token of ${email} lacks a scope`, 'The token has "itwin-platform"', "My Apps"]
    ],
    [404, { error: { code: "UserNotFound", message: "No." } }, "NotFound", [email, "takes minutes to appear"]],
    [404, { error: { code: "iTwinNotFound", message: "No." } }, "NotFound", [email, "was invited"]],
    [409, { error: { code: "iTwinMemberAlreadyExists", message: "x" } }, "Conflict", ["exists already"]],
    [413, "<html>", "ContentTooLarge", ["too large", "Send less"]]
  ])("says what to do when the API returns %d with %j", ([status, body, tag, texts]) => {
    const answer = typeof body === "string" ? () => new Response(body, { status }) : json(body, { status })
    const script = scripted(tokenAnswer(), answer)
    return Effect.gen(function* () {
      const api = ITwinApiError.filterStatusOk(yield* ITwinHttpClient.ITwinHttpClient)
      const error = yield* Effect.flip(api.get("/x"))
      if (error._tag !== "ITwinApiError") return assert.fail(String(error))
      assert.strictEqual(error.reason._tag, tag)
      for (const text of texts) assert.include(error.message, text)
      assert.include(error.message, `See docs/errors.md#api-${tag.toLowerCase()}`)
      assert.notInclude(inspect(error, { depth: 20, showHidden: true, customInspect: false }), "fake.token")
      // A copy that went through JSON says the same.
      const copy = Schema.decodeUnknownSync(Schema.toCodecJson(ITwinApiError.ITwinApiError))(
        JSON.parse(JSON.stringify(Schema.encodeSync(Schema.toCodecJson(ITwinApiError.ITwinApiError))(error)))
      )
      assert.strictEqual(copy.message, error.message)
    }).pipe(
      Effect.provide(ITwin.layerWith({}).pipe(Layer.provide([script.layer, SecretProvider.layerStatic(credentials)])))
    )
  })

  it.effect.each([401, 403, 404])(
    "gives advice without the app when a response of %d came from another client",
    (status) =>
      Effect.gen(function* () {
        for (const code of ["UnknownClient", "InsufficientScope", "UserNotFound", "Other"]) {
          const { message } = yield* errorOf(status, { error: { code, message: "No." } })
          assert.notInclude(message, "undefined")
          assert.notMatch(message, / {2}|\. \./)
        }
      })
  )

  it.effect.each<readonly [number, boolean]>([
    [200, true],
    [204, true],
    [299, true],
    [300, false],
    [304, false],
    [400, false],
    [503, false]
  ])("filterStatusOk returns a response only when its status %d is a 2xx: %s", ([status, isOk]) =>
    Effect.gen(function* () {
      const script = scripted(() => new Response(null, { status }))
      const exit = yield* Effect.exit(ITwinApiError.filterStatusOk(script.client).get("https://api.bentley.com/x"))
      assert.strictEqual(Exit.isSuccess(exit), isOk)
      if (Exit.isSuccess(exit)) return assert.strictEqual(exit.value.status, status)
      assert.isTrue(ITwinApiError.isITwinApiError(Cause.squash(exit.cause)))
    })
  )

  it.effect.each([403, 404])("names the e-mail to invite when the API returns %d", (status) => {
    const script = scripted(tokenAnswer(), json({ error: { code: "X", message: "No." } }, { status }))
    return Effect.gen(function* () {
      const api = yield* ITwinHttpClient.ITwinHttpClient
      const error = yield* Effect.flip(Effect.flatMap(api.get("/x"), ITwinApiError.fromResponse))
      assert.include(error.message, "service-Ab12@apps.imsoidc.bentley.com")
    }).pipe(
      Effect.provide(ITwin.layerWith({}).pipe(Layer.provide([script.layer, SecretProvider.layerStatic(credentials)])))
    )
  })

  it.effect("mentions support only when an API error has a correlation id", () =>
    Effect.gen(function* () {
      const id = "9b2f1c1e-3f43-4f0e-8f0d-0d3c2d1f7c11"
      assert.notInclude((yield* errorOf(418, {})).message, "support")
      assert.include((yield* errorOf(418, {}, { "x-correlation-id": id })).message, "if you contact support")
    })
  )
})

const request = HttpClientRequest.get("https://api.bentley.com/itwins?$top=1")

/** A response with this URL. */
const from = (response: Response, url = "https://api.bentley.com/itwins") =>
  HttpClientResponse.fromWeb(request, Object.defineProperty(response, "url", { value: url }))

const decode = <A>(schema: Schema.Codec<A, unknown>, response: Response) =>
  Effect.flip(ITwinApiError.schemaBodyJson(schema)(from(response))).pipe(
    Effect.map((error) =>
      error._tag === "ITwinApiError" && "detail" in error.reason ? error.reason.detail : error._tag
    )
  )

describe("an error of an API", () => {
  it.effect("has the URL of the caller's request when an API error follows a redirect", () =>
    Effect.gen(function* () {
      const redirected = from(Response.json({}, { status: 404 }), "https://elsewhere.example/zz9QkA8x")
      const error = yield* Effect.flip(ITwinApiError.fromResponse(redirected))
      assert.deepInclude(error, { _tag: "ITwinApiError", url: "https://api.bentley.com/itwins" })
      assert.notInclude(error.message, "elsewhere")
    })
  )

  it.effect("names the key that does not match, and shows `unknown` when that may be a secret", () =>
    Effect.gen(function* () {
      const names = Schema.Record(Schema.String, Schema.String)
      assert.strictEqual(yield* decode(names, Response.json({ size: 1 })), 'Expected string at ["size"]')
      assert.strictEqual(yield* decode(names, Response.json({ zz9QkA8x: 1 })), 'Expected string at ["unknown"]')
    })
  )

  it.effect("hides what a decoding error quotes of the response when that may be a secret", () =>
    Effect.gen(function* () {
      const strict = Schema.String.check(Schema.makeFilter((value) => `Expected no ${value}`))
      assert.strictEqual(yield* decode(strict, Response.json("words")), "Expected no words")
      assert.strictEqual(yield* decode(strict, Response.json("zz9QkA8x")), "Expected no …")
    })
  )

  it.effect("shows a code completely or as `unknown`, and only those words of a text that can't be a secret", () =>
    Effect.gen(function* () {
      const entry = { code: "zz9QkA8x", message: "Not zz9QkA8x, sorry", target: "displayName" }
      const { reason } = yield* ITwinApiError.fromResponse(
        from(Response.json({ error: { ...entry, details: [entry, { code: "InvalidValue" }] } }, { status: 422 }))
      ).pipe(
        Effect.catchTag("HttpClientError", () => Effect.die("expected an ITwinApiError")),
        Effect.flip
      )
      assert.deepInclude(reason, {
        _tag: "Unprocessable",
        code: "unknown",
        detail: "Not … sorry",
        details: [{ code: "unknown", message: "Not … sorry", target: "displayName" }, { code: "InvalidValue" }]
      })
    })
  )
})
