// The APIs and the journal as a test sees them: through the library, in process, under virtual time.

import { assert, describe, it } from "@effect/vitest"
import { ITwin, ITwinHttpClient, RetryPolicy, SecretProvider, TokenCache, Users } from "@effect-itwin/core"
import { FakeIms, Fault, Journal } from "@effect-itwin/testing"
import { Effect, Fiber, Layer, Redacted } from "effect"
import { HttpClient, HttpClientRequest, HttpServerResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { getMe, post, register, secretOf } from "./contract.ts"

const App = ITwin.layer.pipe(Layer.provideMerge(FakeIms.layerTest({ app: { name: "Mine" } })))

const fake = FakeIms.FakeIms
const cache = TokenCache.TokenCache
const own = Effect.flatMap(SecretProvider.SecretProvider, (provider) => provider.credentials)
const refresh = Effect.flatMap(cache, (cache) => cache.refresh())
const refused = Effect.map(Effect.flip(refresh), (error) => error.reason._tag)
const ask = (app: FakeIms.App, secret = secretOf(app)) =>
  Effect.map(
    post({ grant_type: "client_credentials", client_id: app.credentials.clientId, client_secret: secret }),
    ({ status }) => status
  )

describe("a 401 of an API", () => {
  it.effect("challenges with an error code only when a token was sent (RFC 6750 §3)", () =>
    Effect.gen(function* () {
      const ims = yield* fake
      assert.strictEqual((yield* getMe()).headers["www-authenticate"], 'Bearer realm="iTwin Platform"')
      const query = yield* HttpClient.get("https://api.bentley.com/users/me?access_token=fake")
      assert.strictEqual(query.status, 401)
      assert.include((yield* ims.journal).at(-1)?.explanation, "query")
      const invalid = yield* getMe("Bearer fake")
      assert.match(
        invalid.headers["www-authenticate"] ?? "",
        /^Bearer realm="iTwin Platform", error="invalid_token", error_description="The token is malformed/
      )
      const narrow = yield* ims.issueToken({ scopes: ["itwins:read"] })
      const forbidden = yield* getMe(Redacted.value(narrow.authorizationHeader))
      assert.strictEqual(forbidden.status, 403)
      assert.include(forbidden.headers["www-authenticate"], 'error="insufficient_scope"')
    }).pipe(Effect.provide(App))
  )
})

describe("iTwins", () => {
  const list = Effect.fnUntraced(function* (query: string, headers: Record<string, string> = {}) {
    const api = yield* ITwinHttpClient.ITwinHttpClient
    const response = yield* api.get(`/itwins${query}`, { headers })
    const body = JSON.parse(yield* response.text)
    return { status: response.status, headers: response.headers, body, names: namesOf(body.iTwins) }
  })
  const namesOf = (iTwins: ReadonlyArray<{ displayName: string }> = []) => iTwins.map(({ displayName }) => displayName)

  const withITwins = (count: number) =>
    Effect.gen(function* () {
      const ims = yield* fake
      const { clientEmail } = yield* own
      for (let i = 0; i < count; i++) {
        const { id } = yield* ims.createITwin({ displayName: `T${i}`, number: `N${i}` })
        yield* ims.addMember(id, { email: clientEmail })
      }
      yield* ims.createITwin({ displayName: "Hidden" })
    })

  it.effect("lists iTwins only for their members, with null for unknown facts", () =>
    Effect.gen(function* () {
      yield* withITwins(1)
      const { body, headers } = yield* list("")
      assert.deepInclude(body.iTwins[0], {
        class: "Endeavor",
        subClass: "Project",
        type: null,
        number: "N0",
        displayName: "T0"
      })
      assert.lengthOf(body.iTwins, 1)
      assert.deepStrictEqual(body._links, { self: { href: "https://api.bentley.com/itwins?$skip=0&$top=100" } })
      assert.strictEqual(headers["x-max-return"], "1000")
    }).pipe(Effect.provide(App))
  )

  it.effect("lists iTwins in pages that link to the next page and the previous one", () =>
    Effect.gen(function* () {
      yield* withITwins(5)
      const first = yield* list("?$top=2")
      assert.deepStrictEqual(first.names, ["T0", "T1"])
      assert.strictEqual(first.body._links.next.href, "https://api.bentley.com/itwins?$skip=2&$top=2")
      assert.notProperty(first.body._links, "prev")
      const last = yield* list("?$skip=4&$top=2")
      assert.deepStrictEqual(last.names, ["T4"])
      assert.notProperty(last.body._links, "next")
      assert.strictEqual(last.body._links.prev.href, "https://api.bentley.com/itwins?$skip=2&$top=2")
      assert.deepStrictEqual((yield* list("?$skip=9")).names, [])
    }).pipe(Effect.provide(App))
  )

  it.effect("does not list iTwins beyond X-Max-Return", () =>
    Effect.gen(function* () {
      yield* withITwins(5)
      const limited = yield* list("?$skip=2&$top=2", { "x-max-return": "3" })
      assert.deepStrictEqual(limited.names, ["T2"])
      assert.strictEqual(limited.headers["x-max-return"], "3")
      assert.notProperty(limited.body._links, "next")
    }).pipe(Effect.provide(App))
  )

  it.effect.each([
    ["?$top=0", {}],
    ["?$top=1001", {}],
    ["?$top=x", {}],
    ["?$skip=-1", {}],
    ["?$skip=1.5", {}],
    ["", { "x-max-return": "0" }],
    ["", { "x-max-return": "10001" }]
  ] as ReadonlyArray<readonly [string, Record<string, string>]>)(
    "does not list iTwins for the query %s with the headers %j",
    ([query, headers]) =>
      Effect.gen(function* () {
        const { body, status } = yield* list(query, headers)
        assert.strictEqual(status, 422)
        assert.match(body.error.details[0].message, /must be an integer/)
      }).pipe(Effect.provide(App))
  )

  it.effect("returns 406 when Accept names a version of GET /itwins that the fake does not serve", () =>
    Effect.gen(function* () {
      const ims = yield* fake
      const accept = (version: number) => ({ accept: `application/vnd.bentley.itwin-platform.v${version}+json` })
      assert.strictEqual((yield* list("", accept(1))).status, 200)
      assert.strictEqual((yield* list("")).status, 200)
      assert.strictEqual((yield* list("", accept(2))).status, 406)
      assert.deepStrictEqual(
        (yield* ims.journal).slice(1).map(({ explanation, headers }) => [headers.accept, explanation]),
        [
          [accept(1).accept, undefined],
          [undefined, undefined],
          [accept(2).accept, "The fake serves version 1 of this operation."]
        ]
      )
    }).pipe(Effect.provide(App))
  )
})

describe("access control", () => {
  const path = (id: string, rest: string) => `/accesscontrol/itwins/${id}/${rest}`
  const get = (url: string) =>
    Effect.flatMap(ITwinHttpClient.ITwinHttpClient, (api) => api.get(url)).pipe(
      Effect.flatMap((response) =>
        Effect.map(response.text, (text) => ({ status: response.status, body: JSON.parse(text) }))
      )
    )
  const add = (id: string, members: unknown) =>
    Effect.flatMap(ITwinHttpClient.ITwinHttpClient, (api) =>
      api.execute(HttpClientRequest.post(path(id, "members/users")).pipe(HttpClientRequest.bodyJsonUnsafe({ members })))
    ).pipe(
      Effect.flatMap((response) =>
        Effect.map(response.text, (text) => ({ status: response.status, body: JSON.parse(text) }))
      )
    )

  it.effect("shows an iTwin only to its members, with the permissions of their roles", () =>
    Effect.gen(function* () {
      const ims = yield* fake
      const { clientEmail } = yield* own
      const { id } = yield* ims.createITwin({ displayName: "Bridge" })
      const hidden = yield* get(path(id, "permissions"))
      assert.strictEqual(hidden.status, 404)
      assert.strictEqual(hidden.body.error.code, "iTwinNotFound")
      yield* ims.addMember(id, { email: clientEmail })
      assert.deepStrictEqual((yield* get(path(id, "permissions"))).body, { permissions: [] })
      const role = yield* ims.addRole(id, { displayName: "Reader", permissions: ["imodels_read", "itwins_read"] })
      yield* ims.addMember(id, { email: clientEmail, roleIds: [role.id] })
      assert.deepStrictEqual((yield* get(path(id, "permissions"))).body.permissions, ["imodels_read", "itwins_read"])
      assert.strictEqual((yield* get(path(id, "roles"))).status, 403)
      const admin = yield* ims.addRole(id, { displayName: "Admin", permissions: [FakeIms.manageRolesPermission] })
      yield* ims.addMember(id, { email: clientEmail, roleIds: [admin.id] })
      assert.strictEqual((yield* get(path(id, "roles"))).body.roles[0].displayName, "Reader")
      const { body } = yield* get(path(id, "members/users"))
      assert.deepInclude(body.members[0], { email: clientEmail, givenName: "Mine" })
      assert.isString(body._links.self.href)
    }).pipe(Effect.provide(App))
  )

  it.effect("adds a member only with the permission, known roles and a complete body", () =>
    Effect.gen(function* () {
      const ims = yield* fake
      const { clientEmail } = yield* own
      const { id } = yield* ims.createITwin({ displayName: "Bridge" })
      yield* ims.addMember(id, { email: clientEmail })
      const reader = yield* ims.addRole(id, { displayName: "Reader", permissions: ["itwins_read"] })
      const friend = yield* ims.registerApp({ name: "Friend", identityDelay: "5 minutes" })
      const member = { email: friend.credentials.clientEmail, roleIds: [reader.id] }
      assert.strictEqual((yield* add(id, [member])).status, 403)
      const admin = yield* ims.addRole(id, { displayName: "Admin", permissions: [FakeIms.addMemberPermission] })
      yield* ims.addMember(id, { email: clientEmail, roleIds: [admin.id] })
      assert.strictEqual((yield* add(id, [])).status, 422)
      assert.strictEqual((yield* add(id, [{ email: "a@b" }])).status, 422)
      const unknown = yield* add(id, [{ ...member, roleIds: ["nope"] }])
      assert.strictEqual(unknown.status, 422)
      assert.strictEqual(unknown.body.error.details[0].code, "RoleNotFound")
      const invited = yield* add(id, [member])
      assert.strictEqual(invited.status, 201)
      assert.isNull(invited.body.members)
      assert.strictEqual(invited.body.invitations[0].email, member.email)
      yield* TestClock.adjust("5 minutes")
      const added = yield* add(id, [member])
      assert.strictEqual(added.body.members[0].givenName, "Friend")
      assert.isNull(added.body.invitations)
    }).pipe(Effect.provide(App))
  )

  it.effect("lists members in pages whose links have another path than the operation", () =>
    Effect.gen(function* () {
      const ims = yield* fake
      const { clientEmail } = yield* own
      const { id } = yield* ims.createITwin({ displayName: "Bridge" })
      for (const email of [clientEmail, "b@example.com", "c@example.com"]) yield* ims.addMember(id, { email })
      const { body } = yield* get(path(id, "members/users?$skip=1&$top=1"))
      assert.deepStrictEqual(
        body.members.map(({ email }: { email: string }) => email),
        ["b@example.com"]
      )
      const { href } = body._links.next
      assert.strictEqual(href, `https://api.bentley.com/accesscontrol/itwins/${id}/members?$skip=2&$top=1`)
      assert.strictEqual((yield* get(href)).status, 404)
    }).pipe(Effect.provide(App))
  )

  it.effect("lists a removed member without e-mail, and denies access until the member is added again", () =>
    Effect.gen(function* () {
      const ims = yield* fake
      const { clientEmail } = yield* own
      const { id } = yield* ims.createITwin({ displayName: "Bridge" })
      const role = yield* ims.addRole(id, { displayName: "Reader", permissions: ["itwins_read"] })
      const other = yield* register()
      for (const email of [clientEmail, other.credentials.clientEmail]) {
        yield* ims.addMember(id, { email, roleIds: [role.id] })
      }
      yield* ims.removeMember(id, other.credentials.clientEmail)
      const { members } = (yield* get(path(id, "members/users"))).body
      assert.lengthOf(members, 2)
      assert.deepInclude(members[1], { email: null, givenName: null, roles: [] })
      yield* ims.removeMember(id, clientEmail)
      assert.strictEqual((yield* get(path(id, "permissions"))).status, 404)
      yield* ims.addMember(id, { email: clientEmail })
      assert.deepStrictEqual((yield* get(path(id, "permissions"))).body, { permissions: [] })
      const unknown = yield* Effect.exit(ims.removeMember(id, "nobody@example.com"))
      assert.include(String(unknown), "no member nobody@example.com")
    }).pipe(Effect.provide(App))
  )

  it.effect("returns 406 when Accept names version 1 of access control", () =>
    Effect.gen(function* () {
      const ims = yield* fake
      const { id } = yield* ims.createITwin({ displayName: "Bridge" })
      const api = yield* ITwinHttpClient.ITwinHttpClient
      for (const [version, status] of [
        [1, 406],
        [2, 404]
      ]) {
        const headers = { accept: `application/vnd.bentley.itwin-platform.v${version}+json` }
        assert.strictEqual((yield* api.get(path(id, "permissions"), { headers })).status, status)
      }
    }).pipe(Effect.provide(App))
  )

  it.effect("passes the request with its query and its body to the handler of an added route", () =>
    Effect.gen(function* () {
      const ims = yield* fake
      yield* ims.addRoute("POST", "/echo/:id", ({ params, request }) =>
        Effect.gen(function* () {
          const bytes = new Uint8Array(yield* Effect.orDie(request.arrayBuffer))
          const { headers, method, url } = request
          return HttpServerResponse.jsonUnsafe(
            { bytes: [...bytes], id: params.id, method, note: headers["x-note"], type: headers["content-type"], url },
            { status: 418 }
          )
        })
      )
      const bytes = [0, 255, 128, 10]
      const api = yield* ITwinHttpClient.ITwinHttpClient
      const response = yield* api.execute(
        HttpClientRequest.post("/echo/7?a=b%20c&$top=1").pipe(
          HttpClientRequest.setHeader("x-note", "hello"),
          HttpClientRequest.bodyUint8Array(new Uint8Array(bytes), "application/x-test")
        )
      )
      assert.strictEqual(response.status, 418)
      const { url, ...rest } = JSON.parse(yield* response.text)
      assert.deepStrictEqual(rest, { bytes, id: "7", method: "POST", note: "hello", type: "application/x-test" })
      const query = new URL(url, "https://api.bentley.com").searchParams
      assert.deepStrictEqual(
        [...query],
        [
          ["a", "b c"],
          ["$top", "1"]
        ]
      )
      assert.strictEqual((yield* ims.journal).at(-1)?.outcome, "418")
    }).pipe(Effect.provide(App))
  )

  it.effect("checks the token at an added route as at the other routes", () =>
    Effect.gen(function* () {
      const ims = yield* fake
      yield* ims.addRoute("GET", "/storage/:folder", ({ clientId, params }) =>
        HttpServerResponse.jsonUnsafe({ clientId, folder: params.folder })
      )
      const { status, body } = yield* get("/storage/top")
      assert.strictEqual(status, 200)
      assert.deepStrictEqual(body, { clientId: (yield* own).clientId, folder: "top" })
      assert.strictEqual((yield* HttpClient.get("https://api.bentley.com/storage/top")).status, 401)
    }).pipe(Effect.provide(App))
  )
})

describe("the journal", () => {
  it.effect("counts token requests, and fails with a table when the count differs", () =>
    Effect.gen(function* () {
      const ims = yield* fake
      yield* refresh
      yield* ims.assertTokenRequests(1)
      const error = yield* Effect.flip(ims.assertTokenRequests(2))
      assert.include(error.message, "Expected 2 token requests, but there were 1:")
      assert.match(error.message, /1970-01-01T00:00:00.000Z {2}POST \/connect\/token {2}200 {5}ok/)
    }).pipe(Effect.provide(App))
  )

  it.effect("shows the requests of one app, and how many were served at once", () =>
    Effect.gen(function* () {
      const ims = yield* fake
      const apps = yield* Effect.all([register(), register(), register()])
      yield* ims.script("POST /connect/token", Fault.always(Fault.delay("1 second")))
      const fiber = yield* Effect.forkChild(
        Effect.all(
          apps.map((app) => ask(app)),
          { concurrency: 2 }
        )
      )
      assert.strictEqual((yield* ims.awaitRequest("POST /connect/token", 2)).concurrency, 2)
      yield* TestClock.adjust("3 seconds")
      yield* Fiber.join(fiber)
      assert.strictEqual(yield* ims.maxConcurrent, 2)
      const first = apps[0]
      assert.isDefined(first)
      const entries = yield* ims.forApp(first?.credentials.clientId ?? "")
      assert.strictEqual(entries.length, 1)
      assert.deepInclude(entries[0]?.form, { grant_type: "client_credentials", client_secret: "<redacted>" })
      assert.strictEqual(Journal.format(yield* ims.journal).split("\n").length, 4)
      yield* ims.reset
      assert.deepStrictEqual(yield* ims.journal, [])
      yield* ims.clearScripts
    }).pipe(Effect.provide(FakeIms.layerTest()))
  )

  it.effect("awaitRequest returns a later request when it arrives", () =>
    Effect.gen(function* () {
      const ims = yield* fake
      const waiting = yield* Effect.forkChild(ims.awaitRequest("GET /users/me"))
      yield* Effect.yieldNow
      assert.isUndefined(waiting.pollUnsafe())
      yield* Users.me
      assert.strictEqual((yield* Fiber.join(waiting)).route, "GET /users/me")
    }).pipe(Effect.provide(App))
  )

  it.effect("writes the same journal in two runs with the same seed, script and clock", () => {
    const story = Effect.gen(function* () {
      const ims = yield* fake
      yield* ims.script("POST /connect/token", ...FakeIms.maintenance("5 seconds"))
      assert.strictEqual(yield* refused, "InvalidClient")
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* refused, "ServerError")
      yield* TestClock.adjust("1 minute")
      yield* Effect.all([refresh, Users.me])
      const token = yield* refresh
      return [yield* ims.journal, Redacted.value(token.value)]
    })
    return Effect.gen(function* () {
      const run = Effect.suspend(() =>
        Effect.provide(
          story,
          ITwin.layerWith({}).pipe(
            Layer.provide(RetryPolicy.layer(RetryPolicy.none)),
            Layer.provideMerge(FakeIms.layerTest())
          )
        )
      )
      const once = yield* TestClock.setTime(0).pipe(Effect.andThen(run))
      const twice = yield* TestClock.setTime(0).pipe(Effect.andThen(run))
      assert.deepStrictEqual(twice, once)
    })
  })
})
