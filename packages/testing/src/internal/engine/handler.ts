// Serves the requests of a fake: finds the route, reads the body, writes the journal, plays the script.
//
// Both fakes are tables of routes over this one engine. An endpoint gets a `Call` whose body is read already, and
// returns its answer. It writes what it finds out about the request into the journal's entry.
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Stream from "effect/Stream"
import type { Fault } from "../../Fault.ts"
import type * as Entries from "../../Journal.ts"
import { applyFault, isAnswer } from "./applyFault.ts"
import type { ConnectionBroken } from "./broken.ts"
import { type AllowsOrigin, isPreflight, preflight, withCors } from "./cors.ts"
import { type Entropy, uuid } from "./entropy.ts"
import { type Journal, makeJournal, noRoute, type Writing } from "./journal.ts"
import { Observed } from "./observed.ts"
import { redactForm, redactHeaders, redactQuery } from "./redact.ts"
import { makeRouter, nameOf, type Params, type Pattern } from "./router.ts"
import { makeScript, type Script } from "./script.ts"

export type Response = HttpServerResponse.HttpServerResponse

/** Describes one request that an endpoint serves. */
export interface Call {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly params: Params
  /** The complete body. */
  readonly body: string
  /** The complete body as it was sent. */
  readonly bytes: Uint8Array
  /** The journal's entry, which the endpoint completes. */
  readonly entry: Writing
  /** The fault that is applied to the answer. The endpoint itself applies `Claims`. */
  readonly fault: Fault | undefined
}

/** Says why a request reaches no endpoint. */
export type Refusal =
  | { readonly _tag: "NotFound" }
  | { readonly _tag: "MethodNotAllowed"; readonly allow: ReadonlyArray<string> }
  | { readonly _tag: "ContentTooLarge"; readonly limit: number }

/** Describes a server that the fake stands for, and how it words a refusal. The engine sets `Allow`. */
export interface Host {
  readonly name: string
  readonly refuse: (refusal: Refusal, entry: Writing) => Response
  /** Returns what the journal shows of a body that is not a form; by default the text without its secrets. */
  readonly showBody?: (body: string) => string | undefined
}

export interface Route extends Pattern {
  readonly host: Host
  /** Whether pages of the origins that the engine allows may call it. */
  readonly cors?: boolean
  /** Refuses a request before the script is consulted, so that the request uses no step. */
  readonly gate?: (call: Call) => Response | undefined
  readonly serve: (call: Call) => Response | Effect.Effect<Response>
}

/** Serves a request, for every way of serving. The stream of the answer's body may also fail with `ConnectionBroken`. */
export type Handler = Effect.Effect<Response, ConnectionBroken, HttpServerRequest.HttpServerRequest>

export interface Engine {
  readonly clock: Clock.Clock
  readonly entropy: Entropy
  readonly journal: Journal
  /** Adds a route. One of the same name is replaced, and returned. */
  readonly add: (route: Route) => Route | undefined
  /** Removes the route of this name with its script. */
  readonly remove: (route: string) => void
  /** Returns the names of the routes, in the order in which they were added. */
  readonly routes: () => ReadonlyArray<string>
  /** Returns the script of the route. Throws a `RangeError` that lists the routes if the route does not exist. */
  readonly script: (route: string) => Script
  readonly clearScripts: () => void
  /** Returns the steps of all scripts that were not applied yet. */
  readonly unusedSteps: () => ReadonlyArray<{
    readonly route: string
    readonly step: ReturnType<Script["unused"]>[number]
  }>
  /** Returns the n-th request (from 1) to the route, as soon as it arrives. */
  readonly arrival: (route: string, n: number) => Effect.Effect<Entries.Entry>
  /** Returns how many requests the route received. */
  readonly count: (route: string) => number
  readonly maxConcurrent: () => number
  /** Forgets the journal, the counts and the largest number of concurrent requests. */
  readonly clearJournal: () => void
  /** Forgets the scripts and the journal. */
  readonly reset: () => void
  /** Serves the routes of these hosts on one origin. The last host refuses what none of them serves. */
  readonly handler: (...hosts: readonly [Host, ...ReadonlyArray<Host>]) => Handler
}

export interface EngineOptions {
  readonly clock: Clock.Clock
  readonly entropy: Entropy
  /** How many entries the journal keeps; 10,000 by default. */
  readonly journalLimit?: number | undefined
  /** Takes the secrets out of a text for the journal. */
  readonly redact: (text: string) => string
  /** Says pages of which origins may call the routes that have `cors`; none by default. */
  readonly allowsOrigin?: AllowsOrigin | undefined
}

/** In bytes. */
export const bodyLimit = 1024 * 1024

/** In characters. */
const shownBody = 16_384

type Request = HttpServerRequest.HttpServerRequest

/** Reads the body; `undefined` if it is larger than the limit. A body that is cut off ends there. */
export const readBody = (request: Request): Effect.Effect<Buffer | undefined> =>
  Effect.suspend(() => {
    const chunks: Array<Uint8Array> = []
    let size = 0
    return request.stream.pipe(
      Stream.takeWhile((chunk) => {
        size += chunk.byteLength
        if (size <= bodyLimit) chunks.push(chunk)
        return size <= bodyLimit
      }),
      Stream.runDrain,
      Effect.catch(() => Effect.void),
      Effect.map(() => (size > bodyLimit ? undefined : Buffer.concat(chunks)))
    )
  })

/** Returns the head alone, with the length of the body. */
const withoutBody = ({ headers, status }: Response): Response => HttpServerResponse.empty({ headers, status })

const isForm = (contentType: string | undefined): boolean =>
  contentType?.split(";")[0]?.trim().toLowerCase() === "application/x-www-form-urlencoded"

