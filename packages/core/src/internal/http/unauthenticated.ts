// What leaves the authenticated client holds the caller's own request, never the one with the token: neither an error
// nor a response may carry `Authorization`, since both are printed, logged and serialised.
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpClientError from "effect/http/HttpClientError"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import * as Inspectable from "effect/Inspectable"
import * as Option from "effect/Option"
import { pipeArguments } from "effect/Pipeable"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import { redact } from "../shown/scrub.ts"
import { codeOf } from "./transport.ts"

type Request = HttpClientRequest.HttpClientRequest
type Response = HttpClientResponse.HttpClientResponse

const reasonOf = (reason: HttpClientError.HttpClientErrorReason, request: Request, token: Redacted.Redacted) => {
  // Of a foreign error only its code and its description, redacted, are taken: the rest may hold the token.
  const description = redact(reason.description ?? codeOf(reason.cause) ?? "", [Redacted.value(token)])
  switch (reason._tag) {
    case "TransportError":
      return new HttpClientError.TransportError({ request, description })
    case "EncodeError":
      return new HttpClientError.EncodeError({ request, description })
    case "InvalidUrlError":
      return new HttpClientError.InvalidUrlError({ request, description })
    case "StatusCodeError":
    case "DecodeError":
    case "EmptyBodyError": {
      const props = { request, response: response(reason.response, request, token), description }
      if (reason._tag === "StatusCodeError") return new HttpClientError.StatusCodeError(props)
      return reason._tag === "DecodeError"
        ? new HttpClientError.DecodeError(props)
        : new HttpClientError.EmptyBodyError(props)
    }
  }
}

/** The same failure with the caller's request, and without a cause, which could hold the other. */
export const error = (
  original: HttpClientError.HttpClientError,
  request: Request,
  token: Redacted.Redacted
): HttpClientError.HttpClientError =>
  new HttpClientError.HttpClientError({ reason: reasonOf(original.reason, request, token) })

/** What broke without a word that could be passed on. */
export const broken = (request: Request): HttpClientError.HttpClientError =>
  new HttpClientError.HttpClientError({
    reason: new HttpClientError.TransportError({ request, description: "the given HttpClient failed with a defect" })
  })

/** The failure of a client that turns statuses into failures. */
export const refused = (request: Request, response: Response): HttpClientError.HttpClientError =>
  new HttpClientError.HttpClientError({
    reason: new HttpClientError.StatusCodeError({ request, response, description: "non 2xx status code" })
  })

/** The answer, also where the client made a failure of its status. */
export const answerOf = (exit: Exit.Exit<Response, HttpClientError.HttpClientError>): Response | undefined => {
  if (Exit.isSuccess(exit)) return exit.value
  const error = Option.getOrUndefined(Exit.findErrorOption(exit))
  return error?.reason._tag === "StatusCodeError" ? error.reason.response : undefined
}

/** The same response as the answer to the caller's request. */
export const response = (original: Response, request: Request, token: Redacted.Redacted): Response =>
  original instanceof UnauthenticatedResponse ? original : new UnauthenticatedResponse(original, request, token)

/** The tokens that the answer may echo, to be redacted from what is quoted of it. */
export const secretsOf = (response: Response): ReadonlyArray<string> =>
  response instanceof UnauthenticatedResponse ? [Redacted.value(UnauthenticatedResponse.token(response))] : []

/** The URL of the request that was answered, after redirects; none for a client that makes one up. */
export const requestUrlOf = (response: Response): URL | null =>
  URL.parse(
    response instanceof UnauthenticatedResponse ? UnauthenticatedResponse.requestUrl(response) : response.request.url
  )

// The original is in a private field, not on the prototype: no debugger and no `inspect` gets to it from here.
class UnauthenticatedResponse extends Inspectable.Class implements HttpClientResponse.HttpClientResponse {
  readonly [HttpClientResponse.TypeId] = HttpClientResponse.TypeId
  readonly [HttpIncomingMessage.TypeId] = HttpIncomingMessage.TypeId
  readonly request: Request
  readonly #original: Response
  readonly #token: Redacted.Redacted

  constructor(original: Response, request: Request, token: Redacted.Redacted) {
    super()
    this.request = request
    this.#original = original
    this.#token = token
  }

  static token(self: UnauthenticatedResponse): Redacted.Redacted {
    return self.#token
  }

  static requestUrl(self: UnauthenticatedResponse): string {
    return self.#original.request.url
  }

  get url() {
    return this.#original.url
  }
  get status() {
    return this.#original.status
  }
  get headers() {
    return this.#original.headers
  }
  get cookies() {
    return this.#original.cookies
  }
  get remoteAddress() {
    return this.#original.remoteAddress
  }
  get text() {
    return this.#body(this.#original.text)
  }
  get json() {
    return this.#body(this.#original.json)
  }
  get arrayBuffer() {
    return this.#body(this.#original.arrayBuffer)
  }
  get formData() {
    return this.#body(this.#original.formData)
  }
  get urlParamsBody() {
    return this.#body(this.#original.urlParamsBody)
  }
  get upgrade() {
    return this.#body(this.#original.upgrade)
  }
  get stream() {
    return this.#original.stream.pipe(
      Stream.mapError((failure) => this.#error(failure)),
      Stream.catchDefect(() => Stream.fail(broken(this.request)))
    )
  }
  toJSON() {
    return { _id: "HttpClientResponse", request: this.request.toJSON(), status: this.status }
  }
  pipe() {
    // biome-ignore lint/complexity/noArguments: what Effect's `pipe` takes
    return pipeArguments(this, arguments)
  }

  #error(failure: HttpClientError.HttpClientError) {
    return error(failure, this.request, this.#token)
  }
  #body<A>(effect: Effect.Effect<A, HttpClientError.HttpClientError>) {
    return effect.pipe(
      Effect.mapError((failure) => this.#error(failure)),
      Effect.catchDefect(() => Effect.fail(broken(this.request)))
    )
  }
}
