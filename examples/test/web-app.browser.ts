// examples/web-app in Chromium: a person signs in, denies, signs out, comes back after the session has ended, uses two
// tabs and the keyboard. What the browser stores and sends is looked at.

import { Fault } from "@effect-itwin/testing"
import { ConfigProvider, Layer } from "effect"
import type { Page } from "playwright-core"
import { assert, beforeEach, describe, it } from "vitest"
import { launch } from "../../scripts/browser/chromium.ts"
import { Server } from "../web-app/server.ts"
import { freePort, variablesOf } from "./browser.ts"
import { ada, check, signInAt, textOf, useChromium } from "./chromium.ts"

const { open, profile, serve, tab, world } = useChromium()

let app: string

beforeEach(async () => {
  const { build, fake, run } = world()
  const port = await run(freePort)
  app = `http://localhost:${port}`
  const { credentials } = await run(
    fake.registerApp({
      name: "Web app",
      type: "web",
      redirectUris: [`${app}/sign-in/callback`],
      postLogoutRedirectUris: [`${app}/`]
    })
  )
  const env = { ...variablesOf(fake.environment, credentials), PORT: String(port), BASE_URL: app }
  await build(Server.pipe(Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnv({ env })))))
})

const signIn = async (page: Page): Promise<void> => {
  await page.click("a >> text=Sign in")
  await signInAt(page)
  await page.waitForURL(`${app}/me`)
}

const signOut = async (page: Page): Promise<void> => {
  await page.click("button >> text=Sign out")
  await page.waitForURL(`${app}/`)
}

/** Returns the names of the cookies that the browser has for the app. */
const cookieNames = async (page: Page): Promise<ReadonlyArray<string>> =>
  (await page.context().cookies(app)).map(({ name }) => name)

const countOf = (route: string): Promise<number> => world().run(world().fake.countRequests(route))

describe("a sign-in", () => {
  it("leads a stranger over the pages of IMS to the page that was asked for", async () => {
    const page = await tab(`${app}/`)
    await check(page, "app signed out")
    await page.click("a.button")
    await page.waitForURL(`${world().ims}/connect/authorize?**`)
    await check(page, "fake sign-in")
    await page.click(`button[value="${ada}"]`)
    await page.waitForSelector("button[value=allow]")
    await check(page, "fake consent")
    await page.click("button[value=allow]")
    await page.waitForURL(`${app}/me`)
    for (const text of ["Ada Lovelace", ada, "Engines & Co", "Sign out"]) assert.include(await textOf(page), text)
    await check(page, "app signed in")
    await page.click("text=iTwin example")
    await page.waitForURL(`${app}/`)
    assert.include(await textOf(page), "Welcome back, Ada")
    await check(page, "app welcome back")
  })

  it("needs no page of IMS when the person is signed in there and has consented", async () => {
    const context = await profile()
    await signIn(await tab(`${app}/`, context))
    await context.clearCookies({ name: "__Host-itwin-session" })
    const page = await tab(`${app}/me`, context)
    assert.strictEqual(page.url(), `${app}/me`)
    assert.include(await textOf(page), "Ada Lovelace")
    assert.strictEqual(await countOf("POST /connect/authorize/sign-in"), 2, "the forms of the first sign-in only")
  })

  it("shows a page when the person denies, from where it can begin again", async () => {
    const page = await tab(`${app}/me`)
    await signInAt(page, "deny")
    await page.waitForSelector("text=You did not sign in")
    assert.include(await textOf(page), "SignInError/Denied")
    assert.deepStrictEqual(await cookieNames(page), [])
    await check(page, "app denied")

    await page.click("a >> text=Go to the start page")
    await page.waitForURL(`${app}/`)
    await page.goBack()
    // Nothing of the callback is stored, so the browser sends it again, and its sign-in no longer exists.
    await page.waitForSelector("text=This sign-in has expired")
    await check(page, "app expired")
    await page.goForward()
    await page.waitForURL(`${app}/`)
    await signIn(page)
  })

  it("is completed in both tabs when two begin at the same time", async () => {
    const context = await profile()
    const first = await tab(`${app}/me?tab=1`, context)
    const second = await tab(`${app}/me?tab=2`, context)
    assert.strictEqual((await cookieNames(first)).length, 2)
    await signInAt(first)
    await first.waitForURL(`${app}/me?tab=1`)
    const [before] = await context.cookies(app)
    await signInAt(second)
    await second.waitForURL(`${app}/me?tab=2`)
    await first.reload()
    for (const page of [first, second]) assert.include(await textOf(page), "Ada Lovelace")
    const cookies = await context.cookies(app)
    assert.deepStrictEqual(
      cookies.map(({ name }) => name),
      ["__Host-itwin-session"]
    )
    assert.notStrictEqual(cookies[0]?.value, before?.value)
  })

  it("works with the keyboard only, with a visible focus", async () => {
    const page = await tab(`${app}/`)
    /** Presses Tab until the element has the focus. */
    const reach = async (selector: string): Promise<void> => {
      for (let count = 0; count < 12; count++) {
        await page.keyboard.press("Tab")
        assert.strictEqual(await page.evaluate("getComputedStyle(document.activeElement).outlineStyle"), "solid")
        if (await page.locator(":focus").and(page.locator(selector)).count()) return
      }
      assert.fail(`Tab does not reach ${selector}.`)
    }
    const press = async (selector: string, url: string | RegExp): Promise<void> => {
      await reach(selector)
      await Promise.all([page.waitForURL(url), page.keyboard.press("Enter")])
    }
    await press("a.button", /\/connect\/authorize\?/)
    await reach("#email")
    await page.keyboard.type(ada)
    await Promise.all([page.waitForURL(/\/connect\/authorize\/sign-in$/), page.keyboard.press("Enter")])
    await press("button[value=allow]", `${app}/me`)
    await press("button >> text=Sign out", `${app}/`)
    assert.include(await textOf(page), "Sign in")
  })
})

