import { inspect } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import { Scopes, SecretProvider, SessionStore } from "@effect-itwin/core"
import { SignInRoutes } from "@effect-itwin/sign-in"
import { FakeIms, Fault } from "@effect-itwin/testing"
import { ConfigProvider, Effect, Exit, Fiber, Layer, Redacted } from "effect"
import { HttpClient } from "effect/http"
import { TestClock } from "effect/testing"
import { ada, bob, keys, makeBrowser, origin, otherKeys, Platform, replica, sessionCookie } from "./support.ts"

const makeApp = Effect.map(replica(), makeBrowser)

describe("the sign-in", () => {
  it.effect("gives the browser a session, and the handler the user and the user's client", () =>
    Effect.gen(function* () {
      const browser = yield* makeApp
      const begun = yield* browser.open("/sign-in?returnTo=/me?tab=1")
      assert.strictEqual(begun.status, 303)
      const url = new URL(begun.location ?? "")
      assert.strictEqual(`${url.origin}${url.pathname}`, "https://ims.bentley.com/connect/authorize")
      assert.strictEqual(url.searchParams.get("redirect_uri"), `${origin}/sign-in/callback`)
      assert.strictEqual(url.searchParams.get("code_challenge_method"), "S256")
      assert.strictEqual(url.searchParams.get("scope"), SignInRoutes.defaultScopes)
      assert.match(
        begun.setCookie.join(),
        /^__Host-itwin-sign-in-[\w-]{12}=[\w-]+; Max-Age=600; Path=\/; HttpOnly; Secure; SameSite=Lax$/
      )

      const callback = yield* (yield* FakeIms.FakeIms).signIn(url, { email: ada })
      const completed = yield* browser.open(callback.href)
      assert.strictEqual(completed.status, 303)
      assert.strictEqual(completed.location, `${origin}/me?tab=1`)
      assert.deepStrictEqual(browser.names(), [sessionCookie])
      assert.match(
        completed.setCookie.find((line) => line.startsWith(sessionCookie)) ?? "",
        /^__Host-itwin-session=[\w-]{43}; Max-Age=86400; Path=\/; HttpOnly; Secure; SameSite=Lax$/
      )

      const me = yield* browser.load("/me")
      assert.strictEqual(me.status, 200)
      assert.include(me.text, `"claimed":"${ada}"`)
      assert.include(me.text, `"displayName":"Ada Lovelace"`)
      assert.include(me.text, `"email":"${ada}"`)
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )

  it.effect("sets no cache, no referrer and a strict policy on every response", () =>
    Effect.gen(function* () {
      const browser = yield* makeApp
      const callback = yield* browser.callback()
      const answers = [
        yield* browser.open("/sign-in"),
        yield* browser.exchange("HEAD", "/sign-in", {}),
        yield* browser.open("/sign-in", { "sec-purpose": "prefetch" }),
        yield* browser.open("/sign-in", { "sec-fetch-dest": "iframe" }),
        yield* browser.open(callback.href),
        yield* browser.open(callback.href),
        yield* browser.post("/sign-out", {}),
        yield* browser.post("/sign-out")
      ]
      assert.deepStrictEqual(
        answers.map(({ status }) => status),
        [303, 204, 503, 403, 303, 400, 403, 303]
      )
      for (const { headers, text } of answers) {
        assert.strictEqual(headers["cache-control"], "no-store")
        assert.strictEqual(headers["referrer-policy"], "no-referrer")
        if (text !== "")
          assert.match(headers["content-security-policy"] ?? "", /^default-src 'none'; style-src 'sha256-/)
      }
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )

  it.effect("works in two windows at the same time, in any order", () =>
    Effect.gen(function* () {
      const browser = yield* makeApp
      const first = yield* browser.callback({ returnTo: "/first" })
      const second = yield* browser.callback({ returnTo: "/second" })
      assert.strictEqual(browser.pending().length, 2)
      assert.strictEqual((yield* browser.open(second.href)).location, `${origin}/second`)
      assert.strictEqual((yield* browser.open(first.href)).location, `${origin}/first`)
      assert.deepStrictEqual(browser.names(), [sessionCookie])
      assert.strictEqual((yield* browser.load("/me")).status, 200)
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )

  it.effect("keeps the four newest sign-ins in progress, in a header that servers accept", () =>
    Effect.gen(function* () {
      const browser = yield* makeApp
      const callbacks: Array<URL> = []
      for (let window = 0; window < 8; window++) {
        callbacks.push(yield* browser.callback({ returnTo: `/${"long/".repeat(100)}${window}` }))
        yield* TestClock.adjust("1 second")
      }
      assert.strictEqual(browser.pending().length, 4)
      // nginx accepts 8 KiB for one header.
      assert.isBelow(
        [...browser.jar].reduce((sum, [name, { value }]) => sum + name.length + value.length + 3, 0),
        7000
      )
      assert.deepStrictEqual(
        yield* Effect.forEach(callbacks, (callback) => Effect.map(browser.open(callback.href), ({ status }) => status)),
        [400, 400, 400, 400, 303, 303, 303, 303]
      )
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )

  it.effect("is not begun by HEAD, by a prefetch, or within another page", () =>
    Effect.gen(function* () {
      const browser = yield* makeApp
      const callback = yield* browser.callback()
      const before = browser.names()
      yield* browser.exchange("HEAD", "/sign-in", {})
      yield* browser.exchange("HEAD", callback.href, {})
      for (const headers of [
        { "sec-purpose": "prefetch" },
        { "sec-purpose": "prefetch;prerender" },
        { purpose: "prefetch" },
        { "sec-fetch-dest": "iframe" },
        { "sec-fetch-dest": "image" }
      ]) {
        yield* browser.open("/sign-in", headers)
        yield* browser.open(callback.href, headers)
      }
      assert.deepStrictEqual(browser.names(), before)
      yield* (yield* FakeIms.FakeIms).assertTokenRequests(0)
      assert.strictEqual((yield* browser.open(callback.href)).status, 303)
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )

  it.effect("uses the options", () =>
    Effect.gen(function* () {
      const browser = makeBrowser(yield* replica({ prompt: "login", baseUrl: "https://APP.example.com:443/" }))
      const { searchParams } = new URL(yield* browser.begin())
      assert.strictEqual(searchParams.get("prompt"), "login")
      assert.strictEqual(searchParams.get("redirect_uri"), `${origin}/sign-in/callback`)
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )

  it.effect.each([
    { baseUrl: "http://app.example.com" },
    { baseUrl: "https://app.example.com/path" },
    { postSignOutUrl: "/bye" }
  ])("dies with a RangeError when the options are %j", (options) =>
    Effect.gen(function* () {
      const exit = yield* Effect.exit(replica(options))
      const [reason] = Exit.isFailure(exit) ? exit.cause.reasons : []
      assert.isTrue(reason?._tag === "Die" && reason.defect instanceof RangeError)
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )
})

describe("SignInRoutes.keysConfig", () => {
  const read = (text?: string) =>
    Effect.exit(
      SignInRoutes.keysConfig.parse(ConfigProvider.fromUnknown(text === undefined ? {} : { ITWIN_SESSION_KEYS: text }))
    )
  const [one, two] = [Redacted.value(keys[0]), Redacted.value(otherKeys[0])]

  it.effect.each([one, `${one},${two}`, `${two}, ${one}`])("reads keys that are separated by commas", (text) =>
    Effect.gen(function* () {
      const exit = yield* read(text)
      assert.lengthOf(Exit.isSuccess(exit) ? exit.value : [], text.split(",").length)
    })
  )

  it.effect.each([undefined, "", "fake-secret-key+/=", `${one},`, `${one};${two}`])(
    "fails with a ConfigError that quotes no key: %s",
    (text) =>
      Effect.gen(function* () {
        const exit = yield* read(text)
        const [reason] = Exit.isFailure(exit) ? exit.cause.reasons : []
        assert.isTrue(reason?._tag === "Fail" && reason.error._tag === "ConfigError")
        assert.include(inspect(exit, { depth: 20 }), "ITWIN_SESSION_KEYS")
        assert.notMatch(inspect(exit, { depth: 20, showHidden: true }), /fake-secret-|c2lnbi1pbi/)
      })
  )
})

describe("the end of a sign-in in progress", () => {
  it.effect.each([
    ["9 minutes and 59 seconds", 9 * 60 + 59, 303],
    ["10 minutes", 600, 400]
  ] as const)("after %s is %d s: %d", ([_name, seconds, status]) =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      yield* fake.setProfile({ codeLifeSeconds: 600 })
      const browser = yield* makeApp
      const url = yield* browser.begin()
      const [[name = "", stored] = []] = browser.jar
      yield* TestClock.adjust(seconds * 1000)
      const callback = yield* fake.signIn(url, { email: ada })
      // Also if the browser does not drop the cookie.
      if (stored !== undefined) browser.jar.set(name, { ...stored, until: Number.POSITIVE_INFINITY })
      assert.strictEqual((yield* browser.open(callback.href)).status, status)
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )
})

describe("a session", () => {
  it.effect("lasts 24 hours, with renewed tokens, and then sends the person to the sign-in", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const browser = yield* makeApp
      yield* browser.signIn()
      for (let hour = 0; hour < 23; hour++) {
        yield* TestClock.adjust("1 hour")
        assert.strictEqual((yield* browser.load("/me")).status, 200)
      }
      const [[, stored] = []] = browser.jar
      yield* TestClock.adjust("1 hour")
      assert.strictEqual((yield* browser.load("/me")).status, 401)
      assert.isUndefined(browser.session())
      // Also if the browser does not drop the cookie.
      if (stored !== undefined) browser.jar.set(sessionCookie, { ...stored, until: Number.POSITIVE_INFINITY })
      const answer = yield* browser.open("/me")
      assert.strictEqual(answer.location, "/sign-in?returnTo=%2Fme")
      assert.isAbove((yield* fake.tokenRequests).length, 20)
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )

  it.effect("lasts as long as its access token when there is no refresh token", () =>
    Effect.gen(function* () {
      const browser = makeBrowser(yield* replica({ scopes: Scopes.make("openid itwin-platform") }))
      const { setCookie } = yield* browser.signIn()
      assert.match(setCookie.join(), /__Host-itwin-session=[\w-]{43}; Max-Age=3600;/)
      assert.strictEqual((yield* browser.load("/me")).status, 200)
      yield* TestClock.adjust("61 minutes")
      assert.strictEqual((yield* browser.load("/me")).status, 401)
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )

  it.effect("has a new id at each sign-in, and the id before is not valid any more", () =>
    Effect.gen(function* () {
      const browser = yield* makeApp
      yield* browser.signIn()
      const first = browser.session()
      yield* browser.signIn({ email: bob })
      const second = browser.session()
      assert.notStrictEqual(first, second)
      assert.include((yield* browser.load("/me")).text, bob)
      const { status } = yield* browser.load("/me", { cookie: `${sessionCookie}=${first}` })
      assert.strictEqual(status, 401)
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )

  it.effect("does not take the id that somebody else put into the browser", () =>
    Effect.gen(function* () {
      const browser = yield* makeApp
      const planted = "A".repeat(43)
      browser.jar.set(sessionCookie, { value: planted, until: Number.POSITIVE_INFINITY })
      yield* browser.signIn()
      assert.notStrictEqual(browser.session(), planted)
      assert.strictEqual((yield* browser.load("/me", { cookie: `${sessionCookie}=${planted}` })).status, 401)
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )

  it.effect("is used by every replica, and ends on every replica with the sign-out", () =>
    Effect.gen(function* () {
      const here = makeBrowser(yield* replica())
      const there = makeBrowser(yield* replica())
      // Begun on one replica, completed on the other one.
      const callback = yield* here.callback()
      for (const [name, cookie] of here.jar) there.jar.set(name, cookie)
      yield* there.open(callback.href)
      const cookie = `${sessionCookie}=${there.session()}`
      for (let time = 0; time < 2; time++) {
        assert.strictEqual((yield* here.load("/me", { cookie })).status, 200)
        assert.strictEqual((yield* there.load("/me", { cookie })).status, 200)
        yield* TestClock.adjust("50 minutes")
      }
      assert.strictEqual((yield* there.post("/sign-out")).status, 303)
      assert.strictEqual((yield* here.load("/me", { cookie })).status, 401)
      assert.strictEqual((yield* there.load("/me", { cookie })).status, 401)
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )

  it.effect("ends when the user is removed at IMS, at the next renewal", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const browser = yield* makeApp
      yield* browser.signIn()
      yield* fake.revokeSignIns(ada)
      yield* TestClock.adjust("61 minutes")
      const answer = yield* browser.open("/me?a=b")
      assert.strictEqual(answer.status, 303)
      assert.strictEqual(answer.location, "/sign-in?returnTo=%2Fme%3Fa%3Db")
      assert.isUndefined(browser.session())
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )
})

describe("the sign-out", () => {
  it.effect("ends the session here, revokes the refresh token, and sends the browser to IMS", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const browser = yield* makeApp
      yield* browser.signIn()
      const cookie = `${sessionCookie}=${browser.session()}`
      const { location = "", setCookie, status } = yield* browser.post("/sign-out")
      assert.strictEqual(status, 303)
      const url = new URL(location)
      assert.strictEqual(`${url.origin}${url.pathname}`, "https://ims.bentley.com/connect/endsession")
      assert.strictEqual(url.searchParams.get("post_logout_redirect_uri"), `${origin}/`)
      assert.match(url.searchParams.get("id_token_hint") ?? "", /^[\w-]+\.[\w-]+\.[\w-]+$/)
      assert.isTrue(setCookie.some((line) => line.startsWith(`${sessionCookie}=; Max-Age=0`)))
      assert.strictEqual(yield* fake.countRequests("POST /connect/revocation"), 1)
      assert.strictEqual((yield* browser.load("/me", { cookie })).status, 401)
      // The fake accepts the hint, and sends the browser back.
      assert.strictEqual((yield* HttpClient.get(url)).headers.location, `${origin}/`)
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )

  it.effect("ends the session when IMS is down", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const browser = yield* makeApp
      yield* browser.signIn()
      const cookie = `${sessionCookie}=${browser.session()}`
      yield* fake.script("POST /connect/revocation", Fault.always(Fault.html(503, "Maintenance")))
      const fiber = yield* Effect.forkChild(browser.post("/sign-out"))
      yield* fake.awaitRequest("POST /connect/revocation")
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* Fiber.join(fiber)).status, 303)
      assert.strictEqual((yield* browser.load("/me", { cookie })).status, 401)
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )

  it.effect("goes to the page after the sign-out when nobody is signed in", () =>
    Effect.gen(function* () {
      const browser = yield* makeApp
      assert.strictEqual((yield* browser.post("/sign-out")).location, `${origin}/`)
      yield* browser.signIn()
      const cookie = `${sessionCookie}=${browser.session()}`
      yield* browser.post("/sign-out")
      assert.strictEqual(
        (yield* browser.post("/sign-out", { "sec-fetch-site": "same-origin", cookie })).location,
        `${origin}/`
      )
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )

  it.effect("goes to the address that the options name", () =>
    Effect.gen(function* () {
      const browser = makeBrowser(yield* replica({ postSignOutUrl: "https://www.example.com/bye" }))
      assert.strictEqual((yield* browser.post("/sign-out")).location, "https://www.example.com/bye")
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )
})

describe("a failure", () => {
  it.effect("says that the person declined, with a link that returns to the same page", () =>
    Effect.gen(function* () {
      const browser = yield* makeApp
      const callback = yield* browser.callback({ returnTo: "/me?a=b", deny: true })
      const { status, text } = yield* browser.open(callback.href)
      assert.strictEqual(status, 403)
      assert.include(text, "<h1>You did not sign in</h1>")
      assert.include(text, 'href="/sign-in?returnTo=%2Fme%3Fa%3Db"')
      assert.include(text, "Reason: SignInError/Denied")
      assert.deepStrictEqual(browser.names(), [])
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )

  const token = "POST /connect/token"
  it.effect.each([
    ["IMS is down", Fault.html(503, "Maintenance"), 503, "TokenError/ServerError", "1"],
    ["IMS limits the rate", Fault.rateLimit(30), 503, "TokenError/RateLimited", "30"],
    ["IMS does not answer", Fault.hang, 503, "TokenError/Timeout", "1"],
    [
      "the secret is wrong",
      Fault.respond({ status: 401, body: { error: "invalid_client" } }),
      500,
      "TokenError/InvalidClient",
      undefined
    ],
    [
      "the code has expired",
      Fault.respond({ status: 400, body: { error: "invalid_grant" } }),
      400,
      "TokenError/InvalidGrant",
      undefined
    ],
    ["a proxy answers for IMS", Fault.html(200, "Hi"), 502, "TokenError/InvalidResponse", undefined]
  ] as const)("has its status and no text of the server when %s", ([_name, fault, status, reason, retryAfter]) =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const browser = yield* makeApp
      const callback = yield* browser.callback()
      yield* fake.script(token, Fault.always(fault))
      const fiber = yield* Effect.forkChild(browser.open(callback.href))
      // WebCrypto does not wait for the clock. From here on nothing uses it.
      yield* fake.awaitRequest(token)
      for (let second = 0; second < 40; second++) yield* TestClock.adjust("1 second")
      const answer = yield* Fiber.join(fiber)
      assert.strictEqual(answer.status, status)
      assert.include(answer.text, `Reason: ${reason}`)
      assert.strictEqual(answer.headers["retry-after"], retryAfter)
      assert.notMatch(answer.text, /Maintenance|Hi<|fake-secret|Invalid client/)
      assert.deepStrictEqual(browser.names(), [])
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )

  it.effect.each([
    ["invalid_scope", 500],
    ["unauthorized_client", 500],
    ["temporarily_unavailable", 503],
    ["login_required", 502],
    ["of_nobody", 502]
  ] as const)("is a page with the reason, and without the text of IMS, when IMS returns %s", ([code, expected]) =>
    Effect.gen(function* () {
      const browser = yield* makeApp
      const callback = yield* browser.callback()
      callback.searchParams.delete("code")
      callback.searchParams.set("error", code)
      callback.searchParams.set("error_description", "<script>alert(1)</script>")
      const { status, text } = yield* browser.open(callback.href)
      assert.strictEqual(status, expected)
      assert.strictEqual(text.includes("signing in again does not help"), expected === 500)
      assert.include(text, "Reason: SignInError/Refused")
      assert.notInclude(text, "alert")
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )

  it.effect("of the store is 503, and the session and the cookie stay", () =>
    Effect.gen(function* () {
      const backend = yield* SessionStore.makeMemory
      let isDown = false
      const error = new SessionStore.SessionStoreError({ store: "Test", kind: "unavailable", detail: "is down" })
      const guard = <A>(step: Effect.Effect<A, SessionStore.SessionStoreError>) =>
        Effect.suspend(() => (isDown ? Effect.fail(error) : step))
      const store = SessionStore.make({
        ...backend,
        get: (name) => guard(backend.get(name)),
        set: (name, text, options) => guard(backend.set(name, text, options)),
        remove: (name) => guard(backend.remove(name))
      })
      yield* Effect.gen(function* () {
        const browser = yield* makeApp
        yield* browser.signIn()
        const callback = yield* browser.callback()
        const session = browser.session()
        isDown = true
        for (const answer of [
          yield* browser.load("/me"),
          yield* browser.open("/me"),
          yield* browser.open("/maybe"),
          yield* browser.post("/sign-out"),
          yield* browser.open(callback.href)
        ]) {
          assert.strictEqual(answer.status, 503)
          assert.strictEqual(answer.headers["retry-after"], "1")
          assert.notInclude(answer.text, "is down")
        }
        // The person is still signed in.
        const page = yield* browser.open("/me")
        assert.include(page.text, "<h1>This page is temporarily unavailable</h1>")
        assert.include(page.text, 'href="/me"')
        assert.include(page.text, "Reason: TokenError/SessionUnavailable")
        assert.strictEqual(browser.session(), session)
        isDown = false
        assert.strictEqual((yield* browser.load("/me")).status, 200)
      }).pipe(Effect.provideService(SessionStore.SessionStore, store))
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )

  it.effect("leaves the session that the browser has", () =>
    Effect.gen(function* () {
      const browser = yield* makeApp
      const used = yield* browser.callback()
      yield* browser.open(used.href)
      const session = browser.session()
      const denied = yield* browser.callback({ deny: true })
      for (const href of [
        used.href,
        denied.href,
        `${origin}/sign-in/callback`,
        `${origin}/sign-in/callback?error=access_denied`
      ]) {
        yield* browser.open(href)
        assert.strictEqual(browser.session(), session)
        assert.strictEqual((yield* browser.load("/me")).status, 200)
      }
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )
})

describe("the secret of the app", () => {
  it.effect("is not read for each sign-in that somebody begins", () =>
    Effect.gen(function* () {
      const provider = yield* SecretProvider.SecretProvider
      let reads = 0
      const counted = Layer.succeed(SecretProvider.SecretProvider, {
        credentials: Effect.tap(provider.credentials, () =>
          Effect.sync(() => {
            reads++
          })
        )
      })
      yield* Effect.gen(function* () {
        const browser = yield* makeApp
        for (let time = 0; time < 20; time++) yield* browser.begin()
        assert.strictEqual(reads, 1)
        yield* TestClock.adjust("61 seconds")
        yield* browser.begin()
        assert.strictEqual(reads, 2)
      }).pipe(Effect.provide(counted))
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )
})
