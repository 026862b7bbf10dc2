// `/health`, the admin API under `/__admin`, for tests in any language, and the page. Nothing here is journaled.
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Headers from "effect/http/Headers"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as UrlParams from "effect/http/UrlParams"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { bodyLimit, readBody } from "../../engine/handler.ts"
import { type Method, makeRouter, type Pattern } from "../../engine/router.ts"
import { findSyntaxProblem } from "../jsonSyntax.ts"
import { isOwnPath, isPagePath } from "../ownPaths.ts"
import type { Admin } from "./admin.ts"
import type { App } from "./app.ts"
import { guard, refuse } from "./guard.ts"

type Request = HttpServerRequest.HttpServerRequest
type Response = HttpServerResponse.HttpServerResponse

const pathOf = (request: Request): string => request.url.split("?")[0] ?? ""

/** Returns whether the request is for the admin API or the page. */
export const isAdmin = (request: Request): boolean => isOwnPath(pathOf(request))

/** The same request with this method and JSON as its body. A request without a body may name any type. */
const withJson = ({ headers, url }: Request, method: string, json: string): Request =>
  HttpServerRequest.fromClientRequest(
    HttpClientRequest.makeWith(
      method,
      url,
      UrlParams.empty,
      Option.none(),
      Headers.set(headers, "content-type", "application/json"),
      json === "" ? HttpBody.empty : HttpBody.text(json, "application/json")
    )
  )

const takesBody = new Set<string>(["POST", "PUT", "PATCH"])

/** Returns the request with its body read and found to be JSON, or the answer that refuses it. */
const readRequest = (
  request: Request,
  method: Method
): Effect.Effect<{ readonly request: Request } | { readonly refused: Response }> => {
  if (!takesBody.has(method)) return Effect.succeed({ request: withJson(request, method, "") })
  return Effect.map(readBody(request), (bytes) => {
    if (bytes === undefined) return { refused: refuse(413, `The body is larger than ${bodyLimit} bytes.`) }
    // Some clients put a byte order mark in front of the text.
    const text = bytes.toString().replace(/^\uFEFF/, "")
    const json = text.trim() === "" ? "{}" : text
    const problem = findSyntaxProblem(json)
    if (problem === undefined) return { request: withJson(request, method, json) }
    const { column, expected, line } = problem
    return { refused: refuse(400, `line ${line}, column ${column}: This is not JSON. Expected ${expected}.`) }
  })
}

/** Finds the operation before the request is read, so that 404 and 405 say more than that nothing was found. */
const makeFind = ({ operations }: App) => {
  const router = makeRouter<Pattern>()
  for (const operation of operations) router.add(operation)
  return (request: Request) => router.match(request.method, pathOf(request), () => true)
}

/** Serves what begins with `/__admin`, `/health`, and the page with its files. */
export const makeAdmin = Effect.fnUntraced(function* (admin: Admin) {
  const context = yield* Effect.context<Scope.Scope>()
  // Loaded with the first request, because a server that nobody controls starts faster without it.
  const loaded = yield* Effect.cached(
    Effect.uninterruptible(
      Effect.promise(() => import("./app.ts")).pipe(
        Effect.flatMap(({ makeApp }) => makeApp(admin)),
        Effect.map((app) => ({ app, find: makeFind(app) })),
        // Handlers keep the context in which they are built, which must not contain the first request.
        Effect.updateContext((_: Context.Context<never>) => context)
      )
    )
  )

  const pageLoaded = Effect.promise(() => import("../page/serve.ts"))

  const serve = (request: Request): Effect.Effect<Response> =>
    Effect.flatMap(loaded, ({ app, find }) => {
      const match = find(request)
      switch (match._tag) {
        case "Unknown": {
          const hint =
            admin.vault === undefined && pathOf(request).startsWith("/__admin/vault")
              ? "This fake has no vault. Start it with --vault."
              : "GET /__admin/openapi.json lists what it has."
          return Effect.succeed(refuse(404, `The admin API has no ${request.method} ${pathOf(request)}. ${hint}`))
        }
        case "WrongMethod": {
          const allow = match.allow.join(", ")
          const message = `The admin API has no ${request.method} ${pathOf(request)}. Use ${allow}.`
          return Effect.succeed(refuse(405, message, { allow }))
        }
        case "Found":
          return Effect.flatMap(readRequest(request, match.route.method), (read) =>
            "refused" in read
              ? Effect.succeed(read.refused)
              : Effect.provideService(app.serve, HttpServerRequest.HttpServerRequest, read.request)
          )
      }
    })

  return Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
    if (pathOf(request) === "/health") return Effect.succeed(HttpServerResponse.jsonUnsafe({ status: "ok" }))
    if (isPagePath(pathOf(request))) return Effect.flatMap(pageLoaded, ({ servePage }) => servePage(request))
    const refused = guard(admin.token, request)
    return refused === undefined ? serve(request) : Effect.succeed(refused)
  })
})
