// The proxy and the certificate authorities that the environment names.
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import { type ProxySetting, Runtime, useProxy, variable } from "../proxy.ts"
import type { Finding } from "./walk.ts"

const describeProxy = (proxy: ProxySetting | undefined): string => {
  if (proxy === undefined) return "no proxy"
  return proxy.isUsed ? `proxy ${proxy.host} (${proxy.variable})` : `${proxy.variable} is ignored`
}

const countCertificates = (text: string): number => text.match(/-----BEGIN (?:TRUSTED )?CERTIFICATE-----/g)?.length ?? 0

/** Node reads the file when it starts, and goes on without it if it can't. */
const certificates = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const path = yield* variable("NODE_EXTRA_CA_CERTS")
  if (path === undefined) return { message: "no extra certificate authorities" }
  const text = yield* Effect.option(fs.readFileString(path))
  const count = text._tag === "None" ? 0 : countCertificates(text.value)
  return count > 0
    ? { message: `${count} extra certificate ${count === 1 ? "authority" : "authorities"} (NODE_EXTRA_CA_CERTS)` }
    : {
        message: "NODE_EXTRA_CA_CERTS is ignored",
        advice: "The file that NODE_EXTRA_CA_CERTS names can't be read, or has no certificate in PEM format."
      }
})

const proxyAdvice = (proxy: ProxySetting | undefined, version: string): string | undefined =>
  proxy === undefined || proxy.isUsed
    ? undefined
    : `Node ${version} does not use ${proxy.variable} by itself. Use Node 24.14 or newer; with Node 22.21 or newer, set NODE_USE_ENV_PROXY=1.`

const tlsAdvice = Effect.map(variable("NODE_TLS_REJECT_UNAUTHORIZED"), (text) =>
  text === "0"
    ? "NODE_TLS_REJECT_UNAUTHORIZED=0 lets anyone on the network read the secret. Unset it, and set NODE_EXTRA_CA_CERTS."
    : undefined
)

/** Never finds a problem: what the environment says wrongly may not matter, and the next steps tell. */
export const networkStep = Effect.gen(function* () {
  const proxy = yield* useProxy
  const { version } = yield* Runtime
  const { advice, message } = yield* certificates
  const all = [proxyAdvice(proxy, version), advice, yield* tlsAdvice].filter((text) => text !== undefined)
  const finding: Finding = {
    message: `Node ${version}, ${describeProxy(proxy)}, ${message}`,
    ...(all.length === 0 ? {} : { advice: all.join(" ") })
  }
  return finding
})
