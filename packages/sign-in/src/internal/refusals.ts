// How a protected route answers a request without a usable session.
import type { TokenError } from "@effect-itwin/core/TokenError"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as ProblemDetails from "effect/http/ProblemDetails"
import { redirect } from "./answers.ts"
import { pageOf, retryAfterOf } from "./failures.ts"
import { isNavigation } from "./fetchMetadata.ts"
import { returnToOf } from "./origin.ts"
import { pageResponse, privacyHeaders } from "./page.ts"

type Request = HttpServerRequest.HttpServerRequest
type Response = HttpServerResponse.HttpServerResponse

const signInPath = "/sign-in"

/** The origin is only there to parse the path. */
const anyOrigin = "https://app.invalid"

/** The path and query under which the browser asked, also if the router has removed a prefix from `url`. */
const pathOf = ({ originalUrl }: Request): string => {
  const url = URL.parse(originalUrl, anyOrigin)
  return returnToOf(url === null ? undefined : `${url.pathname}${url.search}`, anyOrigin)
}

const problem = (status: number, title: string, more: Readonly<Record<string, string>> = {}): Response =>
  HttpServerResponse.setHeaders(
    ProblemDetails.toResponse({ type: "about:blank", status, title, ...more }),
    privacyHeaders
  )

/** Sends a person to the sign-in, and tells a program that there is no user. */
export const signInFirst = (request: Request): Response =>
  isNavigation(request)
    ? redirect(`${signInPath}?returnTo=${encodeURIComponent(pathOf(request))}`)
    : problem(401, "Nobody is signed in.", { signIn: signInPath })

/** A page of another origin must not act as the user. */
export const crossOrigin: Response = problem(403, "The request comes from a page of another origin.")

/** The person may be signed in, so the page does not ask to sign in. */
const notRead = {
  title: "This page is temporarily unavailable",
  text: "A system that this app needs does not respond. You need not sign in again. Wait a moment, then try again."
}

/** Says when to try again. */
export const unavailable = (request: Request, error: TokenError): Response => {
  const { page, status } = pageOf(error)
  const response = isNavigation(request)
    ? pageResponse({ ...notRead, reason: page.reason, links: [{ href: pathOf(request), text: "Try again" }] }, status)
    : problem(status, "The session can't be read.", { reason: page.reason })
  return status === 503 ? HttpServerResponse.setHeader(response, "retry-after", retryAfterOf(error)) : response
}

/** What one user gets must not be shown to another one by a cache, nor after the sign-out. */
export const notStored = (response: Response): Response =>
  response.headers["cache-control"] === undefined
    ? HttpServerResponse.setHeader(response, "cache-control", "no-store")
    : response
