// Reads what IMS sends to the redirect URI (RFC 6749 §4.1.2, RFC 9207 §2.4). Anyone can call that URI, so the state is
// compared before anything else is looked at.
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { Transaction } from "../../AuthorizationCode.ts"
import * as SignInError from "../../SignInError.ts"
import { makeServerText } from "../shown/serverText.ts"
import { isSameText } from "./sameText.ts"

/** How long a sign-in may take. */
export const timeLimit = Duration.minutes(10)

const maxCodeLength = 4096

/** Parameters whose names may be shown. */
const known = ["state", "code", "error", "error_description", "error_uri", "iss", "session_state", "scope"]

/** What only the implicit flow returns, which is never started. */
const tokens = ["access_token", "id_token", "token_type", "expires_in", "refresh_token"]

const invalid = (detail: string) => Result.fail(new SignInError.InvalidAnswer({ detail }))

const isCode = (code: string): boolean => code.length <= maxCodeLength && /^[\x20-\x7E]+$/.test(code)

/** Returns the error that IMS reported. The text of the server may repeat what was sent to it. */
const refusal = (code: string, description: string | undefined, transaction: Transaction) => {
  const secrets = [transaction.state, transaction.codeVerifier, transaction.nonce]
  const serverText = makeServerText(secrets.flatMap((secret) => (secret === undefined ? [] : Redacted.value(secret))))
  const shown = description === undefined ? undefined : serverText.show(description)
  return code === "access_denied"
    ? new SignInError.Denied({ description: shown })
    : new SignInError.Refused({ code: serverText.showCode(code), description: shown })
}

/** Returns the code, or why there is none. */
export const readCallback = (
  query: Iterable<readonly [name: string, value: string]>,
  transaction: Transaction,
  issuer: string,
  now: DateTime.Utc
): Result.Result<Redacted.Redacted, SignInError.SignInErrorReason> => {
  const parameters = [...query]
  const state = Redacted.value(transaction.state)
  if (!parameters.some(([name, value]) => name === "state" && isSameText(value, state))) {
    return Result.fail(new SignInError.UnknownState({}))
  }
  const values = new Map<string, string>()
  for (const [name, value] of parameters) {
    if (values.has(name)) {
      return invalid(`the callback repeats ${known.includes(name) ? `the parameter ${name}` : "a parameter"}`)
    }
    values.set(name, value)
  }
  if (Duration.isGreaterThan(DateTime.distance(transaction.startedAt, now), timeLimit)) {
    return Result.fail(new SignInError.NoAnswer({ limit: timeLimit }))
  }
  if (transaction.issuer !== issuer) return invalid("the sign-in was started at another issuer")
  const iss = values.get("iss")
  if (iss !== undefined && iss !== issuer) return invalid("iss is not the issuer at which the sign-in was started")
  if (tokens.some((name) => values.has(name))) return invalid("the callback contains a token")
  // A parameter without a value counts as absent (RFC 6749 §3.1).
  const code = values.get("code") ?? ""
  const error = values.get("error") ?? ""
  if (code !== "" && error !== "") return invalid("the callback contains both a code and an error")
  if (error !== "") return Result.fail(refusal(error, values.get("error_description"), transaction))
  if (code === "") return invalid("the callback contains neither a code nor an error")
  return isCode(code)
    ? Result.succeed(Redacted.make(code))
    : invalid(`code has a forbidden character, or is longer than ${maxCodeLength} characters`)
}
