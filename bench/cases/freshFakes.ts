// Measures 200 cases of a test suite that each have their own server: `FakeIms.layerTest` in process, and
// oauth2-mock-server, which is started and stopped for each case. The program and its assertions are the same: it gets a
// token, and calls an API with it. Prints milliseconds for all cases.
import assert from "node:assert/strict"
import { ClientCredentials, Environment, ITwin, SecretProvider, TokenCache, Users } from "@effect-itwin/core"
import { FakeIms } from "@effect-itwin/testing"
import { Effect, Layer, Redacted } from "effect"
import { FetchHttpClient } from "effect/http"
import { OAuth2Server } from "oauth2-mock-server"
import { print } from "./print.ts"

const cases = 200

const program = (name: string) =>
  Effect.gen(function* () {
    const token = yield* (yield* TokenCache.TokenCache).get()
    assert.match(Redacted.value(token.value), /^[\w-]+\.[\w-]+\.[\w-]+$/)
    assert.equal((yield* Users.me).givenName, name)
  })

const ours = (name: string): Promise<void> =>
  program(name).pipe(
    Effect.provide(ITwin.layer.pipe(Layer.provide(FakeIms.layerTest({ app: { name } })))),
    Effect.runPromise
  )

const credentials = new ClientCredentials.ClientCredentials({
  clientId: "service-bench",
  clientSecret: Redacted.make("fake-secret-a+b/c=")
})

const theirs = async (name: string): Promise<void> => {
  const server = new OAuth2Server()
  // The algorithm that the fake uses in process. An RSA key for each case would take most of the time.
  await server.issuer.keys.generate("EdDSA")
  server.service.addRoute("GET", "/users/me", (_request, response) => {
    response
      .writeHead(200, { "content-type": "application/json" })
      .end(JSON.stringify({ user: { id: "1", givenName: name } }))
  })
  await server.start(0, "127.0.0.1")
  const { url = "" } = server.issuer
  const environment = Environment.layer(
    Environment.custom({ name: "bench", tokenEndpoint: `${url}/token`, apiBaseUrl: url })
  )
  await program(name).pipe(
    Effect.provide(
      ITwin.layer.pipe(Layer.provide([environment, SecretProvider.layerStatic(credentials), FetchHttpClient.layer]))
    ),
    Effect.runPromise
  )
  await server.stop()
}

const took = async (run: (name: string) => Promise<void>, name: string): Promise<number> => {
  const started = performance.now()
  await run(name)
  return performance.now() - started
}

const sums = { ours: 0, "oauth2-mock-server": 0 }
// Both take turns, so that other work of the machine slows both down. The first cases load and compile.
for (let i = -5; i < cases; i++) {
  const first = await took(ours, `App ${i + 5}`)
  const second = await took(theirs, `App ${i + 5}`)
  if (i < 0) continue
  sums.ours += first
  sums["oauth2-mock-server"] += second
}
print({ ours: [sums.ours], "oauth2-mock-server": [sums["oauth2-mock-server"]] })
process.exit(0)
