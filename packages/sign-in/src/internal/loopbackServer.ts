// Listens for the one answer of a sign-in on this machine.
//
// Other programs, and pages in the browser, can reach the port too. So only the exact path and `Host` are accepted, and a
// request that does not fit is answered and changes nothing.
import * as Http from "node:http"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { LoopbackAddress } from "./loopbackAddress.ts"
import { type Page, pageHeaders, renderPage } from "./page.ts"

/** An answer of the sign-in server, and how the browser gets its page. */
export interface Arrival {
  readonly query: URLSearchParams
  /** Sends the page, and waits until the browser has it or has left. */
  readonly respond: (page: Page, status: number) => Effect.Effect<void>
}

const send = (response: Http.ServerResponse, page: Page, status: number): void => {
  response.writeHead(status, {
    ...pageHeaders,
    "content-type": "text/html; charset=utf-8",
    // So that the port can be closed at once.
    connection: "close"
  })
  response.end(renderPage(page))
}

const stranger: Page = {
  title: "Nothing was changed",
  text: "This request does not belong to the sign-in that is in progress. Complete the sign-in in the other window."
}

const notFound: Page = { title: "Nothing is here", text: "This address serves one sign-in only." }

/** Returns the query of a request, or the status with which to refuse it. */
const queryOf = ({ headers, method, url = "" }: Http.IncomingMessage, address: LoopbackAddress) => {
  // A page of another name that resolves to this machine would be allowed to read the response.
  if (headers.host !== address.host) return 421
  const [, path, query = ""] = /^([^?]*)(?:\?(.*))?$/s.exec(url) ?? []
  if (path !== address.path) return 404
  // A preview of the link must not use up the code.
  return method === "GET" ? new URLSearchParams(query) : 405
}

/** Lets `accept` look at each answer. It returns true for the one that it takes, and then sends the page. */
const handler =
  (address: LoopbackAddress, accept: (arrival: Arrival) => boolean): Http.RequestListener =>
  (request, response) => {
    const query = queryOf(request, address)
    if (typeof query === "number") return send(response, notFound, query)
    const respond: Arrival["respond"] = (page, status) =>
      Effect.callback((resume) => {
        response.once("close", () => resume(Effect.void))
        if (response.destroyed) resume(Effect.void)
        else send(response, page, status)
      })
    if (!accept({ query, respond })) send(response, stranger, 400)
  }

/** This machine has no such interface. */
const hasNoInterface = (error: NodeJS.ErrnoException): boolean =>
  error.code === "EADDRNOTAVAIL" || error.code === "EAFNOSUPPORT"

type Listening = "listening" | "taken" | "absent"

const listenOn = (server: Http.Server, host: string, port: number): Effect.Effect<Listening> =>
  Effect.callback((resume) => {
    server.once("error", (error) => resume(Effect.succeed(hasNoInterface(error) ? "absent" : "taken")))
    server.listen({ host, port, exclusive: true }, () => resume(Effect.succeed("listening")))
  })

const close = (server: Http.Server): Effect.Effect<void> =>
  Effect.callback((resume) => {
    server.close(() => resume(Effect.void))
    server.closeAllConnections()
  })

/**
 * Listens until the scope closes, on every interface of the address that this machine has. Returns false, and listens
 * nowhere, if another program has the port on one of them: it could get the answer.
 */
export const listen = (
  address: LoopbackAddress,
  accept: (arrival: Arrival) => boolean
): Effect.Effect<boolean, never, Scope.Scope> =>
  Effect.gen(function* () {
    const servers: Array<Http.Server> = []
    const closeAll = Effect.suspend(() => Effect.forEach(servers.splice(0), close, { discard: true }))
    yield* Effect.addFinalizer(() => closeAll)
    let listening = 0
    for (const host of address.interfaces) {
      const server = Http.createServer(handler(address, accept))
      // Uninterruptible, so that each server that listens is known here.
      const outcome = yield* Effect.uninterruptible(
        Effect.tap(listenOn(server, host, address.port), (outcome) =>
          Effect.sync(() => {
            if (outcome === "listening") servers.push(server)
          })
        )
      )
      if (outcome === "listening") listening++
      if (outcome === "taken") {
        yield* closeAll
        return false
      }
    }
    return listening > 0
  })
