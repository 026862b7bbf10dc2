// The one handler behind every way to serve the fake: routes, each journaled and open to its script of faults.
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import type { Fault } from "../Fault.ts"
import type * as Journal from "../Journal.ts"
import * as accessControl from "./accessControl.ts"
import { apiError } from "./answer.ts"
import { ConnectionBroken } from "./engine/broken.ts"
import { Observed } from "./engine/observed.ts"
import { uuid } from "./entropy.ts"
import * as metadata from "./metadata.ts"
import { type Params, usersMe } from "./platformApi.ts"
import { makeScript, type Script, strike } from "./script.ts"
import { type Entry, now, type State } from "./state.ts"
import { tokenEndpoint } from "./tokenEndpoint.ts"

type Response = HttpServerResponse.HttpServerResponse
type Request = HttpServerRequest.HttpServerRequest

/** Serves one request. What it finds out, it notes in the entry. */
export type Handle = (request: Request, entry: Entry, params: Params, fault?: Fault) => Effect.Effect<Response>

export type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE"

export type Handler = Effect.Effect<Response, ConnectionBroken, HttpServerRequest.HttpServerRequest>

export interface Fake {
  readonly state: State
  /** The routes of IMS, of the APIs, and of both on one origin. */
  readonly ims: Handler
  readonly api: Handler
  readonly all: Handler
  /** Adds a route to the APIs. */
  readonly addRoute: (method: Method, path: HttpRouter.PathInput, handle: Handle) => Effect.Effect<void>
  readonly script: (route: string) => Script | undefined
  /** The routes that have a script. */
  readonly routes: () => ReadonlyArray<string>
  /** The n-th request (from 1) to the route, as soon as it has come. */
  readonly arrival: (route: string, n: number) => Effect.Effect<Journal.Entry>
}

const describe = (fault: Fault): string =>
  fault._tag === "Respond" ? `fault: ${fault.status}` : `fault: ${fault._tag.toLowerCase()}`

const openEntry = (state: State, request: Request): Entry => {
  const given = request.headers["x-correlation-id"] ?? ""
  return {
    at: now(state),
    route: `${request.method} ${request.url.split("?")[0]}`,
    correlationId: /^[\w.-]{1,128}$/.test(given) ? given : uuid(state.entropy),
    concurrency: state.inFlight,
    form: {},
    clientId: undefined,
    authentication: undefined,
    secretVersion: undefined,
    status: undefined,
    outcome: "unanswered"
  }
}

const notFound: Handle = (_request, entry) =>
  Effect.succeed(apiError(entry, 404, "ResourceNotFound", "The fake has no such route."))

export const makeFake = Effect.fnUntraced(function* (state: State): Effect.fn.Return<Fake> {
  const record = (entry: Entry) => {
    state.journal.push(entry)
    const same = state.byRoute.get(entry.route) ?? []
    state.byRoute.set(entry.route, same)
    const n = same.push(entry)
    for (const waiter of state.waiting) {
      if (waiter.route !== entry.route || waiter.n !== n) continue
      state.waiting.delete(waiter)
      waiter.resume(Effect.succeed(entry))
    }
  }

  /** Journals the request, and lets the route's script strike it. */
  const served = (script: Script | undefined, handle: Handle) => (request: Request) =>
    Effect.flatMap(Observed, (observed) => {
      state.inFlight++
      const entry = openEntry(state, request)
      if (observed !== undefined) observed.entry = entry
      record(entry)
      const fault = script?.next()
      const normal = Effect.flatMap(HttpRouter.params, (params) => handle(request, entry, params, fault))
      return strike(fault, state.clock, normal).pipe(
        Effect.tap((response) =>
          Effect.sync(() => {
            entry.status = response.status
            if (fault !== undefined) entry.outcome = describe(fault)
          })
        ),
        Effect.tapError(() =>
          Effect.sync(() => {
            entry.outcome = "fault: reset"
          })
        ),
        Effect.ensuring(
          Effect.sync(() => {
            state.inFlight--
          })
        ),
        Effect.orDie
      )
    })

  const routers = { ims: yield* HttpRouter.make, api: yield* HttpRouter.make, all: yield* HttpRouter.make }

  const add = (host: "ims" | "api") => (method: Method, path: HttpRouter.PathInput, handle: Handle) => {
    const script = makeScript(state.clock)
    state.scripts.set(`${method} ${path}`, script)
    const route = served(script, handle)
    return Effect.andThen(routers[host].add(method, path, route), routers.all.add(method, path, route))
  }

  const onIms = add("ims")
  const onApi = add("api")
  yield* onIms("POST", "/connect/token", tokenEndpoint(state))
  yield* onIms("POST", "/connect/introspect", metadata.introspection(state))
  yield* onIms("POST", "/connect/revocation", metadata.revocation(state))
  yield* onIms("GET", "/.well-known/openid-configuration", metadata.discovery(state))
  yield* onIms("GET", "/.well-known/openid-configuration/jwks", metadata.jwks(state))
  yield* onApi("GET", "/users/me", usersMe(state))
  yield* onApi("GET", "/accesscontrol/itwins/:id/permissions", accessControl.permissions(state))
  yield* onApi("GET", "/accesscontrol/itwins/:id/roles", accessControl.roles(state))
  yield* onApi("GET", "/accesscontrol/itwins/:id/members/users", accessControl.members(state))
  yield* onApi("POST", "/accesscontrol/itwins/:id/members/users", accessControl.addMembers(state))
  for (const router of Object.values(routers)) yield* router.add("*", "/*", served(undefined, notFound))

  // The router's types have no room for the failures of its routes, so a reset crosses it as a defect.
  const handlerOf = (router: HttpRouter.HttpRouter): Handler =>
    Effect.scoped(router.asHttpEffect()).pipe(
      Effect.orDie,
      Effect.catchDefect((defect) => (defect instanceof ConnectionBroken ? Effect.fail(defect) : Effect.die(defect)))
    )

  return {
    state,
    ims: handlerOf(routers.ims),
    api: handlerOf(routers.api),
    all: handlerOf(routers.all),
    addRoute: onApi,
    script: (route) => state.scripts.get(route),
    routes: () => [...state.scripts.keys()],
    arrival: (route, n) =>
      Effect.callback((resume) => {
        const entry = state.byRoute.get(route)?.[n - 1]
        if (entry !== undefined) return resume(Effect.succeed(entry))
        const waiter = { route, n, resume }
        state.waiting.add(waiter)
        return Effect.sync(() => state.waiting.delete(waiter))
      })
  }
})
