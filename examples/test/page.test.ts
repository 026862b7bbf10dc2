// The programs that the page of fake-ims shows, run as a reader would: with the variables that it shows.
import { writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import type { AuthorizationCode, Users } from "@effect-itwin/core"
import { FakeIms, FakeImsServer } from "@effect-itwin/testing"
import { ConfigProvider, Effect, type Layer, Redacted } from "effect"
import * as snippets from "../../packages/testing/src/internal/serve/page/client/snippets.ts"
import { run } from "./spawn.ts"

const fileOf = (name: string): string =>
  fileURLToPath(new URL(`../.generated/page-service-0-${name}.snippet.ts`, import.meta.url))

const runSnippet = Effect.fnUntraced(function* (name: string, changes: Record<string, string> = {}) {
  const fake = yield* FakeIms.FakeIms
  const { credentials } = yield* fake.registerApp({ name: "Mine" })
  const { code, stdout, stderr } = yield* run([fileOf(name)], {
    ITWIN_TOKEN_ENDPOINT: fake.environment.tokenEndpoint,
    ITWIN_API_URL: fake.environment.apiBaseUrl,
    ITWIN_CLIENT_ID: credentials.clientId,
    ITWIN_CLIENT_SECRET: Redacted.value(credentials.clientSecret),
    ...changes
  })
  assert.strictEqual(stderr, "")
  assert.strictEqual(code, 0)
  return { stdout, clientId: credentials.clientId }
})

interface SignIn {
  readonly begin: ReturnType<typeof AuthorizationCode.start>
  readonly finish: (
    callback: URL,
    transaction: AuthorizationCode.Transaction
  ) => Effect.Effect<AuthorizationCode.SignedIn, unknown>
}

interface Call {
  readonly App: Layer.Layer<unknown>
  readonly me: (signedIn: AuthorizationCode.SignedIn) => Effect.Effect<Users.User, unknown>
}

/** Loads a program with the ids of an app that exists. The type check has compiled the same one with other ids. */
const load = <A>(name: string, source: string): Effect.Effect<A> =>
  Effect.promise(() => {
    const file = fileURLToPath(new URL(`../.generated/page-live-${name}.snippet.ts`, import.meta.url))
    writeFileSync(file, source)
    return import(file)
  })

describe("the programs of the page", () => {
  it.live("request a token, call the API and handle a failure of the app", () =>
    Effect.gen(function* () {
      const token = yield* runSnippet("token")
      assert.include(token.stdout, `${token.clientId} may itwin-platform until `)
      assert.notInclude(token.stdout, "eyJ")
      assert.strictEqual((yield* runSnippet("call")).stdout, "I am Mine.\n")
      const handled = yield* runSnippet("TokenError-InvalidClient", { ITWIN_CLIENT_SECRET: "fake-secret-a+b/c=" })
      assert.match(handled.stdout, /^IMS rejected the client id or the client secret/)
      assert.match((yield* runSnippet("register")).stdout, /^service-\w{25}\n$/)
    }).pipe(Effect.provide(FakeImsServer.layer()))
  )

  it.live.each(["web", "native", "spa"] as const)("sign a user in and call the API as the user: %s", (type) =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const redirectUris = ["http://127.0.0.1:1234/"]
      yield* fake.addUser({ email: "ada@example.com" })
      const { credentials, scopes } = yield* fake.registerApp({ name: "Mine", type, redirectUris })
      const { clientId } = credentials
      const app = { type, name: "Mine", clientId, clientSecret: undefined, scopes: [...scopes], redirectUris }
      const url = fake.environment.apiBaseUrl
      const { begin, finish } = yield* load<SignIn>(`${type}-sign-in`, snippets.signIn(app, url))
      const { App, me } = yield* load<Call>(`${type}-call`, snippets.callAsUser(app, url))

      const variables = ConfigProvider.fromUnknown({
        ITWIN_CLIENT_ID: clientId,
        ITWIN_CLIENT_SECRET: "clientSecret" in credentials ? Redacted.value(credentials.clientSecret) : ""
      })
      const user = yield* Effect.gen(function* () {
        const { transaction, url: address } = yield* begin
        const signedIn = yield* finish(yield* fake.signIn(Redacted.value(address)), transaction)
        return yield* Effect.provide(me(signedIn), App)
      }).pipe(Effect.provideService(ConfigProvider.ConfigProvider, variables))
      assert.strictEqual(user.email, "ada@example.com")
    }).pipe(Effect.provide(FakeImsServer.layer()))
  )
})
