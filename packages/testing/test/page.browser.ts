// The page of the built command in Chromium: each step for each type of app, each failure, the journal, several tabs, a
// restart, the admin token, the keyboard, and what axe-core finds.
import type { Browser, BrowserContext, Page } from "playwright-core"
import { afterAll, afterEach, assert, beforeAll, beforeEach, describe, it } from "vitest"
import {
  findInaccessible,
  type Look,
  launch,
  newProfile,
  type Opened,
  openTab,
  overflowOf
} from "../../../scripts/browser/chromium.ts"
import { type Bin, bundle, start } from "./bin.ts"

let browser: Browser
let bin: Bin
const opened: Array<Opened> = []
const profiles: Array<BrowserContext> = []

beforeAll(async () => {
  browser = await launch()
})
afterAll(() => browser.close())

beforeEach(async () => {
  bin = await start([], {}, bundle)
})
afterEach(async () => {
  const complaints = opened.flatMap(({ complaints }) => complaints)
  opened.length = 0
  for (const profile of profiles.splice(0)) await profile.close()
  bin.kill("SIGKILL")
  await bin.exited
  assert.deepStrictEqual(complaints, [], "the page complained")
})

const profile = async (look?: Look): Promise<BrowserContext> => {
  const made = await newProfile(browser, look)
  made.setDefaultTimeout(10_000)
  profiles.push(made)
  return made
}

const tab = async (context: BrowserContext, path = "/"): Promise<Page> => {
  const one = await openTab(context, bin.facts.url + path)
  opened.push(one)
  await one.page.waitForSelector("#connection[data-state=open]")
  return one.page
}

const openPage = async (look?: Look): Promise<Page> => tab(await profile(look))

/** Fails if the page is not accessible, or wider than its window. */
const check = async (page: Page, state: string): Promise<void> => {
  assert.deepStrictEqual(await findInaccessible(page), [], state)
  assert.strictEqual(await overflowOf(page), 0, `${state}: wider than the window`)
}

const textOf = async (page: Page, selector: string): Promise<string> => (await page.textContent(selector)) ?? ""

const register = async (page: Page, type = "service"): Promise<void> => {
  await page.check(`input[name=type][value=${type}]`)
  await page.click("#register button[type=submit]")
  await page.waitForSelector("#registered dl")
}

const cause = async (page: Page, id: string): Promise<void> => {
  await page.click(`#fail-${id}`)
  await page.waitForSelector(`#fail-${id}[aria-pressed=true]`)
}

const looks: ReadonlyArray<Required<Pick<Look, "scheme" | "width">>> = [
  { scheme: "light", width: 375 },
  { scheme: "dark", width: 375 },
  { scheme: "light", width: 1280 },
  { scheme: "dark", width: 1280 }
]