describe("what the browser stores and sends", () => {
  const cookie = { domain: "localhost", path: "/", httpOnly: true, secure: true, sameSite: "Lax" as const }

  it("is one cookie for a sign-in in progress, then one for the session, which no script and no other host gets", async () => {
    const page = await tab(`${app}/me`)
    const [pending, ...others] = await page.context().cookies(app)
    assert.deepInclude(pending, cookie)
    assert.match(pending?.name ?? "", /^__Host-itwin-sign-in-/)
    assert.approximately((pending?.expires ?? 0) - Date.now() / 1000, 600, 60)
    assert.deepStrictEqual(others, [])

    await signInAt(page)
    await page.waitForURL(`${app}/me`)
    const [session, ...more] = await page.context().cookies(app)
    assert.deepInclude(session, cookie)
    assert.strictEqual(session?.name, "__Host-itwin-session")
    assert.match(session?.value ?? "", /^[\w-]{43}$/)
    assert.approximately((session?.expires ?? 0) - Date.now() / 1000, 86_400, 60)
    assert.deepStrictEqual(more, [])
    assert.strictEqual(await page.evaluate("document.cookie"), "")
  })

  it("contains no token", async () => {
    const context = await profile()
    const seen: Array<string> = []
    const addresses: Array<string> = []
    context.on("request", (request) => {
      addresses.push(request.url())
      seen.push(request.url(), JSON.stringify(request.headers()), request.postData() ?? "")
    })
    context.on("response", (response) => void seen.push(JSON.stringify(response.headers())))
    const page = await tab(`${app}/`, context)
    const lookAt = async () => {
      seen.push(await page.content(), JSON.stringify(await context.storageState()))
      seen.push(await page.evaluate("JSON.stringify([{ ...localStorage }, { ...sessionStorage }, history.state])"))
    }
    await signIn(page)
    await lookAt()
    await page.goto(`${app}/`)
    await lookAt()
    await signOut(page)
    await lookAt()

    const { tokens } = world()
    assert.deepStrictEqual(
      tokens.map(({ name }) => name),
      ["access_token", "refresh_token", "id_token"]
    )
    for (const { name, value } of tokens) {
      // OpenID Connect sends the id token with the sign-out, so that IMS need not ask.
      const texts = name === "id_token" ? seen.filter((text) => !text.includes("id_token_hint=")) : seen
      assert.isFalse(
        texts.some((text) => text.includes(value)),
        name
      )
    }
    assert.strictEqual(addresses.filter((url) => url.includes("id_token_hint=")).length, 1)
  })
})

describe("a sign-out", () => {
  it("ends the session in the app and at IMS, and comes back", async () => {
    const page = await tab(`${app}/`)
    await signIn(page)
    const [session] = await page.context().cookies(app)
    assert.isDefined(session)
    await signOut(page)
    assert.include(await textOf(page), "Sign in with your Bentley account")
    assert.deepStrictEqual(await page.context().cookies([app, world().ims]), [])
    assert.strictEqual(await countOf("GET /connect/endsession"), 1)
    assert.strictEqual(await countOf("POST /connect/revocation"), 1)

    // A copy of the cookie is worth nothing.
    await page.context().addCookies([session])
    await page.goto(`${app}/me`)
    assert.strictEqual(new URL(page.url()).origin, world().ims)
    await page.waitForSelector(`button[value="${ada}"]`)
  })

  it("is not possible from a page of another site", async () => {
    const page = await tab(`${app}/`)
    await signIn(page)
    const other = await serve({ "/": `<form method="post" action="${app}/sign-out"><button>x` })
    const foreign = await tab(other, page.context())
    await Promise.all([foreign.waitForURL(`${app}/sign-out`), foreign.click("button")])
    await foreign.waitForSelector("text=You were not signed out")
    await check(foreign, "app not signed out")
    await page.reload()
    assert.include(await textOf(page), "Ada Lovelace")
  })

  it.each(["with", "without"])(
    "hides the pages of the user from the back button, %s the back/forward cache",
    async (cache) => {
      const browser = await launch({ backForwardCache: cache === "with" })
      try {
        const page = await (await browser.newContext()).newPage()
        await page.goto(`${app}/`)
        await signIn(page)
        await signOut(page)
        await page.evaluate("history.back()")
        await page.waitForSelector("h1 >> text=/^Sign in$/")
        assert.match(page.url(), /\/connect\/authorize\?/)
      } finally {
        await browser.close()
      }
    }
  )
})

