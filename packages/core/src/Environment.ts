/**
 * Names the issuer, its OAuth 2.0 endpoints and the base URL of the APIs.
 *
 * `Environment` is a `Context.Reference`, so a program need not provide it. Then the layers read {@link config} when
 * they are built; if none of its variables is set, the environment is production.
 *
 * **Gotchas**
 *
 * All URLs receive credentials, so they must be https; plain http is for loopback only (127.0.0.0/8, `[::1]`,
 * `localhost`). {@link allowInsecureHttp} permits plain http elsewhere. It can be set in code only, not by a variable.
 *
 * **Example** (Using a gateway)
 *
 * ```ts test
 * import { assert, it } from "@effect/vitest"
 * import { Environment } from "@effect-itwin/core"
 *
 * it("throws when a URL would send the secret without encryption", () => {
 *   const gateway = Environment.custom({
 *     tokenEndpoint: "https://gateway.example.com/connect/token",
 *     apiBaseUrl: "https://gateway.example.com/api/"
 *   })
 *   assert.strictEqual(gateway.apiBaseUrl, "https://gateway.example.com/api")
 *   assert.throws(() => Environment.custom({ ...gateway, tokenEndpoint: "http://gateway.example.com/connect/token" }))
 * })
 * ```
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Record from "effect/Record"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import { checkCredentialUrl } from "./internal/http/credentialUrl.ts"

/**
 * Describes an environment of the platform.
 *
 * @category models
 * @since 0.1.0
 */
export interface Environment {
  /** `production`, `qa`, or the name given to {@link custom}. */
  readonly name: string
  /** Absolute URL of the OAuth 2.0 token endpoint (RFC 6749 §3.2). */
  readonly tokenEndpoint: string
  /** Absolute URL to which API paths are appended, without a trailing slash. */
  readonly apiBaseUrl: string
  /** The issuer of tokens (RFC 8414 §2): the exact text of the claim `iss`. */
  readonly issuer: string
  /** Absolute URL where a user signs in (RFC 6749 §3.1). */
  readonly authorizationEndpoint: string
  /** Absolute URL that returns the claims of a user (OpenID Connect Core §5.3). */
  readonly userinfoEndpoint: string
  /** Absolute URL where a token is revoked (RFC 7009 §2). */
  readonly revocationEndpoint: string
  /** Absolute URL where a user signs out (OpenID Connect RP-Initiated Logout §2). */
  readonly endSessionEndpoint: string
}

/** Where the endpoints of users stand, relative to the token endpoint. */
const siblings = {
  authorizationEndpoint: "authorize",
  userinfoEndpoint: "userinfo",
  revocationEndpoint: "revocation",
  endSessionEndpoint: "endsession"
}

/** Derives what is not given from the token endpoint. */
const complete = (given: Options): Environment => {
  const { apiBaseUrl, issuer, name = "custom", tokenEndpoint } = given
  return Object.freeze({
    name,
    tokenEndpoint,
    apiBaseUrl,
    issuer: issuer ?? new URL(tokenEndpoint).origin,
    ...Record.map(siblings, (path, endpoint) => given[endpoint] ?? new URL(path, tokenEndpoint).href)
  })
}

/**
 * Selects Bentley's production platform.
 *
 * @category environments
 * @since 0.1.0
 */
export const production: Environment = complete({
  name: "production",
  tokenEndpoint: "https://ims.bentley.com/connect/token",
  apiBaseUrl: "https://api.bentley.com"
})

/**
 * Selects Bentley's QA platform. It does not know the apps and secrets of production.
 *
 * @category environments
 * @since 0.1.0
 */
export const qa: Environment = complete({
  name: "qa",
  tokenEndpoint: "https://qa-ims.bentley.com/connect/token",
  apiBaseUrl: "https://qa-api.bentley.com"
})

/**
 * Holds the environment in use. If none is provided, the layers use {@link configured}; the default of the reference
 * itself is production.
 *
 * @category references
 * @since 0.1.0
 */
export const Environment: Context.Reference<Environment> = Context.Reference<Environment>(
  "@effect-itwin/core/Environment",
  { defaultValue: () => production }
)

/**
 * Permits plain http to hosts other than loopback, as an option of {@link custom}. The secret then crosses the network
 * unencrypted, so the key is a symbol, which neither a JSON file nor a variable can set.
 *
 * @category options
 * @since 0.1.0
 */
export const allowInsecureHttp: unique symbol = Symbol("@effect-itwin/core/Environment/allowInsecureHttp")

const checked = (insecureHttp: boolean) =>
  Schema.String.check(
    Schema.makeFilter((text) => {
      const expected = checkCredentialUrl(text, insecureHttp)
      return expected === undefined ? undefined : `Expected ${expected}`
    })
  )

const normalized = (normalize: (text: string) => string) =>
  SchemaTransformation.transform({ decode: normalize, encode: (text: string) => text })

/** The URL in WHATWG form, so that it can be compared with the URL of the response. */
const Endpoint = (insecureHttp: boolean) =>
  checked(insecureHttp).pipe(
    Schema.decodeTo(
      Schema.String,
      normalized((text) => new URL(text).href)
    )
  )

/** Has no trailing slash, because paths are appended. */
const BaseUrl = (insecureHttp: boolean) =>
  checked(insecureHttp).pipe(
    Schema.decodeTo(
      Schema.String,
      normalized((text) => new URL(text).href.replace(/\/+$/, ""))
    )
  )

