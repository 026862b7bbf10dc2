// Serves one request on Node's HTTP server. A fault shows on the connection as a client would see it.
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from "node:http"
import type { Socket } from "node:net"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Cookies from "effect/http/Cookies"
import * as Headers from "effect/http/Headers"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as UrlParams from "effect/http/UrlParams"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { ConnectionBroken } from "../engine/broken.ts"
import { logged } from "./requestLog.ts"

/** Answers a request. */
export type Handler = Effect.Effect<
  HttpServerResponse.HttpServerResponse,
  ConnectionBroken,
  HttpServerRequest.HttpServerRequest
>

interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** Whether the client still waits for `100 Continue` before it sends the body. */
  awaitsContinue: boolean
}

const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0

/** Streams the body as it arrives. A reader that stops early leaves the connection open for the response. */
const bodyOf = (exchange: Exchange): Stream.Stream<Uint8Array, unknown> =>
  Stream.suspend(() => {
    const { request, response } = exchange
    if (exchange.awaitsContinue && !response.headersSent) response.writeContinue()
    exchange.awaitsContinue = false
    return Stream.fromAsyncIterable<Uint8Array, unknown>(request.iterator({ destroyOnReturn: false }), (cause) => cause)
  })

const requestOf = (exchange: Exchange): HttpServerRequest.HttpServerRequest => {
  const { request } = exchange
  const headers = Headers.fromInput(request.headers)
  return HttpServerRequest.fromClientRequest(
    HttpClientRequest.makeWith(
      request.method ?? "GET",
      request.url ?? "/",
      UrlParams.empty,
      Option.none(),
      headers,
      hasBody(request) ? HttpBody.stream(bodyOf(exchange), headers["content-type"]) : HttpBody.empty
    )
  )
}

const writeHead = (
  { request, response, awaitsContinue }: Exchange,
  answer: HttpServerResponse.HttpServerResponse
): void => {
  const { status, statusText } = answer
  // Node sends any status below 200 as an informational response, and the client waits for another one.
  if (status < 200) throw new RangeError(`${status} is not the status of a final response.`)
  const headers: OutgoingHttpHeaders = { ...answer.headers }
  // RFC 9110 §8.6: these have no content, so they have no length.
  if (status === 204 || status === 205) delete headers["content-length"]
  else if (answer.body._tag === "Empty" && status !== 304 && request.method !== "HEAD") headers["content-length"] = "0"
  const cookies = Cookies.toSetCookieHeaders(answer.cookies)
  if (cookies.length > 0) headers["set-cookie"] = cookies
  // The client may now send the body or not (RFC 9110 §10.1.1), so the next request could not be told from it.
  if (awaitsContinue) headers.connection = "close"
  response.writeHead(status, statusText, headers)
}

/** Waits until the bytes are with the operating system. If the client goes away first, the fiber is interrupted. */
const write = (response: ServerResponse, bytes: Uint8Array): Effect.Effect<void> =>
  Effect.callback((resume) => {
    response.write(bytes, () => resume(Effect.void))
  })

/** Ends the response, and discards what its request still has to send: the connection can then be used again. */
const end = ({ request, response }: Exchange, bytes?: Uint8Array): Effect.Effect<void> =>
  Effect.sync(() => {
    response.end(bytes)
    request.resume()
  })

const respond = (
  exchange: Exchange,
  answer: HttpServerResponse.HttpServerResponse
): Effect.Effect<void, ConnectionBroken> =>
  Effect.suspend(() => {
    const { request, response } = exchange
    const { body } = answer
    if (body._tag === "Raw" || body._tag === "FormData") return respond(exchange, streamed(answer))
    writeHead(exchange, answer)
    if (body._tag === "Empty" || request.method === "HEAD" || HttpServerResponse.omitsBody(answer)) return end(exchange)
    if (body._tag === "Uint8Array") return end(exchange, body.body)
    response.flushHeaders()
    return body.stream.pipe(
      Stream.runForEach((chunk) => write(response, chunk)),
      Effect.catch((error) => (error instanceof ConnectionBroken ? Effect.fail(error) : Effect.die(error))),
      Effect.andThen(end(exchange))
    )
  })