describe("a service app", () => {
  it.each(looks)("goes through the three steps and every failure: $scheme, $width px", async (look) => {
    const page = await openPage(look)
    await check(page, "start")

    await page.fill("#name", "a;b")
    await page.click("#register button[type=submit]")
    await page.waitForSelector("#name[aria-invalid=true]")
    assert.match(await textOf(page, "#name-error"), /an app name of 1 to 60 characters/)
    assert.strictEqual(await page.evaluate("document.activeElement.id"), "name")
    await check(page, "a name that is not allowed")

    await page.fill("#name", "Mine")
    await register(page)
    const secret = await textOf(page, "#registered dl div:nth-child(3) .value")
    assert.match(secret, /^fake-secret-/)
    await check(page, "registered")
    const request = await textOf(page, "#step-2 pre")
    assert.include(request, "client_secret=••••••••")
    assert.notInclude(request, secret)
    await page.click("#step-2 button:has-text('Show secret')")
    assert.include(await textOf(page, "#step-2 pre"), secret)

    await page.click("#step-2 .primary")
    await page.waitForSelector("#step-2 .life")
    const [minutes] = (await textOf(page, "#step-2 [role=timer]")).split(":")
    assert.include(["59", "1"], minutes)
    assert.include(await textOf(page, "#step-2 .claims:last-child"), bin.facts.url)
    await check(page, "token")

    await page.click("#step-3 .primary")
    await page.waitForSelector("#step-3 .badge")
    assert.include(await textOf(page, "#step-3 figure:has-text('Answer') pre"), '"givenName": "Mine"')
    await page.click("#step-3 [role=tab] >> text=TypeScript")
    assert.isTrue(await page.isVisible("#step-3 pre:has-text('Users.me')"))
    await check(page, "called")

    for (const [id, error, status] of [
      ["wrong-secret", "TokenError: InvalidClient", "401"],
      ["scope-refused", "TokenError: InvalidScope", "400"],
      ["scope-missing", "ITwinApiError: Forbidden", "403"],
      ["expired", "ITwinApiError: Unauthorized", "401"],
      ["revoked", "ITwinApiError: Unauthorized", "401"]
    ] as const) {
      await cause(page, id)
      assert.strictEqual(await textOf(page, "#failure-result .why b"), error, id)
      assert.strictEqual(await textOf(page, "#failure-result .badge"), status, id)
      assert.match(await textOf(page, "#failure-result .why p"), /See docs\/errors\.md#(?:token|api)-\w+$/, id)
    }
    await page.click("#entries summary >> nth=0")
    await page.waitForSelector("#entries details[open] pre")
    await check(page, "failure and an open entry")

    await page.reload()
    await page.waitForSelector("#registered dl")
    assert.notInclude(await textOf(page, "#registered"), secret)
    await page.click("text=Generate a new one")
    await page.waitForSelector("#registered dl .note:has-text('is shown once')")
    assert.notStrictEqual(await textOf(page, "#registered dl div:nth-child(3) .value"), secret)
    await page.click("#step-2 .primary")
    await page.waitForSelector("#step-2 .badge.good")
  })

  it("copies the complete command, with the secret", async () => {
    const context = await profile()
    await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: bin.facts.url })
    const page = await tab(context)
    await register(page)
    const secret = await textOf(page, "#registered dl div:nth-child(3) .value")
    await page.click("#step-2 .copy")
    await page.waitForSelector("#step-2 .copy:has-text('Copied')")
    assert.include(await page.evaluate<string>("navigator.clipboard.readText()"), `client_secret=${secret}`)
  })

  it("sees its token expire when the fake's clock is moved", async () => {
    const page = await openPage()
    await register(page)
    await page.click("#step-2 .primary")
    await page.waitForSelector("#step-2 .life:not([data-over])")
    await fetch(`${bin.facts.url}/__admin/clock`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: '{"advance":3700000}'
    })
    await page.waitForSelector("#step-2 .life[data-over]")
    await page.click("#step-3 .primary")
    await page.waitForSelector("#step-3 .badge.bad")
    assert.include(await textOf(page, "#step-3 figure:has-text('Answer') pre"), "The token has expired.")
  })
})

/** Does what a person does on the pages of the fake. */
const signIn = async (page: Page, decision: "allow" | "deny"): Promise<void> => {
  await page.click("#sign-in")
  await page.waitForURL(/\/connect\/authorize/)
  const user = page.locator("button[name=email]").first()
  if (await user.count()) await user.click()
  await page.waitForSelector(`button[value=${decision}]`)
  await page.click(`button[value=${decision}]`)
  await page.waitForURL(`${bin.facts.url}/`)
  await page.waitForSelector("#connection[data-state=open]")
}

describe.each([
  { type: "web", scheme: "dark", width: 1280, failures: 8 },
  { type: "native", scheme: "light", width: 375, failures: 7 },
  { type: "spa", scheme: "dark", width: 375, failures: 6 }
] as const)("a $type app", ({ type, failures, ...look }) => {
  it("signs a user in, calls the API as the user, refreshes, signs out, and shows every failure", async () => {
    const page = await openPage(look)
    await page.check(`input[name=type][value=${type}]`)
    await check(page, "the form")
    await register(page, type)
    await page.waitForSelector("#sign-in")
    assert.strictEqual((await textOf(page, "#registered")).includes("Client secret"), type === "web")
    await check(page, "registered")

    await signIn(page, "deny")
    await page.waitForSelector("#sign-in-result .why")
    assert.strictEqual(await textOf(page, "#sign-in-result .why b"), "SignInError: Denied")
    const [, state] = /state=(\S+)/.exec(await textOf(page, "#step-2 pre")) ?? []
    assert.include(await textOf(page, "#sign-in-result pre"), `state=${state}`)
    assert.strictEqual(new URL(page.url()).search, "")
    await check(page, "denied")

    await signIn(page, "allow")
    await page.waitForSelector("#sign-in-result .life")
    assert.notInclude(await textOf(page, "#step-2 pre"), `state=${state}`)
    assert.strictEqual(new URL(page.url()).search, "")
    const exchanged = await textOf(page, "#sign-in-result pre")
    assert.strictEqual(exchanged.includes("refresh_token"), type !== "spa")
    await check(page, "signed in")

    await page.click("#step-3 .primary")
    await page.waitForSelector("#step-3 .badge.good")
    assert.include(await textOf(page, "#step-3 figure:has-text('Answer') pre"), `"email": "user@example.com"`)
    if (type !== "spa") {
      await page.click("#refresh")
      await page.waitForSelector("#sign-in-result figure:has-text('Refresh: answer')")
      assert.strictEqual(await textOf(page, "#sign-in-result .badge"), "200")
    }

    const buttons = page.locator("#failures .buttons button")
    assert.strictEqual(await buttons.count(), failures)
    for (let index = 0; index < failures; index++) {
      const id = await buttons.nth(index).getAttribute("id")
      await buttons.nth(index).click()
      await page.waitForSelector(`#${id}[aria-pressed=true]`)
      assert.match(
        await textOf(page, "#failure-result .why b"),
        /^(?:TokenError|ITwinApiError|SignInError): \w+$/,
        `${id}`
      )
    }
    await check(page, "failures")

    await page.click("#sign-out")
    await page.waitForSelector("text=The user is signed out.")
    assert.isFalse(await page.isVisible("#sign-out"))
    await check(page, "signed out")
  })

  it("does not use a callback that does not belong to a sign-in of the tab", async () => {
    const page = await openPage(look)
    await register(page, type)
    await page.goto(`${bin.facts.url}/?code=x&state=y`)
    await page.waitForSelector("text=The callback does not belong to a sign-in of this tab.")
    const entries: ReadonlyArray<{ readonly route: string }> = await (
      await fetch(`${bin.facts.url}/__admin/journal`)
    ).json()
    assert.isFalse(entries.some(({ route }) => route === "POST /connect/token"))
  })
})

