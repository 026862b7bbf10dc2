// Users who sign in to an app of the fake, and replicas of the app that share a store. Time is virtual.
import {
  AuthorizationCode,
  ClientCredentials,
  Environment,
  RetryPolicy,
  Scopes,
  SecretProvider,
  SessionStore,
  type TokenError,
  UserTokens
} from "@effect-itwin/core"
import { FakeIms, type Fault } from "@effect-itwin/testing"
import { Effect, Exit, Logger, Redacted, type Scope } from "effect"
import type { HttpClient } from "effect/http"
import { TestClock } from "effect/testing"

export const redirectUri = "https://app.example.com/callback"
export const email = "ada@example.com"
export const scopes = Scopes.make("email itwin-platform offline_access openid")

export const web = { name: "Web", type: "web", redirectUris: [redirectUri] } as const

/** The fake with a web app, whose refresh tokens work once. */
export const layerIms = (options?: FakeIms.TestOptions) =>
  FakeIms.layerTest({ app: web, ...options, profile: { refreshTokenGraceSeconds: 0, ...options?.profile } })

const browse = Effect.fnUntraced(
  function* (
    client: ClientCredentials.ClientCredentials | ClientCredentials.PublicClient,
    redirectUri: string,
    requested: Scopes.Scopes
  ) {
    const fake = yield* FakeIms.FakeIms
    const users = yield* fake.users
    if (!users.some((user) => user.email === email))
      yield* fake.addUser({ email, givenName: "Ada", surname: "Lovelace" })
    const { transaction, url } = yield* AuthorizationCode.start({
      clientId: client.clientId,
      redirectUri,
      scopes: requested
    })
    const callback = yield* Effect.orDie(fake.signIn(Redacted.value(url), { email }))
    return yield* Effect.orDie(AuthorizationCode.redeem(callback.searchParams, transaction, client))
  },
  Effect.provideService(Environment.Environment, Environment.production)
)

/** Signs a user in to the web app, as a browser would. */
export const signIn = (requested: Scopes.Scopes = scopes) =>
  Effect.flatMap(SecretProvider.SecretProvider, ({ credentials }) =>
    Effect.flatMap(Effect.orDie(credentials), (client) => browse(client, redirectUri, requested))
  )

export const signInPublic = (clientId: string, redirectUri: string) =>
  browse(new ClientCredentials.PublicClient({ clientId }), redirectUri, scopes)

type Ims = FakeIms.FakeIms | HttpClient.HttpClient | SecretProvider.SecretProvider

/** One attempt for each request, so that the test causes each of them. */
export const replica = (
  store: SessionStore.SessionStore["Service"],
  options?: UserTokens.WebOptions
): Effect.Effect<UserTokens.UserTokens["Service"], never, Ims | Scope.Scope> =>
  UserTokens.make({ jitter: 0, ...options }).pipe(
    Effect.provideService(SessionStore.SessionStore, store),
    Effect.provide(RetryPolicy.layer(RetryPolicy.none)),
    Effect.orDie
  )

export const memory = Effect.map(SessionStore.makeMemory, (backend) => SessionStore.make(backend))

type Backend = SessionStore.Backend
export type Step = "get" | "set" | "remove" | "tryLock" | "unlock"

export const storeError = new SessionStore.SessionStoreError({
  store: "memory",
  kind: "unavailable",
  detail: "the connection was refused."
})

/** A backend whose steps run `before` first. */
export const withFaults = (
  backend: Backend,
  before: (step: Step) => Effect.Effect<void, SessionStore.SessionStoreError>
): Backend => ({
  ...backend,
  get: (name) => Effect.andThen(before("get"), backend.get(name)),
  set: (name, text, options) => Effect.andThen(before("set"), backend.set(name, text, options)),
  remove: (name) => Effect.andThen(before("remove"), backend.remove(name)),
  tryLock: (name, owner, life) => Effect.andThen(before("tryLock"), backend.tryLock(name, owner, life)),
  unlock: (name, owner) => Effect.andThen(before("unlock"), backend.unlock(name, owner))
})

/** A store in memory whose steps can be made to fail. */
export const faultyMemory = Effect.map(SessionStore.makeMemory, (backend) => {
  const failing = new Set<Step>()
  const steps: Array<Step> = []
  const store = SessionStore.make(
    withFaults(backend, (step) =>
      Effect.suspend(() => {
        steps.push(step)
        return failing.has(step) ? Effect.fail(storeError) : Effect.void
      })
    )
  )
  return { store, failing, steps }
})

export const reasonOf = <A>(exit: Exit.Exit<A, TokenError.TokenError>): string => {
  if (Exit.isSuccess(exit)) return "success"
  const failure = exit.cause.reasons.find((reason) => reason._tag === "Fail")
  const reason = failure?.error.reason
  return reason === undefined ? "defect" : reason._tag === "SignedOut" ? `SignedOut ${reason.why}` : reason._tag
}

export const script = (...steps: ReadonlyArray<Fault.Step>) =>
  Effect.flatMap(FakeIms.FakeIms, (fake) => fake.script("POST /connect/token", ...steps))

/** The outcomes of the refresh requests. */
export const refreshes = Effect.flatMap(FakeIms.FakeIms, (fake) =>
  Effect.map(fake.tokenRequests, (requests) =>
    requests.flatMap(({ form, outcome }) => (form?.grant_type === "refresh_token" ? [outcome] : []))
  )
)

export const minutes = (count: number) => TestClock.adjust(`${count} minutes`)

export const silent = Logger.layer([])

export const textOf = (token: { readonly value: Redacted.Redacted }): string => Redacted.value(token.value)
