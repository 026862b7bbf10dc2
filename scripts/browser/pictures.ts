// Writes the pictures of the page of fake-ims that the README shows. Run it after a change of the page's look.
import { mkdirSync, statSync } from "node:fs"
import { join } from "node:path"
import { start } from "../../packages/testing/test/bin.ts"
import { launch, newProfile, openTab } from "./chromium.ts"

const folder = join(import.meta.dirname, "../../docs/images")

const browser = await launch()
mkdirSync(folder, { recursive: true })
try {
  for (const scheme of ["light", "dark"] as const) {
    const { facts, kill } = await start(["--port", "8080", "--seed", "pictures"])
    const { page } = await openTab(await newProfile(browser, { scheme, width: 1180, height: 820 }), `${facts.url}/`)
    await page.click("#register button[type=submit]")
    await page.click("#step-2 .primary")
    await page.click("#step-3 .primary")
    for (const id of ["wrong-secret", "expired"]) {
      await page.click(`#fail-${id}`)
      await page.waitForSelector(`#fail-${id}[aria-pressed=true]`)
    }
    await page.waitForSelector("#entries details:nth-child(4)")
    await page.click("#entries details:nth-child(2) summary")
    await page.evaluate(
      "document.activeElement.blur(), document.getElementById('title-2').parentElement.scrollIntoView()"
    )
    await page.mouse.move(0, 0)
    const path = join(folder, `page-${scheme}.png`)
    await page.screenshot({ path })
    console.log(`${path}: ${statSync(path).size} bytes`)
    kill("SIGTERM")
    await new Promise((resolve) => setTimeout(resolve, 500))
  }
} finally {
  await browser.close()
}
