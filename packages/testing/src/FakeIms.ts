/**
 * Provides a fake IMS and a fake iTwin Platform for tests. The fake registers apps, issues real signed tokens, checks
 * requests as the platform does, injects scripted faults, and keeps a journal.
 *
 * {@link layerTest} serves the fake in process: without a socket, and time is the test's `TestClock`. It answers for the
 * production hosts, or for those of another `Environment`. `FakeImsServer` serves the same handler on a socket.
 *
 * **Details**
 *
 * In process everything is deterministic: the same seed, calls and clock give the same ids, secrets, tokens, correlation
 * ids, pauses and journal.
 *
 * **Gotchas**
 *
 * Under `TestClock`, fork the caller of a request that is delayed or hangs, then call `TestClock.adjust`.
 * {@link FakeIms} `.awaitRequest` returns when the request has arrived.
 *
 * **Example** (A failed request, and what the journal says about it)
 *
 * ```ts test
 * import { assert, it } from "@effect/vitest"
 * import { ITwin, SecretProvider, TokenCache } from "@effect-itwin/core"
 * import { FakeIms } from "@effect-itwin/testing"
 * import { Effect, Layer } from "effect"
 *
 * it.effect("says why IMS rejected the credentials", () =>
 *   Effect.gen(function* () {
 *     const fake = yield* FakeIms.FakeIms
 *     const { credentials } = yield* SecretProvider.SecretProvider
 *     yield* fake.disableApp((yield* credentials).clientId)
 *     const cache = yield* TokenCache.TokenCache
 *     const error = yield* Effect.flip(cache.get())
 *     assert.strictEqual(error.reason._tag, "InvalidClient")
 *     const [request] = yield* fake.tokenRequests
 *     assert.strictEqual(request?.explanation, "The app is disabled.")
 *   }).pipe(Effect.provide(ITwin.layer.pipe(Layer.provideMerge(FakeIms.layerTest()))))
 * )
 * ```
 *
 * @since 0.1.0
 */

import type { AccessToken } from "@effect-itwin/core/AccessToken"
import type { ClientCredentials, PublicClient } from "@effect-itwin/core/ClientCredentials"
import * as Environment from "@effect-itwin/core/Environment"
import { SecretProvider } from "@effect-itwin/core/SecretProvider"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import type * as Redacted from "effect/Redacted"
import type * as Schema from "effect/Schema"
import * as Fault from "./Fault.ts"
import { makeControls } from "./internal/controls.ts"
import type { FakeError } from "./internal/engine/fakeError.ts"
import type { Algorithm } from "./internal/engine/jwt.ts"
import { makeFake } from "./internal/fakeIms.ts"
import { credentialsOf } from "./internal/ims/clients.ts"
import { invitePermission, rolesPermission } from "./internal/platform/accessControl.ts"
import { makeClient } from "./internal/serve/inProcess.ts"
import type * as Journal from "./Journal.ts"
import type * as Profile from "./Profile.ts"

/**
 * Describes what registered apps of all types have.
 *
 * @category models
 * @since 0.1.0
 */
export interface AnyApp {
  readonly name: string
  /** The scopes that it may request. */
  readonly scopes: ReadonlySet<string>
  /** Where users may be sent after they signed in. Compared as text. */
  readonly redirectUris: ReadonlyArray<string>
  /** Where users may be sent after they signed out. Compared as text. */
  readonly postLogoutRedirectUris: ReadonlyArray<string>
  /** False between `disableApp` and `enableApp`. */
  readonly enabled: boolean
}

/**
 * Describes a registered service app or web app, with its current secret.
 *
 * @category models
 * @since 0.1.0
 */
export interface App extends AnyApp {
  readonly type: "service" | "web"
  readonly credentials: ClientCredentials
}

/**
 * Describes a registered native or single-page app. It is a public client (RFC 6749 §2.1), which has no secret.
 *
 * @category models
 * @since 0.1.0
 */
export interface PublicApp extends AnyApp {
  readonly type: "native" | "spa"
  readonly credentials: PublicClient
}

/**
 * Describes a user who can sign in.
 *
 * @category models
 * @since 0.1.0
 */
export interface User {
  readonly id: string
  readonly email: string
  readonly givenName: string
  readonly surname: string
  readonly displayName: string
  readonly alternateEmail: string | null
  readonly phone: string | null
  readonly organizationName: string
  readonly city: string | null
  readonly country: string | null
  readonly language: string
}