const decodeWith = (insecureHttp: boolean) => {
  const endpoint = Endpoint(insecureHttp)
  const optional = Schema.optional(endpoint)
  return Schema.decodeSync(
    Schema.Struct({
      tokenEndpoint: endpoint,
      apiBaseUrl: BaseUrl(insecureHttp),
      // Compared with the claim `iss` as text, so it is not normalized.
      issuer: Schema.optional(checked(insecureHttp)),
      ...Record.map(siblings, () => optional)
    })
  )
}

const decodeEndpoints = decodeWith(false)
const decodeInsecureEndpoints = decodeWith(true)

/** Environments that passed the checks of this module, so that they are not checked again. */
const trusted = new WeakSet<Environment>([production, qa])

/**
 * Names the URLs of an environment. `issuer` is the origin of the token endpoint unless given, and the other endpoints
 * are its siblings `authorize`, `userinfo`, `revocation` and `endsession`.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  readonly name?: string | undefined
  readonly tokenEndpoint: string
  readonly apiBaseUrl: string
  readonly issuer?: string | undefined
  readonly authorizationEndpoint?: string | undefined
  readonly userinfoEndpoint?: string | undefined
  readonly revocationEndpoint?: string | undefined
  readonly endSessionEndpoint?: string | undefined
  readonly [allowInsecureHttp]?: boolean | undefined
}

/**
 * Builds an environment with other URLs, for example those of a proxy or of a server on this machine.
 *
 * Throws a `SchemaError` that names the field if a URL is relative, is neither https nor http on loopback, or has user
 * info, a query or a fragment.
 *
 * @category constructors
 * @since 0.1.0
 */
export const custom = (options: Options): Environment => {
  const decode = options[allowInsecureHttp] === true ? decodeInsecureEndpoints : decodeEndpoints
  const environment = complete({ name: options.name, ...decode(options) })
  trusted.add(environment)
  return environment
}

/**
 * Returns the environment that is provided, otherwise production. Dies with a `SchemaError` if the provided one breaks
 * the rules of {@link custom}.
 *
 * @category references
 * @since 0.1.0
 */
export const current: Effect.Effect<Environment> = Effect.map(Environment, (environment) =>
  trusted.has(environment) ? environment : custom(environment)
)

/**
 * Provides the environment to the layers that are built with it.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (environment: Environment): Layer.Layer<never> => Layer.succeed(Environment, environment)

const Variables = Schema.Struct({
  ITWIN_ENVIRONMENT: Schema.optionalKey(Schema.Literals(["production", "qa"])),
  ITWIN_TOKEN_ENDPOINT: Schema.optionalKey(Endpoint(false)),
  ITWIN_API_URL: Schema.optionalKey(BaseUrl(false))
}).check(
  Schema.makeFilter((variables) => {
    const missing = (["ITWIN_TOKEN_ENDPOINT", "ITWIN_API_URL"] as const).filter((name) => variables[name] === undefined)
    if (missing.length === 1) {
      return `Expected ITWIN_TOKEN_ENDPOINT and ITWIN_API_URL together: ${missing[0]} is not set`
    }
    return variables.ITWIN_ENVIRONMENT !== undefined && missing.length === 0
      ? "Expected either ITWIN_ENVIRONMENT, or ITWIN_TOKEN_ENDPOINT with ITWIN_API_URL, not both"
      : undefined
  })
)

const decodeVariables = Schema.decodeUnknownEffect(Variables)

/**
 * Reads the environment from variables: `ITWIN_ENVIRONMENT` (`production` or `qa`), **or** `ITWIN_TOKEN_ENDPOINT` and
 * `ITWIN_API_URL` together. If none is set, the environment is production; an empty variable counts as not set.
 *
 * Fails with a `ConfigError` if only one of the two URLs is set, if both ways are used at once, if the name is unknown,
 * or if a URL breaks the rules of {@link custom}.
 *
 * @category config
 * @since 0.1.0
 */
export const config: Config.Config<Environment> = Config.succeed(undefined).pipe(
  // Built when it is read, which keeps the import of this package fast.
  Config.flatMap(() =>
    Config.all({
      ITWIN_ENVIRONMENT: Config.option(Config.String("ITWIN_ENVIRONMENT")),
      ITWIN_TOKEN_ENDPOINT: Config.option(Config.String("ITWIN_TOKEN_ENDPOINT")),
      ITWIN_API_URL: Config.option(Config.String("ITWIN_API_URL"))
    })
  ),
  Config.mapEffect((variables) =>
    decodeVariables(Record.getSomes(variables)).pipe(Effect.mapError((error) => new Config.ConfigError(error)))
  ),
  Config.map(({ ITWIN_ENVIRONMENT, ITWIN_TOKEN_ENDPOINT, ITWIN_API_URL }) => {
    if (ITWIN_TOKEN_ENDPOINT !== undefined && ITWIN_API_URL !== undefined) {
      return custom({ tokenEndpoint: ITWIN_TOKEN_ENDPOINT, apiBaseUrl: ITWIN_API_URL })
    }
    return ITWIN_ENVIRONMENT === "qa" ? qa : production
  })
)

/**
 * Returns the environment that is provided; otherwise reads {@link config}, and fails with a `ConfigError` if the
 * variables are wrong. The layers of this library get it from here.
 *
 * @category config
 * @since 0.1.0
 */
export const configured: Effect.Effect<Environment, Config.ConfigError> = Effect.contextWith(
  (context: Context.Context<never>) => (Context.getOrUndefined(context, Environment) === undefined ? config : current)
)

/**
 * Provides the environment from {@link config}. The layers of this library need it only if other code reads
 * `Environment` too: without a provided environment, they read {@link config} themselves.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig: Layer.Layer<never, Config.ConfigError> = Layer.effect(Environment, config)
