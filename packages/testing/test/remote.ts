// The controls of a `fake-ims` in another process, over its admin API.
import { request as httpsRequest } from "node:https"
import { text } from "node:stream/consumers"
import { assert } from "@effect/vitest"
import { AccessToken, ClientCredentials, Environment, Scopes } from "@effect-itwin/core"
import { FakeIms, FakeKeyVault, FakeKeyVaultServer, Fault, Journal } from "@effect-itwin/testing"
import { DateTime, Duration, Effect, Layer, Option, Redacted, Schema } from "effect"
import { FetchHttpClient, type HttpClient, HttpServerRequest, HttpServerResponse } from "effect/http"
import { type Bin, call } from "./bin.ts"

const encodeSteps = Schema.encodeEffect(Schema.toCodecJson(Schema.Array(Fault.Step)))

const id = encodeURIComponent

/** The requests to the admin API of a process. */
const requestsTo = (facts: Bin["facts"]) => {
  const admin = (route: string, json?: unknown) => call(facts.url, route, json === undefined ? {} : { json })
  /** An answer that is no success is a mistake of the test. */
  const did = (route: string, json?: unknown) =>
    Effect.flatMap(admin(route, json), ({ status, body }) =>
      status < 300 ? Effect.succeed(body) : Effect.die(new FakeIms.FakeError(body))
    )
  return { admin, did, nothing: (route: string, json?: unknown) => Effect.asVoid(did(route, json)) }
}

type Requests = ReturnType<typeof requestsTo>

/** The controls that both fakes have. */
const commonControls = ({ admin, did, nothing }: Requests, root: string) => {
  const journal: Effect.Effect<ReadonlyArray<Journal.Entry>> = did(`GET ${root}/journal`)
  return {
    script: (route: string, ...steps: ReadonlyArray<Fault.Step>) =>
      Effect.flatMap(Effect.orDie(encodeSteps(steps)), (encoded) =>
        nothing(`POST ${root}/script`, { route, steps: encoded })
      ),
    clearScripts: nothing(`DELETE ${root}/script`),
    verify: Effect.flatMap(admin(`GET ${root}/verify`), ({ status, body }) =>
      status === 200 ? Effect.void : Effect.fail(new FakeIms.FakeError(body))
    ),
    journal,
    clearJournal: nothing(`DELETE ${root}/journal`),
    droppedEntries: Effect.map(did(`GET ${root}/journal/summary`), ({ dropped }) => Number(dropped)),
    countRequests: (route: string) =>
      Effect.map(did(`GET ${root}/journal/summary?route=${id(route)}`), ({ requests }) => Number(requests)),
    maxConcurrent: Effect.map(did(`GET ${root}/journal/summary`), ({ maxConcurrent }) => Number(maxConcurrent)),
    awaitRequest: (route: string, n = 1): Effect.Effect<Journal.Entry> =>
      did(`GET ${root}/journal/wait?route=${id(route)}&n=${n}`)
  }
}

const millis = (input: Duration.Input | undefined) =>
  input === undefined ? undefined : Duration.toMillis(Duration.fromInputUnsafe(input))

const seconds = (input: Duration.Input | undefined) =>
  input === undefined ? undefined : Duration.toSeconds(Duration.fromInputUnsafe(input))

interface RemoteApp {
  readonly type: "service" | "web" | "native" | "spa"
  readonly name: string
  readonly enabled: boolean
  readonly scopes: ReadonlyArray<string>
  readonly redirectUris: ReadonlyArray<string>
  readonly postLogoutRedirectUris: ReadonlyArray<string>
  readonly clientId: string
  readonly clientSecret?: string
}

const confidential = (
  { clientId, clientSecret = "", type: _, ...app }: RemoteApp,
  type: FakeIms.App["type"]
): FakeIms.App => ({
  ...app,
  type,
  scopes: new Set(app.scopes),
  credentials: new ClientCredentials.ClientCredentials({ clientId, clientSecret: Redacted.make(clientSecret) })
})

