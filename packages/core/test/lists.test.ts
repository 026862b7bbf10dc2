// AccessControl and ITwins: what is sent, what is decoded, and how many pages are requested.
import { assert, describe, it } from "@effect/vitest"
import { AccessControl, ITwin, ITwins, SecretProvider } from "@effect-itwin/core"
import { FakeIms, Fault } from "@effect-itwin/testing"
import { Cause, Effect, Exit, Layer, Stream } from "effect"
import { HttpClient, type HttpClientRequest, HttpClientResponse } from "effect/http"
import { credentials, json, type Step, scripted, tokenAnswer } from "./support.ts"

const over = (script: ReturnType<typeof scripted>) =>
  ITwin.layer.pipe(Layer.provide([script.layer, SecretProvider.layerStatic(credentials)]))

const answering = (...steps: ReadonlyArray<Step>) => scripted(tokenAnswer(), ...steps)

const App = ITwin.layer.pipe(Layer.provideMerge(FakeIms.layerTest()))

const v = (n: number) => `application/vnd.bentley.itwin-platform.v${n}+json`

/** What one request asked for. */
const seen = ({ headers, method, url, urlParams }: HttpClientRequest.HttpClientRequest) => [
  `${method} ${url.replace("https://api.bentley.com", "")}`,
  headers.accept,
  Object.fromEntries(urlParams.params)
]

const me = Effect.flatMap(SecretProvider.SecretProvider, (provider) => provider.credentials)

/** Serves a list as the platform does: with a `next` whose URL is not to be followed. Records `$skip` and `$top`. */
const serving = (key: string, total: number) => {
  const all = Array.from({ length: total }, (_, n) => ({ id: `id-${n}`, displayName: null }))
  const queries: Array<readonly [skip: number, top: number]> = []
  const client = HttpClient.make((request, url) => {
    const answer = () => {
      if (url.pathname === "/connect/token") return Response.json({ access_token: "fake.token", token_type: "Bearer" })
      const skip = Number(url.searchParams.get("$skip"))
      const top = Number(url.searchParams.get("$top"))
      queries.push([skip, top])
      const next = skip + top < total ? { href: "https://evil.example/elsewhere" } : null
      return Response.json({ [key]: all.slice(skip, skip + top), _links: { self: { href: "x" }, prev: null, next } })
    }
    return Effect.sync(() => HttpClientResponse.fromWeb(request, answer()))
  })
  const layer = ITwin.layer.pipe(
    Layer.provide([Layer.succeed(HttpClient.HttpClient, client), SecretProvider.layerStatic(credentials)])
  )
  return { queries, layer }
}

