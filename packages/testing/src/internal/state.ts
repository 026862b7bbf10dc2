// What the fake knows: its apps, its keys, its iTwins and what happened to it. The routes read and change it; the
// control service shows it to the test.
import { ClientCredentials } from "@effect-itwin/core/ClientCredentials"
import type * as Clock from "effect/Clock"
import type * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Journal from "../Journal.ts"
import type { Profile } from "../Profile.ts"
import type { FieldChanges } from "./engine/applyFault.ts"
import { alphanumeric, type Entropy, uuid } from "./engine/entropy.ts"
import { type Algorithm, type Claims, makeKey, type SigningKey } from "./engine/jwt.ts"
import type { Script } from "./engine/script.ts"

export interface Secret {
  readonly value: string
  /** Epoch milliseconds from which it is refused; infinite while it is current. */
  validUntil: number
}

export interface Application {
  /** The id of the app's identity. */
  readonly userId: string
  readonly clientId: string
  readonly name: string
  readonly scopes: ReadonlySet<string>
  readonly createdAt: number
  /** Epoch milliseconds from which the platform knows the app's identity. */
  readonly identityFrom: number
  readonly tokenLifeSeconds: number | undefined
  /** Claims on top of, or instead of, the platform's. */
  readonly claims: Claims
  /** Fields of its token responses that are set or left out. */
  readonly response: FieldChanges
  /** Oldest first; the last one is current. */
  readonly secrets: Array<Secret>
  enabled: boolean
}

export interface Role {
  readonly id: string
  readonly displayName: string
  readonly description: string
  readonly permissions: ReadonlyArray<string>
}

export interface ITwin {
  readonly id: string
  readonly displayName: string
  readonly roles: Map<string, Role>
  /** E-mail to role ids. */
  readonly members: Map<string, Set<string>>
}

/** An entry of the journal while it is being written. */
export type Entry = { -readonly [K in keyof Journal.Entry]: Journal.Entry[K] }

/** A test that waits for the n-th request to a route. */
export interface Waiter {
  readonly route: string
  readonly n: number
  readonly resume: (entry: Effect.Effect<Journal.Entry>) => void
}

export interface State {
  readonly clock: Clock.Clock
  readonly entropy: Entropy
  readonly issuer: string
  readonly apiBaseUrl: string
  readonly profile: Profile
  readonly algorithm: Algorithm
  /** Newest first: the first one signs, all are published. */
  readonly keys: Array<SigningKey>
  readonly apps: Map<string, Application>
  readonly iTwins: Map<string, ITwin>
  /** `jti` to client id, of every token issued. */
  readonly issued: Map<string, string>
  readonly revoked: Set<string>
  readonly journal: Array<Entry>
  /** The same entries, each route's by itself. */
  readonly byRoute: Map<string, Array<Entry>>
  readonly waiting: Set<Waiter>
  readonly scripts: Map<string, Script>
  inFlight: number
}

export const now = (state: State): number => state.clock.currentTimeMillisUnsafe()

export const makeState = (
  options: Pick<State, "clock" | "entropy" | "issuer" | "apiBaseUrl" | "profile" | "algorithm">
): State => ({
  ...options,
  keys: [makeKey(options.algorithm, options.entropy)],
  apps: new Map(),
  iTwins: new Map(),
  issued: new Map(),
  revoked: new Set(),
  journal: [],
  byRoute: new Map(),
  waiting: new Set(),
  scripts: new Map(),
  inFlight: 0
})

/** Secrets of the platform are base64, so the fake's always hold the characters that clients forget to encode. */
const makeSecret = (entropy: Entropy): Secret => ({
  value: `fake-secret-${alphanumeric(entropy, 16)}+${alphanumeric(entropy, 8)}/${alphanumeric(entropy, 6)}=`,
  validUntil: Number.POSITIVE_INFINITY
})

export interface Registration {
  readonly name: string
  readonly clientId: string | undefined
  readonly clientSecret: string | undefined
  readonly scopes: ReadonlyArray<string>
  readonly tokenLifeSeconds: number | undefined
  readonly claims: Claims
  readonly response: FieldChanges
  readonly identityDelay: number
}

export const register = (state: State, registration: Registration): Application => {
  const app: Application = {
    userId: uuid(state.entropy),
    clientId: registration.clientId ?? `service-${alphanumeric(state.entropy, 25)}`,
    name: registration.name,
    scopes: new Set(registration.scopes),
    createdAt: now(state),
    identityFrom: now(state) + registration.identityDelay,
    tokenLifeSeconds: registration.tokenLifeSeconds,
    claims: registration.claims,
    response: registration.response,
    secrets: [
      registration.clientSecret === undefined
        ? makeSecret(state.entropy)
        : { value: registration.clientSecret, validUntil: Number.POSITIVE_INFINITY }
    ],
    enabled: true
  }
  state.apps.set(app.clientId, app)
  return app
}

/** Makes a new secret current; the older ones are refused from `overlap` milliseconds on. */
export const regenerate = (state: State, app: Application, overlap: number): void => {
  for (const secret of app.secrets) secret.validUntil = Math.min(secret.validUntil, now(state) + overlap)
  app.secrets.push(makeSecret(state.entropy))
}

export const credentialsOf = (app: Application): ClientCredentials =>
  new ClientCredentials({ clientId: app.clientId, clientSecret: Redacted.make(app.secrets.at(-1)?.value ?? "") })

/** Whether the platform knows the app's identity by now. */
export const hasIdentity = (state: State, app: Application): boolean => now(state) >= app.identityFrom
