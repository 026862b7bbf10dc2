// The Node server below both fakes, http or https, and how it ends. Node's `closeAllConnections` knows a connection only
// once it speaks HTTP, and over TLS not one whose client has yet to say hello: so they are counted here.
import { createServer as createHttpServer, type Server } from "node:http"
import { createServer as createHttpsServer } from "node:https"
import type { Socket } from "node:net"
import * as Effect from "effect/Effect"
import * as HttpServerError from "effect/http/HttpServerError"
import { FakeImsError } from "../FakeIms.ts"

/** Why a server does not start. */
export const serveError = (message: string): HttpServerError.ServeError =>
  new HttpServerError.ServeError({ cause: new FakeImsError({ message }) })

export interface Listener {
  readonly server: Server
  /** Destroys the connections that are open: closing waits for none of them otherwise. */
  readonly endConnections: Effect.Effect<void>
}

/** A server that does not listen yet; https if it is given a certificate. */
export const makeListener = (
  tls: { readonly cert: string; readonly key: string } | undefined
): Effect.Effect<Listener, HttpServerError.ServeError> =>
  Effect.try({
    try: () => {
      const server = tls === undefined ? createHttpServer() : createHttpsServer(tls)
      const open = new Set<Socket>()
      server.on("connection", (socket: Socket) => {
        open.add(socket)
        socket.once("close", () => open.delete(socket))
      })
      const endConnections = Effect.sync(() => {
        for (const socket of open) socket.destroy()
      })
      return { server, endConnections }
    },
    catch: (cause) => serveError(`The certificate or its key can't be used: ${cause}`)
  })