/** Sends a request as another program would. */
const requestToken = async (url: string, secret = "fake-secret-+/="): Promise<void> => {
  const form = { grant_type: "client_credentials", client_id: bin.facts.apps[0]?.clientId ?? "", client_secret: secret }
  await fetch(`${url}/connect/token`, { method: "POST", body: new URLSearchParams(form) })
}

describe("the journal", () => {
  it("shows requests of other programs at once, newest first, and filters by route and outcome", async () => {
    const page = await openPage()
    await requestToken(bin.facts.url, bin.facts.apps[0]?.clientSecret)
    await requestToken(bin.facts.url)
    await fetch(`${bin.facts.url}/users/me`)
    await page.waitForSelector("#entries details:nth-child(3)")
    const order = async () => (await page.locator("#entries details:visible .request").allTextContents()).join(", ")
    assert.strictEqual(await order(), "GET /users/me, POST /connect/token, POST /connect/token")
    await page.selectOption("#filter-route", "POST /connect/token")
    assert.strictEqual(await order(), "POST /connect/token, POST /connect/token")
    assert.strictEqual(await textOf(page, "#journal-count"), "2 of 3 requests")
    await page.selectOption("#filter-outcome", "failed")
    assert.strictEqual(await order(), "POST /connect/token")
    await page.click("#entries details:visible summary")
    const entry = await textOf(page, "#entries details[open]")
    for (const part of [
      "invalid_client",
      "The secret is not one of this app.",
      "client_secret: <redacted>",
      "grant_type"
    ]) {
      assert.include(entry, part)
    }
    await page.selectOption("#filter-outcome", "invalid_client")
    assert.strictEqual(await order(), "POST /connect/token")
    await page.selectOption("#filter-route", "GET /users/me")
    assert.isTrue(await page.isVisible("#journal-none"))
    await check(page, "no request matches")
    await fetch(`${bin.facts.url}/__admin/journal`, { method: "DELETE" })
    await page.waitForSelector("#journal-empty:visible")
  })

  it("is live in ten tabs at once, each of which can go through the steps", async () => {
    const context = await profile()
    const pages: Array<Page> = []
    for (let index = 0; index < 10; index++) pages.push(await tab(context))
    await requestToken(bin.facts.url)
    for (const page of pages) await page.waitForSelector("#entries details")
    const last = pages.at(-1)
    assert.isDefined(last)
    await register(last)
    await last.click("#step-2 .primary")
    await last.waitForSelector("#step-2 .badge.good")
    for (const page of pages.slice(0, -1)) {
      await page.waitForSelector("#entries details:nth-child(2)")
      await page.close()
    }
    await requestToken(bin.facts.url)
    await last.waitForSelector("#entries details:nth-child(3)")
  })

  it("is live in a browser without shared workers", async () => {
    const context = await profile()
    await context.addInitScript("delete globalThis.SharedWorker")
    const page = await tab(context)
    await requestToken(bin.facts.url)
    await page.waitForSelector("#entries details")
  })

  it("does not begin again when a tab is reloaded or comes back", async () => {
    const page = await openPage()
    await requestToken(bin.facts.url)
    await page.waitForSelector("#entries details")
    await page.reload()
    await page.waitForSelector("#entries details")
    await page.goto("about:blank")
    await requestToken(bin.facts.url)
    await page.goBack()
    await page.waitForSelector("#entries details:nth-child(2)")
  })
})

