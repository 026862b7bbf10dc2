/**
 * A fake IMS and a fake iTwin Platform for tests: registers apps, hands out real signed tokens, checks what it is given
 * as the platform does, misbehaves by script, and keeps a journal.
 *
 * {@link layerTest} serves it in process: no socket, no port, and time is the test's `TestClock`. It answers for the
 * production hosts, so the program under test needs no other `Environment`. `FakeImsServer` serves the same handler on
 * a socket.
 *
 * **Details**
 *
 * In process everything is deterministic: the same seed, calls and clock give the same ids, secrets, tokens and journal.
 *
 * **Gotchas**
 *
 * Under `TestClock` a token request that is delayed or hangs needs its caller in a fiber of its own, and
 * `TestClock.adjust`; {@link FakeIms} `.awaitRequest` tells when the request has come.
 *
 * @since 0.1.0
 */

import type { AccessToken } from "@effect-itwin/core/AccessToken"
import type { ClientCredentials } from "@effect-itwin/core/ClientCredentials"
import * as Environment from "@effect-itwin/core/Environment"
import { SecretProvider } from "@effect-itwin/core/SecretProvider"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import type * as HttpRouter from "effect/http/HttpRouter"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import type * as Schema from "effect/Schema"
import * as Fault from "./Fault.ts"
import { invitePermission } from "./internal/accessControl.ts"
import { make, makeControls } from "./internal/controls.ts"
import type { Algorithm } from "./internal/engine/jwt.ts"
import type { Method } from "./internal/fake.ts"
import { makeClient } from "./internal/inProcess.ts"
import type { FakeImsError } from "./internal/registration.ts"
import * as state from "./internal/state.ts"
import type * as Journal from "./Journal.ts"
import type * as Profile from "./Profile.ts"

/**
 * A registered service app, with its current secret.
 *
 * @category models
 * @since 0.1.0
 */
export interface App {
  readonly name: string
  /** What the app may ask for. */
  readonly scopes: ReadonlySet<string>
  readonly credentials: ClientCredentials
}

/**
 * What an app is registered with.
 *
 * @category models
 * @since 0.1.0
 */
export interface Registration {
  readonly name: string
  /** The scopes it may ask for; `["itwin-platform"]` by default. */
  readonly scopes?: ReadonlyArray<string> | undefined
  /** The life of its tokens, in whole seconds; that of the fake by default. */
  readonly tokenLife?: Duration.Input | undefined
  /** Claims of its tokens on top of, or instead of, the platform's: `{ aud: ["elsewhere"] }`. */
  readonly claims?: Readonly<Record<string, unknown>> | undefined
  /** Fields of its token responses to set or to leave out: `{ omit: ["expires_in"] }`. */
  readonly response?:
    | {
        readonly set?: Readonly<Record<string, unknown>> | undefined
        readonly omit?: ReadonlyArray<string> | undefined
      }
    | undefined
  /** How long after registration the platform knows the app's identity. At once by default; really it takes minutes. */
  readonly identityDelay?: Duration.Input | undefined
  /** A client id of your own, for programs that are configured beforehand. An app that has it is replaced. */
  readonly clientId?: string | undefined
  /** A secret of your own; must start with `fake-secret-`, so that no real one gets here. */
  readonly clientSecret?: Redacted.Redacted | undefined
}

export { AppName, FakeImsError, FakeSecret } from "./internal/registration.ts"

/**
 * The controls of the fake.
 *
 * An id that the fake does not know is a mistake of the test, and a defect.
 *
 * @category services
 * @since 0.1.0
 */
