// What a person reads when a sign-in or a sign-out fails, and the status of that page. The texts are constant: nothing
// that a server or the sender of a request wrote is on the page. The message of the error goes to the log.
import type { SecretProviderError } from "@effect-itwin/core/SecretProviderError"
import type { SignInError } from "@effect-itwin/core/SignInError"
import type { TokenError } from "@effect-itwin/core/TokenError"
import * as Duration from "effect/Duration"

export type Failure = SignInError | TokenError | SecretProviderError

interface Text {
  readonly status: number
  readonly title: string
  readonly text: string
}

const unavailable: Text = {
  status: 503,
  title: "Sign-in is temporarily unavailable",
  text: "The sign-in server, or a system that this app needs, does not respond. Wait a moment, then sign in again."
}

const misconfigured: Text = {
  status: 500,
  title: "This app can't sign you in",
  text: "The settings of this app are wrong, so signing in again does not help. Tell the operator of the app, and quote the reason below."
}

const unexpected: Text = {
  status: 502,
  title: "The sign-in failed",
  text: "The sign-in server returned an unexpected response. Sign in again. If that fails too, tell the operator of the app, and quote the reason below."
}

const expired: Text = {
  status: 400,
  title: "This sign-in has expired",
  text: "It was completed already, took longer than 10 minutes, or began in another browser or at another address of this app. Sign in again."
}

const signInTexts: Readonly<Record<SignInError["reason"]["_tag"], Text>> = {
  Denied: {
    status: 403,
    title: "You did not sign in",
    text: "The sign-in was canceled, or the access was not allowed. Sign in again if you want to use this app."
  },
  Refused: unexpected,
  UnknownState: expired,
  InvalidAnswer: {
    status: 400,
    title: "The sign-in failed",
    text: "The answer of the sign-in server is not valid for this sign-in, so it was not used. Sign in again."
  },
  NoAnswer: expired
}

/** Codes with which IMS refuses every sign-in until the registration or the options of this app are changed. */
const refusedForGood: ReadonlyArray<string> = [
  "invalid_request",
  "invalid_scope",
  "unauthorized_client",
  "unsupported_response_type"
]

/** Reasons that a person has to fix in this app: its secret, its registration, its configuration, its code. */
const ours: ReadonlyArray<TokenError["reason"]["_tag"]> = [
  "SecretUnavailable",
  "InvalidClient",
  "UnauthorizedClient",
  "InvalidScope",
  "UnsupportedGrantType",
  "OriginRefused",
  "Defect"
]

const textOf = (error: Failure): Text => {
  if (error.isRetryable && error.reason._tag !== "NoAnswer") return unavailable
  if (error._tag === "SignInError") {
    const { reason } = error
    return reason._tag === "Refused" && refusedForGood.includes(reason.code) ? misconfigured : signInTexts[reason._tag]
  }
  if (error._tag === "SecretProviderError") return misconfigured
  if (error.reason._tag === "Closed") return unavailable
  // The code of the sign-in: it expired or was used.
  if (error.reason._tag === "InvalidGrant") return expired
  return ours.includes(error.reason._tag) ? misconfigured : unexpected
}

/** Returns the seconds of `Retry-After`: until the next attempt, or what the server asked for, at least 1. */
export const retryAfterOf = (error: Failure): string => {
  const wait = error._tag === "TokenError" ? (error.nextAttemptIn ?? error.retryAfter) : undefined
  return String(Math.max(1, Math.ceil(Duration.toSeconds(wait ?? Duration.seconds(1)))))
}

/** Returns the status and the page of a failure. */
export const pageOf = (error: Failure) => {
  const { status, text, title } = textOf(error)
  return { status, page: { title, text, reason: `${error._tag}/${error.reason._tag}` } }
}