/**
 * Describes an iTwin, with its roles and its members. Removed members are not among them.
 *
 * @category models
 * @since 0.1.0
 */
export interface ITwin {
  readonly id: string
  readonly displayName: string
  readonly class: string
  readonly subClass: string
  readonly type: string | null
  readonly number: string | null
  readonly roles: ReadonlyArray<{
    readonly id: string
    readonly displayName: string
    readonly description: string
    readonly permissions: ReadonlyArray<string>
  }>
  readonly members: ReadonlyArray<{ readonly email: string; readonly roleIds: ReadonlyArray<string> }>
}

/**
 * Describes the app to register.
 *
 * @category models
 * @since 0.1.0
 */
export interface Registration {
  readonly name: string
  /** `service` by default. The other types sign users in. */
  readonly type?: "service" | "web" | "native" | "spa" | undefined
  /**
   * Where users may be sent after they signed in; at least one, except for a service app, which has none. Absolute URLs
   * without a fragment: https, http on loopback, and for native apps a scheme of their own. They are compared as text.
   */
  readonly redirectUris?: ReadonlyArray<string> | undefined
  /** Where users may be sent after they signed out; none by default. */
  readonly postLogoutRedirectUris?: ReadonlyArray<string> | undefined
  /**
   * The scopes that it may request. By default `["itwin-platform"]` for a service app; for the others also `openid`,
   * `email`, `profile`, `organization`, and except for a single-page app `offline_access`.
   */
  readonly scopes?: ReadonlyArray<string> | undefined
  /** The life of its tokens, in whole seconds; that of the fake by default. */
  readonly tokenLife?: Duration.Input | undefined
  /** Claims of its tokens in addition to the platform's, or instead of them: `{ aud: ["elsewhere"] }`. */
  readonly claims?: Readonly<Record<string, unknown>> | undefined
  /** Fields of its token responses to set or to leave out: `{ omit: ["expires_in"] }`. */
  readonly response?:
    | {
        readonly set?: Readonly<Record<string, unknown>> | undefined
        readonly omit?: ReadonlyArray<string> | undefined
      }
    | undefined
  /** How long after registration the platform knows the app's identity. At once by default; in reality it takes minutes. */
  readonly identityDelay?: Duration.Input | undefined
  /** A given client id, for programs that are configured beforehand. An app that has it is replaced. */
  readonly clientId?: string | undefined
  /** A given secret. It must start with `fake-secret-`, so that a real one is not used by accident. */
  readonly clientSecret?: Redacted.Redacted | undefined
}

/**
 * Describes a service app or a web app to register. Both have a secret.
 *
 * @category models
 * @since 0.1.0
 */
export interface ConfidentialRegistration extends Registration {
  readonly type?: "service" | "web" | undefined
}

/**
 * Describes a native or single-page app to register.
 *
 * @category models
 * @since 0.1.0
 */
export interface PublicRegistration extends Registration {
  readonly type: "native" | "spa"
  readonly clientSecret?: undefined
}

export { FakeError } from "./internal/engine/fakeError.ts"
export { AppName, FakeSecret } from "./internal/ims/clients.ts"

/**
 * Controls the fake.
 *
 * An id or a route that the fake does not know is a mistake of the test, and a defect. The message of an unknown route
 * lists the routes.
 *
 * @category services
 * @since 0.1.0
 */
