// Sends requests as a browser does. Fetch can't set `Host`, and sets other headers itself.
import { createServer, request as httpRequest, type Server } from "node:http"
import { Effect, type Scope } from "effect"

export interface Answer {
  readonly status: number
  readonly headers: Record<string, string | ReadonlyArray<string> | undefined>
  readonly text: string
}

/** Sends one request, and follows no redirect. */
export const send = (
  url: string | URL,
  options: { readonly method?: string; readonly headers?: Record<string, string>; readonly path?: string } = {}
): Effect.Effect<Answer, Error> =>
  Effect.callback((resume) => {
    const { hostname, pathname, port, search } = new URL(url)
    const request = httpRequest(
      {
        host: hostname.replace(/[[\]]/g, ""),
        port,
        path: options.path ?? `${pathname}${search}`,
        method: options.method ?? "GET",
        headers: options.headers ?? {},
        agent: false
      },
      (response) => {
        let text = ""
        response.setEncoding("utf8").on("data", (chunk) => {
          text += chunk
        })
        response.on("end", () =>
          resume(Effect.succeed({ status: response.statusCode ?? 0, headers: response.headers, text }))
        )
      }
    )
    request.on("error", (error) => resume(Effect.fail(error)))
    request.end()
  })

/** Listens on an interface until the scope closes. Returns undefined if the port is taken. */
export const occupy = (host: string, port: number): Effect.Effect<Server | undefined, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<Server | undefined>((resume) => {
      const server = createServer()
      server.once("error", () => resume(Effect.succeed(undefined)))
      server.listen({ host, port, exclusive: true }, () => resume(Effect.succeed(server)))
    }),
    (server) =>
      Effect.callback((resume) => {
        if (server === undefined) resume(Effect.void)
        else server.close(() => resume(Effect.void))
      })
  )

/** Returns a port that is free on loopback. Below those that the system gives to others meanwhile. */
export const freePort: Effect.Effect<number> = Effect.gen(function* () {
  while (true) {
    const port = 15_000 + Math.floor(Math.random() * 15_000)
    const isFree = yield* Effect.scoped(
      Effect.map(
        Effect.all([occupy("127.0.0.1", port), occupy("::1", port)]),
        (servers) => !servers.includes(undefined)
      )
    )
    if (isFree) return port
  }
})
