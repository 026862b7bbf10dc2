// The page as it is served: its files and their policy, the journal as events, and the library's messages.
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { gzipSync } from "node:zlib"
import { assert, describe, it } from "@effect/vitest"
import {
  AuthorizationCode,
  ClientCredentials,
  ITwin,
  Scopes,
  SecretProvider,
  TokenRequest,
  Users
} from "@effect-itwin/core"
import { FakeIms, FakeImsServer, Fault } from "@effect-itwin/testing"
import { Effect, Layer, Redacted } from "effect"
import { FetchHttpClient } from "effect/http"
import { call } from "./bin.ts"

const served = Layer.fresh(FakeImsServer.layer({ admin: true }))
const guarded = Layer.fresh(FakeImsServer.layer({ admin: { token: Redacted.make("let-me-in") } }))

const url = Effect.map(FakeIms.FakeIms, ({ environment }) => environment.apiBaseUrl)

const get = (path: string, init?: RequestInit) =>
  Effect.flatMap(url, (url) =>
    Effect.promise(async () => {
      const response = await fetch(url + path, init)
      return { status: response.status, headers: response.headers, text: await response.text() }
    })
  )

const modules = [
  "main",
  "feedWorker",
  "access",
  "authorization",
  "call",
  "dom",
  "explained",
  "failures",
  "feed",
  "follow"
]
  .concat(["http", "journal", "life", "register", "session", "signIn", "snippets", "task", "token", "wire"])
  .map((name) => `/__page/${name}.js`)

const files = ["/", "/__page/page.css", "/__page/icon.svg", ...modules]

const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

describe("the files of the page", () => {
  it.live("have a policy that allows nothing from elsewhere and nothing inline", () =>
    Effect.gen(function* () {
      for (const path of files) {
        const { headers, status } = yield* get(path)
        assert.strictEqual(status, 200, path)
        assert.strictEqual(headers.get("content-security-policy"), policy, path)
        assert.strictEqual(headers.get("x-content-type-options"), "nosniff", path)
        assert.strictEqual(headers.get("referrer-policy"), "no-referrer", path)
      }
      const { headers, text } = yield* get("/")
      assert.strictEqual(headers.get("content-type"), "text/html; charset=utf-8")
      assert.notMatch(text, /<script(?![^>]* src=)|<style|\sstyle=|\son\w+=|javascript:|https?:/)
    }).pipe(Effect.provide(served))
  )

  it.live("weigh less than 40 KB together", () =>
    Effect.gen(function* () {
      let weight = 0
      for (const path of files) weight += gzipSync((yield* get(path)).text).byteLength
      assert.isBelow(weight, 40 * 1024)
      assert.isAbove(weight, 10 * 1024)
    }).pipe(Effect.provide(served))
  )

  it.live("are modules without types that name only each other", () =>
    Effect.gen(function* () {
      for (const path of modules) {
        const { headers, text } = yield* get(path)
        assert.strictEqual(headers.get("content-type"), "text/javascript; charset=utf-8", path)
        assert.notMatch(text, /^(?:export )?interface \w|\bfrom "\.\/\w+\.ts"/m, path)
        for (const [, name] of text.matchAll(/ from "\.\/(\w+\.js)"/g)) assert.include(modules, `/__page/${name}`)
      }
    }).pipe(Effect.provide(served))
  )

  it.live("are all there is: other paths have an answer that says so", () =>
    Effect.gen(function* () {
      for (const path of [
        "/__page",
        "/__page/",
        "/__page/no.js",
        "/__page/main.ts",
        "/__page/..%2Ffiles.js",
        "/__page/x.json"
      ]) {
        const { status, text } = yield* get(path)
        assert.strictEqual(status, 404, path)
        assert.include(text, "The page has no file", path)
      }
      const posted = yield* get("/", { method: "POST", body: "a" })
      assert.strictEqual(posted.status, 405)
      assert.strictEqual(posted.headers.get("allow"), "GET, HEAD")
      const head = yield* get("/", { method: "HEAD" })
      assert.deepStrictEqual([head.status, head.text], [200, ""])
    }).pipe(Effect.provide(served))
  )

  it.live("are served without the admin token, for the server's own hosts only, and are not in the journal", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* get("/?code=x&state=y")).status, 200)
      assert.strictEqual((yield* get("/__admin/journal/events")).status, 401)
      const other = yield* call(yield* url, "GET /", { headers: { host: "example.com" } })
      assert.strictEqual(other.status, 421)
      const fake = yield* FakeIms.FakeIms
      assert.isEmpty(yield* fake.journal)
    }).pipe(Effect.provide(guarded))
  )

  it.live("are not served when the server has no admin API", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* get("/")).status, 404)
    }).pipe(Effect.provide(Layer.fresh(FakeImsServer.layer())))
  )
})

