// A connection whose bytes a test writes and reads itself.
import { connect as connectTcp, type Socket } from "node:net"
import { connect as connectTls } from "node:tls"
import { Effect } from "effect"

export interface RawConnection {
  readonly socket: Socket
  /** What arrived so far, byte by byte as Latin-1. */
  readonly received: () => string
  /** How the server ended the connection. */
  readonly ended: () => "open" | "FIN" | "RST"
  readonly send: (text: string) => void
  /** Waits until the predicate holds for what arrived, or the connection ended. */
  readonly until: (isEnough: (received: string) => boolean) => Effect.Effect<void>
  /** Waits until the server ends the connection. */
  readonly end: Effect.Effect<void>
}

/** Connects to the host and port of the URL; closes the connection with the scope. */
export const connect = (url: string, options: { readonly halfOpen?: boolean } = {}) =>
  Effect.acquireRelease(
    Effect.callback<RawConnection>((resume) => {
      const { protocol, hostname, port } = new URL(url)
      const at = { host: hostname.replace(/^\[|\]$/g, ""), port: Number(port) }
      const socket =
        protocol === "https:"
          ? connectTls({ ...at, rejectUnauthorized: false })
          : connectTcp({ ...at, allowHalfOpen: options.halfOpen ?? false })
      let received = ""
      let ended: "open" | "FIN" | "RST" = "open"
      const waiting = new Set<() => void>()
      const changed = () => {
        for (const check of waiting) check()
      }
      socket.on("data", (bytes) => {
        received += bytes.toString("latin1")
        changed()
      })
      socket.on("error", (error: NodeJS.ErrnoException) => {
        ended = "RST"
        if (error.code !== "ECONNRESET") resume(Effect.die(error))
        changed()
      })
      socket.on("end", () => {
        ended = "FIN"
        changed()
      })
      const until = (isEnough: (received: string) => boolean) =>
        Effect.callback<void>((resume) => {
          const check = () => {
            if (!isEnough(received) && ended === "open") return
            waiting.delete(check)
            resume(Effect.void)
          }
          waiting.add(check)
          check()
          return Effect.sync(() => waiting.delete(check))
        })
      const connection: RawConnection = {
        socket,
        received: () => received,
        ended: () => ended,
        send: (text) => void socket.write(text, "latin1"),
        until,
        end: until(() => false)
      }
      socket.once(protocol === "https:" ? "secureConnect" : "connect", () => resume(Effect.succeed(connection)))
    }),
    ({ socket }) => Effect.sync(() => socket.destroy())
  )

/** Returns the head of the first response, and everything after it. */
export const split = (received: string): { readonly head: string; readonly body: string } => {
  const at = received.indexOf("\r\n\r\n")
  return at < 0 ? { head: received, body: "" } : { head: received.slice(0, at), body: received.slice(at + 4) }
}