const appOf = (remote: RemoteApp): FakeIms.App | FakeIms.PublicApp => {
  const { clientId, clientSecret, type, ...app } = remote
  if (type === "service" || type === "web") return confidential(remote, type)
  assert.isUndefined(clientSecret)
  return { ...app, type, scopes: new Set(app.scopes), credentials: new ClientCredentials.PublicClient({ clientId }) }
}

/** The fixed answer that a handler gives to a caller without parameters: a handler can't be sent. */
const fixed = Effect.fnUntraced(function* (handler: Parameters<FakeIms.FakeIms["Service"]["addRoute"]>[2]) {
  const request = HttpServerRequest.fromWeb(new Request("http://127.0.0.1/"))
  const answer = handler({ clientId: "", scopes: new Set(), params: {}, request })
  const response = HttpServerResponse.toWeb(Effect.isEffect(answer) ? yield* answer : answer)
  const json = yield* Effect.promise(() => response.text())
  return { status: response.status, ...(json === "" ? {} : { body: JSON.parse(json) }) }
})

/** Fails as the control in TypeScript does. */
const rejected = (message: string) =>
  Effect.flatMap(Schema.decodeEffect(Schema.String.check(Schema.makeFilter(() => message)))(""), () =>
    Effect.die(message)
  )

const remoteControls = (facts: Bin["facts"]): FakeIms.FakeIms["Service"] => {
  const requests = requestsTo(facts)
  const { admin, did, nothing } = requests
  const common = commonControls(requests, "/__admin")
  const tokenRequests = Effect.map(common.journal, (entries) =>
    Journal.filter(entries, { route: "POST /connect/token" })
  )
  const register = ({ clientSecret, identityDelay, tokenLife, ...registration }: FakeIms.Registration) =>
    Effect.flatMap(
      admin("POST /__admin/apps", {
        ...registration,
        tokenLife: seconds(tokenLife),
        identityDelayMillis: millis(identityDelay),
        clientSecret: clientSecret && Redacted.value(clientSecret)
      }),
      ({ body, status }) => (status === 201 ? Effect.succeed(appOf(body)) : rejected(String(body.message)))
    )
  function registerApp(registration: FakeIms.ConfidentialRegistration): Effect.Effect<FakeIms.App, Schema.SchemaError>
  function registerApp(registration: FakeIms.PublicRegistration): Effect.Effect<FakeIms.PublicApp, Schema.SchemaError>
  function registerApp(
    registration: FakeIms.Registration
  ): Effect.Effect<FakeIms.App | FakeIms.PublicApp, Schema.SchemaError>
  function registerApp(
    registration: FakeIms.Registration
  ): Effect.Effect<FakeIms.App | FakeIms.PublicApp, Schema.SchemaError> {
    return register(registration)
  }

  return {
    ...common,
    environment: Environment.custom({ tokenEndpoint: facts.tokenEndpoint, apiBaseUrl: facts.apiBaseUrl }),
    apps: Effect.map(did("GET /__admin/apps"), (apps: ReadonlyArray<RemoteApp>) => apps.map(appOf)),
    registerApp,
    regenerateSecret: (clientId, options) =>
      Effect.map(did(`POST /__admin/apps/${clientId}/secret`, { overlapMillis: millis(options?.overlap) }), (app) =>
        confidential(app, app.type)
      ),
    revokeSecret: (clientId, secret) =>
      nothing(
        `POST /__admin/apps/${clientId}/secret/revoke`,
        typeof secret === "number" ? { version: secret } : { secret: Redacted.value(secret) }
      ),
    revokeAllTokens: (clientId) => nothing(`POST /__admin/apps/${clientId}/revoke-tokens`),
    disableApp: (clientId) => nothing(`POST /__admin/apps/${clientId}/disable`),
    enableApp: (clientId) => nothing(`POST /__admin/apps/${clientId}/enable`),
    deleteApp: (clientId) => nothing(`DELETE /__admin/apps/${clientId}`),
    issueToken: ({ expiresIn, ...options } = {}) =>
      Effect.map(did("POST /__admin/tokens", { ...options, expiresIn: seconds(expiresIn) }), (issued) => {
        const scopes = Scopes.make(issued.scopes.join(" "))
        return new AccessToken.AccessToken({
          value: Redacted.make(String(issued.token)),
          tokenType: "Bearer",
          scopes,
          requestedScopes: scopes,
          clientId: String(issued.clientId),
          issuedAt: DateTime.makeUnsafe(String(issued.issuedAt)),
          expiresAt: DateTime.makeUnsafe(String(issued.expiresAt))
        })
      }),
    revokeToken: (token) => nothing("POST /__admin/tokens/revoke", { token: Redacted.value(token.value) }),
    users: did("GET /__admin/users"),
    addUser: (user) => did("POST /__admin/users", user),
    deleteUser: (email) => nothing(`DELETE /__admin/users/${id(email)}`),
    revokeSignIns: (email) => nothing(`POST /__admin/users/${id(email)}/revoke-sign-ins`),
    signIn: (url, options) =>
      Effect.flatMap(
        admin("POST /__admin/authorize", {
          url: String(Redacted.isRedacted(url) ? Redacted.value(url) : url),
          ...options
        }),
        ({ body, status }) =>
          status === 200 ? Effect.succeed(new URL(body.location)) : Effect.fail(new FakeIms.FakeError(body))
      ),
    rotateKeys: nothing("POST /__admin/keys/rotate"),
    profile: did("GET /__admin/profile"),
    setProfile: (changes) => nothing("PATCH /__admin/profile", changes),
    iTwins: did("GET /__admin/itwins"),
    createITwin: (options) => Effect.map(did("POST /__admin/itwins", options), ({ id }) => ({ id })),
    deleteITwin: (iTwinId) => nothing(`DELETE /__admin/itwins/${id(iTwinId)}`),
    addRole: (iTwinId, role) => did(`POST /__admin/itwins/${id(iTwinId)}/roles`, role),
    deleteRole: (iTwinId, roleId) => nothing(`DELETE /__admin/itwins/${id(iTwinId)}/roles/${id(roleId)}`),
    addMember: (iTwinId, member) => nothing(`POST /__admin/itwins/${id(iTwinId)}/members`, member),
    removeMember: (iTwinId, email) => nothing(`DELETE /__admin/itwins/${id(iTwinId)}/members/${id(email)}`),
    addRoute: (method, path, handler, options) =>
      Effect.flatMap(fixed(handler), (response) =>
        nothing("POST /__admin/routes", { method, path, response, scopes: options?.scopes })
      ),
    removeRoute: (route) => nothing(`DELETE /__admin/routes?route=${id(route)}`),
    routes: did("GET /__admin/routes"),
    tokenRequests,
    forApp: (clientId) => did(`GET /__admin/journal?clientId=${id(clientId)}`),
    assertTokenRequests: (n) =>
      Effect.flatMap(common.countRequests("POST /connect/token"), (count) =>
        count === n
          ? Effect.void
          : Effect.fail(new FakeIms.FakeError({ message: `Expected ${n} token requests, and there were ${count}` }))
      ),
    reset: nothing("POST /__admin/reset")
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

const isoOf = (time: DateTime.DateTime | undefined) => (time === undefined ? undefined : DateTime.formatIso(time))

const timeOf = (iso: string | undefined) => (iso === undefined ? undefined : DateTime.toUtc(DateTime.makeUnsafe(iso)))

interface RemoteVersion {
  readonly id: string
  readonly enabled: boolean
  readonly createdAt: string
  readonly contentType?: string
  readonly expiresAt?: string
  readonly notBefore?: string
  readonly tags: Readonly<Record<string, string>>
}

const versionOf = ({ contentType, createdAt, expiresAt, notBefore, ...version }: RemoteVersion) => ({
  ...version,
  createdAt: DateTime.toUtc(DateTime.makeUnsafe(createdAt)),
  contentType,
  expiresAt: timeOf(expiresAt),
  notBefore: timeOf(notBefore)
})

/** The part of an `HttpClient` of the Azure SDK that the contract uses, over https. */
const httpClientFor = (ca: string | undefined): FakeKeyVault.HttpClient => ({
  sendRequest: (request) =>
    new Promise((resolve, reject) => {
      const { headers, method, url } = request
      const sent = httpsRequest(url, { method, headers: Object.fromEntries(headers), agent: false, ca }, (response) => {
        const received = new Map(Object.entries(response.headers).map(([name, value]) => [name, String(value)]))
        text(response).then(
          (bodyAsText) =>
            resolve({
              request,
              status: response.statusCode ?? 0,
              bodyAsText,
              headers: {
                get: (name) => received.get(name.toLowerCase()),
                has: (name) => received.has(name.toLowerCase()),
                set: (name, value) => void received.set(name.toLowerCase(), String(value)),
                delete: (name) => void received.delete(name.toLowerCase()),
                toJSON: () => Object.fromEntries(received),
                [Symbol.iterator]: () => received.entries()
              }
            }),
          reject
        )
      })
      sent.on("error", reject)
      sent.end(request.body)
    })
})

const tokenRoutes = new Set(["POST /:tenant/oauth2/v2.0/token", "GET /metadata/identity/oauth2/token"])

const remoteVault = Effect.fnUntraced(function* (facts: Bin["facts"]) {
  const requests = requestsTo(facts)
  const { did, nothing } = requests
  const root = "/__admin/vault"
  const common = commonControls(requests, root)
  const secret = (name: string) => `${root}/secrets/${id(name)}`
  const vault = yield* did(`GET ${root}`)
  const controls: FakeKeyVault.FakeKeyVault["Service"] = {
    ...common,
    vaultUrl: vault.url,
    tenantId: vault.tenantId,
    clientId: vault.clientId,
    clientSecret: Redacted.make(vault.clientSecret),
    httpClient: httpClientFor(facts.vault?.certificate),
    verify: Effect.mapError(common.verify, ({ message }) => new FakeKeyVault.FakeError({ message })),
    setSecret: (name, value, options) =>
      Effect.map(
        did(`PUT ${secret(name)}`, {
          ...options,
          value: typeof value === "string" ? value : Redacted.value(value),
          expiresAt: isoOf(options?.expiresAt),
          notBefore: isoOf(options?.notBefore)
        }),
        ({ version }) => String(version)
      ),
    secretNames: did(`GET ${root}/secrets`),
    versions: (name) =>
      Effect.map(did(`GET ${secret(name)}/versions`), (versions: ReadonlyArray<RemoteVersion>) =>
        versions.map(versionOf)
      ),
    disableVersion: (name, version) => nothing(`POST ${secret(name)}/disable`, { version }),
    enableVersion: (name, version) => nothing(`POST ${secret(name)}/enable`, { version }),
    deleteSecret: (name) => nothing(`DELETE ${secret(name)}`),
    recoverSecret: (name) => nothing(`POST ${secret(name)}/recover`),
    purgeSecret: (name) => nothing(`POST ${secret(name)}/purge`),
    deny: (reason) => nothing(`POST ${root}/deny`, { reason }),
    allow: nothing(`POST ${root}/allow`),
    revokeTokens: nothing(`POST ${root}/tokens/revoke`),
    setChallenge: (challenge) => nothing(`POST ${root}/challenge`, challenge),
    issueToken: (options = {}) => Effect.map(did(`POST ${root}/tokens`, options), ({ token }) => Redacted.make(token)),
    tokenRequests: Effect.map(common.journal, (entries) => entries.filter(({ route }) => tokenRoutes.has(route))),
    reset: nothing(`POST ${root}/reset`)
  }
  yield* controls.reset
  return controls
})

/** The controls of the vault of `fake-ims --vault`, freshly reset, and what the SDK needs to reach it. */
export const layerRemoteVault = (
  facts: () => Bin["facts"]
): Layer.Layer<FakeKeyVault.FakeKeyVault | FakeKeyVaultServer.Endpoint> =>
  Layer.unwrap(
    Effect.map(
      Effect.suspend(() => remoteVault(facts())),
      (controls) =>
        Layer.mergeAll(
          Layer.succeed(FakeKeyVault.FakeKeyVault, controls),
          Layer.succeed(FakeKeyVaultServer.Endpoint, {
            url: controls.vaultUrl,
            certificate: Option.getOrUndefined(Option.fromNullishOr(facts().vault?.certificate))
          })
        )
    )
  )
