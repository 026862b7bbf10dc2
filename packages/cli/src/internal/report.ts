// What is printed when a command fails, and with which code the process ends.

import type { ITwinApiError } from "@effect-itwin/core/ITwinApiError"
import type { SecretProviderError } from "@effect-itwin/core/SecretProviderError"
import type { TokenError } from "@effect-itwin/core/TokenError"
import * as Cause from "effect/Cause"
import type { ConfigError } from "effect/Config"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as HttpClientError from "effect/http/HttpClientError"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import * as References from "effect/References"
import { type OutputClosed, say } from "./output.ts"
import { type ProxyInvalid, useProxy } from "./proxy.ts"

/** Says that the arguments don't fit together. */
export class UsageError extends Data.TaggedError("UsageError")<{ readonly message: string }> {}

export type Failure =
  | UsageError
  | ProxyInvalid
  | OutputClosed
  | ConfigError
  | SecretProviderError
  | TokenError
  | ITwinApiError
  | HttpClientError.HttpClientError

/** 1: refused or failed. 2: the arguments or the configuration are wrong. */
export type ExitCode = 1 | 2

const isConfiguration = ({ reason }: SecretProviderError): boolean =>
  reason._tag === "NotFound" || reason._tag === "InvalidSecret" || reason._tag === "Misconfigured"

export const exitCodeOf = (failure: Failure): ExitCode => {
  switch (failure._tag) {
    case "UsageError":
    case "ProxyInvalid":
    case "ConfigError":
      return 2
    case "SecretProviderError":
      return isConfiguration(failure) ? 2 : 1
    case "TokenError":
      return failure.reason._tag === "SecretUnavailable" && isConfiguration(failure.reason.error) ? 2 : 1
    default:
      return 1
  }
}

/** Turns `SchemaError(Expected x\n  at ["NAME"])` into `NAME: Expected x`. Values are not in it. */
const describeConfig = (message: string): string => {
  const text = message.replace(/^SchemaError\(([\s\S]*)\)$/, "$1")
  const lines = [...text.matchAll(/^(\S.*)\n\s+at \["([^"\]]+)"\].*$/gm)].map(([, what, name]) =>
    what === "Expected string" ? `${name} is not set` : `${name}: ${what}`
  )
  return lines.length === 0 ? text : lines.join("; ")
}

/** The library's advice, and the same for the command line. */
const advice: ReadonlyArray<readonly [library: string, command: string]> = [
  ["RetryPolicy sets", "--timeout sets"],
  ["or request a scope that is listed there", "or name one that is listed there with --scope"],
  ["request it with the option `scopes`", "request it with --scope"]
]

const describeHttp = ({ reason }: HttpClientError.HttpClientError): string => {
  const said = reason.message
  return reason._tag === "TransportError"
    ? `The API is unreachable, or did not complete its response. Check the network path to it: firewall, proxy, DNS. (${said}) See docs/errors.md#httpclienterror`
    : `The request to the API failed. (${said}) See docs/errors.md#httpclienterror`
}

export const describe = (failure: Failure): string => {
  switch (failure._tag) {
    case "ConfigError":
      return `The environment variables are invalid. ${describeConfig(failure.message)}. See docs/errors.md#configerror`
    case "HttpClientError":
      return describeHttp(failure)
    case "TokenError":
    case "ITwinApiError":
      return advice.reduce((message, [library, command]) => message.replace(library, command), failure.message)
    default:
      return failure.message
  }
}

const framesOf = (defect: unknown): ReadonlyArray<string> =>
  defect instanceof Error ? (defect.stack ?? "").split("\n").filter((line) => /^\s+at \S/.test(line)) : []

/** Names a defect. Its message may contain a secret, so only the class and the frames are shown. */
export const describeDefect = (defect: unknown, withFrames = false): string => {
  const name = defect instanceof Error && /^\w{1,64}$/.test(defect.constructor.name) ? defect.constructor.name : "value"
  const frames = withFrames ? framesOf(defect) : []
  return [
    `Failed unexpectedly (${name}). This is a bug in itwin-auth, or in a package that it loads.${
      withFrames ? "" : " Run the command again with --log-level debug to see where."
    }`,
    ...frames
  ].join("\n")
}

/** Ends the command with this code. The message was printed. */
export class Ended extends Data.TaggedError("Ended")<{ readonly code: ExitCode }> {}

const isTransport = (failure: Failure | Ended): boolean =>
  failure._tag === "HttpClientError" || (failure._tag === "TokenError" && failure.reason._tag === "Transport")

/** A proxy may be what refused the connection. */
const sayProxy = Effect.gen(function* () {
  const proxy = yield* Effect.orElseSucceed(useProxy, () => undefined)
  if (proxy?.isUsed === true) {
    yield* say(
      `itwin-auth: The request goes through the proxy ${proxy.host} (${proxy.variable}), unless NO_PROXY lists its host.`
    )
  }
})

/** Prints why the effect failed, and fails with the exit code. */
export const reported = <A, R>(effect: Effect.Effect<A, Failure | Ended, R>) =>
  Effect.catchCause(effect, (cause) =>
    Effect.gen(function* () {
      if (Cause.hasInterruptsOnly(cause)) return yield* Effect.interrupt
      const error = Option.getOrUndefined(Cause.findErrorOption(cause))
      if (error === undefined) {
        const minimum = yield* References.MinimumLogLevel
        yield* say(`itwin-auth: ${describeDefect(Cause.squash(cause), LogLevel.isLessThanOrEqualTo(minimum, "Debug"))}`)
        return yield* new Ended({ code: 1 })
      }
      if (error._tag !== "Ended") yield* say(`itwin-auth: ${describe(error)}`)
      if (isTransport(error)) yield* sayProxy
      return yield* error._tag === "Ended" ? error : new Ended({ code: exitCodeOf(error) })
    })
  )
