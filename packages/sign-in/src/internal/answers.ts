// Responses without a body of their own, and redirects.
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { privacyHeaders } from "./page.ts"

/** See Other: the browser opens the address with GET. */
export const redirect = (location: string): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.redirect(location, { status: 303, headers: privacyHeaders })

export const emptyResponse = (status: number): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.empty({ status, headers: privacyHeaders })