describe("a restart of the fake", () => {
  it("is told, and the app can be registered again", async () => {
    const page = await openPage()
    await register(page)
    await page.click("#step-2 .primary")
    await page.waitForSelector("#step-2 .badge.good")
    const { port } = new URL(bin.facts.url)
    bin.kill("SIGKILL")
    await bin.exited
    await page.waitForSelector("#notice:has-text('The fake does not answer.')")
    assert.include(await textOf(page, "#notice"), `fake-ims --port ${port}`)
    await page.click("#step-2 .primary")
    await page.waitForSelector("#step-2 .error:has-text('The fake does not answer.')")
    await check(page, "not connected")

    bin = await start(["--port", port], {}, bundle)
    await page.waitForSelector("#notice:has-text('restarted, and no longer has the application “My first app”')")
    assert.strictEqual(await page.locator("#entries details").count(), 0)
    await check(page, "forgotten")
    await page.click("text=Register it again")
    await page.waitForSelector("#registered dl .note:has-text('is shown once')")
    assert.isFalse(await page.isVisible("#notice"))
    await page.click("#step-2 .primary")
    await page.waitForSelector("#step-2 .badge.good")
    await page.waitForSelector("#entries details")
  })

  it("keeps an app that the new process has too, and says that its tokens are gone", async () => {
    const { port } = new URL(bin.facts.url)
    bin.kill("SIGKILL")
    await bin.exited
    const args = ["--port", port, "--seed", "same"]
    bin = await start(args, {}, bundle)
    const page = await openPage()
    await register(page)
    await page.click("#step-2 .primary")
    await page.waitForSelector("#step-2 .badge.good")
    bin.kill("SIGKILL")
    await bin.exited
    bin = await start(args, {}, bundle)
    // The same seed gives the next app the same id and secret.
    await fetch(`${bin.facts.url}/__admin/apps`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: '{"name":"My first app","scopes":["itwin-platform"]}'
    })
    await page.waitForSelector("#notice:has-text('rejects earlier tokens')", { timeout: 15_000 })
    await page.click("#step-2 .primary")
    await page.waitForSelector("#step-2 .badge.good")
  })

  it("is told as a reset when the fake was reset", async () => {
    const page = await openPage()
    await register(page)
    await fetch(`${bin.facts.url}/__admin/reset`, { method: "POST" })
    await page.waitForSelector("#notice:has-text('The fake was reset, and no longer has')")
  })
})

describe("an admin token", () => {
  it("is asked for, explained when it is wrong, and kept for the tab", async () => {
    const { port } = new URL(bin.facts.url)
    bin.kill("SIGKILL")
    await bin.exited
    bin = await start(["--port", port], { FAKE_IMS_ADMIN_TOKEN: "let-me-in" }, bundle)
    const one = await openTab(await profile(), `${bin.facts.url}/`)
    opened.push(one)
    const { page } = one
    await page.waitForSelector("#connection[data-state=unauthorized]")
    await check(page, "a token is needed")
    await page.click("#register button[type=submit]")
    await page.waitForSelector("#admin-dialog[open]")
    await check(page, "the dialog")
    await page.keyboard.press("Escape")
    await page.waitForSelector("#form-error:visible")
    await page.click("text=Enter the admin token")
    await page.fill("#admin-token", "let-me")
    await page.keyboard.press("Enter")
    await page.waitForSelector("#admin-error:visible")
    await page.fill("#admin-token", "let-me-in")
    await page.keyboard.press("Enter")
    await page.waitForSelector("#connection[data-state=open]")
    assert.isFalse(await page.isVisible("#notice"))
    await register(page)
    await page.click("#step-2 .primary")
    await page.waitForSelector("#entries details")
    await cause(page, "wrong-secret")
    await page.reload()
    await page.waitForSelector("#connection[data-state=open]")
    assert.notInclude(page.url(), "let-me-in")

    // A new tab does not know the token, and does not disturb the one that does.
    const second = await openTab(page.context(), `${bin.facts.url}/`)
    opened.push(second)
    await second.page.waitForSelector("#connection[data-state=unauthorized]")
    assert.strictEqual(await second.page.locator("#entries details").count(), 0)
    await requestToken(bin.facts.url)
    await page.waitForSelector("#entries details:nth-child(3)")
    await second.page.click("text=Enter the admin token")
    await second.page.fill("#admin-token", "let-me-in")
    await second.page.keyboard.press("Enter")
    await second.page.waitForSelector("#entries details")
  })
})