export class FakeIms extends Context.Service<
  FakeIms,
  {
    /** The URLs of the fake. */
    readonly environment: Environment.Environment

    /** Returns the apps that are registered, in the order of their registration. */
    readonly apps: Effect.Effect<ReadonlyArray<App | PublicApp>>
    /**
     * Registers an app. Fails if the platform would not accept its name or its redirect addresses, if it has what apps
     * of its type do not have, or if the given secret may be real.
     */
    readonly registerApp: {
      (registration: ConfidentialRegistration): Effect.Effect<App, Schema.SchemaError>
      (registration: PublicRegistration): Effect.Effect<PublicApp, Schema.SchemaError>
      (registration: Registration): Effect.Effect<App | PublicApp, Schema.SchemaError>
    }
    /** Gives the service app or web app a new secret. The old one is rejected at once, or after the overlap. */
    readonly regenerateSecret: (
      clientId: string,
      options?: { readonly overlap?: Duration.Input | undefined }
    ) => Effect.Effect<App>
    /** Rejects a secret of the app from now on: its value, or its number (from 1) in the order of creation. */
    readonly revokeSecret: (clientId: string, secret: Redacted.Redacted | number) => Effect.Effect<void>
    /**
     * Issues a token without a request. The APIs of the fake accept it, and so does a backend that verifies tokens with
     * the fake's keys. The app is the first one that was registered, the scopes and the life are the app's, unless they
     * are given. `claims` are added to the usual ones or replace them: `{ sub: "user-1" }`.
     */
    readonly issueToken: (options?: {
      readonly clientId?: string | undefined
      readonly claims?: Readonly<Record<string, unknown>> | undefined
      readonly scopes?: ReadonlyArray<string> | undefined
      /** In whole seconds. */
      readonly expiresIn?: Duration.Input | undefined
    }) => Effect.Effect<AccessToken>
    /** Rejects this token from now on, at the APIs and in introspection. */
    readonly revokeToken: (token: AccessToken) => Effect.Effect<void>
    /** Rejects all access tokens that were issued to the app so far. Refresh tokens stay valid. */
    readonly revokeAllTokens: (clientId: string) => Effect.Effect<void>
    /** Rejects the app and its tokens until `enableApp`. */
    readonly disableApp: (clientId: string) => Effect.Effect<void>
    readonly enableApp: (clientId: string) => Effect.Effect<void>
    readonly deleteApp: (clientId: string) => Effect.Effect<void>

    /** Returns the users, in the order in which they were added. */
    readonly users: Effect.Effect<ReadonlyArray<User>>
    /**
     * Adds a user who can sign in. There are no passwords. A user who has the same e-mail is replaced, and the sign-ins
     * of that user end.
     */
    readonly addUser: (
      user: Pick<User, "email"> & { readonly [Field in Exclude<keyof User, "email">]?: User[Field] | undefined }
    ) => Effect.Effect<User>
    /** Deletes the user. All sign-ins of the user end. */
    readonly deleteUser: (email: string) => Effect.Effect<void>
    /** Ends all sign-ins of the user: sessions of browsers, codes, refresh tokens, access tokens, and consents. */
    readonly revokeSignIns: (email: string) => Effect.Effect<void>
    /**
     * Does what a person does on the pages of the fake: opens the authorization request at `url`, signs in as a user and
     * consents, or denies. Returns the address that the browser is sent to, with `code` and `state`, or with `error`.
     *
     * The user is the first one by default. Fails if the request is refused without a redirect, or if there is no such
     * user; the message says why.
     */
    readonly signIn: (
      url: string | URL | Redacted.Redacted,
      options?: { readonly email?: string | undefined; readonly deny?: boolean | undefined }
    ) => Effect.Effect<URL, FakeError>

    /** Signs with a new key from now on. Tokens of the old keys stay valid, and JWKS lists all keys. */
    readonly rotateKeys: Effect.Effect<void>
    /** Returns how the fake behaves where the platform's behavior is not documented. */
    readonly profile: Effect.Effect<Profile.Profile>
    /** Changes fields of the profile, for the requests that follow. */
    readonly setProfile: (changes: Partial<Profile.Profile>) => Effect.Effect<void>

    /** Returns the iTwins, in the order of their creation. */
    readonly iTwins: Effect.Effect<ReadonlyArray<ITwin>>
    /** Creates an iTwin without members. Apps see it when they are added. */
    readonly createITwin: (options: {
      readonly displayName: string
      readonly id?: string | undefined
      /** `Endeavor` by default. */
      readonly class?: string | undefined
      /** `Project` by default. */
      readonly subClass?: string | undefined
      readonly type?: string | null | undefined
      readonly number?: string | null | undefined
    }) => Effect.Effect<{ readonly id: string }>
    /** Deletes the iTwin with its roles and members. */
    readonly deleteITwin: (id: string) => Effect.Effect<void>
    /** Creates a role on the iTwin. */
    readonly addRole: (
      iTwinId: string,
      role: {
        readonly displayName: string
        readonly description?: string | undefined
        readonly permissions: ReadonlyArray<string>
      }
    ) => Effect.Effect<{ readonly id: string }>
    /** Deletes the role, and takes it from the members that have it. */
    readonly deleteRole: (iTwinId: string, roleId: string) => Effect.Effect<void>
    /** Adds a member by e-mail (an app's `credentials.clientEmail`), with roles of the iTwin. */
    readonly addMember: (
      iTwinId: string,
      member: { readonly email: string; readonly roleIds?: ReadonlyArray<string> | undefined }
    ) => Effect.Effect<void>
    /** Removes the member. The list of members still contains it, with `null` as its e-mail. */
    readonly removeMember: (iTwinId: string, email: string) => Effect.Effect<void>

    /**
     * Adds an endpoint to the APIs, which is protected by the same check of the bearer token. `path` may have parameters
     * (`/x/:id`). An endpoint that has the same method and path is replaced.
     */
    readonly addRoute: (
      method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE",
      path: `/${string}`,
      handler: (caller: {
        readonly clientId: string
        readonly scopes: ReadonlySet<string>
        readonly params: Readonly<Record<string, string | undefined>>
        readonly request: HttpServerRequest.HttpServerRequest
      }) => HttpServerResponse.HttpServerResponse | Effect.Effect<HttpServerResponse.HttpServerResponse>,
      options?: {
        /** A token with one of these is accepted; `["itwin-platform"]` by default. */
        readonly scopes?: ReadonlyArray<string> | undefined
      }
    ) => Effect.Effect<void>

    /**
     * Removes an endpoint of the test, with its script: `GET /x/:id`. An endpoint of the fake that it replaced is served
     * again.
     */
    readonly removeRoute: (route: string) => Effect.Effect<void>
    /** Returns the names of all routes, and whether the test added them. */
    readonly routes: Effect.Effect<ReadonlyArray<{ readonly name: string; readonly own: boolean }>>

    /** Adds steps to the script of a route, named as it was added: `POST /connect/token`, `GET /users/me`. */
    readonly script: (route: string, ...steps: ReadonlyArray<Fault.Step>) => Effect.Effect<void>
    /** Drops what is left of all scripts. */
    readonly clearScripts: Effect.Effect<void>
    /** Fails if a step of a script was never used. */
    readonly verify: Effect.Effect<void, FakeError>

    /** Returns the requests that the journal keeps, oldest first. */
    readonly journal: Effect.Effect<ReadonlyArray<Journal.Entry>>
    /** Forgets the journal, its counts and `maxConcurrent`. Numbers begin at 1 again. */
    readonly clearJournal: Effect.Effect<void>
    /** Returns how many entries the journal dropped, because there were more than `journalLimit`. */
    readonly droppedEntries: Effect.Effect<number>
    /** Returns the requests to the token endpoint that the journal keeps, oldest first. */
    readonly tokenRequests: Effect.Effect<ReadonlyArray<Journal.Entry>>
    /** Returns the requests of one app that the journal keeps. */
    readonly forApp: (clientId: string) => Effect.Effect<ReadonlyArray<Journal.Entry>>
    /** Returns how many requests the route received, those that the journal dropped included. */
    readonly countRequests: (route: string) => Effect.Effect<number>
    /** Fails, with the journal as a table, unless there were exactly `n` token requests. */
    readonly assertTokenRequests: (n: number) => Effect.Effect<void, FakeError>
    /** Returns the largest number of requests that were served at the same time. */
    readonly maxConcurrent: Effect.Effect<number>
    /** Returns the `n`-th request (from 1, which is the default) to the route as soon as it arrives. Waits on no clock. */
    readonly awaitRequest: (route: string, n?: number) => Effect.Effect<Journal.Entry>
    /**
     * Forgets apps, users, iTwins, tokens, scripts, journal and changes of the profile. Keys and added routes stay.
     */
    readonly reset: Effect.Effect<void>
  }
