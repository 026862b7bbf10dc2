// The code of docs/single-page-app.md in Chromium: core, bundled for browsers, signs a user in and calls the platform from
// a page of another origin.
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { rolldown } from "rolldown"
import { assert, beforeAll, describe, it } from "vitest"
import { ada, signInAt, useChromium } from "./chromium.ts"

const { open, serve, tab, world } = useChromium()

const guide = readFileSync(new URL("../../docs/single-page-app.md", import.meta.url), "utf8")

const partOf = (pattern: RegExp): string => {
  const [, part] = pattern.exec(guide) ?? []
  assert.isDefined(part, `docs/single-page-app.md has no ${pattern}`)
  return part
}

const signIn = partOf(/^(const signIn = [\s\S]*?)^it\.effect/m)
const popup = partOf(/^(const popup = [\s\S]*?)^\/\/ signed-in\.html/m)
const signedIn = partOf(/^\/\/ signed-in\.html\..*\n([\s\S]*?)^```/m)

/** What the guide leaves to the reader: a button, and to show the result. `deliver` is the popup of a test. */
const page = `
import * as core from "@effect-itwin/core"
import { Effect, Layer, Redacted } from "effect"
import { FetchHttpClient } from "effect/http"
const { AuthorizationCode, ClientCredentials, Environment, ITwinHttpClient, Scopes, SessionStore, TokenCache, UserTokens, Users } = core
const { clientId, redirectUri, tokenEndpoint, apiBaseUrl } = globalThis.settings
${signIn}
${popup}
const opened = globalThis.deliver === undefined
  ? popup
  : (url) => Effect.promise(async () => new URLSearchParams(await globalThis.deliver(url)))
const program = Effect.gen(function* () {
  const signedIn = yield* signIn(clientId, opened)
  return yield* Effect.gen(function* () {
    const tokens = yield* UserTokens.UserTokens
    const id = yield* tokens.open(signedIn)
    const Client = ITwinHttpClient.layer.pipe(Layer.provide(Layer.succeed(TokenCache.TokenCache, tokens.cacheOf(id))))
    return yield* Effect.provide(Users.me, Client)
  }).pipe(Effect.provide(UserTokens.layerPublic({ clientId }).pipe(Layer.provide(SessionStore.layerMemory))))
}).pipe(
  Effect.match({ onFailure: (error) => error.message, onSuccess: ({ email }) => "Signed in as " + email }),
  Effect.provide(FetchHttpClient.layer),
  Effect.provideService(Environment.Environment, Environment.custom({ name: "fake", tokenEndpoint, apiBaseUrl }))
)
const button = document.querySelector("button")
button.addEventListener("click", () => {
  button.disabled = true
  Effect.runPromise(program).then((text) => { document.querySelector("output").textContent = text })
})
`

let script: string

beforeAll(async () => {
  const bundle = await rolldown({
    input: "virtual:page.ts",
    cwd: fileURLToPath(new URL("..", import.meta.url)),
    platform: "browser",
    plugins: [
      {
        name: "page",
        resolveId: (id) =>
          id === "virtual:page.ts" ? fileURLToPath(new URL("page.virtual.ts", import.meta.url)) : null,
        load: (id) => (id.endsWith("page.virtual.ts") ? page : null)
      }
    ]
  })
  const { output } = await bundle.generate({ format: "esm" })
  await bundle.close()
  script = output[0].code
})

const html = (settings: unknown): string =>
  `<!doctype html><html lang="en"><title>Page</title><button>Sign in</button><output></output>
<script>globalThis.settings = ${JSON.stringify(settings)}</script><script type="module" src="/page.js"></script>`

/** Serves the page, and registers its app. */
const startPage = async () => {
  const { fake, run } = world()
  const files: Record<string, string> = {
    "/page.js": script,
    "/signed-in.html": `<!doctype html><html lang="en"><title>Signed in</title><script>${signedIn}</script>`
  }
  const origin = await serve(files)
  const redirectUri = `${origin}signed-in.html`
  const { credentials } = await run(fake.registerApp({ name: "My page", type: "spa", redirectUris: [redirectUri] }))
  const { apiBaseUrl, tokenEndpoint } = fake.environment
  files["/"] = html({ clientId: credentials.clientId, redirectUri, tokenEndpoint, apiBaseUrl })
  return origin
}

describe("a single-page app", () => {
  it("signs a user in with a popup, and calls the platform, from another origin", async () => {
    const page = await tab(await startPage())
    const [popup] = await Promise.all([page.waitForEvent("popup"), page.click("button")])
    const closed = popup.waitForEvent("close")
    await signInAt(popup)
    await page.waitForSelector(`text=Signed in as ${ada}`)
    await closed
    assert.deepStrictEqual(await page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]"), [
      0,
      0,
      ""
    ])
    assert.deepStrictEqual(
      world().tokens.map(({ name }) => name),
      [],
      "no program but the page got a token"
    )
  })

  it("is refused by the browser when its origin is not registered", async () => {
    const { fake, run } = world()
    const { complaints, page } = await open("about:blank")
    await page.exposeFunction("deliver", async (url: string) => (await run(fake.signIn(url))).search)
    const registered = await startPage()
    await page.goto(registered)
    await page.click("button")
    await page.waitForSelector(`text=Signed in as ${ada}`)
    assert.deepStrictEqual(complaints, [])

    // The same server by another name is another origin.
    await page.goto(registered.replace("127.0.0.1", "localhost"))
    await page.click("button")
    await page.waitForSelector("output:not(:empty)", { timeout: 25_000 })
    assert.match((await page.textContent("output")) ?? "", /unreachable/)
    assert.match(
      complaints.splice(0).join("\n"),
      /connect\/token' from origin 'http:\/\/localhost:\d+' has been blocked by CORS policy/
    )
  })
})
