// The proxy that the environment names, and what this Node can do with it.
import type * as Http from "node:http"
import type * as Https from "node:https"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"

// Imported by `import`, `node:http` loads Node's fetch too.
const http: typeof Http = process.getBuiltinModule("node:http")
const https: typeof Https = process.getBuiltinModule("node:https")

/** The agents of this process. `setGlobalProxyFromEnv` replaces them, so each request looks them up. */
export const agents = () => ({
  get http() {
    return http.globalAgent
  },
  get https() {
    return https.globalAgent
  }
})

/** What this Node can do. Tests replace it. */
export const Runtime = Context.Reference<{
  readonly version: string
  /** Absent from Node 22, and from early releases of 24. Throws if a variable is not the URL of a proxy. */
  readonly setGlobalProxyFromEnv: (() => unknown) | undefined
  /** Whether Node was started so that it uses the proxy. */
  readonly isStartedWithProxy: boolean
}>("@effect-itwin/cli/Runtime", {
  defaultValue: () => ({
    version: process.versions.node,
    setGlobalProxyFromEnv: http.setGlobalProxyFromEnv,
    isStartedWithProxy:
      // Node 22.21 and 24.5 have an agent with this option.
      "proxyEnv" in (https.globalAgent.options ?? {}) && Reflect.get(https.globalAgent.options, "proxyEnv") != null
  })
})

/** Says that a variable is not the URL of a proxy. The value is not quoted, because it may contain a password. */
export class ProxyInvalid extends Data.TaggedError("ProxyInvalid")<{ readonly variable: string }> {
  override get message(): string {
    return `The environment variable ${this.variable} is not the URL of a proxy. Set it to a URL like http://proxy.example.com:8080, or unset it.`
  }
}

/** Reads a variable. An empty one counts as not set. */
export const variable = (name: string): Effect.Effect<string | undefined> =>
  Effect.map(Effect.orElseSucceed(Config.option(Config.String(name)), Option.none), (value) =>
    Option.getOrUndefined(Option.filter(value, (text) => text !== ""))
  )

/** In the order in which Node reads them. */
const names = ["https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY"]

export interface ProxySetting {
  readonly variable: string
  /** The host and the port, without user and password. */
  readonly host: string
  readonly isUsed: boolean
}

/** Sends the requests of this process through the proxy that the environment names. Returns it, if there is one. */
export const useProxy: Effect.Effect<ProxySetting | undefined, ProxyInvalid> = Effect.gen(function* () {
  const runtime = yield* Runtime
  let found: ProxySetting | undefined
  for (const name of names) {
    const text = yield* variable(name)
    if (text === undefined) continue
    const url = URL.parse(text)
    if (url === null || !/^https?:$/.test(url.protocol) || url.hostname === "") {
      return yield* new ProxyInvalid({ variable: name })
    }
    const isUsed = runtime.setGlobalProxyFromEnv !== undefined || runtime.isStartedWithProxy
    found ??= { variable: name, host: url.host, isUsed }
  }
  if (found !== undefined && runtime.setGlobalProxyFromEnv !== undefined) {
    const { variable } = found
    yield* Effect.try({ try: runtime.setGlobalProxyFromEnv, catch: () => new ProxyInvalid({ variable }) })
  }
  return found
})