/** Returns the same answer with a body that only the web's `Response` can read as a stream. */
const streamed = (answer: HttpServerResponse.HttpServerResponse): HttpServerResponse.HttpServerResponse => {
  const { body, headers } = HttpServerResponse.toWeb(answer)
  const options = { status: answer.status, headers: Headers.fromInput(headers), cookies: answer.cookies }
  return body === null
    ? HttpServerResponse.empty(options)
    : HttpServerResponse.stream(Stream.fromReadableStream({ evaluate: () => body, onError: (cause) => cause }), {
        ...options,
        contentType: headers.get("content-type") ?? undefined
      })
}

/** Returns the connection, as soon as the responses to earlier requests on it are sent. */
const turnOf = (response: ServerResponse): Effect.Effect<Socket> =>
  Effect.callback((resume) => {
    if (response.socket !== null) return resume(Effect.succeed(response.socket))
    response.once("socket", (socket: Socket) => resume(Effect.succeed(socket)))
  })

/** Is neither a status line nor the size of a chunk. */
const garbage = "\u0000not HTTP\u0000\r\n"

/**
 * How long sent bytes have to be read before a reset. A reset discards what is still on its way, and on some systems
 * what the client has not read yet.
 */
const resetDelay = "50 millis"

/** Breaks the connection once the bytes that were written so far are with the operating system. */
const breakConnection = (
  { response }: Exchange,
  { how }: ConnectionBroken,
  tcpOf: (socket: Socket) => Socket
): Effect.Effect<void> =>
  Effect.flatMap(turnOf(response), (socket) => {
    if (how === "garbage") {
      return Effect.sync(() => {
        socket.write(garbage)
        socket.destroySoon()
      })
    }
    const written = Effect.callback<void>((resume) => {
      socket.write("", () => resume(Effect.void))
    })
    // A socket's time is real, whichever clock the fake has.
    const read = Effect.provideService(Effect.sleep(resetDelay), Clock.Clock, Clock.Clock.defaultValue())
    return Effect.andThen(
      socket.bytesWritten === 0 ? Effect.void : Effect.andThen(written, read),
      Effect.sync(() => void tcpOf(socket).resetAndDestroy())
    )
  })

const failed = new TextEncoder().encode(JSON.stringify({ message: "The fake failed. Its log on stderr says why." }))

/** Answers 500 for a bug in the fake, or in a route that a test added. */
const fail = (exchange: Exchange): Effect.Effect<void> => {
  const { response } = exchange
  if (response.headersSent) return Effect.sync(() => void response.destroy())
  response.writeHead(500, { "content-type": "application/json", "content-length": failed.byteLength })
  return end(exchange, failed)
}

/** Makes the listener of Node's events `request` and `checkContinue`. */
export const makeListener = Effect.fnUntraced(function* (handler: Handler, tcpOf: (socket: Socket) => Socket) {
  const run = Effect.runForkWith(yield* Effect.context<never>())
  return (request: IncomingMessage, response: ServerResponse, awaitsContinue: boolean): void => {
    const exchange: Exchange = { request, response, awaitsContinue }
    const fiber = run(
      handler.pipe(
        Effect.provideService(HttpServerRequest.HttpServerRequest, requestOf(exchange)),
        Effect.flatMap((answer) => respond(exchange, answer)),
        Effect.catchTag("ConnectionBroken", (broken) => breakConnection(exchange, broken, tcpOf)),
        Effect.catchCause((cause) =>
          Effect.andThen(
            Effect.logError(`The fake failed to answer ${request.method} ${request.url?.split("?")[0]}`, cause),
            Effect.suspend(() => fail(exchange))
          )
        ),
        logged(request, response)
      )
    )
    // The client went away, or the server is closed. After a complete response this changes nothing.
    response.once("close", () => fiber.interruptUnsafe())
  }
})
