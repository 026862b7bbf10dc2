/**
 * Opens pages in the Chromium that is on the PATH, for proofs in a real browser. A page that logs an error, throws, or
 * violates its policy fails the proof.
 */
import { existsSync } from "node:fs"
import { delimiter, join } from "node:path"
import axe from "axe-core"
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core"

const names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]

const findChromium = (): string => {
  for (const folder of (process.env.PATH ?? "").split(delimiter)) {
    for (const name of names) if (existsSync(join(folder, name))) return join(folder, name)
  }
  throw new Error(`There is no Chromium on the PATH. Install one, for example: apt-get install chromium.`)
}

/**
 * Starts the browser. As root, Chromium runs only without its sandbox. Playwright switches off the back/forward cache,
 * from which a browser shows a page without loading it again.
 */
export const launch = ({ backForwardCache = false } = {}): Promise<Browser> =>
  chromium.launch({
    executablePath: findChromium(),
    args: ["--no-sandbox", "--disable-dev-shm-usage"],
    ignoreDefaultArgs: backForwardCache ? ["--disable-back-forward-cache"] : []
  })

export interface Look {
  readonly scheme?: "light" | "dark"
  readonly width?: number
  readonly height?: number
}

export interface Opened {
  readonly page: Page
  /** What the page complained about so far: errors in the console, exceptions, violations of its policy. */
  readonly complaints: Array<string>
}

/** Makes a separate profile of the browser: its tabs share storage and workers with each other only. */
export const newProfile = (browser: Browser, { scheme = "light", width = 1280, height = 900 }: Look = {}) =>
  browser.newContext({ colorScheme: scheme, viewport: { width, height }, reducedMotion: "reduce" })

const isExpected = (text: string): boolean =>
  // The browser writes a line for each answer of 4xx and 5xx, which the page shows on purpose, and while the server is stopped.
  /^Failed to load resource: (?:the server responded with a status of [45]\d\d|net::ERR_(?:CONNECTION_|EMPTY_RESPONSE|INCOMPLETE_CHUNKED))/.test(
    text
  )

/** Opens a tab. */
export const openTab = async (profile: BrowserContext, url: string): Promise<Opened> => {
  const page = await profile.newPage()
  const complaints: Array<string> = []
  page.on("console", (message) => {
    if (message.type() === "error" && !isExpected(message.text())) complaints.push(message.text())
  })
  page.on("pageerror", (error) => complaints.push(String(error)))
  await page.addInitScript(() => {
    addEventListener("securitypolicyviolation", ({ blockedURI, violatedDirective }) =>
      console.error(`policy violation: ${violatedDirective} ${blockedURI}`)
    )
  })
  await page.goto(url)
  return { page, complaints }
}

interface Violation {
  readonly id: string
  readonly help: string
  readonly nodes: ReadonlyArray<{ readonly html: string; readonly failureSummary?: string }>
}

/** Returns what axe-core finds wrong with the page as it is now. */
export const findInaccessible = async (page: Page): Promise<ReadonlyArray<string>> => {
  // Evaluated by the debugger's protocol, which the page's policy does not govern.
  await page.evaluate(axe.source)
  const violations: ReadonlyArray<Violation> = await page.evaluate(
    "axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }).then(({ violations }) => violations)"
  )
  return violations.flatMap(({ id, help, nodes }) =>
    nodes.map(({ html, failureSummary = "" }) => `${id}: ${help}\n${html.slice(0, 200)}\n${failureSummary}`)
  )
}

/** Returns how far the page is wider than its window, in CSS pixels. */
export const overflowOf = (page: Page): Promise<number> =>
  page.evaluate("Math.max(0, document.documentElement.scrollWidth - document.documentElement.clientWidth)")
