import { createServer } from "node:net"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { Effect, Redacted } from "effect"
import { HttpClient, HttpClientRequest, type HttpClientResponse } from "effect/http"

const isFree = (port: number): Effect.Effect<boolean> =>
  Effect.callback((resume) => {
    const server = createServer()
    server.once("error", () => resume(Effect.succeed(false)))
    server.listen(port, "127.0.0.1", () => void server.close(() => resume(Effect.succeed(true))))
  })

/** Returns a port that is free on 127.0.0.1. Below those that the system gives to others meanwhile. */
export const freePort: Effect.Effect<number> = Effect.gen(function* () {
  while (true) {
    const port = 15_000 + Math.floor(Math.random() * 15_000)
    if (yield* isFree(port)) return port
  }
})

export interface Page {
  readonly status: number
  readonly location: string
  readonly cookies: ReadonlyArray<string>
  readonly headers: HttpClientResponse.HttpClientResponse["headers"]
  readonly text: string
}

/** A browser that keeps cookies, and shows each redirect. It treats loopback as secure, as browsers do. */
export const makeBrowser = (baseUrl: string) => {
  const jar = new Map<string, string>()
  const send = Effect.fnUntraced(function* (
    method: "GET" | "POST",
    path: string,
    headers: Readonly<Record<string, string>>
  ) {
    const request = HttpClientRequest.make(method)(new URL(path, baseUrl), { headers }).pipe(
      HttpClientRequest.setHeader("cookie", [...jar].map(([name, value]) => `${name}=${value}`).join("; "))
    )
    const response = yield* HttpClient.execute(request)
    for (const { name, options, value } of Object.values(response.cookies.cookies)) {
      if (options?.maxAge === undefined || value === "") jar.delete(name)
      else jar.set(name, value)
    }
    const page: Page = {
      status: response.status,
      location: response.headers.location ?? "",
      cookies: Object.keys(response.cookies.cookies),
      headers: response.headers,
      text: yield* response.text
    }
    return page
  }, Effect.provide(NodeHttpClient.layerNodeHttp))
  return {
    jar,
    /** Opens an address, as a person does. */
    open: (path: string) =>
      send("GET", path, { accept: "text/html", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" }),
    /** Loads an address, as a script does. */
    load: (path: string) => send("GET", path, { accept: "application/json", "sec-fetch-mode": "cors" }),
    /** Sends a form of a page of this origin. */
    submit: (path: string) => send("POST", path, { "sec-fetch-site": "same-origin", "sec-fetch-mode": "navigate" })
  }
}

/** The variables of a program that uses an app of the fake. */
export const variablesOf = (
  environment: { readonly tokenEndpoint: string; readonly apiBaseUrl: string },
  credentials: { readonly clientId: string; readonly clientSecret?: Redacted.Redacted }
): Record<string, string> => ({
  ITWIN_TOKEN_ENDPOINT: environment.tokenEndpoint,
  ITWIN_API_URL: environment.apiBaseUrl,
  ITWIN_CLIENT_ID: credentials.clientId,
  ...(credentials.clientSecret === undefined ? {} : { ITWIN_CLIENT_SECRET: Redacted.value(credentials.clientSecret) })
})