interface Event {
  readonly event: string
  readonly id: string
  readonly data: {
    readonly number?: number
    readonly status?: number
    readonly route?: string
    readonly instance?: string
    readonly now?: number
  }
}

const parse = (block: string): Event => {
  const fields = Object.fromEntries(
    block.split("\n").map((line) => [line.slice(0, line.indexOf(": ")), line.slice(line.indexOf(": ") + 2)])
  )
  return { event: fields.event ?? "", id: fields.id ?? "", data: JSON.parse(fields.data ?? "{}") }
}

/** Reads events until the last one satisfies the predicate; `undefined` at the end of the stream. */
const readUntil = async (
  url: string,
  isLast: (event: Event) => boolean,
  headers: Record<string, string> = {},
  query = ""
): Promise<ReadonlyArray<Event> | undefined> => {
  const abort = new AbortController()
  const response = await fetch(`${url}/__admin/journal/events${query}`, { headers, signal: abort.signal })
  assert.strictEqual(response.headers.get("content-type"), "text/event-stream")
  assert.strictEqual(response.headers.get("cache-control"), "no-store")
  const events: Array<Event> = []
  let text = ""
  for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    const blocks = (text + chunk).split("\n\n")
    text = blocks.pop() ?? ""
    events.push(...blocks.map(parse))
    if (events.some(isLast)) {
      abort.abort()
      return events
    }
  }
  return undefined
}

const requestToken = Effect.gen(function* () {
  const fake = yield* FakeIms.FakeIms
  const [app = yield* fake.registerApp({ name: "Mine" })] = yield* fake.apps
  const { clientId } = app.credentials
  yield* get("/connect/token", {
    method: "POST",
    body: new URLSearchParams({
      grant_type: "client_credentials",
      client_id: clientId,
      client_secret: "fake-secret-+/="
    })
  })
})

const isAnswered = (number: number) => (event: Event) => event.data.number === number && event.data.status !== undefined

const entriesOf = (events: ReadonlyArray<Event> = []) =>
  events.filter(({ event }) => event === "entry").map(({ data }) => data.number)

