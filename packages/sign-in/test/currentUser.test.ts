import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { ITwinHttpClient, SessionStore, TokenError, Users, UserTokens } from "@effect-itwin/core"
import { CurrentUser, SignInRoutes } from "@effect-itwin/sign-in"
import { FakeIms, Fault } from "@effect-itwin/testing"
import { Effect, Fiber, Layer, Queue } from "effect"
import { type HttpClient, HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { ada, form, keys, makeBrowser, navigate, origin, Platform, replica, script, sessionCookie } from "./support.ts"

const makeApp = Effect.map(replica(), makeBrowser)

/** The routes of a test next to those of the sign-in. */
const appOf = (
  routes: Layer.Layer<
    never,
    never,
    HttpRouter.HttpRouter | UserTokens.UserTokens | HttpClient.HttpClient | HttpRouter.Request<"Error", unknown>
  >
) =>
  Effect.map(
    HttpRouter.toHttpEffect(
      Layer.merge(SignInRoutes.layer({ baseUrl: origin, keys }), routes).pipe(Layer.provide(UserTokens.layer))
    ),
    (handler) =>
      makeBrowser((request) =>
        Effect.provideService(
          handler,
          HttpServerRequest.HttpServerRequest,
          HttpServerRequest.fromClientRequest(request)
        )
      )
  )

describe("CurrentUser.layer without a session", () => {
  it.effect("sends a person who opens a page to the sign-in, which returns to the page", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const browser = yield* makeApp
      const { headers, location = "", status } = yield* browser.open("/me?a=b&c=%2Fd")
      assert.strictEqual(status, 303)
      assert.strictEqual(headers["cache-control"], "no-store")
      assert.strictEqual(location, "/sign-in?returnTo=%2Fme%3Fa%3Db%26c%3D%252Fd")
      const begun = yield* browser.open(location)
      const callback = yield* fake.signIn(begun.location ?? "", { email: ada })
      assert.strictEqual((yield* browser.open(callback.href)).location, `${origin}/me?a=b&c=%2Fd`)
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )

  it.effect("sends a person to the sign-in in a browser without Fetch Metadata", () =>
    Effect.gen(function* () {
      const browser = yield* makeApp
      const answer = yield* browser.exchange("GET", "/me", { accept: "text/html,*/*" })
      assert.strictEqual(answer.location, "/sign-in?returnTo=%2Fme")
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )

  it.effect.each<readonly [string, "GET" | "POST" | "HEAD", Record<string, string>]>([
    ["a script", "GET", script],
    ["a script that accepts HTML", "GET", { ...script, accept: "text/html" }],
    ["a program that accepts anything", "GET", { accept: "*/*" }],
    ["a program that says nothing", "GET", {}],
    ["a form", "POST", form],
    ["HEAD", "HEAD", navigate],
    ["a frame", "GET", { ...navigate, "sec-fetch-dest": "iframe" }],
    ["a prefetch", "GET", { ...navigate, "sec-purpose": "prefetch" }]
  ])("returns 401 with a problem to %s", ([_name, method, headers]) =>
    Effect.gen(function* () {
      const browser = yield* makeApp
      const answer = yield* browser.exchange(method, "/act", headers)
      assert.strictEqual(answer.status, 401)
      assert.strictEqual(answer.headers["content-type"], "application/problem+json")
      assert.strictEqual(answer.headers["cache-control"], "no-store")
      assert.deepStrictEqual(JSON.parse(answer.text), {
        type: "about:blank",
        status: 401,
        title: "Nobody is signed in.",
        signIn: "/sign-in"
      })
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )

  it.effect("returns to the address of the browser when the routes have a prefix", () =>
    Effect.gen(function* () {
      const routes = HttpRouter.use((router) =>
        router.prefixed("/app").add("GET", "/page", HttpServerResponse.text("page"))
      ).pipe(Layer.provide(CurrentUser.layer))
      const browser = yield* appOf(routes)
      assert.strictEqual((yield* browser.open("/app/page?a=b")).location, "/sign-in?returnTo=%2Fapp%2Fpage%3Fa%3Db")
      yield* browser.signIn()
      assert.strictEqual((yield* browser.open("/app/page")).text, "page")
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )

  it.effect("returns to the start page when the address is too long", () =>
    Effect.gen(function* () {
      const browser = yield* makeApp
      const { location } = yield* browser.open(`/me?a=${"b".repeat(5000)}`)
      assert.strictEqual(location, "/sign-in?returnTo=%2F")
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )
})

describe("CurrentUser.layer with a session", () => {
  it.effect("keeps responses out of caches, unless the handler says otherwise", () =>
    Effect.gen(function* () {
      const browser = yield* makeApp
      yield* browser.signIn()
      assert.strictEqual((yield* browser.load("/me")).headers["cache-control"], "no-store")
      assert.strictEqual((yield* browser.load("/maybe")).headers["cache-control"], "no-store")
      assert.strictEqual((yield* browser.load("/cached")).headers["cache-control"], "max-age=60")
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )

  it.effect("gives each request the client of its user", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      yield* fake.addUser({ email: "eve@example.com" })
      const send = yield* replica()
      const [one, two] = [makeBrowser(send), makeBrowser(send)]
      yield* one.signIn()
      yield* two.signIn({ email: "eve@example.com" })
      const answers = yield* Effect.all(
        Array.from({ length: 10 }, (_, index) => (index % 2 === 0 ? one : two).load("/me")),
        { concurrency: "unbounded" }
      )
      answers.forEach(({ text }, index) => {
        assert.include(text, `"email":"${index % 2 === 0 ? ada : "eve@example.com"}"`)
      })
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )

  it.effect("tells the handler the claims, the scopes and the end of the session", () =>
    Effect.gen(function* () {
      const routes = HttpRouter.add(
        "GET",
        "/session",
        Effect.gen(function* () {
          const user = yield* CurrentUser.CurrentUser
          const client = yield* ITwinHttpClient.ITwinHttpClient
          assert.strictEqual(client, user.client)
          const token = yield* user.tokens.get()
          return HttpServerResponse.jsonUnsafe({
            name: user.user?.name,
            expiresAt: user.expiresAt.epochMilliseconds,
            scopes: user.scopes,
            clientId: token.clientId === user.clientId
          })
        })
      ).pipe(Layer.provide(CurrentUser.layerWith({ retry: {} })))
      const browser = yield* appOf(routes)
      yield* browser.signIn()
      assert.deepStrictEqual(JSON.parse((yield* browser.load("/session")).text), {
        name: "Ada Lovelace",
        expiresAt: 24 * 60 * 60 * 1000,
        scopes: SignInRoutes.defaultScopes,
        clientId: true
      })
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )

  it.effect("uses the options of the client", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const routes = HttpRouter.add(
        "GET",
        "/me",
        Effect.map(Users.me, ({ email = "" }) => HttpServerResponse.text(email))
      ).pipe(Layer.provide(CurrentUser.layerWith({ retry: { baseDelay: 0 } })))
      const browser = yield* appOf(routes)
      yield* browser.signIn()
      yield* fake.script("GET /users/me", Fault.once(Fault.html(503, "Maintenance")))
      assert.strictEqual((yield* browser.load("/me")).text, ada)
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )

  it.effect("asks to sign in when the session has ended, and removes its cookie from a navigation", () =>
    Effect.gen(function* () {
      const store = yield* SessionStore.SessionStore
      const browser = yield* makeApp
      yield* browser.signIn()
      const id = SessionStore.parseId(browser.session() ?? "")
      const cookie = `${sessionCookie}=${browser.session()}`
      yield* Effect.flatMap(Effect.fromOption(id), store.remove)
      for (const [answer, status] of [
        [yield* browser.open("/me", { cookie }), 303],
        [yield* browser.open("/maybe", { cookie }), 200]
      ] as const) {
        assert.strictEqual(answer.status, status)
        assert.deepStrictEqual(answer.setCookie, [
          `${sessionCookie}=; Max-Age=0; Path=/; HttpOnly; Secure; SameSite=Lax`
        ])
      }
      // Its answer may arrive after a new sign-in.
      for (const [path, status] of [
        ["/me", 401],
        ["/maybe", 200]
      ] as const) {
        const answer = yield* browser.load(path, { cookie })
        assert.strictEqual(answer.status, status)
        assert.deepStrictEqual(answer.setCookie, [])
      }
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )

  it.effect("asks to sign in when IMS ended the sign-in, which an API tells first", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const browser = yield* makeApp
      yield* browser.signIn()
      yield* TestClock.adjust("30 seconds")
      yield* fake.revokeSignIns(ada)
      assert.strictEqual((yield* browser.open("/me")).location, "/sign-in?returnTo=%2Fme")
      assert.isUndefined(browser.session())
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )

  it.effect("lets a fiber that outlives the request call the platform until the user signs out", () =>
    Effect.gen(function* () {
      const jobs = yield* Queue.unbounded<Fiber.Fiber<string, unknown>>()
      const start = Effect.gen(function* () {
        const job = Effect.andThen(
          Effect.sleep("2 hours"),
          Effect.map(Users.me, ({ email }) => `${email}`)
        )
        yield* Queue.offer(jobs, yield* Effect.forkDetach(job))
        return HttpServerResponse.empty()
      })
      const routes = HttpRouter.add("GET", "/start", start).pipe(Layer.provide(CurrentUser.layer))
      const browser = yield* appOf(routes)
      yield* browser.signIn()
      yield* browser.load("/start")
      // The token of the sign-in has expired.
      yield* TestClock.adjust("2 hours")
      assert.strictEqual(yield* Fiber.join(yield* Queue.take(jobs)), ada)

      yield* browser.load("/start")
      yield* browser.post("/sign-out")
      yield* TestClock.adjust("2 hours")
      const error = yield* Effect.flip(Fiber.join(yield* Queue.take(jobs)))
      assert.isTrue(TokenError.isTokenError(error) && error.reason._tag === "SignedOut")
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )

  it.effect("answers other failures of the handler as the router does", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const routes = HttpRouter.add(
        "GET",
        "/me",
        Users.me.pipe(
          Effect.map(({ email = "" }) => HttpServerResponse.text(email)),
          Effect.catchTag("ITwinApiError", ({ reason }) => Effect.succeed(HttpServerResponse.text(reason._tag)))
        )
      ).pipe(Layer.provide(CurrentUser.layer))
      const browser = yield* appOf(routes)
      yield* browser.signIn()
      yield* fake.script("GET /users/me", Fault.once(Fault.html(503, "Maintenance")))
      assert.strictEqual((yield* browser.load("/me")).text, "Unavailable")
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )
})

describe("CurrentUser.layerOptional", () => {
  it.effect("gives the user if there is one", () =>
    Effect.gen(function* () {
      const browser = yield* makeApp
      assert.strictEqual((yield* browser.open("/maybe")).text, "nobody")
      yield* browser.signIn()
      assert.strictEqual((yield* browser.open("/maybe")).text, ada)
      yield* browser.post("/sign-out")
      assert.strictEqual((yield* browser.open("/maybe")).text, "nobody")
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )
})

describe("the types", () => {
  type Needs<L extends Layer.Any> = HttpRouter.Request.Only<"Requires", Layer.Services<L>>

  it("ask for the middleware that gives a handler its user", () => {
    const unguarded = HttpRouter.add(
      "GET",
      "/",
      Effect.map(CurrentUser.CurrentUser, ({ key }) => HttpServerResponse.text(key))
    )
    const guarded = Layer.provide(unguarded, CurrentUser.layer)
    const optional = Layer.provide(unguarded, CurrentUser.layerOptional)
    expectTypeOf<Needs<typeof unguarded>>().toEqualTypeOf<CurrentUser.CurrentUser>()
    expectTypeOf<Needs<typeof guarded>>().toEqualTypeOf<never>()
    expectTypeOf<Needs<typeof optional>>().toEqualTypeOf<CurrentUser.CurrentUser>()
  })
})
