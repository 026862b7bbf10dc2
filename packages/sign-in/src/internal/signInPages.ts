// What a person sees when a sign-in or a sign-out is not completed. The message of the error goes to the log.
import * as Effect from "effect/Effect"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { type Failure, pageOf, retryAfterOf } from "./failures.ts"
import { type Page, pageResponse } from "./page.ts"

type Response = HttpServerResponse.HttpServerResponse

const signInAgain = (returnTo: string) => ({
  href: `/sign-in?returnTo=${encodeURIComponent(returnTo)}`,
  text: "Sign in again"
})
const startPage = { href: "/", text: "Go to the start page" }

/** The message is for the operator. A request that anyone can send is worth no more than a note. */
const log = (error: Failure, status: number) => {
  const level = status === 400 || status === 403 ? "Info" : error.isRetryable ? "Warn" : "Error"
  return Effect.ignoreCause(
    Effect.logWithLevel(level)(error.message).pipe(
      Effect.annotateLogs({ "error.type": `${error._tag}/${error.reason._tag}`, "http.status": status })
    )
  )
}

/** Logs the error, and returns the page. */
export const logged = (error: Failure, status: number, page: Page): Effect.Effect<Response> => {
  const response = pageResponse(page, status)
  return Effect.as(
    log(error, status),
    status === 503 ? HttpServerResponse.setHeader(response, "retry-after", retryAfterOf(error)) : response
  )
}

/** Returns the page of a failed sign-in, which offers to sign in again and to return to the same page. */
export const failurePage = (error: Failure, returnTo: string): Effect.Effect<Response> => {
  const { page, status } = pageOf(error)
  return logged(error, status, { ...page, links: [signInAgain(returnTo), startPage] })
}

export const notAPage = pageResponse(
  {
    title: "Open this address in a window",
    text: "The sign-in does not work inside of another page.",
    links: [startPage]
  },
  403
)

export const notFromHere = pageResponse(
  {
    title: "You were not signed out",
    text: "The request did not come from a page of this app. Open the app, and sign out there.",
    links: [startPage]
  },
  403
)

export const stillSignedIn: Page = {
  title: "You are still signed in",
  text: "The sign-out could not be completed. Wait a moment, then go to the start page and sign out again.",
  links: [startPage]
}
