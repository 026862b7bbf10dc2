import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { FakeIms, FakeImsServer, Fault } from "@effect-itwin/testing"
import { Effect } from "effect"
import { freePort, makeBrowser, variablesOf } from "./browser.ts"
import { start } from "./spawn.ts"

const main = fileURLToPath(new URL("../web-app/main.ts", import.meta.url))
const ada = "ada@example.com"

/** The example as a process, an app of the fake with one user, and a browser. */
const startApp = Effect.gen(function* () {
  const fake = yield* FakeIms.FakeIms
  yield* fake.addUser({ email: ada, givenName: "Ada", surname: "Lovelace", organizationName: "<b>Engines & Co</b>" })
  const port = yield* freePort
  const baseUrl = `http://localhost:${port}`
  const { credentials } = yield* fake.registerApp({
    name: "Web app",
    type: "web",
    redirectUris: [`${baseUrl}/sign-in/callback`],
    postLogoutRedirectUris: [`${baseUrl}/`]
  })
  const { url } = yield* start([main], {
    ...variablesOf(fake.environment, credentials),
    PORT: String(port),
    BASE_URL: baseUrl
  })
  return { fake, baseUrl, browser: makeBrowser(url) }
})

describe("examples/web-app", () => {
  it.live("signs a person in, shows the profile, and signs out, over sockets", () =>
    Effect.gen(function* () {
      const { baseUrl, browser, fake } = yield* startApp
      const welcome = yield* browser.open("/")
      assert.strictEqual(welcome.status, 200)
      assert.include(welcome.text, '<a class="button" href="/sign-in?returnTo=/me">Sign in</a>')
      assert.include(
        welcome.headers["content-security-policy"],
        `form-action 'self' ${new URL(fake.environment.tokenEndpoint).origin}`
      )

      // A page for users leads to the sign-in, and back.
      const redirected = yield* browser.open("/me")
      assert.strictEqual(redirected.location, "/sign-in?returnTo=%2Fme")
      const begun = yield* browser.open(redirected.location)
      const callback = yield* fake.signIn(begun.location, { email: ada })
      assert.strictEqual(callback.origin, baseUrl)
      const completed = yield* browser.open(`${callback.pathname}${callback.search}`)
      assert.strictEqual(completed.location, `${baseUrl}/me`)
      assert.deepStrictEqual([...browser.jar.keys()], ["__Host-itwin-session"])

      const profile = yield* browser.open("/me")
      assert.strictEqual(profile.status, 200)
      assert.include(profile.text, "<dd>Ada Lovelace</dd>")
      assert.include(profile.text, `<dd>${ada}</dd>`)
      assert.include(profile.text, "&#60;b&#62;Engines &#38; Co&#60;/b&#62;")
      assert.strictEqual(profile.headers["cache-control"], "no-store")
      assert.include((yield* browser.open("/")).text, "Welcome back, Ada")

      const signedOut = yield* browser.submit("/sign-out")
      assert.strictEqual(signedOut.status, 303)
      assert.strictEqual(new URL(signedOut.location).pathname, "/connect/endsession")
      assert.strictEqual((yield* browser.open(signedOut.location)).location, `${baseUrl}/`)
      assert.strictEqual(browser.jar.size, 0)
      assert.strictEqual((yield* browser.load("/me")).status, 401)
    }).pipe(Effect.scoped, Effect.provide(FakeImsServer.layer()))
  )

  it.live("shows a page when the person declines, when the API is down, and when the session ends", () =>
    Effect.gen(function* () {
      const { browser, fake } = yield* startApp
      const begin = Effect.map(browser.open("/sign-in?returnTo=/me"), ({ location }) => location)
      const denied = yield* fake.signIn(yield* begin, { email: ada, deny: true })
      const page = yield* browser.open(`${denied.pathname}${denied.search}`)
      assert.strictEqual(page.status, 403)
      assert.include(page.text, "You did not sign in")

      const callback = yield* fake.signIn(yield* begin, { email: ada })
      yield* browser.open(`${callback.pathname}${callback.search}`)
      yield* fake.script("GET /users/me", Fault.once(Fault.html(503, "Maintenance")))
      const unavailable = yield* browser.open("/me")
      assert.strictEqual(unavailable.status, 503)
      assert.include(unavailable.text, "You are still signed in.")
      assert.strictEqual((yield* browser.open("/me")).status, 200)

      // The id of a session that has ended, or never was.
      browser.jar.set("__Host-itwin-session", "A".repeat(43))
      const ended = yield* browser.open("/me")
      assert.strictEqual(ended.location, "/sign-in?returnTo=%2Fme")
      assert.strictEqual(browser.jar.size, 0)
    }).pipe(Effect.scoped, Effect.provide(FakeImsServer.layer()))
  )
})

describe("docs/web-app.md", () => {
  it("shows server.ts as it is", () => {
    const guide = readFileSync(new URL("../../docs/web-app.md", import.meta.url), "utf8")
    assert.include(guide, readFileSync(new URL("../web-app/server.ts", import.meta.url), "utf8"))
  })
})
