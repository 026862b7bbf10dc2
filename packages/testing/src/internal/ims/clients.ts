// Keeps the registered apps and their secrets.
import { ClientCredentials } from "@effect-itwin/core/ClientCredentials"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { FieldChanges } from "../engine/applyFault.ts"
import { alphanumeric, type Entropy, uuid } from "../engine/entropy.ts"
import type { Claims } from "../engine/jwt.ts"
import { type AppType, isPublic } from "./appTypes.ts"
import { type Ims, now } from "./state.ts"

export interface Secret {
  readonly value: string
  /** Epoch milliseconds from which it is rejected; infinite while it is current. */
  validUntil: number
  isRevoked: boolean
}

export interface Application {
  /** The id of the app's identity. */
  readonly userId: string
  readonly clientId: string
  readonly type: AppType
  readonly name: string
  readonly scopes: ReadonlySet<string>
  /** Where users may be sent after they signed in; compared as text. */
  readonly redirectUris: ReadonlyArray<string>
  /** Where users may be sent after they signed out; compared as text. */
  readonly postLogoutRedirectUris: ReadonlyArray<string>
  /** In epoch milliseconds. */
  readonly createdAt: number
  /** Epoch milliseconds from which the platform knows the app's identity. */
  readonly identityFrom: number
  readonly tokenLifeSeconds: number | undefined
  /** Claims in addition to the platform's, or instead of them. */
  readonly claims: Claims
  /** Fields of its token responses that are set or left out. */
  readonly response: FieldChanges
  /** Oldest first; the last one is current. A public client has none. */
  readonly secrets: Array<Secret>
  isEnabled: boolean
}

/**
 * Checks the name of an app as the platform does: 1 to 60 characters, and none of a list of special ones.
 *
 * @category schemas
 * @since 0.1.0
 */
export const AppName = Schema.String.check(
  Schema.isPattern(/^[^,;[\]=\\<>?"{}|+!@#$%^*`~]{1,60}$/, {
    expected: 'an app name of 1 to 60 characters, none of , ; [ ] = \\ < > ? " { } | + ! @ # $ % ^ * ` ~'
  })
)

/**
 * Accepts only secrets that can't be real ones: they start with `fake-secret-`.
 *
 * @category schemas
 * @since 0.1.0
 */
export const FakeSecret = Schema.String.check(
  Schema.isPattern(/^fake-secret-./, { expected: "a made-up secret that starts with fake-secret-" })
)

const secretOf = (value: string): Secret => ({ value, validUntil: Number.POSITIVE_INFINITY, isRevoked: false })

/** Makes a secret that contains `+ / =`: the platform's secrets are base64, and clients forget to encode them. */
const makeSecret = (entropy: Entropy): Secret =>
  secretOf(`fake-secret-${alphanumeric(entropy, 16)}+${alphanumeric(entropy, 8)}/${alphanumeric(entropy, 6)}=`)

export interface Registration {
  readonly type: AppType
  readonly name: string
  readonly redirectUris: ReadonlyArray<string>
  readonly postLogoutRedirectUris: ReadonlyArray<string>
  readonly scopes: ReadonlyArray<string>
  readonly tokenLifeSeconds: number | undefined
  readonly claims: Claims
  readonly response: FieldChanges
  /** In milliseconds. */
  readonly identityDelay: number
  readonly clientId: string | undefined
  readonly clientSecret: string | undefined
}

export const register = (ims: Ims, registration: Registration): Application => {
  const { entropy } = ims
  const { clientSecret, type } = registration
  const firstSecret = () => (clientSecret === undefined ? makeSecret(entropy) : secretOf(clientSecret))
  const app: Application = {
    userId: uuid(entropy),
    clientId: registration.clientId ?? `${type}-${alphanumeric(entropy, 25)}`,
    type,
    name: registration.name,
    redirectUris: registration.redirectUris,
    postLogoutRedirectUris: registration.postLogoutRedirectUris,
    scopes: new Set(registration.scopes),
    createdAt: now(ims),
    identityFrom: now(ims) + registration.identityDelay,
    tokenLifeSeconds: registration.tokenLifeSeconds,
    claims: registration.claims,
    response: registration.response,
    secrets: isPublic(type) ? [] : [firstSecret()],
    isEnabled: true
  }
  ims.apps.set(app.clientId, app)
  return app
}

/** Makes a new secret current. The older ones are rejected after `overlap` milliseconds. */
export const regenerateSecret = (ims: Ims, app: Application, overlap: number): void => {
  for (const secret of app.secrets) secret.validUntil = Math.min(secret.validUntil, now(ims) + overlap)
  app.secrets.push(makeSecret(ims.entropy))
}

/** Rejects the secret of this value or version from now on. Returns false if the app never had it. */
export const revokeSecret = (ims: Ims, app: Application, which: string | number): boolean => {
  const secret = app.secrets.find(({ value }, index) =>
    typeof which === "string" ? value === which : index + 1 === which
  )
  if (secret === undefined) return false
  secret.validUntil = Math.min(secret.validUntil, now(ims))
  secret.isRevoked = true
  return true
}

/** Returns the id and the current secret. */
export const credentialsOf = (app: Application): ClientCredentials =>
  new ClientCredentials({ clientId: app.clientId, clientSecret: Redacted.make(app.secrets.at(-1)?.value ?? "") })

/** Returns whether a single-page app has a redirect address at this origin. */
export const isOriginOfPage =
  ({ apps }: Pick<Ims, "apps">) =>
  (origin: string): boolean =>
    [...apps.values()].some(
      ({ isEnabled, redirectUris, type }) =>
        type === "spa" && isEnabled && redirectUris.some((uri) => URL.parse(uri)?.origin === origin)
    )
