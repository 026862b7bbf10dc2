// Plays a script of faults: which step strikes this request, and what it does to the answer.
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Stream from "effect/Stream"
import type { Fault, Step } from "../Fault.ts"
import { ConnectionBroken } from "./engine/broken.ts"

type Response = HttpServerResponse.HttpServerResponse

interface Playing {
  readonly step: Step
  passed: number
  struck: number
  since: number | undefined
}

/** The script of one route. */
export interface Script {
  readonly add: (steps: ReadonlyArray<Step>) => void
  readonly clear: () => void
  /** The fault that strikes the request which comes now. */
  readonly next: () => Fault | undefined
  /** The steps that struck nothing yet. */
  readonly unused: () => ReadonlyArray<Step>
}

export const makeScript = (clock: Clock.Clock): Script => {
  let steps: Array<Playing> = []
  const isOver = ({ step, struck, since }: Playing): boolean =>
    (step.times !== undefined && struck >= step.times) ||
    (step.forDuration !== undefined &&
      since !== undefined &&
      clock.currentTimeMillisUnsafe() >= since + Duration.toMillis(step.forDuration))
  return {
    add: (added) => {
      for (const step of added) steps.push({ step, passed: 0, struck: 0, since: undefined })
    },
    clear: () => {
      steps = []
    },
    next: () => {
      for (let head = steps[0]; head !== undefined; head = steps[0]) {
        if (isOver(head)) {
          steps.shift()
          continue
        }
        if (head.passed < (head.step.after ?? 0)) {
          head.passed++
          return undefined
        }
        head.struck++
        head.since ??= clock.currentTimeMillisUnsafe()
        return head.step.fault
      }
      return undefined
    },
    unused: () => steps.filter(({ struck }) => struck === 0).map(({ step }) => step)
  }
}

const bytesOf = (response: Response): Uint8Array =>
  response.body._tag === "Uint8Array" ? response.body.body : new Uint8Array(0)

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

/** Announces the whole body, sends half of it, and ends as `rest` does. */
const halfThen = (response: Response, rest: Stream.Stream<never, ConnectionBroken>): Response =>
  HttpServerResponse.stream(Stream.concat(Stream.succeed(half(response)), rest), {
    status: response.status,
    headers: response.headers,
    contentLength: bytesOf(response).byteLength
  })

export interface FieldChanges {
  readonly set?: Readonly<Record<string, unknown>> | undefined
  readonly omit?: ReadonlyArray<string> | undefined
}

/** The fields of a JSON answer, with some set and some left out. */
export const changed = (json: object, { set, omit = [] }: FieldChanges): object =>
  Object.fromEntries(Object.entries({ ...json, ...set }).filter(([name]) => !omit.includes(name)))

const changeFields = (response: Response, changes: FieldChanges): Response => {
  const json: unknown = JSON.parse(new TextDecoder().decode(bytesOf(response)))
  const fields = typeof json === "object" && json !== null ? json : {}
  return withBody(response, new TextEncoder().encode(JSON.stringify(changed(fields, changes))))
}

const respond = ({ status, headers, body }: Extract<Fault, { _tag: "Respond" }>): Response => {
  if (body === undefined) return HttpServerResponse.empty({ status, headers })
  return typeof body === "string"
    ? HttpServerResponse.text(body, { status, headers, contentType: headers?.["content-type"] ?? "text/plain" })
    : HttpServerResponse.jsonUnsafe(body, { status, headers })
}

/** What comes of a request that a fault strikes. `normal` is run only if the fault lets it. */
export const strike = <R>(
  fault: Fault | undefined,
  clock: Clock.Clock,
  normal: Effect.Effect<Response, never, R>
): Effect.Effect<Response, ConnectionBroken, R> => {
  switch (fault?._tag) {
    case undefined:
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