>()("@effect-itwin/testing/FakeIms") {}

/**
 * Configures the fake.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** The life of the tokens, in whole seconds; that of the profile (one hour) by default. */
  readonly tokenLife?: Duration.Input | undefined
  /** What ids, secrets and keys are made from. */
  readonly seed?: string | undefined
  /** The signature algorithm: Ed25519 in process, RS256 on a socket by default. RS256 keys are not deterministic. */
  readonly algorithm?: Algorithm | undefined
  /** How the fake behaves where the platform's behavior is not documented. */
  readonly profile?: Partial<Profile.Profile> | undefined
  /** How many entries the journal keeps, at least 1; 10,000 by default. */
  readonly journalLimit?: number | undefined
  /** Whether closing the fake with unused steps in a script is a defect. By default it is a warning in the log. */
  readonly strict?: boolean | undefined
}

/**
 * Configures the fake in process.
 *
 * @category models
 * @since 0.1.0
 */
export interface TestOptions extends Options {
  /** The app whose credentials the layer's `SecretProvider` returns; a service app named `Test` by default. */
  readonly app?: ConfidentialRegistration | undefined
  /** The environment whose hosts the fake answers for; `Environment.production` by default. */
  readonly environment?: Environment.Environment | undefined
}

/**
 * Returns steps that behave like IMS in maintenance, as it was seen: `invalid_client` for valid credentials once, then a
 * page with status 503 until the duration has passed. Use them in the script of `POST /connect/token`.
 *
 * @category faults
 * @since 0.1.0
 */
