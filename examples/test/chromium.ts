// What the proofs in a real browser share: the browser, a fake IMS with one user, and clocks that a test can move.
import { mkdirSync } from "node:fs"
import { createServer } from "node:http"
import { join } from "node:path"
import { FakeIms, FakeImsServer } from "@effect-itwin/testing"
import { Clock, Context, Effect, Exit, Layer, type LogLevel, References, Scope } from "effect"
import { FetchHttpClient } from "effect/http"
import type { Browser, BrowserContext, Page } from "playwright-core"
import { afterAll, afterEach, assert, beforeAll, beforeEach } from "vitest"
import { type AdjustableClock, makeAdjustableClock } from "../../packages/testing/src/internal/engine/clock.ts"
import {
  findInaccessible,
  type Look,
  launch,
  newProfile,
  type Opened,
  openTab,
  overflowOf
} from "../../scripts/browser/chromium.ts"

export const ada = "ada@example.com"

export interface World {
  readonly fake: FakeIms.FakeIms["Service"]
  /** The origin of the fake. */
  readonly ims: string
  /** Moves the time of the fake and of the programs, not that of the browser. */
  readonly clock: AdjustableClock
  /** The access, refresh and id tokens that the programs got so far. */
  readonly tokens: Array<{ readonly name: string; readonly value: string }>
  /** Builds a layer of a program, until the end of the test. */
  readonly build: <A, E>(layer: Layer.Layer<A, E>) => Promise<Context.Context<A>>
  /** Runs a program under the clock. */
  readonly run: <A, E>(effect: Effect.Effect<A, E>) => Promise<A>
}

const silent: LogLevel.LogLevel = "None"

const startWorld = async (scope: Scope.Scope): Promise<World> => {
  const clock = makeAdjustableClock(Effect.runSync(Clock.Clock))
  const tokens: World["tokens"] = []
  const fetch: typeof globalThis.fetch = async (input, init) => {
    const response = await globalThis.fetch(input, init)
    if (String(input).endsWith("/connect/token") && response.ok) {
      const body: Readonly<Record<string, unknown>> = await response.clone().json()
      for (const name of ["access_token", "refresh_token", "id_token"]) {
        const value = body[name]
        if (typeof value === "string") tokens.push({ name, value })
      }
    }
    return response
  }
  const services = Context.make(Clock.Clock, clock).pipe(
    Context.add(FetchHttpClient.Fetch, fetch),
    Context.add(References.MinimumLogLevel, silent)
  )
  const run: World["run"] = (effect) => Effect.runPromise(Effect.provide(effect, services))
  const build: World["build"] = (layer) => run(Layer.buildWithScope(layer, scope))
  const fake = Context.get(await build(FakeImsServer.layer()), FakeIms.FakeIms)
  await run(fake.addUser({ email: ada, givenName: "Ada", surname: "Lovelace", organizationName: "Engines & Co" }))
  return { fake, ims: new URL(fake.environment.tokenEndpoint).origin, clock, tokens, build, run }
}

const looks: ReadonlyArray<Required<Pick<Look, "scheme" | "width">>> = [
  { scheme: "light", width: 1280 },
  { scheme: "light", width: 375 },
  { scheme: "dark", width: 375 },
  { scheme: "dark", width: 1280 }
]

/** Where to write pictures of all pages, to look at them: `PICTURES=pages pnpm proof-browser`. */
const pictures = process.env.PICTURES

/** Fails if the page, in light or dark, on a phone or a desktop, is not accessible or wider than its window. */
export const check = async (page: Page, name: string): Promise<void> => {
  const before = page.viewportSize() ?? { width: 1280, height: 900 }
  for (const { scheme, width } of looks) {
    await page.emulateMedia({ colorScheme: scheme })
    await page.setViewportSize({ width, height: 720 })
    const state = `${name}, ${scheme}, ${width} px`
    assert.deepStrictEqual(await findInaccessible(page), [], state)
    assert.strictEqual(await overflowOf(page), 0, `${state}: wider than the window`)
    if (pictures === undefined) continue
    mkdirSync(pictures, { recursive: true })
    await page.screenshot({ path: join(pictures, `${name.replaceAll(/\W+/g, "-")}-${scheme}-${width}.png`) })
  }
  await page.emulateMedia({ colorScheme: "light" })
  await page.setViewportSize(before)
}

/** The visible text of a page. */
export const textOf = (page: Page): Promise<string> => page.evaluate("document.body.innerText")

/** Serves files of another site, at its own origin, and returns that with a slash. */
const serveFiles = (scope: Scope.Scope, files: Readonly<Record<string, string>>): Promise<string> =>
  Effect.runPromise(
    Effect.callback<string>((resume) => {
      const server = createServer(({ url = "/" }, response) => {
        const path = url.split("?")[0] ?? "/"
        const type = path.endsWith(".js") ? "text/javascript" : "text/html"
        response.writeHead(files[path] === undefined ? 404 : 200, { "content-type": `${type}; charset=utf-8` })
        response.end(files[path])
      })
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        const port = address !== null && typeof address === "object" ? address.port : 0
        const close = Effect.sync(() => {
          server.close()
          server.closeAllConnections()
        })
        resume(Effect.as(Scope.addFinalizer(scope, close), `http://127.0.0.1:${port}/`))
      })
    })
  )

/** Starts Chromium once, and a fake for each test. A page that complains fails its test. */
export const useChromium = () => {
  let browser: Browser
  let scope: Scope.Closeable
  let world: World
  const opened: Array<Opened> = []
  const profiles: Array<BrowserContext> = []

  beforeAll(async () => {
    browser = await launch()
  })
  afterAll(() => browser.close())
  beforeEach(async () => {
    scope = Scope.makeUnsafe()
    world = await startWorld(scope)
  })
  afterEach(async () => {
    const complaints = opened.flatMap(({ complaints }) => complaints)
    opened.length = 0
    for (const profile of profiles.splice(0)) await profile.close()
    await Effect.runPromise(Scope.close(scope, Exit.void))
    assert.deepStrictEqual(complaints, [], "a page complained")
  })

  const profile = async (): Promise<BrowserContext> => {
    const made = await newProfile(browser, { height: 720 })
    made.setDefaultTimeout(10_000)
    profiles.push(made)
    return made
  }
  const open = async (url: string, context?: BrowserContext): Promise<Opened> => {
    const one = await openTab(context ?? (await profile()), url)
    opened.push(one)
    return one
  }
  return {
    world: () => world,
    serve: (files: Readonly<Record<string, string>>) => serveFiles(scope, files),
    profile,
    open,
    tab: async (url: string, context?: BrowserContext): Promise<Page> => (await open(url, context)).page
  }
}

const user = `button[name=email][value="${ada}"]`

/** Does on the pages of the fake what a person does: chooses the user if there is a choice, and decides. */
export const signInAt = async (page: Page, decision: "allow" | "deny" = "allow"): Promise<void> => {
  await page.waitForURL(/\/connect\/authorize/)
  if (decision === "deny") return await page.click("button[value=deny]")
  await page.click(user)
  if (new URL(page.url()).pathname.startsWith("/connect/")) await page.click("button[value=allow]")
}
