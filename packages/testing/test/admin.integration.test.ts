// The admin API as its OpenAPI document describes it, driven by a client that others wrote.
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { FakeIms, FakeImsServer, FakeKeyVault } from "@effect-itwin/testing"
import { Validator } from "@seriousme/openapi-schema-validator"
import { Effect, Fiber, Layer, Redacted } from "effect"
import { HttpServerResponse } from "effect/http"
import { type Document, OpenAPIClientAxios } from "openapi-client-axios"
import { type Answer, call } from "./bin.ts"

const adminToken = "let-me-in"

const layerOf = (options: { readonly token?: string; readonly vault?: boolean }) =>
  Layer.unwrap(
    Effect.map(FakeKeyVault.FakeKeyVault, (vault) =>
      FakeImsServer.layer({
        admin: {
          token: options.token === undefined ? undefined : Redacted.make(options.token),
          vault: options.vault === false ? undefined : vault,
          onReset: (fake) => Effect.asVoid(Effect.orDie(fake.registerApp({ name: "First" })))
        }
      })
    )
  ).pipe(Layer.provideMerge(FakeKeyVault.layerTest()))

const served = Layer.fresh(layerOf({}))

const url = Effect.map(FakeIms.FakeIms, ({ environment }) => environment.apiBaseUrl)

type Options = NonNullable<Parameters<typeof call>[2]>

const ask = (route: string, options?: Options) => Effect.flatMap(url, (url) => call(url, route, options))

const admin = (route: string, json?: unknown) => ask(`${route}`, json === undefined ? {} : { json })

const documentOf = (options?: Options) =>
  Effect.map(ask("GET /__admin/openapi.json", options), ({ body }): Document => body)

interface Operation {
  readonly route: string
  readonly id: string
  readonly summary: string
  readonly statuses: ReadonlyArray<string>
}

const isMethod = (name: string): name is "get" | "put" | "post" | "patch" | "delete" =>
  /^(?:get|put|post|patch|delete)$/.test(name)

const operationsOf = (document: Document): ReadonlyArray<Operation> =>
  Object.entries(document.paths ?? {}).flatMap(([path, item = {}]) =>
    Object.keys(item)
      .filter(isMethod)
      .map((method) => ({
        route: `${method.toUpperCase()} ${path}`,
        id: item[method]?.operationId ?? "",
        summary: item[method]?.summary ?? "",
        statuses: Object.keys(item[method]?.responses ?? {})
      }))
  )

/** Its answer has no end. */
const endless = "GET /__admin/journal/events"

/** The route with a value for each of its parameters. */
const filled = ({ route }: Operation) =>
  route.endsWith("/journal/wait") ? `${route}?route=GET%20/users/me&timeout=1` : route.replaceAll(/\{\w+\}/g, "x")

describe("the document of the admin API", () => {
  it.live.each([{}, { token: adminToken }, { vault: false }])("is valid OpenAPI 3.1: %j", (options) =>
    Effect.gen(function* () {
      const headers = { authorization: `Bearer ${adminToken}` }
      const document = yield* documentOf({ headers })
      const validator = new Validator()
      const { valid, errors } = yield* Effect.promise(() => validator.validate({ ...document }))
      assert.isTrue(valid, JSON.stringify(errors))
      assert.strictEqual(validator.version, "3.1")
      const operations = operationsOf(document)
      assert.isAtLeast(operations.length, 38)
      assert.strictEqual(new Set(operations.map(({ id }) => id)).size, operations.length)
      for (const { route, summary } of operations) assert.isAbove(summary.length, 10, route)
      assert.strictEqual(
        operations.some(({ route }) => route.includes("/vault")),
        options.vault !== false
      )
      assert.deepStrictEqual(document.security, options.token === undefined ? undefined : [{ token: [] }])
      assert.deepStrictEqual(document.servers, [{ url: yield* url }])
    }).pipe(Effect.provide(Layer.fresh(layerOf(options))))
  )

  it.live("describes every operation that the server has, with every status of it", () =>
    Effect.gen(function* () {
      for (const operation of operationsOf(yield* documentOf())) {
        if (operation.route === endless) continue
        for (const options of [{}, { json: {} }, { json: { unknown: 1 } }]) {
          const route = filled(operation)
          const { body, status } = yield* ask(route, options)
          assert.include(operation.statuses, String(status), `${route}: ${JSON.stringify(body)}`)
          if (status === 404) assert.notInclude(body.message, "The admin API has no", route)
        }
      }
    }).pipe(Effect.provide(served))
  )

  it.live("is what the table of the README says", () =>
    Effect.gen(function* () {
      const readme = readFileSync(fileURLToPath(new URL("../README.md", import.meta.url)), "utf8")
      const [, table = ""] = /<!-- admin API -->\n([\s\S]*?)<!-- end -->/.exec(readme) ?? []
      const rows = table
        .split("\n")
        .filter((line) => line.startsWith("| `"))
        .map((line) => line.split("|").map((cell) => cell.trim()))
      const operations = operationsOf(yield* documentOf())
      assert.deepStrictEqual(
        rows.map(([, request, summary]) => [request, summary]),
        operations.map(({ route, summary }) => [`\`${route}\``, summary])
      )
    }).pipe(Effect.provide(served))
  )
})