describe("the journal as events", () => {
  it.live("begins with what the journal has, and goes on with each request as it is answered", () =>
    Effect.gen(function* () {
      yield* requestToken
      const base = yield* url
      const [events] = yield* Effect.all(
        [Effect.promise(() => readUntil(base, isAnswered(2))), Effect.delay(requestToken, "200 millis")],
        { concurrency: 2 }
      )
      assert.strictEqual(events?.[0]?.event, "start")
      assert.deepStrictEqual([...new Set(entriesOf(events))], [1, 2])
      assert.notInclude(JSON.stringify(events), "fake-secret")
    }).pipe(Effect.provide(served))
  )

  it.live("has a request that waits for its answer, and then the same request with its answer", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const base = yield* url
      yield* fake.script("GET /users/me", Fault.once(Fault.delay("400 millis")))
      const [events] = yield* Effect.all([Effect.promise(() => readUntil(base, isAnswered(1))), get("/users/me")], {
        concurrency: 2
      })
      const entries = events?.filter(({ event }) => event === "entry").map(({ data }) => [data.number, data.status])
      assert.deepStrictEqual(entries, [
        [1, undefined],
        [1, 401]
      ])
    }).pipe(Effect.provide(served))
  )

  it.live("continues after the event that a reader saw last, and misses and repeats nothing", () =>
    Effect.gen(function* () {
      const base = yield* url
      yield* requestToken
      yield* requestToken
      const first = yield* Effect.promise(() => readUntil(base, ({ event }) => event === "time"))
      assert.deepStrictEqual(entriesOf(first), [1, 2])
      yield* requestToken
      const headers = { "last-event-id": first?.at(-1)?.id ?? "" }
      assert.deepStrictEqual(entriesOf(yield* Effect.promise(() => readUntil(base, isAnswered(3), headers))), [3])
      const elsewhere = { "last-event-id": "another-process/2" }
      const all = yield* Effect.promise(() => readUntil(base, isAnswered(3), elsewhere))
      assert.deepStrictEqual(entriesOf(all), [1, 2, 3])
      const newest = yield* Effect.promise(() => readUntil(base, isAnswered(3), {}, "?limit=1"))
      assert.deepStrictEqual(entriesOf(newest), [3])
    }).pipe(Effect.provide(served))
  )

  it.live("says that the journal was cleared to a reader that saw entries of before", () =>
    Effect.gen(function* () {
      const base = yield* url
      yield* requestToken
      const first = yield* Effect.promise(() => readUntil(base, ({ event }) => event === "time"))
      yield* Effect.flatMap(FakeIms.FakeIms, (fake) => fake.clearJournal)
      yield* requestToken
      const headers = { "last-event-id": first?.at(-1)?.id ?? "" }
      const events = yield* Effect.promise(() => readUntil(base, isAnswered(1), headers))
      assert.deepStrictEqual(
        events?.map(({ event }) => event),
        ["start", "clear", "entry", "time"]
      )
    }).pipe(Effect.provide(served))
  )

  it.live("ends with the server, and does not keep the server from ending", () =>
    Effect.gen(function* () {
      const reading = yield* Effect.scoped(
        Effect.gen(function* () {
          const context = yield* Layer.build(served)
          const base = yield* Effect.provideContext(url, context)
          const reading = readUntil(base, () => false).catch(() => undefined)
          yield* Effect.sleep("100 millis")
          return reading
        })
      )
      assert.isUndefined(yield* Effect.promise(() => reading))
    })
  )

  it.live("has the fake's time, and a sign of life while nothing happens", () =>
    Effect.gen(function* () {
      const base = yield* url
      yield* call(base, "POST /__admin/clock", { json: { set: "2030-01-01T00:00:00Z" } })
      let times = 0
      const events = yield* Effect.promise(() =>
        readUntil(base, ({ event }) => {
          if (event === "time") times++
          return times >= 2
        })
      )
      assert.isAtLeast(events?.at(-1)?.data.now ?? 0, Date.UTC(2030, 0, 1))
    }).pipe(Effect.provide(served))
  )

  it.live("is refused to pages of other sites, and without the admin token", () =>
    Effect.gen(function* () {
      const base = yield* url
      const events = "GET /__admin/journal/events"
      const good = { authorization: "Bearer let-me-in" }
      assert.strictEqual((yield* call(base, events, { headers: { authorization: "Bearer let-me" } })).status, 401)
      const foreign = yield* call(base, events, { headers: { ...good, origin: "https://example.com" } })
      assert.strictEqual(foreign.status, 403)
      assert.isDefined(yield* Effect.promise(() => readUntil(base, ({ event }) => event === "time", good)))
    }).pipe(Effect.provide(guarded))
  )
})

const secretOf = (value: string) => Redacted.make(value)

/** Replaces what differs in each request. */
const comparable = (message: string): string => message.replaceAll(/correlation id [0-9a-f-]+/g, "correlation id …")

const received = (response: { readonly status: number; readonly headers: Headers; readonly text: string }) => ({
  status: response.status,
  headers: Object.fromEntries(response.headers),
  body: response.text
})

