// A server for tests of real sockets.
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from "node:http"
import { Effect } from "effect"

export interface Server {
  readonly url: string
  readonly requests: Array<{ readonly path: string; readonly authorization: string | undefined; readonly body: string }>
}

/** A server on a port of 127.0.0.1 that records its requests. */
export const listen = (handle: (request: IncomingMessage, response: ServerResponse) => void) =>
  Effect.acquireRelease(
    Effect.callback<Server & { readonly close: () => void }>((resume) => {
      const requests: Server["requests"] = []
      const listener: RequestListener = (request, response) => {
        let body = ""
        request.on("data", (chunk) => {
          body += chunk
        })
        request.on("end", () => {
          requests.push({ path: request.url ?? "", authorization: request.headers.authorization, body })
          handle(request, response)
        })
      }
      const server = createServer(listener)
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        const port = typeof address === "object" && address !== null ? address.port : 0
        const close = () => {
          server.closeAllConnections()
          server.close()
        }
        resume(Effect.succeed({ url: `http://127.0.0.1:${port}`, requests, close }))
      })
    }),
    (server) => Effect.sync(server.close)
  )

export const token = (response: ServerResponse) => {
  response.setHeader("content-type", "application/json")
  response.end('{"access_token":"fake.token","token_type":"Bearer","expires_in":3600}')
}
