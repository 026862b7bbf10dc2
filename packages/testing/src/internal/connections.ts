// Ends what a server would otherwise wait for when it is closed. Node's `closeAllConnections` knows a connection only
// once it speaks HTTP: over TLS not one whose client has yet to say hello.
import type { Server, Socket } from "node:net"
import * as Effect from "effect/Effect"

/** Knows the connections of the server from now on. The effect destroys those that are open. */
export const trackConnections = (server: Server): Effect.Effect<void> => {
  const open = new Set<Socket>()
  server.on("connection", (socket: Socket) => {
    open.add(socket)
    socket.once("close", () => open.delete(socket))
  })
  return Effect.sync(() => {
    for (const socket of open) socket.destroy()
  })
}
