/**
 * Where the platform is: the token endpoint and the base URL of the APIs.
 *
 * `Environment` is a `Context.Reference`, so nothing has to be provided: the layers then read {@link config} when they are
 * built. Without any of its variables that is production.
 *
 * **Gotchas**
 *
 * Both URLs receive credentials, so they must be https; plain http is for loopback only (127.0.0.0/8, `[::1]`,
 * `localhost`). {@link allowInsecureHttp} lifts that from code, never from a variable.
 *
 * **Example** (Using a proxy)
 *
 * ```ts test
 * import { assert, it } from "@effect/vitest"
 * import { Environment } from "@effect-itwin/core"
 *
 * it("rejects a URL that would send the secret in the clear", () => {
 *   const proxy = Environment.custom({
 *     tokenEndpoint: "https://proxy.example.com/connect/token",
 *     apiBaseUrl: "https://proxy.example.com/api/"
 *   })
 *   assert.strictEqual(proxy.apiBaseUrl, "https://proxy.example.com/api")
 *   assert.throws(() => Environment.custom({ ...proxy, tokenEndpoint: "http://proxy.example.com/connect/token" }))
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
 * Names a platform and holds its two URLs.
 *
 * @category models
 * @since 0.1.0
 */
export interface Environment {
  /** `production`, `qa`, or `custom`; for messages and spans. */
  readonly name: string
  /** Absolute URL of the OAuth 2.0 token endpoint (RFC 6749 §3.2). */
  readonly tokenEndpoint: string
  /** Absolute URL that API paths are appended to; no trailing slash. */
  readonly apiBaseUrl: string
}

/**
 * Bentley's production platform.
 *
 * @category environments
 * @since 0.1.0
 */
export const production: Environment = Object.freeze({
  name: "production",
  tokenEndpoint: "https://ims.bentley.com/connect/token",
  apiBaseUrl: "https://api.bentley.com"
})

/**
 * Bentley's QA platform. Its apps and secrets are not those of production.
 *
 * @category environments
 * @since 0.1.0
 */
export const qa: Environment = Object.freeze({
  name: "qa",
  tokenEndpoint: "https://qa-ims.bentley.com/connect/token",
  apiBaseUrl: "https://qa-api.bentley.com"
})

/**
 * The environment of everything below it. Where none is provided, the layers read {@link configured}; the
 * reference's own default is production.
 *
 * @category references
 * @since 0.1.0
 */
export const Environment: Context.Reference<Environment> = Context.Reference<Environment>(
  "@effect-itwin/core/Environment",
  { defaultValue: () => production }
)

/**
 * Key of the option of {@link custom} that permits plain http to hosts other than loopback. A symbol, so that no JSON
 * file and no variable can set it: with it, the secret crosses the network in the clear.
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

const normalised = (normalise: (text: string) => string) =>
  SchemaTransformation.transform({ decode: normalise, encode: (text: string) => text })

/** The URL as WHATWG writes it, so that it equals the URL of the answer. */
const Endpoint = (insecureHttp: boolean) =>
  checked(insecureHttp).pipe(
    Schema.decodeTo(
      Schema.String,
      normalised((text) => new URL(text).href)
    )
  )

/** Paths are appended to it, so it has no trailing slash. */
const BaseUrl = (insecureHttp: boolean) =>
  checked(insecureHttp).pipe(
    Schema.decodeTo(
      Schema.String,
      normalised((text) => new URL(text).href.replace(/\/+$/, ""))
    )
  )

const decodeWith = (insecureHttp: boolean) =>
  Schema.decodeSync(Schema.Struct({ tokenEndpoint: Endpoint(insecureHttp), apiBaseUrl: BaseUrl(insecureHttp) }))

const decodeEndpoints = decodeWith(false)
const decodeInsecureEndpoints = decodeWith(true)

/** Environments that keep the rules, or were made with `allowInsecureHttp`; only this module adds to them. */
const trusted = new WeakSet<Environment>([production, qa])

const trust = (environment: Environment): Environment => {
  trusted.add(environment)
  return Object.freeze(environment)
}

/**
 * An environment of your own: a proxy, or a server on this machine.
 *
 * Throws a `SchemaError` that names the field when a URL is relative, not https (or http on loopback), or has user
 * info, a query or a fragment.
 *
 * @category constructors
 * @since 0.1.0
 */
export const custom = (options: {
  readonly name?: string | undefined
  readonly tokenEndpoint: string
  readonly apiBaseUrl: string
  readonly [allowInsecureHttp]?: boolean | undefined
}): Environment => {
  const { name = "custom" } = options
  const decode = options[allowInsecureHttp] === true ? decodeInsecureEndpoints : decodeEndpoints
  return trust({ name, ...decode(options) })
}

/**
 * Returns the environment that is provided, otherwise production. One that was put together by hand has to obey the
 * rules of {@link custom}; otherwise it is a defect.
 *
 * @category references
 * @since 0.1.0
 */
export const current: Effect.Effect<Environment> = Effect.map(Environment, (environment) =>
  trusted.has(environment) ? environment : custom(environment)
)

/**
 * Sets the environment for what is built with it.
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
    if ((variables.ITWIN_TOKEN_ENDPOINT === undefined) !== (variables.ITWIN_API_URL === undefined)) {
      return "Expected ITWIN_TOKEN_ENDPOINT and ITWIN_API_URL together: one of them is not set"
    }
    return variables.ITWIN_ENVIRONMENT !== undefined && variables.ITWIN_API_URL !== undefined
      ? "Expected either ITWIN_ENVIRONMENT or ITWIN_TOKEN_ENDPOINT and ITWIN_API_URL, not both"
      : undefined
  })
)

const decodeVariables = Schema.decodeUnknownEffect(Variables)

/**
 * The environment that the variables name: `ITWIN_ENVIRONMENT` (`production` or `qa`), **or** `ITWIN_TOKEN_ENDPOINT`
 * and `ITWIN_API_URL` together; production when none is set (an empty variable counts as not set). Half a pair, both
 * ways at once, an unknown name and an unsafe URL are errors.
 *
 * @category config
 * @since 0.1.0
 */
export const config: Config.Config<Environment> = Config.succeed(undefined).pipe(
  // Made when it is read: most programs never do, and it is a part of what importing this package costs.
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
      return trust({ name: "custom", tokenEndpoint: ITWIN_TOKEN_ENDPOINT, apiBaseUrl: ITWIN_API_URL })
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
 * Sets the environment from {@link config}. The layers of this library do the same by themselves where no environment
 * is provided; this one is for other code that reads `Environment`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig: Layer.Layer<never, Config.ConfigError> = Layer.effect(Environment, config)
