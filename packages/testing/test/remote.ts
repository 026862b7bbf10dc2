// The controls of a `fake-ims` in another process, over its admin API: as much of them as the contract needs.
import { ClientCredentials, Environment } from "@effect-itwin/core"
import { FakeIms, Fault, type Journal } from "@effect-itwin/testing"
import { Effect, Layer, Redacted, Schema } from "effect"
import { FetchHttpClient, type HttpClient } from "effect/http"
import { type Bin, call } from "./bin.ts"

const encodeSteps = Schema.encodeEffect(Schema.toCodecJson(Schema.Array(Fault.Step)))

const notThere = Effect.die("The admin API has no such control")

const remoteControls = (facts: Bin["facts"]): FakeIms.FakeIms["Service"] => {
  const admin = (route: string, json?: unknown) => call(facts.url, route, json === undefined ? {} : { json })
  /** An answer that is no success is a mistake of the test. */
  const did = (route: string, json?: unknown) =>
    Effect.flatMap(admin(route, json), ({ status, body }) =>
      status < 300 ? Effect.succeed(body) : Effect.die(new FakeIms.FakeError(body))
    )
  const journal: Effect.Effect<ReadonlyArray<Journal.Entry>> = did("GET /__admin/journal")
  const tokenRequests = Effect.map(journal, (entries) =>
    entries.filter((entry) => entry.route === "POST /connect/token")
  )
  const appOf = (app: { name: string; scopes: ReadonlyArray<string>; clientId: string; clientSecret: string }) => ({
    name: app.name,
    scopes: new Set(app.scopes),
    credentials: new ClientCredentials.ClientCredentials({
      clientId: app.clientId,
      clientSecret: Redacted.make(app.clientSecret)
    })
  })
  return {
    environment: Environment.custom({ tokenEndpoint: facts.tokenEndpoint, apiBaseUrl: facts.apiBaseUrl }),
    registerApp: ({ name, scopes }) => Effect.map(did("POST /__admin/apps", { name, scopes }), appOf),
    regenerateSecret: (clientId) => Effect.map(did(`POST /__admin/apps/${clientId}/secret`), appOf),
    revokeAllTokens: (clientId) => did(`POST /__admin/apps/${clientId}/revoke-tokens`),
    disableApp: (clientId) => did(`POST /__admin/apps/${clientId}/disable`),
    enableApp: (clientId) => did(`POST /__admin/apps/${clientId}/enable`),
    deleteApp: (clientId) => did(`DELETE /__admin/apps/${clientId}`),
    script: (route, ...steps) =>
      Effect.flatMap(Effect.orDie(encodeSteps(steps)), (encoded) =>
        did("POST /__admin/script", { route, steps: encoded })
      ),
    clearScripts: did("DELETE /__admin/script"),
    verify: Effect.flatMap(admin("GET /__admin/verify"), ({ status, body }) =>
      status === 200 ? Effect.void : Effect.fail(new FakeIms.FakeError(body))
    ),
    journal,
    tokenRequests,
    forApp: (clientId) => Effect.map(journal, (entries) => entries.filter((entry) => entry.clientId === clientId)),
    assertTokenRequests: (n) =>
      Effect.flatMap(tokenRequests, ({ length }) =>
        length === n
          ? Effect.void
          : Effect.fail(new FakeIms.FakeError({ message: `Expected ${n} token requests, and there were ${length}` }))
      ),
    maxConcurrent: Effect.map(journal, (entries) => Math.max(0, ...entries.map((entry) => entry.concurrency))),
    reset: did("POST /__admin/reset"),
    revokeSecret: () => notThere,
    issueToken: () => notThere,
    revokeToken: () => notThere,
    rotateKeys: notThere,
    createITwin: () => notThere,
    addRole: () => notThere,
    addMember: () => notThere,
    removeMember: () => notThere,
    droppedEntries: notThere,
    countRequests: (route) => Effect.map(journal, (entries) => entries.filter((entry) => entry.route === route).length),
    addRoute: () => notThere,
    awaitRequest: () => notThere
  }
}

/** The controls, freshly reset, and the `Environment` and client that lead to the process. */
export const layerRemote = (facts: () => Bin["facts"]): Layer.Layer<FakeIms.FakeIms | HttpClient.HttpClient> =>
  Layer.unwrap(
    Effect.gen(function* () {
      const controls = remoteControls(facts())
      yield* controls.reset
      return Layer.mergeAll(
        Layer.succeed(FakeIms.FakeIms, controls),
        Environment.layer(controls.environment),
        FetchHttpClient.layer
      )
    })
  )
