// Responses and errors of the authenticated client contain the caller's request, never the one with the token. Effect
// hides an `Authorization` header from `inspect`, JSON, `Cause.pretty` and exporters. It does not hide the header from
// `inspect` without custom inspection, or from code that reads `request.headers`. The error of a foreign client may
// quote the token.
import * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
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
import type { AccessToken } from "../../AccessToken.ts"
import type { TokenError } from "../../TokenError.ts"
import { defectOf, describeDefect } from "../shown/defect.ts"
import { formatDuration } from "../shown/formatDuration.ts"
import { readText } from "./readText.ts"
import { withTimeLimit } from "./timeLimit.ts"
import { codeOf } from "./transport.ts"

type Request = HttpClientRequest.HttpClientRequest
type Response = HttpClientResponse.HttpClientResponse
type Body = Stream.Stream<Uint8Array, HttpClientError.HttpClientError>

/** The text of an error if the foreign one has no code. The text of the foreign one may quote the token. */
const descriptions: Readonly<Record<HttpClientError.HttpClientErrorReason["_tag"], string>> = {
  TransportError: "the request failed before a complete response was received",
  EncodeError: "the body of the request could not be encoded",
  InvalidUrlError: "the URL is not valid",
  StatusCodeError: "the HttpClient rejected the status",
  DecodeError: "the body of the response could not be read",
  EmptyBodyError: "the body of the response is empty"
}

const failure = (reason: HttpClientError.HttpClientErrorReason): HttpClientError.HttpClientError =>
  new HttpClientError.HttpClientError({ reason })

/** Returns the same failure with the caller's request and its response, and without the cause. */
const withoutCause = (
  { _tag, cause }: HttpClientError.HttpClientErrorReason,
  request: Request,
  response: Response | undefined
): HttpClientError.HttpClientError => {
  const description = codeOf(cause) ?? descriptions[_tag]
  if (_tag === "EncodeError") return failure(new HttpClientError.EncodeError({ request, description }))
  if (_tag === "InvalidUrlError") return failure(new HttpClientError.InvalidUrlError({ request, description }))
  if (_tag === "TransportError" || response === undefined) {
    return failure(new HttpClientError.TransportError({ request, description }))
  }
  const props = { request, response, description }
  if (_tag === "StatusCodeError") return failure(new HttpClientError.StatusCodeError(props))
  return failure(
    _tag === "DecodeError" ? new HttpClientError.DecodeError(props) : new HttpClientError.EmptyBodyError(props)
  )
}

/** Describes an exchange: the caller's request, the token sent with it, and how long the API may be silent. */
export interface Exchange {
  readonly request: Request
  readonly token: AccessToken
  readonly timeout: Duration.Duration
}

/** Returns the failure of a foreign client during the exchange. */
export const error = (
  { reason }: HttpClientError.HttpClientError,
  exchange: Exchange
): HttpClientError.HttpClientError =>
  withoutCause(reason, exchange.request, "response" in reason ? new Answer(reason.response, exchange) : undefined)

/** Returns the failure of a transformation of the request, before the token is known. */
export const requestError = ({ reason }: HttpClientError.HttpClientError, request: Request) =>
  withoutCause(reason, request, undefined)

/** Returns the failure of an exchange that was silent for the length of its time limit. */
export const timeoutError = ({ request, timeout }: Exchange, what: string): HttpClientError.HttpClientError => {
  const description = `${what} for ${formatDuration(timeout)}`
  return failure(new HttpClientError.TransportError({ request, description }))
}

/** Returns the failure of a client that rejects the status of the response. */
export const statusError = (response: Answer): HttpClientError.HttpClientError =>
  failure(
    new HttpClientError.StatusCodeError({
      request: response.request,
      response,
      description: descriptions.StatusCodeError
    })
  )

/** Returns the failure of an exchange; undefined if it succeeded, died or was interrupted. */
export const errorOf = <E>(outcome: Exit.Exit<unknown, E>): E | undefined =>
  Option.getOrUndefined(Exit.findErrorOption(outcome))

/** Returns the response, also if the given client turned its status into a failure. */
export const answerOf = (
  outcome: Exit.Exit<Answer, HttpClientError.HttpClientError | TokenError>
): Answer | undefined => {
  if (Exit.isSuccess(outcome)) return outcome.value
  const error = errorOf(outcome)
  const response =
    error?._tag === "HttpClientError" && error.reason._tag === "StatusCodeError" ? error.response : undefined
  return response instanceof Answer ? response : undefined
}

/** Cancels a body that is not read, and frees its connection. */
export const release = (answer: Answer): Effect.Effect<void> =>
  Effect.raceFirst(Effect.ignore(Stream.runDrain(answer.stream)), Effect.void)

/** Returns the tokens that the response may echo. */
export const secretsOf = (response: Response): ReadonlyArray<string> =>
  response instanceof Answer ? [Redacted.value(Answer.token(response).value)] : []

/** Returns the e-mail of the app whose own token was sent, and the scopes of the token. */
export const senderOf = (response: Response): { readonly clientEmail?: string; readonly scopes?: string } => {
  if (!(response instanceof Answer)) return {}
  const { clientId, ofUser, scopes } = Answer.token(response)
  return ofUser ? { scopes } : { clientEmail: `${clientId}@apps.imsoidc.bentley.com`, scopes }
}

