// Changes an answer, or withholds it, as a fault demands.
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Headers from "effect/http/Headers"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { Fault } from "../../Fault.ts"
import { ConnectionBroken } from "./broken.ts"

type Response = HttpServerResponse.HttpServerResponse

const bytesOf = ({ body }: Response): Uint8Array => (body._tag === "Uint8Array" ? body.body : new Uint8Array(0))

const withBody = (response: Response, body: Uint8Array, contentType?: string): Response =>
  HttpServerResponse.uint8Array(body, {
    status: response.status,
    headers: response.headers,
    contentType: contentType ?? response.headers["content-type"] ?? "application/octet-stream"
  })

const half = (response: Response): Uint8Array => {
  const bytes = bytesOf(response)
  return bytes.subarray(0, Math.floor(bytes.byteLength / 2))
}

/** Announces the complete body and sends what the stream has. */
const streamed = (response: Response, body: Stream.Stream<Uint8Array, ConnectionBroken>): Response =>
  HttpServerResponse.stream(body, {
    status: response.status,
    headers: response.headers,
    contentLength: bytesOf(response).byteLength
  })

/** Announces the complete body, sends half of it, and ends as `rest` does. */
const halfThen = (response: Response, rest: Stream.Stream<never, ConnectionBroken>): Response =>
  streamed(response, Stream.concat(Stream.succeed(half(response)), rest))

/** Sends half of the body in chunks: with a length announced, the bytes that are not HTTP would belong to the body. */
const halfThenGarbage = (response: Response): Response =>
  HttpServerResponse.stream(
    Stream.concat(Stream.succeed(half(response)), Stream.fail(new ConnectionBroken({ how: "garbage" }))),
    { status: response.status, headers: Headers.remove(response.headers, "content-length") }
  )

/** Sends the body one byte at a time. */
const dribbled = (response: Response, pause: Effect.Effect<void>): Response =>
  streamed(
    response,
    Stream.fromArray(Array.from(bytesOf(response), (byte) => Uint8Array.of(byte))).pipe(
      Stream.mapEffect((byte) => Effect.as(pause, byte))
    )
  )

export interface FieldChanges {
  readonly set?: Readonly<Record<string, unknown>> | undefined
  readonly omit?: ReadonlyArray<string> | undefined
}

/** Returns the fields of a JSON answer, with some set and some left out. */
export const changed = (json: object, { set, omit = [] }: FieldChanges): object =>
  Object.fromEntries(Object.entries({ ...json, ...set }).filter(([name]) => !omit.includes(name)))

const decodeJson = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Unknown))

/** Changes fields of a JSON object; any other answer stays as it is. */
const changeFields = (response: Response, changes: FieldChanges): Response => {
  if (!/json/.test(response.headers["content-type"] ?? "")) return response
  const json = Option.getOrUndefined(decodeJson(new TextDecoder().decode(bytesOf(response))))
  return typeof json === "object" && json !== null && !Array.isArray(json)
    ? withBody(response, new TextEncoder().encode(JSON.stringify(changed(json, changes))), "application/json")
    : response
}

/** The answer as it is described: a text is sent as it is, anything else as JSON. */
export const respond = ({ status, headers, body }: Omit<Extract<Fault, { _tag: "Respond" }>, "_tag">): Response => {
  if (body === undefined) return HttpServerResponse.empty({ status, headers })
  return typeof body === "string"
    ? HttpServerResponse.text(body, { status, headers, contentType: headers?.["content-type"] ?? "text/plain" })
    : HttpServerResponse.jsonUnsafe(body, { status, headers })
}

/** Returns whether the fault answers by itself, so that the normal answer is not computed. */
export const isAnswer = (fault: Fault | undefined): boolean =>
  fault?._tag === "Respond" || fault?._tag === "Hang" || (fault?._tag === "Reset" && fault.when === "before")

/** Runs `normal` unless the fault answers by itself, and changes its answer. */
export const applyFault = (
  fault: Fault | undefined,
  clock: Clock.Clock,
  normal: Effect.Effect<Response>
): Effect.Effect<Response, ConnectionBroken> => {
  switch (fault?._tag) {
    case undefined:
    case "Chaos":
    case "Claims":
      return normal
    case "Respond":
      return Effect.succeed(respond(fault))
    case "Delay":
      return Effect.andThen(clock.sleep(fault.duration), normal)
    case "Hang":
      return Effect.never
    case "Stall":
      return Effect.map(normal, (response) => halfThen(response, Stream.never))
    case "Dribble":
      return Effect.map(normal, (response) => dribbled(response, clock.sleep(fault.interval)))
    case "Garbage":
      return Effect.map(normal, halfThenGarbage)
    case "Reset":
      return fault.when === "before"
        ? Effect.fail(new ConnectionBroken({ how: "reset" }))
        : Effect.map(normal, (response) => halfThen(response, Stream.fail(new ConnectionBroken({ how: "reset" }))))
    case "Truncate":
      return Effect.map(normal, (response) => withBody(response, half(response)))
    case "Fields":
      return Effect.map(normal, (response) => changeFields(response, fault))
    case "WithHeaders":
      return Effect.map(normal, (response) =>
        withBody(
          HttpServerResponse.setHeaders(response, fault.headers),
          bytesOf(response),
          fault.headers["content-type"]
        )
      )
  }
}
