// A TCP proxy in front of a server, which can be partitioned: connections stay open, and no byte gets through.
import { once } from "node:events"
import { connect, createServer, type Socket } from "node:net"

export interface Proxy {
  readonly port: number
  /** The connections that were opened. */
  readonly opened: () => number
  /** The connections that are open. */
  readonly open: () => number
  /** Drops every byte from now on. */
  readonly partition: () => void
  /** Lets new connections work. Bytes that were dropped stay lost. */
  readonly heal: () => void
  readonly close: () => Promise<void>
}

export const startProxy = async (target: number): Promise<Proxy> => {
  const sockets = new Set<Socket>()
  let isPartitioned = false
  let opened = 0
  const pipe = (from: Socket, to: Socket) => {
    let isLost = false
    from.on("data", (chunk) => {
      isLost ||= isPartitioned
      if (!isLost) to.write(chunk)
    })
    from.on("close", () => {
      sockets.delete(from)
      if (!isLost && !isPartitioned) to.destroy()
    })
    from.on("error", () => {})
  }
  const server = createServer((client) => {
    opened++
    sockets.add(client)
    const upstream = connect(target, "127.0.0.1")
    pipe(client, upstream)
    pipe(upstream, client)
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const address = server.address()
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    opened: () => opened,
    open: () => sockets.size,
    partition: () => {
      isPartitioned = true
    },
    heal: () => {
      isPartitioned = false
    },
    close: async () => {
      server.close()
      for (const socket of sockets) socket.destroy()
      await once(server, "close")
    }
  }
}
