// What a token has to say, and the checks of the options. Invalid options are programming errors, so they are defects: a
// `RangeError` or a `SchemaError`, thrown when the layer is built.
import type { Environment } from "@effect-itwin/core/Environment"
import * as Scopes from "@effect-itwin/core/Scopes"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"

/** The audience of every token for the APIs of the platform. */
const platformAudience = "bentley-api-management"

export interface Options {
  readonly clientIds: ReadonlyArray<string>
  readonly audiences?: ReadonlyArray<string> | undefined
  readonly scopes?: ReadonlyArray<string> | undefined
  readonly issuer?: string | undefined
  readonly clockTolerance?: Duration.Input | undefined
}

export interface Rules {
  readonly clientIds: ReadonlySet<string>
  readonly audiences: ReadonlyArray<string>
  /** All of them are required. */
  readonly scopes: ReadonlyArray<string>
  readonly issuer: string
  /** In seconds. */
  readonly clockTolerance: number
}

const checkNames = (option: string, names: ReadonlyArray<string>): ReadonlyArray<string> => {
  // A program without types may pass one string, whose letters would become names.
  if (!Array.isArray(names) || names.length === 0 || names.some((name) => typeof name !== "string" || name === ""))
    throw new RangeError(`${option} must be a list of one or more texts, none of them empty`)
  return names
}

/** Returns the scopes; throws a `SchemaError` if one has a character that no scope has. */
export const checkScopes = (scopes: ReadonlyArray<string>): ReadonlyArray<string> =>
  scopes.length === 0 ? [] : Scopes.tokens(Scopes.make(scopes.join(" ")))

/** Returns the milliseconds; throws a `RangeError` unless the duration is between 0 and the limit. */
export const checkMillis = (option: string, input: Duration.Input, limit: Duration.Duration): number => {
  const duration = Option.getOrUndefined(Duration.fromInput(input))
  if (duration === undefined || Duration.isNegative(duration) || Duration.isGreaterThan(duration, limit))
    throw new RangeError(`${option} must be a duration between 0 and ${Duration.format(limit)}`)
  return Duration.toMillis(duration)
}

export const makeRules = (options: Options, environment: Environment): Rules => ({
  clientIds: new Set(checkNames("clientIds", options.clientIds)),
  audiences: checkNames("audiences", options.audiences ?? [platformAudience]),
  scopes: checkScopes(options.scopes ?? []),
  issuer: options.issuer ?? environment.issuer,
  clockTolerance: checkMillis("clockTolerance", options.clockTolerance ?? "30 seconds", Duration.minutes(5)) / 1000
})
