// The options and variables of every store on Redis, and how it connects.
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Redis from "effect/persistence/Redis"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import { type Address, addressOf, nameOf } from "./address.ts"
import { connectMillis, makeConnection } from "./connection.ts"

/** A public module: its name in errors, and its default prefix. */
export interface Module {
  readonly name: string
  readonly prefix: string
}

export interface Options {
  readonly prefix?: string | undefined
  readonly timeout?: Duration.Input | undefined
}

export interface Settings {
  /** The store's name in errors and log lines. */
  readonly name: string
  readonly prefix: string
  readonly timeout: Duration.Duration
}

const durationOf = (option: string, input: Duration.Input): Duration.Duration => {
  const duration = Option.getOrUndefined(Duration.fromInput(input))
  if (duration === undefined || !Duration.isFinite(duration) || !Duration.isGreaterThan(duration, Duration.zero)) {
    throw new RangeError(`${option} must be a finite duration greater than 0, not ${String(input)}`)
  }
  return duration
}

const longestPrefix = 200
const prefixRule = `at most ${longestPrefix} characters`

const prefixOf = (module: Module, prefix: string): string => {
  if (prefix.length <= longestPrefix) return prefix
  throw new RangeError(`${module.name}: prefix must have ${prefixRule}`)
}

/** Throws a `RangeError` if an option is invalid. */
export const settingsOf = (
  module: Module,
  name: string,
  { prefix = module.prefix, timeout = Duration.seconds(1) }: Options
): Settings => ({
  name,
  prefix: prefixOf(module, prefix),
  timeout: durationOf(`${module.name}: timeout`, timeout)
})

/** Throws a `RangeError`, which does not quote the URL, if the URL is invalid. */
export const urlOf = (module: Module, url: string | Redacted.Redacted): Address => {
  const address = addressOf(Redacted.isRedacted(url) ? Redacted.value(url) : url)
  if (Result.isFailure(address)) throw new RangeError(`${module.name}: url must be ${address.failure}`)
  return address.success
}

/** Builds a store over its own connection. A step that must connect first may take longer. */
export const connected = <A>(
  module: Module,
  address: Address,
  { idle = Duration.seconds(10), ...options }: Options & { readonly idle?: Duration.Input | undefined },
  build: (settings: Settings, redis: Redis.Redis["Service"]) => A
) =>
  Effect.suspend(() => {
    const settings = settingsOf(module, nameOf(address), options)
    const limit = Duration.sum(settings.timeout, Duration.millis(connectMillis))
    return Effect.map(
      makeConnection({ address, idle: durationOf(`${module.name}: idle`, idle), timeout: settings.timeout }),
      (redis) => build({ ...settings, timeout: limit }, redis)
    )
  })

/** Fails without quoting the value of the variable, which may contain a secret. */
export const invalid = (variable: string, expected: string) =>
  new Config.ConfigError(
    new Schema.SchemaError(
      new SchemaIssue.Pointer([variable], new SchemaIssue.InvalidValue({ message: `Expected ${expected}` }))
    )
  )

export const urlConfig = (variable: string) =>
  Config.Redacted(variable).pipe(
    Config.mapEffect((url) =>
      Effect.mapError(Effect.fromResult(addressOf(Redacted.value(url))), (expected) => invalid(variable, expected))
    )
  )

export const prefixConfig = (variable: string) =>
  Config.option(
    Config.String(variable).pipe(
      Config.mapEffect((prefix) =>
        prefix.length <= longestPrefix ? Effect.succeed(prefix) : Effect.fail(invalid(variable, prefixRule))
      )
    )
  )