/** The client that openapi-client-axios makes from the document: a method for each operation. */
const foreignClient = Effect.gen(function* () {
  const definition = yield* documentOf()
  const api = new OpenAPIClientAxios({ definition, axiosConfigDefaults: { validateStatus: () => true } })
  const client = yield* Effect.promise(() => api.init())
  return (operation: string, parameters?: Readonly<Record<string, string | number>>, data?: unknown) =>
    Effect.promise(async (): Promise<Pick<Answer, "status" | "body">> => {
      const method: unknown = client[operation]
      if (typeof method !== "function") throw new Error(`The document has no operation ${operation}`)
      const answer = await method(parameters, data)
      return { status: answer.status, body: answer.data }
    })
})

describe("a client that is made from the document", () => {
  it.live("controls apps, secrets, tokens, keys and profile", () =>
    Effect.gen(function* () {
      const ask = yield* foreignClient
      const made = yield* ask("registerApp", {}, { name: "Foreign", scopes: ["itwin-platform"], tokenLife: 60 })
      assert.strictEqual(made.status, 201)
      const { clientId, clientSecret } = made.body
      const token = (secret: string) =>
        Effect.flatMap(url, (url) =>
          call(url, "POST /connect/token", {
            text: new URLSearchParams({
              grant_type: "client_credentials",
              client_id: clientId,
              client_secret: secret
            }).toString(),
            headers: { "content-type": "application/x-www-form-urlencoded" }
          })
        )
      assert.strictEqual((yield* token(clientSecret)).body.expires_in, 60)
      const second = yield* ask("regenerateSecret", { clientId }, { overlapMillis: 60_000 })
      assert.strictEqual((yield* token(clientSecret)).status, 200)
      assert.strictEqual((yield* ask("revokeSecret", { clientId }, { version: 1 })).status, 200)
      assert.strictEqual((yield* token(clientSecret)).status, 401)
      assert.strictEqual((yield* token(second.body.clientSecret)).status, 200)
      assert.strictEqual((yield* ask("revokeSecret", { clientId }, { secret: "fake-secret-x" })).status, 404)
      yield* ask("disableApp", { clientId })
      assert.strictEqual((yield* ask("app", { clientId })).body.enabled, false)
      yield* ask("setProfile", {}, { invalidClientStatus: 400 })
      assert.strictEqual((yield* ask("profile")).body.invalidClientStatus, 400)
      assert.strictEqual((yield* token(second.body.clientSecret)).status, 400)
      yield* ask("enableApp", { clientId })

      const issued = yield* ask("issueToken", {}, { clientId, claims: { sub: "user-1" }, expiresIn: 5 })
      assert.strictEqual(issued.status, 201)
      assert.strictEqual(Date.parse(issued.body.expiresAt) - Date.parse(issued.body.issuedAt) > 4_000, true)
      const me = Effect.flatMap(url, (url) =>
        call(url, "GET /users/me", { headers: { authorization: `Bearer ${issued.body.token}` } })
      )
      assert.strictEqual((yield* me).status, 200)
      yield* ask("rotateKeys")
      assert.strictEqual((yield* me).status, 200)
      yield* ask("moveClock", {}, { advance: 6_000 })
      assert.strictEqual((yield* me).status, 401)
      const [, expired] = [yield* me, (yield* ask("journal", { route: "GET /users/me", limit: 1 })).body]
      assert.strictEqual(expired.length, 1)
      assert.include(expired[0].explanation, "expired")
    }).pipe(Effect.provide(served))
  )

  it.live("controls iTwins, routes, script, journal and clock", () =>
    Effect.gen(function* () {
      const ask = yield* foreignClient
      const iTwin = yield* ask("createITwin", {}, { displayName: "Bridge", id: "bridge 1/ü" })
      assert.strictEqual(iTwin.status, 201)
      const iTwinId = iTwin.body.id
      assert.strictEqual((yield* ask("createITwin", {}, { displayName: "Twin", id: iTwinId })).status, 409)
      const role = yield* ask("addRole", { iTwinId }, { displayName: "Reader", permissions: ["read"] })
      const email = "someone+x@example.com"
      const member = yield* ask("addMember", { iTwinId }, { email, roleIds: [role.body.id] })
      assert.deepStrictEqual(member.body, { email, roleIds: [role.body.id] })
      assert.strictEqual((yield* ask("addMember", { iTwinId }, { email, roleIds: ["no"] })).status, 404)
      assert.strictEqual((yield* ask("members", { iTwinId })).body.length, 1)
      assert.strictEqual((yield* ask("removeMember", { iTwinId, email })).status, 200)
      assert.strictEqual((yield* ask("removeMember", { iTwinId, email })).status, 404)
      assert.strictEqual((yield* ask("deleteRole", { iTwinId, roleId: role.body.id })).status, 200)
      assert.deepStrictEqual((yield* ask("roles", { iTwinId })).body, [])
      assert.strictEqual((yield* ask("deleteITwin", { iTwinId })).status, 200)
      assert.strictEqual((yield* ask("iTwin", { iTwinId })).status, 404)

      const response = { status: 202, headers: { "x-own": "1" }, body: { jobs: [] } }
      yield* ask("addRoute", {}, { method: "POST", path: "/jobs/:id", scopes: ["jobs:modify"], response })
      const app = yield* ask("registerApp", {}, { name: "Jobs", scopes: ["jobs:modify", "itwin-platform"] })
      const { clientId } = app.body
      const bearer = (scopes: ReadonlyArray<string>) =>
        Effect.map(ask("issueToken", {}, { clientId, scopes }), ({ body }) => ({
          authorization: `Bearer ${body.token}`
        }))
      const post = (headers: Record<string, string>) =>
        Effect.flatMap(url, (url) => call(url, "POST /jobs/7", { json: { a: 1 }, headers }))
      const accepted = yield* post(yield* bearer(["jobs:modify"]))
      assert.deepStrictEqual([accepted.status, accepted.headers["x-own"], accepted.body], [202, "1", { jobs: [] }])
      assert.strictEqual((yield* post(yield* bearer(["itwin-platform"]))).status, 403)
      assert.strictEqual((yield* post({})).status, 401)

      const since = (yield* ask("journal")).body.at(-1).number
      yield* ask(
        "script",
        {},
        { route: "POST /jobs/:id", steps: [{ fault: { _tag: "Respond", status: 503 }, times: 2 }] }
      )
      assert.strictEqual((yield* ask("verify")).status, 409)
      const headers = yield* bearer(["jobs:modify"])
      const waiting = yield* Effect.forkChild(ask("awaitRequest", { route: "POST /jobs/:id", n: 4, timeout: 20_000 }), {
        startImmediately: true
      })
      assert.strictEqual((yield* post(headers)).status, 503)
      assert.deepInclude((yield* Fiber.join(waiting)).body, { number: since + 1, route: "POST /jobs/:id" })
      yield* post({})
      assert.strictEqual((yield* ask("verify")).status, 200)
      assert.deepStrictEqual(
        (yield* ask("journal", { since, outcome: "fault", limit: 1 })).body.map(({ number }: Answer["body"]) => number),
        [since + 2]
      )
      const summary = yield* ask("journalSummary", { route: "POST /jobs/:id" })
      assert.deepStrictEqual(summary.body, { dropped: 0, maxConcurrent: 1, requests: 5 })
      assert.deepStrictEqual((yield* ask("journal", { clientId: "service-x" })).body, [])
      yield* ask("clearJournal")
      assert.deepStrictEqual((yield* ask("journal")).body, [])
      assert.strictEqual((yield* ask("removeRoute", { route: "POST /jobs/:id" })).status, 200)
      assert.strictEqual((yield* post(headers)).status, 404)

      const set = yield* ask("moveClock", {}, { set: "2031-02-03T04:05:06+01:00" })
      assert.isAtLeast(set.body.now, Date.UTC(2031, 1, 3, 3, 5, 6))
      const back = yield* ask("moveClock", {}, { set: 1_000_000 })
      assert.isBelow(back.body.now, 1_100_000)
      assert.isBelow((yield* ask("time")).body.offset, 0)
      assert.strictEqual((yield* ask("reset")).status, 200)
      assert.strictEqual((yield* ask("time")).body.offset, 0)
    }).pipe(Effect.provide(served))
  )

  it.live("controls the vault", () =>
    Effect.gen(function* () {
      const ask = yield* foreignClient
      const vault = yield* FakeKeyVault.FakeKeyVault
      const facts = yield* ask("vaultFacts")
      assert.deepStrictEqual(facts.body, {
        url: vault.vaultUrl,
        tenantId: vault.tenantId,
        clientId: vault.clientId,
        clientSecret: Redacted.value(vault.clientSecret)
      })
      const name = "itwin"
      const first = yield* ask("vaultSetSecret", { name }, { value: "fake-secret-a+b/c=", tags: { app: "a" } })
      assert.strictEqual(first.status, 201)
      yield* ask("vaultSetSecret", { name }, { value: "fake-secret-d+e/f=", expiresAt: "2031-01-01T00:00:00Z" })
      assert.deepStrictEqual((yield* ask("vaultSecrets")).body, [name])
      const versions = yield* ask("vaultVersions", { name })
      assert.deepInclude(versions.body[0], { id: first.body.version, enabled: true, tags: { app: "a" } })
      assert.deepInclude(versions.body[1], { expiresAt: "2031-01-01T00:00:00.000Z", tags: {} })
      assert.notInclude(JSON.stringify(versions.body), "fake-secret-")

      const token = Effect.map(ask("vaultIssueToken"), ({ body }) => String(body.token))
      const read = (token: string) =>
        Effect.promise(async () => {
          const { bodyAsText, status } = await vault.httpClient.sendRequest({
            url: `${vault.vaultUrl}/secrets/${name}?api-version=7.6`,
            method: "GET",
            headers: [["authorization", `Bearer ${token}`]]
          })
          return [status, JSON.parse(bodyAsText === "" ? "{}" : bodyAsText)] as const
        })
      const bearer = yield* token
      assert.strictEqual((yield* read(bearer))[1].value, "fake-secret-d+e/f=")
      yield* ask("vaultDisableVersion", { name })
      assert.strictEqual((yield* read(bearer))[0], 403)
      yield* ask("vaultEnableVersion", { name }, { version: versions.body[1].id })
      yield* ask("vaultDeny", {}, { reason: "ForbiddenByFirewall" })
      assert.strictEqual((yield* read(bearer))[1].error.innererror.code, "ForbiddenByFirewall")
      yield* ask("vaultAllow")
      yield* ask(
        "vaultScript",
        {},
        { route: "GET /secrets/:name", steps: [{ fault: { _tag: "Respond", status: 503 }, times: 1 }] }
      )
      assert.strictEqual((yield* ask("vaultVerify")).status, 409)
      assert.strictEqual((yield* read(bearer))[0], 503)
      assert.strictEqual((yield* ask("vaultVerify")).status, 200)
      yield* ask("vaultRevokeTokens")
      assert.strictEqual((yield* read(bearer))[0], 401)
      const fresh = yield* token
      assert.strictEqual((yield* read(fresh))[0], 200)
      yield* ask("vaultSetChallenge", {}, { resource: "https://evil.example" })
      yield* ask("vaultDeleteSecret", { name })
      assert.strictEqual((yield* read(fresh))[0], 404)
      assert.strictEqual((yield* ask("vaultSetSecret", { name }, { value: "x" })).status, 409)
      yield* ask("vaultRecoverSecret", { name })
      assert.strictEqual((yield* read(fresh))[0], 200)
      yield* ask("vaultDeleteSecret", { name })
      assert.strictEqual((yield* ask("vaultPurgeSecret", { name })).status, 200)
      assert.strictEqual((yield* ask("vaultPurgeSecret", { name })).status, 404)

      const outcomes = (yield* ask("vaultJournal")).body.map(({ outcome }: Answer["body"]) => outcome)
      assert.deepStrictEqual(outcomes, [
        "ok",
        "SecretDisabled",
        "ForbiddenByFirewall",
        "fault",
        "TokenExpired",
        "ok",
        "SecretNotFound",
        "ok"
      ])
      assert.strictEqual((yield* ask("vaultAwaitRequest", { route: "GET /secrets/:name", n: 3 })).body.number, 3)
      assert.strictEqual((yield* ask("vaultJournalSummary")).body.requests, 8)
      yield* ask("vaultClearJournal")
      assert.deepStrictEqual((yield* ask("vaultJournal")).body, [])
      yield* ask("vaultSetSecret", { name }, { value: "x" })
      yield* ask("vaultReset")
      assert.deepStrictEqual((yield* ask("vaultSecrets")).body, [])
    }).pipe(Effect.provide(served))
  )
})