describe("a session", () => {
  const hour = 3_600_000

  it("outlives its access token, and ends when IMS has revoked the sign-in", async () => {
    const page = await tab(`${app}/`)
    await signIn(page)
    world().clock.advance(hour + 1000)
    await page.reload()
    assert.include(await textOf(page), "Ada Lovelace")
    assert.strictEqual(await countOf("POST /connect/token"), 2)

    await world().run(world().fake.revokeSignIns(ada))
    world().clock.advance(hour + 1000)
    await page.reload()
    await page.waitForURL(/\/connect\/authorize\?/)
    assert.deepStrictEqual(
      (await cookieNames(page)).filter((name) => name === "__Host-itwin-session"),
      []
    )
    await signInAt(page)
    await page.waitForURL(`${app}/me`)
    assert.include(await textOf(page), "Ada Lovelace")
  })

  it("ends after 24 hours", async () => {
    const page = await tab(`${app}/`)
    await signIn(page)
    const sent = await countOf("GET /connect/authorize")
    world().clock.advance(24 * hour + 1000)
    await page.goto(`${app}/`)
    assert.include(await textOf(page), "Sign in with your Bentley account")
    assert.deepStrictEqual(await cookieNames(page), [])
    assert.strictEqual(await countOf("GET /connect/authorize"), sent)
  })
})

describe("a page of a failure", () => {
  it("says that the platform does not respond", async () => {
    const page = await tab(`${app}/`)
    await signIn(page)
    await world().run(world().fake.script("GET /users/me", Fault.once(Fault.html(503, "Maintenance"))))
    await page.reload()
    await page.waitForSelector("text=You are still signed in.")
    await check(page, "app platform unavailable")
    await page.click("text=Try again")
    await page.waitForSelector("text=Ada Lovelace")
  })

  it.each([
    ["unavailable", Fault.html(503, "Maintenance"), "Sign-in is temporarily unavailable"],
    ["misconfigured", Fault.respond({ status: 401, body: { error: "invalid_client" } }), "This app can't sign you in"],
    ["unexpected", Fault.respond({ status: 400, body: { error: "invalid_request" } }), "The sign-in failed"]
  ] as const)("says that the sign-in failed: %s", async (name, fault, title) => {
    await world().run(world().fake.script("POST /connect/token", Fault.always(fault)))
    const page = await tab(`${app}/me`)
    await signInAt(page)
    await page.waitForSelector(`h1 >> text=${title}`)
    await check(page, `app ${name}`)
    await world().run(world().fake.clearScripts)
    await page.click("a >> text=Sign in again")
    await page.waitForURL(`${app}/me`, { timeout: 20_000 })
  })

  it("refuses a callback of nobody, and an invalid one", async () => {
    const page = await tab(`${app}/sign-in/callback?code=x&state=y`)
    assert.include(await textOf(page), "This sign-in has expired")
    await page.goto(`${app}/me`)
    const state = new URL(page.url()).searchParams.get("state")
    await page.goto(`${app}/sign-in/callback?code=x&state=${state}&iss=https://ims.example.com`)
    assert.include(await textOf(page), "SignInError/InvalidAnswer")
    await check(page, "app invalid answer")
  })

  it("is not shown in a frame", async () => {
    const context = await profile()
    const answer = context.waitForEvent("response", (response) => response.url() === `${app}/sign-in`)
    const { complaints } = await open(await serve({ "/": `<iframe src="${app}/sign-in"></iframe>` }), context)
    assert.strictEqual((await answer).status(), 403)
    assert.deepStrictEqual(await context.cookies(app), [])
    // The page around it complains, as it should.
    complaints.length = 0
  })
})

describe("the pages of the fake", () => {
  it("are good for everybody", async () => {
    const { fake, ims, run } = world()
    const page = await tab(`${app}/me`)
    await page.fill("#email", "nobody@example.com")
    await page.click("button.main")
    await page.waitForSelector("[role=alert]")
    await check(page, "fake unknown user")
    await page.fill("#email", ada)
    await page.click("button.main")
    await page.click("button[value=allow]")
    await page.waitForURL(`${app}/me`)
    await page.goto(`${ims}/connect/endsession`)
    await check(page, "fake sign-out")
    await page.click("button.main")
    await page.waitForSelector("h1 >> text=Signed out")
    await check(page, "fake signed out")
    await page.goto(`${ims}/connect/authorize?client_id=nobody`)
    await check(page, "fake refused")
    await run(fake.deleteUser(ada))
    await page.goto(`${app}/sign-in`)
    await check(page, "fake without users")
  })
})