export class FakeIms extends Context.Service<
  FakeIms,
  {
    /** Where the fake is. */
    readonly environment: Environment.Environment

    /** Registers a service app. Fails if the platform would not accept its name, or the given secret may be a real one. */
    readonly registerApp: (registration: Registration) => Effect.Effect<App, Schema.SchemaError>
    /** Gives the app a new secret. The old one is refused at once, or when the overlap is over. */
    readonly regenerateSecret: (
      clientId: string,
      options?: { readonly overlap?: Duration.Input | undefined }
    ) => Effect.Effect<App>
    /** Refuses this secret of the app from now on. */
    readonly revokeSecret: (clientId: string, secret: Redacted.Redacted) => Effect.Effect<void>
    /** Refuses this token from now on, at the APIs and in introspection. */
    readonly revokeToken: (token: AccessToken) => Effect.Effect<void>
    /** Refuses all tokens that the app was given so far. */
    readonly revokeAllTokens: (clientId: string) => Effect.Effect<void>
    /** Refuses the app and its tokens until `enableApp`. */
    readonly disableApp: (clientId: string) => Effect.Effect<void>
    readonly enableApp: (clientId: string) => Effect.Effect<void>
    readonly deleteApp: (clientId: string) => Effect.Effect<void>
    /** Signs with a new key from now on. Tokens of the old ones stay good, and JWKS lists all. */
    readonly rotateKeys: Effect.Effect<void>

    /** Creates an iTwin without members. Apps see it when they are added. */
    readonly createITwin: (options: {
      readonly displayName: string
      readonly id?: string | undefined
    }) => Effect.Effect<{ readonly id: string }>
    /** Creates a role on the iTwin. */
    readonly addRole: (
      iTwinId: string,
      role: {
        readonly displayName: string
        readonly description?: string | undefined
        readonly permissions: ReadonlyArray<string>
      }
    ) => Effect.Effect<{ readonly id: string }>
    /** Adds a member by e-mail (an app's `credentials.clientEmail`), with roles of the iTwin. */
    readonly addMember: (
      iTwinId: string,
      member: { readonly email: string; readonly roleIds?: ReadonlyArray<string> | undefined }
    ) => Effect.Effect<void>

    /** Adds an endpoint of your own to the APIs, behind the same bearer check. `path` may have parameters (`/x/:id`). */
    readonly addRoute: (
      method: Method,
      path: HttpRouter.PathInput,
      handler: (caller: {
        readonly clientId: string
        readonly scopes: ReadonlySet<string>
        readonly params: Readonly<Record<string, string | undefined>>
        readonly request: HttpServerRequest.HttpServerRequest
      }) => HttpServerResponse.HttpServerResponse | Effect.Effect<HttpServerResponse.HttpServerResponse>,
      options?: { readonly scopes?: ReadonlyArray<string> | undefined }
    ) => Effect.Effect<void>

    /** Adds steps to the script of a route, named as it was added: `POST /connect/token`, `GET /users/me`. */
    readonly script: (route: string, ...steps: ReadonlyArray<Fault.Step>) => Effect.Effect<void>
    /** Drops what is left of all scripts. */
    readonly clearScripts: Effect.Effect<void>
    /** Fails if a step of a script was never used. */
    readonly verify: Effect.Effect<void, FakeImsError>

    /** Every request so far, oldest first. */
    readonly journal: Effect.Effect<ReadonlyArray<Journal.Entry>>
    /** The requests to the token endpoint so far, oldest first. */
    readonly tokenRequests: Effect.Effect<ReadonlyArray<Journal.Entry>>
    /** The requests of one app so far. */
    readonly forApp: (clientId: string) => Effect.Effect<ReadonlyArray<Journal.Entry>>
    /** Fails, with the journal as a table, unless there were exactly `n` token requests. */
    readonly assertTokenRequests: (n: number) => Effect.Effect<void, FakeImsError>
    /** The most requests that were being served at once. */
    readonly maxConcurrent: Effect.Effect<number>
    /** The `n`-th request (from 1, which is the default) to the route, as soon as it has come. Waits on no clock. */
    readonly awaitRequest: (route: string, n?: number) => Effect.Effect<Journal.Entry>
    /** Forgets apps, iTwins, tokens, scripts and journal. */
    readonly reset: Effect.Effect<void>
  }
>()("@effect-itwin/testing/FakeIms") {}

/**
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
  /** How the fake behaves where the platform's behaviour is not documented. */
  readonly profile?: Partial<Profile.Profile> | undefined
  /** Whether closing the fake with unused steps in a script is a defect. By default it is a warning in the log. */
  readonly strict?: boolean | undefined
}

/**
 * @category models
 * @since 0.1.0
 */
export interface TestOptions extends Options {
  /** The app whose credentials the layer's `SecretProvider` gives; named `Test` by default. */
  readonly app?: Registration | undefined
}

/**
 * IMS in maintenance, as it was seen: it says `invalid_client` of right credentials once, and shows a page with status
 * 503 for the rest of the time. For the script of `POST /connect/token`.
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
 * The 401 of the gateway before the APIs, which has another shape than theirs.
 *
 * @category faults
 * @since 0.1.0
 */
export const gateway401: Fault.Single = Fault.respond({
  status: 401,
  body: { statusCode: 401, message: "Invalid JWT." }
})

/**
 * 429 of an API, with its headers.
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
 * The permission that a member needs to add others.
 *
 * @category constants
 * @since 0.1.0
 */
export const addMemberPermission: string = invitePermission

/**
 * The fake in process, for tests under `TestClock`: an `HttpClient` that reaches nothing else, the `SecretProvider` of
 * a registered app, and the controls.
 *
 * Each call gives a fake of its own. The `SecretProvider` gives the app's current secret, so it sees
 * `regenerateSecret`.
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
      const fake = yield* make(options, {
        issuer: new URL(Environment.production.tokenEndpoint).origin,
        apiBaseUrl: Environment.production.apiBaseUrl,
        algorithm: "EdDSA",
        seed: "effect-itwin"
      })
      const controls = makeControls(fake, Environment.production)
      const { credentials } = yield* Effect.orDie(controls.registerApp(options?.app ?? { name: "Test" }))
      return Context.make(FakeIms, controls).pipe(
        Context.add(HttpClient.HttpClient, makeClient(fake)),
        // So no variable of the machine reaches a test.
        Context.add(Environment.Environment, Environment.production),
        Context.add(SecretProvider, {
          credentials: Effect.sync(() => {
            const app = fake.state.apps.get(credentials.clientId)
            return app === undefined ? credentials : state.credentialsOf(app)
          })
        })
      )
    })
  )