describe.each([
  ["ITwins.list", "iTwins", (options: { pageSize?: number }) => ITwins.list(options)],
  ["AccessControl.members", "members", (options: { pageSize?: number }) => AccessControl.members("a-1", options)]
] as const)("%s", (_name, key, list) => {
  const collect = (options: { pageSize?: number }) => Stream.runCollect(Stream.map(list(options), ({ id }) => id))

  it.effect("makes three requests for 250 items, and one for the first five, twice in a row", () => {
    const { layer, queries } = serving(key, 250)
    return Effect.gen(function* () {
      for (const _ of [1, 2]) {
        queries.length = 0
        assert.deepStrictEqual(
          yield* collect({}),
          Array.from({ length: 250 }, (_, n) => `id-${n}`)
        )
        assert.deepStrictEqual(queries, [
          [0, 100],
          [100, 100],
          [200, 100]
        ])
        queries.length = 0
        assert.strictEqual((yield* Stream.runCollect(Stream.take(list({}), 5))).length, 5)
        assert.deepStrictEqual(queries, [[0, 100]])
      }
    }).pipe(Effect.provide(layer))
  })

  it.effect("fails when the API returns the same page for each $skip, and always names a next one", () => {
    const page = () => json({ [key]: [{ id: "id-1" }, { id: "id-2" }], _links: { next: { href: "x" } } })
    const script = answering(page(), page(), page())
    return Effect.gen(function* () {
      const error = yield* Effect.flip(collect({ pageSize: 2 }))
      assert.strictEqual(error._tag, "ITwinApiError")
      assert.include(error.message, "the same page was returned twice")
      assert.strictEqual(script.requests.length, 3)
    }).pipe(Effect.provide(over(script)))
  })

  it.effect.each([100, 1, 0])("makes one request when there are %d items", (total) => {
    const { layer, queries } = serving(key, total)
    return Effect.gen(function* () {
      assert.strictEqual((yield* collect({})).length, total)
      assert.strictEqual(queries.length, 1)
    }).pipe(Effect.provide(layer))
  })

  it.effect("asks for the page size of the options", () => {
    const { layer, queries } = serving(key, 5)
    return Effect.gen(function* () {
      assert.strictEqual((yield* collect({ pageSize: 2 })).length, 5)
      assert.deepStrictEqual(queries, [
        [0, 2],
        [2, 2],
        [4, 2]
      ])
    }).pipe(Effect.provide(layer))
  })

  const next = { next: { href: "https://api.bentley.com/again" } }

  it.effect("continues after a page that is shorter than asked for when the response names a next one", () => {
    const script = answering(json({ [key]: [{ id: "a" }, { id: "b" }], _links: next }), json({ [key]: [{ id: "c" }] }))
    return Effect.gen(function* () {
      assert.deepStrictEqual(yield* collect({}), ["a", "b", "c"])
      assert.deepInclude(seen(script.requests[2] ?? assert.fail("no second page")), { $skip: "2", $top: "100" })
    }).pipe(Effect.provide(over(script)))
  })

  it.effect.each([[[]], [null]])("ends after a page that is %j when each response names a next one", ([empty]) => {
    const script = answering(json({ [key]: [{ id: "a" }], _links: next }), json({ [key]: empty, _links: next }))
    return Effect.gen(function* () {
      assert.deepStrictEqual(yield* collect({}), ["a"])
      assert.strictEqual(script.requests.length, 3)
    }).pipe(Effect.provide(over(script)))
  })

  it.effect.each([{}, { _links: null }, { _links: {} }, { _links: { next: null } }])(
    "ends after one page when the response has no next page: %j",
    (links) => {
      const script = answering(json({ [key]: [{ id: "a" }], ...links }))
      return Effect.gen(function* () {
        assert.deepStrictEqual(yield* collect({}), ["a"])
        assert.strictEqual(script.requests.length, 2)
      }).pipe(Effect.provide(over(script)))
    }
  )

  it.effect("returns the items of the first page before a later page fails", () => {
    const script = answering(json({ [key]: [{ id: "a" }], _links: next }), json({}, { status: 403 }))
    return Effect.gen(function* () {
      const ids: Array<string> = []
      const error = yield* list({}).pipe(
        Stream.runForEach(({ id }) => Effect.sync(() => ids.push(id))),
        Effect.flip
      )
      assert.deepStrictEqual(ids, ["a"])
      assert.isTrue(error._tag === "ITwinApiError" && error.reason._tag === "Forbidden")
    }).pipe(Effect.provide(over(script)))
  })

  it.effect.each([{}, { [key]: [{}] }, { [key]: "x" }])("fails with Unexpected when the response is %j", (body) => {
    const script = answering(json(body))
    return Effect.gen(function* () {
      const error = yield* Effect.flip(collect({}))
      assert.isTrue(error._tag === "ITwinApiError" && error.reason._tag === "Unexpected")
    }).pipe(Effect.provide(over(script)))
  })

  it.effect.each([0, 1.5, Number.NaN])("dies with a RangeError when the page size is %d", (pageSize) => {
    const script = answering(json({}))
    return Effect.gen(function* () {
      const exit = yield* Effect.exit(collect({ pageSize }))
      assert.instanceOf(Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined, RangeError)
      assert.strictEqual(script.requests.length, 0)
    }).pipe(Effect.provide(over(script)))
  })
})