export const makeEngine = (options: EngineOptions): Engine => {
  const { allowsOrigin = () => false, clock, entropy, redact } = options
  const router = makeRouter<Route>()
  const scripts = new Map<string, Script>()
  const journal = makeJournal(options.journalLimit ?? 10_000)
  let inFlight = 0
  let most = 0

  const scriptOf = (route: string): Script => {
    const script = scripts.get(route)
    if (script !== undefined) return script
    throw new RangeError(
      `The fake has no route ${JSON.stringify(route)}. Its routes: ${[...scripts.keys()].join(", ")}.`
    )
  }

  const clearJournal = () => {
    journal.clear()
    most = 0
  }

  const open = (request: Request, path: string, query: URLSearchParams, route: string): Writing => {
    const given = request.headers["x-correlation-id"] ?? ""
    most = Math.max(most, inFlight)
    return journal.add({
      at: clock.currentTimeMillisUnsafe(),
      route,
      method: request.method,
      path: redact(path),
      query: redactQuery(query, redact),
      headers: redactHeaders(request.headers, redact),
      form: {},
      body: undefined,
      correlationId: /^[\w.-]{1,128}$/.test(given) ? given : uuid(entropy),
      concurrency: inFlight,
      clientId: undefined,
      authentication: undefined,
      secretVersion: undefined,
      fault: undefined,
      status: undefined,
      outcome: "unanswered",
      explanation: undefined
    })
  }

  const run = (route: Route, call: Call): Effect.Effect<Response, ConnectionBroken> =>
    Effect.suspend(() => {
      const refused = route.gate?.(call)
      if (refused !== undefined) return Effect.succeed(refused)
      const fault = scripts.get(nameOf(route))?.next()
      const { entry } = call
      entry.fault = fault?._tag
      const normal = Effect.suspend(() => {
        const answer = route.serve({ ...call, fault })
        return Effect.isEffect(answer) ? answer : Effect.succeed(answer)
      })
      const answered = applyFault(fault, clock, normal)
      if (isAnswer(fault)) entry.outcome = "fault"
      return answered
    })

  const serve = (request: Request, hosts: ReadonlyArray<Host>) => {
    const path = request.url.split("?")[0] ?? ""
    const query = new URLSearchParams(request.url.slice(path.length))
    const match = router.match(request.method, path, ({ host }) => hosts.includes(host))
    const entry = open(request, path, query, match._tag === "Found" ? nameOf(match.route) : noRoute)
    const refuse = (refusal: Refusal): Effect.Effect<Response> =>
      Effect.sync(() => {
        const host = match._tag === "Unknown" ? hosts.at(-1) : match.route.host
        return host?.refuse(refusal, entry) ?? HttpServerResponse.empty({ status: 404 })
      })
    switch (match._tag) {
      case "Unknown":
        return { entry, answer: refuse({ _tag: "NotFound" }) }
      case "WrongMethod": {
        const { allow } = match
        if (match.route.cors === true && isPreflight(request.method, request.headers)) {
          return { entry, answer: Effect.sync(() => preflight(entry, request.headers, allow, allowsOrigin)) }
        }
        const answer = refuse({ _tag: "MethodNotAllowed", allow })
        return { entry, answer: Effect.map(answer, HttpServerResponse.setHeader("allow", allow.join(", "))) }
      }
      case "Found": {
        const { headers, method } = request
        const { params, route } = match
        const answer = Effect.flatMap(readBody(request), (bytes) => {
          if (bytes === undefined) return refuse({ _tag: "ContentTooLarge", limit: bodyLimit })
          const body = bytes.toString()
          if (isForm(headers["content-type"])) entry.form = redactForm(new URLSearchParams(body), redact)
          // Cut last: the beginning of a secret that the cut goes through would not be recognized.
          else if (body !== "") entry.body = (route.host.showBody ?? redact)(body)?.slice(0, shownBody)
          return run(route, { method, path, query, headers, params, body, bytes, entry, fault: undefined })
        })
        return {
          entry,
          answer: route.cors === true ? Effect.map(answer, withCors(entry, headers, allowsOrigin)) : answer
        }
      }
    }
  }

  return {
    clock,
    entropy,
    journal,
    add: (route) => {
      if (!scripts.has(nameOf(route))) scripts.set(nameOf(route), makeScript(clock))
      return router.add(route)
    },
    remove: (route) => {
      router.remove(route)
      scripts.delete(route)
    },
    routes: () => [...scripts.keys()],
    script: scriptOf,
    clearScripts: () => {
      for (const script of scripts.values()) script.clear()
    },
    unusedSteps: () => [...scripts].flatMap(([route, script]) => script.unused().map((step) => ({ route, step }))),
    arrival: (route, n) =>
      Effect.suspend(() => {
        scriptOf(route)
        return journal.arrival(route, n)
      }),
    count: (route) => {
      scriptOf(route)
      return journal.count(route)
    },
    maxConcurrent: () => most,
    clearJournal,
    reset: () => {
      for (const script of scripts.values()) script.clear()
      clearJournal()
    },
    handler: (...hosts) =>
      Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) =>
        Effect.flatMap(Observed, (observed) => {
          inFlight++
          const { entry, answer } = serve(request, hosts)
          if (observed !== undefined) observed.entry = entry
          return answer.pipe(
            // Effect's servers call a handler uninterruptibly. A request that hangs must end with its connection.
            Effect.interruptible,
            Effect.map((response) => {
              entry.status = response.status
              return request.method === "HEAD" ? withoutBody(response) : response
            }),
            Effect.ensuring(
              Effect.sync(() => {
                inFlight--
                journal.changed(entry)
              })
            )
          )
        })
      )
  }
}
