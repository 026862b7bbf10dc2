// The connection at servers that are not Redis. Real sockets on 127.0.0.1.
import { once } from "node:events"
import { createServer, type Server } from "node:net"
import { createServer as createTlsServer } from "node:tls"
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { selfSigned } from "../../testing/src/internal/serve/certificate.ts"
import { open } from "./support.ts"

const claim = { owner: "a", lease: 3_000, forget: "none", minLeft: 5_000, level: 1 } as const

/** Starts a server and returns its port. */
const listening = (make: () => Server) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.promise(async () => {
        const server = make().listen(0, "127.0.0.1")
        await once(server, "listening")
        return server
      }),
      (server) => Effect.sync(() => void server.close())
    ),
    (server) => {
      const address = server.address()
      return typeof address === "object" && address !== null ? address.port : 0
    }
  )

it.live("sends no password when the certificate of the server is not trusted", () =>
  Effect.gen(function* () {
    const received: Array<string> = []
    const port = yield* listening(() =>
      createTlsServer(selfSigned(["127.0.0.1"]), (socket) => {
        socket.on("data", (data) => received.push(String(data))).on("error", () => {})
      }).on("tlsClientError", () => {})
    )
    const store = yield* open(`rediss://:fake-secret-a@127.0.0.1:${port}`)
    const error = yield* Effect.flip(store.claim("row", claim))
    assert.strictEqual(error.kind, "unavailable")
    assert.include(error.detail, "DEPTH_ZERO_SELF_SIGNED_CERT")
    assert.deepEqual(received, [])
  }).pipe(Effect.scoped)
)

for (const [what, answer] of [
  ["HTTP", "HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n"],
  ["nothing, and closes", ""],
  ["a reply of another type", "$3\r\nsha\r\n:1\r\n"]
] as const) {
  it.live(`fails, and the process goes on, when the server answers ${what}`, () =>
    Effect.gen(function* () {
      const port = yield* listening(() =>
        createServer((socket) => {
          socket.on("error", () => {})
          socket.once("data", () => (answer.startsWith("$") ? socket.write(answer) : socket.end(answer)))
        })
      )
      const store = yield* open(`redis://127.0.0.1:${port}`, { timeout: "300 millis" })
      for (let i = 0; i < 2; i++) {
        const error = yield* Effect.flip(store.claim("row", claim))
        assert.include(["unavailable", "refused", "timeout"], error.kind)
        assert.notInclude(error.message, "Bad Request")
      }
    }).pipe(Effect.scoped)
  )
}