/** Returns the same response with at most 256 KiB of its body. */
export const capped = (response: Response): Effect.Effect<Response, HttpClientError.HttpClientError> =>
  response instanceof Answer
    ? Effect.map(readText(response), ({ text }) => response.withBody(text))
    : Effect.succeed(response)

/** Fails when it is run a second time, because the rest of a body that was read in part looks like an empty body. */
const once = (body: () => Body, onAgain: () => HttpClientError.HttpClientError): Body => {
  let isBegun = false
  return Stream.suspend(() => {
    if (isBegun) return Stream.fail(onAgain())
    isBegun = true
    return body()
  })
}

/**
 * Wraps a response so that it belongs to the caller's request. The time limit applies to each silence within its body.
 * What could contain the token is in private fields, which `inspect` does not show.
 */
export class Answer extends Inspectable.Class implements HttpClientResponse.HttpClientResponse {
  readonly [HttpClientResponse.TypeId] = HttpClientResponse.TypeId
  readonly [HttpIncomingMessage.TypeId] = HttpIncomingMessage.TypeId
  readonly request: Request
  readonly url: string
  readonly status: number
  readonly headers: Response["headers"]
  readonly cookies: Response["cookies"]
  readonly remoteAddress: Response["remoteAddress"]
  readonly #original: Response
  readonly #exchange: Exchange
  readonly #stream: Body
  readonly #bytes: Effect.Effect<ArrayBuffer, HttpClientError.HttpClientError>

  constructor(original: Response, exchange: Exchange, body?: Body) {
    super()
    this.request = exchange.request
    this.url = original.url
    this.status = original.status
    this.headers = original.headers
    this.cookies = original.cookies
    this.remoteAddress = original.remoteAddress
    this.#original = original
    this.#exchange = exchange
    this.#stream =
      body ??
      this.#limited(
        once(
          () => original.stream,
          () => this.#unreadable()
        )
      )
    this.#bytes = Stream.mkArrayBuffer(this.#stream).pipe(
      Effect.catchIf(
        (error) => error.reason._tag === "EmptyBodyError",
        () => Effect.succeed(new ArrayBuffer(0))
      ),
      Effect.cached,
      Effect.runSync
    )
  }

  static token(self: Answer): AccessToken {
    return self.#exchange.token
  }

  get stream() {
    return this.#stream
  }
  get arrayBuffer() {
    return this.#bytes
  }
  get text() {
    return this.#read((web) => web.text)
  }
  get json() {
    return this.#read((web) => web.json)
  }
  get urlParamsBody() {
    return this.#read((web) => web.urlParamsBody)
  }
  get formData() {
    return this.#read((web) => web.formData)
  }
  get upgrade() {
    return Effect.catchCause(
      Effect.suspend(() => this.#original.upgrade),
      (cause) => this.#seal(cause)
    )
  }

  /** Returns the same response with a body that was read already. */
  withBody(text: string): Answer {
    return new Answer(this.#original, this.#exchange, Stream.succeed(new TextEncoder().encode(text)))
  }

  toJSON() {
    return { _id: "HttpClientResponse", request: this.request.toJSON(), status: this.status }
  }
  pipe() {
    // biome-ignore lint/complexity/noArguments: what Effect's `pipe` takes
    return pipeArguments(this, arguments)
  }

  #unreadable() {
    const description = descriptions.DecodeError
    return failure(new HttpClientError.DecodeError({ request: this.request, response: this, description }))
  }

  #limited(body: Body): Body {
    return Stream.transformPull(
      Stream.catchCause(body, (cause) => Stream.fromEffect(this.#seal(cause))),
      (pull) =>
        Effect.succeed(
          withTimeLimit(pull, this.#exchange.timeout, () =>
            timeoutError(this.#exchange, "the API sent no further part of its response")
          )
        )
    )
  }

  #read<A>(
    read: (web: Response) => Effect.Effect<A, HttpClientError.HttpClientError>
  ): Effect.Effect<A, HttpClientError.HttpClientError> {
    const headers = { "content-type": this.headers["content-type"] ?? "" }
    return Effect.flatMap(this.#bytes, (bytes) =>
      Effect.catchCause(
        Effect.suspend(() => read(HttpClientResponse.fromWeb(this.request, new Response(bytes, { headers })))),
        (cause) => this.#seal(cause)
      )
    )
  }

  /** Replaces a failure or a defect of the given client. The error channel has no other type for a defect. */
  #seal(cause: Cause.Cause<HttpClientError.HttpClientError>): Effect.Effect<never, HttpClientError.HttpClientError> {
    const failed = Cause.findErrorOption(cause)
    if (Option.isSome(failed)) {
      return Effect.fail(withoutCause(failed.value.reason, this.request, this))
    }
    const description = `the HttpClient of this program ${describeDefect(defectOf(cause))}`
    return Effect.fail(failure(new HttpClientError.DecodeError({ request: this.request, response: this, description })))
  }
}