describe("ITwins.list", () => {
  it.effect("asks for version 1, with the limit and the parameters of the options", () => {
    const script = answering(json({ iTwins: [] }))
    return Effect.gen(function* () {
      yield* Stream.runDrain(ITwins.list({ maxReturn: 10_000, query: { subClass: "Project", $top: "7" } }))
      yield* Stream.runDrain(ITwins.list())
      assert.deepStrictEqual(script.requests.slice(1).map(seen), [
        ["GET /itwins", v(1), { subClass: "Project", $skip: "0", $top: "100" }],
        ["GET /itwins", v(1), { $skip: "0", $top: "100" }]
      ])
      assert.deepStrictEqual(
        script.requests.slice(1).map(({ headers }) => headers["x-max-return"]),
        ["10000", undefined]
      )
    }).pipe(Effect.provide(over(script)))
  })

  it.effect("returns iTwins without the fields that are null, and ignores unknown ones", () => {
    const whole = { id: "1", class: "Endeavor", subClass: "Project", type: "x", number: "n", displayName: "Bridge" }
    const empty = { id: "2", class: null, subClass: null, type: null, number: null, displayName: null, other: 1 }
    const script = answering(json({ iTwins: [whole, empty, { id: "3" }] }))
    return Effect.gen(function* () {
      const found = yield* Stream.runCollect(ITwins.list())
      assert.deepStrictEqual(
        found.map((iTwin) => ({ ...iTwin })),
        [whole, { id: "2" }, { id: "3" }]
      )
    }).pipe(Effect.provide(over(script)))
  })

  it.effect.each([0, 10_001, 1.5, Number.NaN])("dies with a RangeError when maxReturn is %d", (maxReturn) => {
    const script = answering(json({ iTwins: [] }))
    return Effect.gen(function* () {
      const exit = yield* Effect.exit(Stream.runDrain(ITwins.list({ maxReturn })))
      const defect = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
      assert.instanceOf(defect, RangeError)
      assert.include(String(defect), "ITwins.list: maxReturn must be an integer from 1 to 10,000")
      assert.strictEqual(script.requests.length, 0)
    }).pipe(Effect.provide(over(script)))
  })
})

const id = "9b2f1c1e-3f43-4f0e-8f0d-0d3c2d1f7c11"

