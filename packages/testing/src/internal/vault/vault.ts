// Builds the fake Key Vault over the engine: what it knows, and the hosts that it stands for.
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { fromSeed, uuid } from "../engine/entropy.ts"
import { type Engine, type Handler, type Host, makeEngine } from "../engine/handler.ts"
import { type Algorithm, makeKey } from "../engine/jwt.ts"
import { redactText } from "../engine/redact.ts"
import { refuse } from "./answers.ts"
import { formsOf, showBody } from "./bodies.ts"
import { entraRoutes } from "./entra.ts"
import { managedIdentityRoutes } from "./managedIdentity.ts"
import { secretRoutes } from "./secretRoutes.ts"
import { makeSecrets, type Secrets } from "./secrets.ts"
import { makeTokens, type Tokens } from "./tokens.ts"

/** Names why the vault refuses a caller that it knows. */
export type Denial = "ForbiddenByRbac" | "ForbiddenByPolicy" | "ForbiddenByFirewall"

export interface Vault {
  readonly engine: Engine
  /** Of the vault itself, without a slash at the end. */
  readonly url: string
  /** Of Entra ID, without a slash at the end. */
  readonly authority: string
  /** The audience of the vault's tokens. */
  readonly resource: string
  readonly tenantId: string
  readonly clientId: string
  readonly clientSecret: string
  readonly secrets: Secrets
  readonly tokens: Tokens
  /** Takes the secrets out of a text for the journal. */
  readonly redact: (text: string) => string
  denial: Denial | undefined
  challenge: { readonly authorization: string; readonly resource: string }
}

export interface VaultOptions {
  readonly seed: string
  readonly url: string
  readonly authority: string
  /** The URL of the metadata service. */
  readonly metadata: string
  readonly resource: string
  readonly tenantId: string | undefined
  readonly algorithm: Algorithm
  readonly journalLimit: number | undefined
}

/** Names the routes that issue tokens. */
export const tokenRoutes: ReadonlyArray<string> = [
  "POST /:tenant/oauth2/v2.0/token",
  "GET /metadata/identity/oauth2/token"
]

export const nowSeconds = ({ engine }: Vault): number => Math.floor(engine.clock.currentTimeMillisUnsafe() / 1000)

export const firstChallenge = ({ authority, tenantId, resource }: Omit<Vault, "challenge">): Vault["challenge"] => ({
  authorization: `${authority}/${tenantId}`,
  resource
})

/** Takes the app's secret and the values of the vault out of a text. */
const makeRedact = (clientSecret: string, secrets: Secrets): ((text: string) => string) => {
  let values: ReadonlyArray<string> | undefined
  let hidden: ReadonlyArray<string> = []
  return (text) => {
    const known = secrets.values()
    if (values !== known) {
      values = known
      hidden = formsOf([clientSecret, ...known])
    }
    return redactText(text, hidden)
  }
}

export interface Made {
  readonly vault: Vault
  /** Serves the origin of the vault itself. */
  readonly handler: Handler
  /** Serves each origin. Those that have the same URL are served together. */
  readonly handlers: ReadonlyMap<string, Handler>
}

export const makeVault = (options: VaultOptions): Effect.Effect<Made> =>
  Effect.map(Clock.Clock, (clock) => {
    const entropy = fromSeed(options.seed)
    const key = makeKey(options.algorithm, entropy)
    const tenantId = options.tenantId ?? uuid(entropy)
    const clientId = uuid(entropy)
    const clientSecret = `fake-secret-${entropy.bytes(12).toString("hex")}+/=`
    const secrets = makeSecrets(clock, entropy)
    const redact = makeRedact(clientSecret, secrets)
    const { authority, journalLimit, metadata, resource, url } = options
    const engine = makeEngine({ clock, entropy, journalLimit, redact })
    const known = { engine, url, authority, resource, tenantId, clientId, clientSecret, secrets, redact }
    const state = { ...known, tokens: makeTokens(key, entropy), denial: undefined }
    const vault: Vault = { ...state, challenge: firstChallenge(state) }

    const entra: Host = { name: "entra", refuse }
    const managedIdentity: Host = { name: "managedIdentity", refuse }
    const secretsHost: Host = { name: "vault", refuse, showBody: showBody(() => [clientSecret, ...secrets.values()]) }
    for (const route of [
      ...secretRoutes(vault, secretsHost),
      ...entraRoutes(vault, entra),
      ...managedIdentityRoutes(vault, managedIdentity)
    ]) {
      engine.add(route)
    }
    const origins = [
      [metadata, managedIdentity],
      [authority, entra],
      [url, secretsHost]
    ] as const
    const handlerAt = (origin: string, host: Host): Handler =>
      engine.handler(host, ...origins.filter(([other, it]) => other === origin && it !== host).map(([, it]) => it))
    const handlers = new Map(origins.map(([origin, host]) => [origin, handlerAt(origin, host)]))
    return { vault, handler: handlerAt(url, secretsHost), handlers }
  })