export const maintenance = (duration: Duration.Input): ReadonlyArray<Fault.Step> => [
  Fault.once(
    Fault.respond({
      status: 401,
      body: { error_description: "Invalid client or client credentials.", error: "invalid_client" }
    })
  ),
  Fault.forDuration(Fault.html(503, "Scheduled maintenance"), duration)
]

/**
 * Answers with the 401 of the gateway, whose shape differs from that of the APIs.
 *
 * @category faults
 * @since 0.1.0
 */
export const gateway401: Fault.Single = Fault.respond({
  status: 401,
  body: { statusCode: 401, message: "Invalid JWT." }
})

/**
 * Answers with the 429 of an API and its headers. `retryAfter` is in seconds.
 *
 * @category faults
 * @since 0.1.0
 */
export const rateLimited = (retryAfter: number): Fault.Single =>
  Fault.respond({
    status: 429,
    headers: {
      "retry-after": String(retryAfter),
      "itwinplatform-ratelimited-tier": "community",
      "itwinplatform-ratelimited-api": "users"
    },
    body: { error: { code: "RateLimitExceeded", message: "The client sent too many requests." } }
  })

/**
 * Names the permission that a member needs to add others.
 *
 * @category constants
 * @since 0.1.0
 */
export const addMemberPermission: string = invitePermission

/**
 * Names the permission that a member needs to list the roles of an iTwin.
 *
 * @category constants
 * @since 0.1.0
 */
export const manageRolesPermission: string = rolesPermission

/**
 * Builds the fake in process, for tests under `TestClock`: an `HttpClient` that reaches nothing else, the
 * `SecretProvider` of a registered app, and the controls.
 *
 * Each call builds another fake. The `SecretProvider` returns the app's current secret, so that `regenerateSecret` takes
 * effect. The layer also provides `Environment`, and a `Random` with the fake's seed.
 *
 * **Example** (A token under virtual time)
 *
 * ```ts
 * import { ITwin, TokenCache } from "@effect-itwin/core"
 * import { FakeIms } from "@effect-itwin/testing"
 * import { Effect, Layer } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const cache = yield* TokenCache.TokenCache
 *   const fake = yield* FakeIms.FakeIms
 *   yield* cache.get()
 *   yield* cache.get()
 *   return (yield* fake.tokenRequests).length
 * })
 *
 * const requests = await Effect.runPromise(
 *   program.pipe(Effect.provide(ITwin.layer.pipe(Layer.provideMerge(FakeIms.layerTest()))))
 * )
 * console.log(requests) // 1
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerTest = (options?: TestOptions): Layer.Layer<FakeIms | HttpClient.HttpClient | SecretProvider> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const { environment = Environment.production, seed = "effect-itwin" } = options ?? {}
      const fake = yield* makeFake(options, { environment, algorithm: "EdDSA", seed })
      const controls = makeControls(fake, environment)
      const { credentials } = yield* Effect.orDie(controls.registerApp(options?.app ?? { name: "Test" }))
      return Context.make(FakeIms, controls).pipe(
        Context.add(HttpClient.HttpClient, makeClient(fake, environment)),
        // So that variables of the machine do not reach a test.
        Context.add(Environment.Environment, environment),
        // So that correlation ids and jitter are the same in each run.
        Context.add(Random.Random, yield* Random.withSeed(Random.Random, seed)),
        Context.add(SecretProvider, {
          credentials: Effect.sync(() => {
            const app = fake.ims.apps.get(credentials.clientId)
            return app === undefined ? credentials : credentialsOf(app)
          })
        })
      )
    })
  )