/** Asks for the message, and checks that it names a paragraph of docs/errors.md. */
const explained = Effect.fnUntraced(function* (json: object) {
  const { body, status } = yield* call(yield* url, "POST /__admin/explain", { json })
  assert.strictEqual(status, 200, JSON.stringify(body))
  return { ...body, message: comparable(body.message) }
})

const errors = readFileSync(fileURLToPath(new URL("../../../docs/errors.md", import.meta.url)), "utf8")

const paragraphs = [...errors.matchAll(/^#+ (.*)$/gm)].map(([, title = ""]) =>
  title
    .toLowerCase()
    .replaceAll(/[^\w\- ]/g, "")
    .replaceAll(" ", "-")
)

const paragraphOf = (message: string): string => / See docs\/errors\.md#([\w-]+)$/.exec(message)?.[1] ?? message

/** Returns the error of the library's own call, over the network. */
const failureOf = (credentials: ClientCredentials.ClientCredentials, scopes = "itwin-platform") =>
  Effect.gen(function* () {
    const fake = yield* FakeIms.FakeIms
    const error = yield* Users.me.pipe(
      Effect.flip,
      Effect.provide(
        ITwin.layerWith({ scopes: Scopes.make(scopes), replayFailures: false }).pipe(
          Layer.provide([SecretProvider.layerStatic(credentials), FetchHttpClient.layer])
        )
      )
    )
    // The layer reads the environment that the server provides.
    assert.isTrue(error.message.includes(fake.environment.apiBaseUrl))
    return { error: error._tag, reason: error.reason._tag, message: comparable(error.message) }
  })

describe("the message for a failure", () => {
  it.live("of the token endpoint is what the library says", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const { credentials } = yield* fake.registerApp({ name: "Mine" })
      const { clientId, clientSecret } = credentials
      const ask = (form: Record<string, string>) =>
        get("/connect/token", {
          method: "POST",
          body: new URLSearchParams({
            grant_type: "client_credentials",
            client_id: clientId,
            client_secret: Redacted.value(clientSecret),
            scope: "itwin-platform",
            ...form
          })
        })
      const wrong = new ClientCredentials.ClientCredentials({ clientId, clientSecret: secretOf("fake-secret-a+b/c=") })
      const rejected = received(yield* ask({ client_secret: "fake-secret-a+b/c=" }))
      const invalidClient = yield* explained({ from: "token", clientId, scopes: ["itwin-platform"], ...rejected })
      assert.deepStrictEqual(invalidClient, yield* failureOf(wrong))
      assert.strictEqual(invalidClient.reason, "InvalidClient")
      const refused = received(yield* ask({ scope: "itwins:modify" }))
      const invalidScope = yield* explained({ from: "token", clientId, scopes: ["itwins:modify"], ...refused })
      assert.deepStrictEqual(invalidScope, yield* failureOf(credentials, "itwins:modify"))
      for (const { message } of [invalidClient, invalidScope]) assert.include(paragraphs, paragraphOf(message))
    }).pipe(Effect.provide(served))
  )

  it.live("of the API is what the library says", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const { credentials } = yield* fake.registerApp({ name: "Mine", scopes: ["itwins:modify"], tokenLife: "1 hour" })
      const { clientId } = credentials
      const iat = Math.floor(Date.now() / 1000) - 7200
      for (const [scope, claims, reason] of [
        ["itwins:modify", {}, "Forbidden"],
        ["itwins:modify", { iat, nbf: iat, exp: iat + 3600 }, "Unauthorized"]
      ] as const) {
        const app = yield* fake.registerApp({
          name: "Mine",
          clientId,
          clientSecret: credentials.clientSecret,
          scopes: [scope],
          claims
        })
        const token = yield* fake.issueToken({ clientId, scopes: [scope] })
        const answer = received(
          yield* get("/users/me", { headers: { authorization: `Bearer ${Redacted.value(token.value)}` } })
        )
        const message = yield* explained({ from: "api", clientId, scopes: [scope], ...answer })
        assert.deepStrictEqual(message, yield* failureOf(app.credentials, scope))
        assert.strictEqual(message.reason, reason)
        assert.include(paragraphs, paragraphOf(message.message))
      }
    }).pipe(Effect.provide(served))
  )

  it.live("of a sign-in or a used code is what the library says", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const redirectUri = "http://127.0.0.1:1234/"
      const scopes = Scopes.make("openid itwin-platform")
      yield* fake.addUser({ email: "ada@example.com" })
      const { credentials } = yield* fake.registerApp({
        name: "Mine",
        type: "native",
        redirectUris: [redirectUri],
        scopes: Scopes.tokens(scopes)
      })
      const { clientId } = credentials
      const client = new ClientCredentials.PublicClient({ clientId })
      const asked = { clientId, scopes: Scopes.tokens(scopes) }

      const denied = yield* AuthorizationCode.start({ clientId, redirectUri, scopes })
      const back = yield* fake.signIn(Redacted.value(denied.url), { deny: true })
      const denial = yield* Effect.flip(AuthorizationCode.redeem(back.searchParams, denied.transaction, client))
      assert.deepStrictEqual(
        yield* explained({ ...asked, from: "authorize", status: 302, headers: { location: back.href }, body: "" }),
        { error: denial._tag, reason: denial.reason._tag, message: comparable(denial.message) }
      )
      assert.strictEqual(denial.reason._tag, "Denied")
      assert.include(paragraphs, paragraphOf(denial.message))

      const { transaction, url: start } = yield* AuthorizationCode.start({ clientId, redirectUri, scopes })
      const callback = yield* fake.signIn(Redacted.value(start))
      yield* AuthorizationCode.redeem(callback.searchParams, transaction, client)
      const twice = yield* Effect.flip(AuthorizationCode.redeem(callback.searchParams, transaction, client))
      const response = yield* get("/connect/token", {
        method: "POST",
        body: new URLSearchParams({
          grant_type: "authorization_code",
          client_id: clientId,
          code: callback.searchParams.get("code") ?? "",
          redirect_uri: redirectUri,
          code_verifier: Redacted.value(transaction.codeVerifier)
        })
      })
      const invalidGrant = yield* explained({
        ...asked,
        from: "token",
        grant: "authorization_code",
        ...received(response)
      })
      assert.deepStrictEqual(invalidGrant, {
        error: twice._tag,
        reason: "InvalidGrant",
        message: comparable(twice.message)
      })
      assert.include(paragraphs, paragraphOf(invalidGrant.message))

      const refresh = { ...asked, from: "token", grant: "refresh_token", ...received(response) }
      const refreshed = yield* Effect.flip(
        TokenRequest.exchange({
          credentials: client,
          scopes,
          grant: { _tag: "RefreshToken", refreshToken: secretOf("unknown") }
        })
      )
      assert.strictEqual((yield* explained(refresh)).message, comparable(refreshed.message))

      const body = JSON.stringify({ error: { code: "InsufficientPermissions", message: "No." } })
      const forbidden = yield* explained({ ...asked, from: "api", status: 403, headers: {}, body })
      assert.include(forbidden.message, "The owner of the token lacks a permission")
    }).pipe(Effect.provide(Layer.provideMerge(FetchHttpClient.layer, served)))
  )

  it.live("is empty for a success, and 404 for an app that the fake does not have", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const { clientId } = (yield* fake.registerApp({ name: "Mine" })).credentials
      const body = JSON.stringify({ user: { id: "1" } })
      const success = { from: "api", clientId, scopes: ["itwin-platform"], status: 200, headers: {}, body }
      assert.strictEqual((yield* explained(success)).error, "")
      const { status } = yield* call(yield* url, "POST /__admin/explain", {
        json: { ...success, clientId: "service-x" }
      })
      assert.strictEqual(status, 404)
    }).pipe(Effect.provide(served))
  )
})
