// The rows of docs/hostile-answers.md that need a real connection, over fetch.
import type { ServerResponse } from "node:http"
import { gzipSync } from "node:zlib"
import { assert, describe, it } from "@effect/vitest"
import { Environment, RetryPolicy, TokenRequest } from "@effect-itwin/core"
import { Duration, Effect } from "effect"
import { FetchHttpClient, HttpClient } from "effect/http"
import { againOf, credentials, outcomeOf, requested, table } from "./hostileAnswers.ts"
import { listen, token } from "./server.ts"

type Answer = (response: ServerResponse, other: string) => void

const lose: Answer = (response) => response.socket?.destroy()

/** Closes the connection after the written bytes have had time to arrive. */
const loseSoon = (response: ServerResponse) => setTimeout(() => response.socket?.destroy(), 20)

const good = '{"access_token":"fake.token","token_type":"Bearer","expires_in":3600}'

const gzipped = (response: ServerResponse, body: Uint8Array) =>
  response.writeHead(200, { "content-encoding": "gzip" }).end(body)

/** The row, and the responses. The last one is repeated. */
const answers: Readonly<Record<string, ReadonlyArray<Answer>>> = {
  refused: [],
  "closed before the response, always": [lose],
  "closed before the response once, then a token": [lose, token],
  "closed during the headers": [
    (response) => {
      response.socket?.write("HTTP/1.1 200 OK\r\ncontent-ty")
      loseSoon(response)
    }
  ],
  "closed during the body": [
    (response) => {
      response.writeHead(200, { "content-length": "100" }).write('{"access_token":')
      loseSoon(response)
    }
  ],
  "closed during a chunked body whose first part is complete JSON": [
    (response) => {
      response.writeHead(200).write(good)
      loseSoon(response)
    }
  ],
  "a response that is not HTTP": [(response) => void response.socket?.end("SSH-2.0-x\r\n\r\n")],
  "headers that never arrive": [() => {}],
  "a body that stalls": [(response) => void response.writeHead(200).write('{"access_token":')],
  "a body that arrives byte by byte, too slowly": [
    (response) => {
      response.writeHead(200)
      const timer = setInterval(() => response.write(" "), 20)
      response.on("close", () => clearInterval(timer))
    }
  ],
  "a complete body in two parts": [
    (response) => {
      response.write(good.slice(0, 20))
      setTimeout(() => response.end(good.slice(20)), 20)
    }
  ],
  "a gzipped token": [(response) => gzipped(response, gzipSync(good))],
  "a gzipped body of 100 MiB in 100 KiB": [(response) => gzipped(response, bomb)],
  "`Content-Encoding: gzip` and a body that is not": [(response) => gzipped(response, Buffer.from(good))],
  "301 to the same origin": [(response) => response.writeHead(301, { location: "/elsewhere" }).end()],
  "307 to another origin": [(response, other) => response.writeHead(307, { location: `${other}/connect/token` }).end()],
  "307 to another origin, which the client follows itself": [
    (response, other) => response.writeHead(307, { location: `${other}/connect/token` }).end()
  ]
}

const bomb = gzipSync(new Uint8Array(100 * 1024 * 1024))

const rows = table.filter(({ stage }) => stage === "connection")

describe("hostile answers: the connection", () => {
  it("has the rows that the documentation has about connections", () => {
    assert.deepStrictEqual(
      rows.map(({ comes }) => comes),
      Object.keys(answers)
    )
    assert.isBelow(bomb.byteLength, 110 * 1024)
  })

  for (const { comes, outcome, again } of rows) {
    it.live(`returns ${outcome} for: ${comes} (retried: ${again})`, () =>
      Effect.gen(function* () {
        const steps = answers[comes] ?? []
        const other = yield* listen((_request, response) => token(response))
        const ims = yield* listen((_request, response) =>
          steps[Math.min(ims.requests.length, steps.length) - 1]?.(response, other.url)
        )
        // Closed by now, so the connection is refused.
        const gone = yield* Effect.scoped(listen(() => {}))
        const { url } = steps.length === 0 ? gone : ims
        const follows = comes.endsWith("follows itself")
        const disobedient: typeof fetch = (input, init) => fetch(input, { ...init, redirect: "follow" })
        let requests = 0
        const counting = HttpClient.tapRequest(yield* HttpClient.HttpClient, () => Effect.sync(() => void requests++))
        const exit = yield* TokenRequest.send({ credentials, scopes: requested }).pipe(
          Effect.provideService(HttpClient.HttpClient, counting),
          Effect.provideService(FetchHttpClient.Fetch, follows ? disobedient : fetch),
          Effect.provide([
            Environment.layer(Environment.custom({ tokenEndpoint: `${url}/connect/token`, apiBaseUrl: url })),
            RetryPolicy.layer(
              RetryPolicy.make({
                baseDelay: Duration.millis(10),
                // A short limit for responses that never end. The others have the time that a busy machine needs.
                ...(outcome === "`Timeout`"
                  ? { attemptTimeout: Duration.millis(300) }
                  : { totalTimeout: Duration.minutes(1), attemptTimeout: Duration.seconds(20) })
              })
            )
          ]),
          Effect.exit
        )
        const told = outcomeOf(exit).replace(ims.url, "this origin")
        assert.strictEqual(told, outcome)
        assert.strictEqual(againOf(requests), again)
        assert.strictEqual(other.requests.length, follows ? 1 : 0)
      }).pipe(Effect.provide(FetchHttpClient.layer))
    )
  }
})