describe("the guard of the admin API", () => {
  const guarded = Layer.fresh(layerOf({ token: adminToken }))

  it.live("lets no request pass without the admin token, on any path", () =>
    Effect.gen(function* () {
      const good = { authorization: `Bearer ${adminToken}` }
      const operations = operationsOf(yield* documentOf({ headers: good }))
      const routes = [
        ...operations.map(filled),
        "GET /__admin",
        "GET /__admin/",
        "GET /__admin/no",
        "TRACE /__admin/apps"
      ]
      for (const route of routes) {
        for (const headers of [{}, { authorization: "Bearer let-me" }, { authorization: adminToken }]) {
          const { body, headers: sent, status } = yield* ask(route, { json: {}, headers })
          assert.strictEqual(status, 401, route)
          assert.include(body.message, "Bearer")
          assert.notInclude(JSON.stringify(body), adminToken)
          assert.match(String(sent["www-authenticate"]), /^Bearer /)
        }
        if (route !== endless) assert.notStrictEqual((yield* ask(route, { headers: good })).status, 401, route)
      }
      assert.strictEqual((yield* ask("GET /health")).status, 200)
    }).pipe(Effect.provide(guarded))
  )

  it.live("refuses what a page of another site can send, on every operation", () =>
    Effect.gen(function* () {
      for (const operation of operationsOf(yield* documentOf())) {
        const route = filled(operation)
        const form = { "content-type": "application/x-www-form-urlencoded" }
        assert.strictEqual((yield* ask(route, { text: "{}", headers: form })).status, 415, route)
        const origin = { origin: "https://example.com" }
        assert.strictEqual((yield* ask(route, { json: {}, headers: origin })).status, 403, route)
        assert.strictEqual((yield* ask(route, { headers: { host: "example.com" } })).status, 421, route)
      }
    }).pipe(Effect.provide(served))
  )
})