describe("the keyboard", () => {
  const focused = (page: Page) =>
    page.evaluate<string>("document.activeElement.textContent.trim() || document.activeElement.id")

  /** Presses Tab until the focus is where the predicate says, and checks that each place is visible. */
  const tabTo = async (page: Page, text: string, key = "Tab"): Promise<void> => {
    for (let presses = 0; presses < 60; presses++) {
      await page.keyboard.press(key)
      const outline = await page.evaluate<string>(
        "(() => { const label = document.activeElement.closest('label'); return [document.activeElement, label].some((e) => e && getComputedStyle(e).outlineStyle !== 'none') ? 'seen' : document.activeElement.outerHTML.slice(0, 120) })()"
      )
      assert.strictEqual(outline, "seen")
      if ((await focused(page)) === text) return
    }
    assert.fail(`Tab does not reach ${text}`)
  }

  it("is enough for the three steps, the tabs, a failure and the journal", async () => {
    const page = await openPage()
    await page.keyboard.press("Tab")
    assert.strictEqual(await focused(page), "Skip to the steps")
    await page.keyboard.press("Enter")
    await tabTo(page, "name")
    await page.keyboard.press("Control+A")
    await page.keyboard.type("By keyboard")
    await page.keyboard.press("Enter")
    await page.waitForSelector("#registered dl")
    assert.include(await focused(page), "is registered")
    await tabTo(page, "curl")
    await page.keyboard.press("ArrowRight")
    assert.strictEqual(await focused(page), "TypeScript")
    await page.keyboard.press("ArrowLeft")
    await tabTo(page, "Get access token")
    await page.keyboard.press("Enter")
    await page.waitForSelector("#step-2 .badge.good")
    assert.strictEqual(await focused(page), "Get another token")
    await tabTo(page, "Call /users/me")
    await page.keyboard.press("Space")
    await page.waitForSelector("#step-3 .badge.good")
    await tabTo(page, "Expired token")
    await page.keyboard.press("Enter")
    await page.waitForSelector("#failure-result .why")
    assert.strictEqual(await focused(page), "Expired token")
    await tabTo(page, (await textOf(page, "#filter-outcome")).trim())
    // The list, which scrolls with the arrow keys, and then its first entry.
    await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await page.waitForSelector("#entries details[open]")
    assert.match(await textOf(page, "#announcer"), /^Expired token: status 401\. /)
  })
})

describe("the layout", () => {
  it.each([375, 768, 1920])("does not shift while the page is loaded, and fits %i px", async (width) => {
    const context = await profile({ width })
    await context.addInitScript(() => {
      const shifts: Array<string> = []
      Object.assign(globalThis, { shifts })
      new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) {
          if ("value" in entry && "hadRecentInput" in entry && entry.hadRecentInput === false)
            shifts.push(
              JSON.stringify([
                entry.value,
                "sources" in entry && Array.isArray(entry.sources)
                  ? entry.sources.map(({ node }) => node?.outerHTML?.slice(0, 80) ?? node?.textContent)
                  : []
              ])
            )
        }
      }).observe({ type: "layout-shift", buffered: true })
    })
    for (let index = 0; index < 20; index++) await requestToken(bin.facts.url)
    const page = await tab(context)
    await page.waitForSelector("#entries details:nth-child(20)")
    await page.waitForTimeout(200)
    assert.deepStrictEqual(await page.evaluate("shifts"), [])
    await check(page, `${width} px`)
    await register(page)
    await page.click("#step-2 .primary")
    await page.waitForSelector("#step-2 .badge.good")
    await cause(page, "expired")
    await check(page, `${width} px, used`)
  })

  const firstPaint = `new Promise((resolve) => {
    new PerformanceObserver((list) => {
      for (const { name, startTime } of list.getEntries()) if (name === "first-contentful-paint") resolve(startTime)
    }).observe({ type: "paint", buffered: true })
  })`

  it("is painted soon (measured, not asserted)", async () => {
    const page = await openPage()
    const paints: Array<number> = []
    for (let index = 0; index < 9; index++) {
      await page.reload()
      // `waitForFunction` would evaluate text in the page, which the page's policy forbids.
      paints.push(await page.evaluate<number>(firstPaint))
    }
    paints.sort((a, b) => a - b)
    console.log(`First contentful paint: ${paints.map((paint) => Math.round(paint)).join(", ")} ms`)
    assert.lengthOf(paints, 9)
  })
})