describe("AccessControl", () => {
  it.effect("asks for version 2 in every operation", () => {
    const script = answering(
      json({ permissions: [] }),
      json({ roles: [] }),
      json({ members: [] }),
      json({ members: null, invitations: null }, { status: 201 })
    )
    return Effect.gen(function* () {
      yield* AccessControl.permissions(id)
      yield* AccessControl.roles(id)
      yield* Stream.runDrain(AccessControl.members(id))
      const added = yield* AccessControl.addMember(id, { email: "a@b.example", roleIds: ["r"] })
      assert.deepStrictEqual(added, { members: [], invitations: [] })
      const base = `/accesscontrol/itwins/${id}`
      assert.deepStrictEqual(script.requests.slice(1).map(seen), [
        [`GET ${base}/permissions`, v(2), {}],
        [`GET ${base}/roles`, v(2), {}],
        [`GET ${base}/members/users`, v(2), { $skip: "0", $top: "100" }],
        [`POST ${base}/members/users`, v(2), {}]
      ])
      const body = script.requests[4]?.body
      assert.strictEqual(
        body?._tag === "Uint8Array" ? new TextDecoder().decode(body.body) : "",
        '{"members":[{"email":"a@b.example","roleIds":["r"]}]}'
      )
    }).pipe(Effect.provide(over(script)))
  })

  it.effect.each(["", "..", ".", "../users", "a/b", "a%2Fb", "%2e%2e", "a?b", "a#b", "a b", "a\\b", "ä", "a\n"])(
    "sends nothing when the iTwin id is %j",
    (iTwinId) => {
      const script = answering(json({}))
      return Effect.gen(function* () {
        for (const call of [
          AccessControl.permissions(iTwinId),
          AccessControl.roles(iTwinId),
          Stream.runDrain(AccessControl.members(iTwinId)),
          AccessControl.addMember(iTwinId, { email: "a@b.example", roleIds: [] })
        ]) {
          const error = yield* Effect.flip(call)
          assert.isTrue(error._tag === "HttpClientError" && error.reason._tag === "InvalidUrlError")
          assert.include(error.message, "the iTwin id is empty, or has characters other than")
        }
        assert.strictEqual(script.requests.length, 0)
      }).pipe(Effect.provide(over(script)))
    }
  )

  it.effect("returns what the fake knows: permissions, roles, members, and who was added", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const { clientEmail } = yield* me
      const iTwin = yield* fake.createITwin({ displayName: "Bridge" })
      const permissions = ["administration_manage_roles", "administration_invite_member"]
      const role = yield* fake.addRole(iTwin.id, { displayName: "Manager", permissions })
      yield* fake.addMember(iTwin.id, { email: clientEmail, roleIds: [role.id] })
      const other = yield* fake.registerApp({ name: "Other" })

      assert.deepStrictEqual(yield* AccessControl.permissions(iTwin.id), permissions)
      const [found] = yield* AccessControl.roles(iTwin.id)
      assert.deepInclude({ ...found }, { id: role.id, displayName: "Manager", permissions })

      const member = { email: other.credentials.clientEmail, roleIds: [role.id] }
      const added = yield* AccessControl.addMember(iTwin.id, member)
      assert.strictEqual(added.members[0]?.email, member.email)
      assert.deepStrictEqual(added.invitations, [])
      const emails = yield* AccessControl.members(iTwin.id).pipe(
        Stream.map(({ email }) => email),
        Stream.runCollect
      )
      assert.deepStrictEqual(emails, [clientEmail, member.email])

      const invited = yield* AccessControl.addMember(iTwin.id, { email: "p@q.example", roleIds: [role.id] })
      assert.deepStrictEqual(invited.members, [])
      assert.strictEqual(invited.invitations[0]?.email, "p@q.example")
    }).pipe(Effect.provide(App))
  )

  it.effect("fails with the e-mail to invite when the app is not a member, or its role is not enough", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const { clientEmail } = yield* me
      const iTwin = yield* fake.createITwin({ displayName: "Bridge" })
      const missing = yield* Effect.flip(AccessControl.permissions(iTwin.id))
      assert.include(missing.message, clientEmail)
      const role = yield* fake.addRole(iTwin.id, { displayName: "Reader", permissions: [] })
      yield* fake.addMember(iTwin.id, { email: clientEmail, roleIds: [role.id] })
      const forbidden = yield* Effect.flip(
        AccessControl.addMember(iTwin.id, { email: "a@b.example", roleIds: [role.id] })
      )
      assert.include(forbidden.message, `Invite ${clientEmail} to the iTwin with a role that has this permission.`)
    }).pipe(Effect.provide(App))
  )

  it.effect("returns members and roles when every field but the id is absent or null", () => {
    const role = { id: "r", displayName: null, description: null, permissions: null }
    const script = answering(
      json({ roles: [role, { id: "s" }] }),
      json({
        members: [
          { id: "1", email: null, givenName: null, surname: null, organization: null, roles: null },
          { id: "2" },
          { id: "3", roles: [{ id: "r" }] }
        ]
      }),
      json({ permissions: null })
    )
    return Effect.gen(function* () {
      assert.deepStrictEqual(
        (yield* AccessControl.roles(id)).map((role) => ({ ...role })),
        [{ id: "r" }, { id: "s" }]
      )
      const members = yield* Stream.runCollect(AccessControl.members(id))
      assert.deepStrictEqual({ ...members[0] }, { id: "1" })
      assert.deepStrictEqual({ ...members[1] }, { id: "2" })
      assert.strictEqual(members[2]?.roles?.[0]?.id, "r")
      assert.deepStrictEqual(yield* AccessControl.permissions(id), [])
    }).pipe(Effect.provide(over(script)))
  })

  it.effect("says that a new app must wait when the platform does not know its identity yet", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const body = { error: { code: "UserNotFound", message: "The user was not found." } }
      yield* fake.script("GET /accesscontrol/itwins/:id/permissions", Fault.once(Fault.respond({ status: 404, body })))
      const error = yield* Effect.flip(AccessControl.permissions(id))
      assert.include(error.message, "takes minutes to appear")
    }).pipe(Effect.provide(App))
  )
})

it.effect("sends a member's e-mail as it was given, and no other field, when that looks like JSON", () => {
  const script = answering(json({}, { status: 201 }))
  const email = '"},{"email":"evil@example.com'
  return Effect.gen(function* () {
    yield* AccessControl.addMember(id, { email, roleIds: [] })
    const body = script.requests[1]?.body
    const sent: unknown = JSON.parse(body?._tag === "Uint8Array" ? new TextDecoder().decode(body.body) : "null")
    assert.deepStrictEqual(sent, { members: [{ email, roleIds: [] }] })
  }).pipe(Effect.provide(over(script)))
})
