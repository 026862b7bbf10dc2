// A native program that signs a user in through Chromium: examples/native as a process, and LoopbackSignIn.
import { fileURLToPath } from "node:url"
import {
  Environment,
  ITwinHttpClient,
  SessionStore,
  SignInError,
  TokenCache,
  Users,
  UserTokens
} from "@effect-itwin/core"
import { LoopbackSignIn } from "@effect-itwin/sign-in"
import { Effect, Layer, Result } from "effect"
import { FetchHttpClient } from "effect/http"
import type { Page } from "playwright-core"
import { assert, describe, it } from "vitest"
import { freePort, variablesOf } from "./browser.ts"
import { ada, check, signInAt, textOf, useChromium } from "./chromium.ts"
import { start } from "./spawn.ts"

const { tab, world } = useChromium()

const register = (redirectUris: ReadonlyArray<string>) => {
  const { fake, run } = world()
  return run(fake.registerApp({ name: "Native", type: "native", redirectUris }))
}

/** Signs in with the browser of the test, and calls the platform. */
const startSignIn = async () => {
  const { fake, run } = world()
  const redirectUri = `http://127.0.0.1:${await run(freePort)}/callback`
  const { credentials } = await register([redirectUri])
  const opened = Promise.withResolvers<Page>()
  const program = LoopbackSignIn.signIn({
    clientId: credentials.clientId,
    redirectUris: [redirectUri],
    open: (url) => Effect.promise(async () => opened.resolve(await tab(url))),
    timeout: "30 seconds"
  }).pipe(
    Effect.flatMap((signedIn) =>
      Effect.gen(function* () {
        const tokens = yield* UserTokens.UserTokens
        const cache = tokens.cacheOf(yield* tokens.open(signedIn))
        const Client = ITwinHttpClient.layer.pipe(Layer.provide(Layer.succeed(TokenCache.TokenCache, cache)))
        return yield* Effect.provide(Users.me, Client)
      }).pipe(
        Effect.provide(
          UserTokens.layerPublic({ clientId: credentials.clientId }).pipe(Layer.provide(SessionStore.layerMemory))
        )
      )
    ),
    Effect.provide(FetchHttpClient.layer),
    Effect.provideService(Environment.Environment, fake.environment)
  )
  const outcome = run(Effect.result(program))
  return { page: await opened.promise, redirectUri, outcome }
}

describe("LoopbackSignIn", () => {
  it("signs a user in with the page that it opens, and says that the window can be closed", async () => {
    const { outcome, page } = await startSignIn()
    await signInAt(page)
    await page.waitForSelector("text=You can close this window")
    assert.strictEqual(Result.getOrThrow(await outcome).email, ada)
    await check(page, "native signed in")
  })

  it("goes on waiting after an answer of somebody else, and ends when the person denies", async () => {
    const { outcome, page, redirectUri } = await startSignIn()
    const stranger = await tab(`${redirectUri}?code=x&state=y`)
    assert.include(await textOf(stranger), "Nothing was changed")
    await check(stranger, "native stranger")
    await stranger.goto(new URL("/other", redirectUri).href)
    assert.include(await textOf(stranger), "Nothing is here")
    await check(stranger, "native nothing")

    await signInAt(page, "deny")
    await page.waitForSelector("text=You did not sign in")
    await check(page, "native denied")
    const error = Result.getOrThrow(Result.flip(await outcome))
    assert.isTrue(SignInError.isSignInError(error) && error.reason._tag === "Denied")
  })
})

describe("examples/native", () => {
  it("greets the person who signed in, and signs out", async () => {
    const { fake, run } = world()
    const main = fileURLToPath(new URL("../native/main.ts", import.meta.url))
    const { credentials } = await register([37610, 37611, 37612].map((port) => `http://127.0.0.1:${port}/callback`))
    await run(
      Effect.gen(function* () {
        const variables = { ...variablesOf(fake.environment, credentials), OPEN_BROWSER: "false" }
        const { outcome, url } = yield* start([main], variables, /Sign in at (\S+)/)
        const page = yield* Effect.promise(() => tab(url))
        yield* Effect.promise(() => signInAt(page))
        yield* Effect.promise(() => page.waitForSelector("text=You can close this window"))
        const { code, stdout } = yield* outcome
        assert.strictEqual(code, 0)
        assert.include(stdout, "Hello Ada Lovelace")
        assert.strictEqual(yield* fake.countRequests("POST /connect/revocation"), 1)
      }).pipe(Effect.scoped)
    )
  })
})