describe("the admin API", () => {
  it.live.each<readonly [string, unknown, number, ReadonlyArray<string>]>([
    ["GET /__admin/nothing", undefined, 404, ["GET /__admin/nothing", "/__admin/openapi.json"]],
    ["GET /__admin", undefined, 404, ["/__admin/openapi.json"]],
    ["PUT /__admin/apps", {}, 405, ["PUT /__admin/apps", "GET, HEAD, POST"]],
    ["GET /__admin/reset", undefined, 405, ["POST"]],
    ["POST /__admin/apps", [], 400, ["Expected object"]],
    ["POST /__admin/apps", {}, 400, ["name: Missing key"]],
    ["POST /__admin/apps", { name: "a", scopes: ["a b"] }, 400, ["scopes[0]: Expected a scope"]],
    ["POST /__admin/apps", { name: "a", tokenLife: 1e300 }, 400, ["tokenLife"]],
    ["POST /__admin/apps", { name: "a", more: 1 }, 400, ["more: "]],
    ["POST /__admin/apps/service-x/secret/revoke", {}, 400, ["either secret or version"]],
    ["POST /__admin/apps/service-x/secret/revoke", { version: 1 }, 404, ["service-x"]],
    ["POST /__admin/apps/service-x/secret", { overlapMillis: -1 }, 400, ["overlapMillis"]],
    ["POST /__admin/tokens", { clientId: "service-x" }, 404, ["service-x"]],
    ["POST /__admin/tokens", {}, 404, ["no app"]],
    ["POST /__admin/clock", {}, 400, ["either advance or set"]],
    ["POST /__admin/clock", { advance: 1, set: 1 }, 400, ["either advance or set"]],
    ["POST /__admin/clock", { set: "tomorrow" }, 400, ["set: ", "ISO 8601"]],
    ["POST /__admin/clock", { set: "2030-01-01T00:00:00" }, 400, ["set: ", "time zone"]],
    ["POST /__admin/clock", { set: -5 }, 400, ["set: "]],
    ["PATCH /__admin/profile", { invalidClientStatus: 402 }, 400, ["invalidClientStatus"]],
    ["GET /__admin/journal?route=GET%20/no", undefined, 404, ["GET /no", "GET /users/me"]],
    ["GET /__admin/journal?since=x", undefined, 400, ["In the query: since"]],
    ["GET /__admin/journal?limit=0", undefined, 400, ["limit"]],
    ["GET /__admin/journal?until=1", undefined, 400, ["until"]],
    ["GET /__admin/journal/wait", undefined, 400, ["route"]],
    ["GET /__admin/journal/wait?route=GET%20/no", undefined, 404, ["GET /no", "GET /users/me"]],
    ["GET /__admin/journal/wait?route=GET%20/users/me&timeout=60001", undefined, 400, ["timeout"]],
    ["GET /__admin/journal/wait?route=GET%20/users/me&timeout=10", undefined, 409, ["within 10 ms"]],
    ["POST /__admin/routes", { method: "GET", path: "/x?y", response: { status: 200 } }, 400, ["path: "]],
    ["POST /__admin/routes", { method: "GET", path: "/__admin/x", response: { status: 200 } }, 400, ["path: "]],
    ["POST /__admin/routes", { method: "GET", path: "/x", response: { status: 99 } }, 400, ["response.status"]],
    ["DELETE /__admin/routes?route=GET%20/users/me", undefined, 404, ["GET /users/me"]],
    ["POST /__admin/itwins/x/roles", { displayName: "R", permissions: [] }, 404, ["iTwin x"]],
    ["GET /__admin/vault/secrets/a_b/versions", undefined, 400, ["In the path: name"]],
    ["GET /__admin/vault/secrets/none/versions", undefined, 404, ['"none"']],
    ["POST /__admin/vault/script", { route: "GET /users/me", steps: [] }, 404, ["GET /secrets/:name"]],
    ["POST /__admin/vault/deny", { reason: "Mood" }, 400, ["reason"]]
  ])("refuses %s with %j and status %i, and says why", ([route, json, status, expected]) =>
    Effect.gen(function* () {
      const answer = yield* admin(route, json)
      assert.strictEqual(answer.status, status, JSON.stringify(answer.body))
      assert.deepStrictEqual(Object.keys(answer.body), ["message"])
      for (const part of expected) assert.include(answer.body.message, part)
      if (status === 405) assert.isDefined(answer.headers.allow)
    }).pipe(Effect.provide(served))
  )

  it.live("says at which line and column a body is not JSON, and reads an empty one as {}", () =>
    Effect.gen(function* () {
      const headers = { "content-type": "application/json; charset=utf-8" }
      const answer = yield* ask("POST /__admin/clock", { text: '{\n  "advance": 1,\n}', headers })
      assert.strictEqual(answer.status, 400)
      assert.include(answer.body.message, "line 3, column 1: This is not JSON.")
      const large = yield* ask("POST /__admin/clock", { text: " ".repeat(1024 * 1024 + 1), headers })
      assert.strictEqual(large.status, 413)
      const { body } = yield* admin("POST /__admin/apps", { name: "A" })
      assert.strictEqual((yield* ask(`POST /__admin/apps/${body.clientId}/secret`, { text: " ", headers })).status, 200)
    }).pipe(Effect.provide(served))
  )

  it.live("says that there is no vault when there is none", () =>
    Effect.gen(function* () {
      const { body, status } = yield* admin("GET /__admin/vault/journal")
      assert.strictEqual(status, 404)
      assert.include(body.message, "--vault")
    }).pipe(Effect.provide(Layer.fresh(layerOf({ vault: false }))))
  )

  it.live("forgets on reset what came over HTTP, and keeps the routes of the program", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      yield* fake.addRoute("GET", "/program", () => HttpServerResponse.empty())
      const route = { method: "GET", path: "/http", response: { status: 200, body: "text" } }
      assert.strictEqual((yield* admin("POST /__admin/routes", { ...route, path: "/program" })).status, 409)
      yield* admin("POST /__admin/routes", { ...route, path: "/removed" })
      yield* fake.removeRoute("GET /removed")
      for (const _ of [1, 2]) {
        yield* admin("POST /__admin/routes", route)
        yield* admin("PATCH /__admin/profile", { scopeClaim: "string" })
        yield* admin("POST /__admin/apps", { name: "Gone" })
        const { body } = yield* admin("POST /__admin/reset")
        assert.deepStrictEqual(
          body.apps.map(({ name }: Answer["body"]) => name),
          ["First"]
        )
        const routes = yield* admin("GET /__admin/routes")
        assert.deepStrictEqual(
          routes.body.filter(({ own }: Answer["body"]) => own),
          [{ name: "GET /program", own: true }]
        )
        assert.strictEqual((yield* admin("GET /__admin/profile")).body.scopeClaim, "array")
      }
    }).pipe(Effect.provide(served))
  )

  it.live("does not keep a server that is closed waiting for a request", () =>
    Effect.gen(function* () {
      const waiting = yield* Effect.gen(function* () {
        const fiber = yield* Effect.forkDetach(
          Effect.exit(admin("GET /__admin/journal/wait?route=GET%20/users/me&timeout=60000")),
          { startImmediately: true }
        )
        // The request has arrived when a later one on another connection is answered.
        yield* admin("GET /__admin/journal")
        assert.isUndefined(fiber.pollUnsafe())
        return fiber
      }).pipe(Effect.provide(served))
      assert.strictEqual((yield* Fiber.join(waiting))._tag, "Failure")
    })
  )

  it.live("answers its first requests correctly when many arrive at once", () =>
    Effect.gen(function* () {
      const statuses = yield* Effect.all(
        Array.from({ length: 20 }, (_, index) =>
          Effect.map(admin("POST /__admin/apps", { name: `App ${index}` }), ({ status }) => status)
        ),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(new Set(statuses), new Set([201]))
      assert.strictEqual((yield* admin("GET /__admin/apps")).body.length, 20)
    }).pipe(Effect.provide(served))
  )
})
