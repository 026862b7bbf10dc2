// The server below the fakes, with handlers made for the test.
import { createServer } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Logger, Scope, Stream } from "effect"
import { HttpServerRequest, HttpServerResponse } from "effect/http"
import { ConnectionBroken } from "../src/internal/engine/broken.ts"
import { selfSigned } from "../src/internal/serve/certificate.ts"
import type { Handler } from "../src/internal/serve/exchange.ts"
import { listen } from "../src/internal/serve/node.ts"
import { call } from "./bin.ts"
import { connect, split } from "./rawConnection.ts"

const tls = selfSigned(["127.0.0.1"])
const schemes = [
  ["http", undefined],
  ["https", tls]
] as const

const served = Effect.fnUntraced(function* (handler: Handler, certificate?: typeof tls) {
  const server = yield* listen({ host: "127.0.0.1", port: 0, tls: certificate })
  yield* server.serve(handler)
  return `${certificate === undefined ? "http" : "https"}://127.0.0.1:${server.port}`
})

const bytes = (text: string) => new TextEncoder().encode(text)
const chunks = (...texts: ReadonlyArray<string>) => Stream.fromIterable(texts.map(bytes))
const text = (body: string) => HttpServerResponse.text(body)
const broken = (how: "reset" | "garbage") => Stream.fail(new ConnectionBroken({ how }))
const routed = (routes: Readonly<Record<string, Handler>>): Handler =>
  Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => routes[request.url] ?? Effect.succeed(text("other")))

const get = (path = "/", more = "") => `GET ${path} HTTP/1.1\r\nHost: a\r\n${more}\r\n`
const post = (path: string, body: string, more = "") =>
  `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n${more}\r\n${body}`

/** Sends these bytes, and returns what comes back until the server closes the connection. */
const answerOf = Effect.fnUntraced(function* (url: string, request: string) {
  const connection = yield* connect(url)
  connection.send(request)
  yield* connection.end
  return { ...split(connection.received()), ended: connection.ended() }
}, Effect.scoped)

const closing = "Connection: close\r\n"

describe.each(schemes)("a connection that breaks, over %s", (_scheme, certificate) => {
  it.live.each<readonly [string, Handler, string, "FIN" | "RST"]>([
    ["a reset before the response", Effect.fail(new ConnectionBroken({ how: "reset" })), "", "RST"],
    [
      "a reset after two chunks",
      Effect.succeed(HttpServerResponse.stream(Stream.concat(chunks("ab", "c"), broken("reset")))),
      "2\r\nab\r\n1\r\nc\r\n",
      "RST"
    ],
    [
      "a reset after half of the announced bytes",
      Effect.succeed(HttpServerResponse.stream(Stream.concat(chunks("abc"), broken("reset")), { contentLength: 6 })),
      "abc",
      "RST"
    ],
    [
      "a reset after the head",
      Effect.succeed(HttpServerResponse.stream(broken("reset"), { contentLength: 6 })),
      "",
      "RST"
    ],
    [
      "garbage after a chunk",
      Effect.succeed(HttpServerResponse.stream(Stream.concat(chunks("ab"), broken("garbage")))),
      "2\r\nab\r\n\0not HTTP\0\r\n",
      "FIN"
    ]
  ])("sends what %s sent, and then ends", ([name, handler, body, ended]) =>
    Effect.gen(function* () {
      const url = yield* served(handler, certificate)
      const answer = yield* answerOf(url, get())
      assert.strictEqual(answer.body, body)
      assert.strictEqual(answer.ended, ended)
      if (name === "a reset before the response") assert.strictEqual(answer.head, "")
      else assert.match(answer.head, /^HTTP\/1\.1 200 OK\r\n/)
    }).pipe(Effect.scoped)
  )

  it.live("sends bytes that are not HTTP when the response itself is garbage", () =>
    Effect.gen(function* () {
      const url = yield* served(Effect.fail(new ConnectionBroken({ how: "garbage" })), certificate)
      const answer = yield* answerOf(url, get())
      assert.deepStrictEqual(answer, { head: "\0not HTTP\0\r\n", body: "", ended: "FIN" })
    }).pipe(Effect.scoped)
  )

  it.live("delivers the 256 KiB that were sent before a reset", () =>
    Effect.gen(function* () {
      const part = "x".repeat(256 * 1024)
      const stream = Stream.concat(chunks(part), broken("reset"))
      const url = yield* served(Effect.succeed(HttpServerResponse.stream(stream)), certificate)
      const { body, ended } = yield* answerOf(url, get())
      assert.strictEqual(body, `40000\r\n${part}\r\n`)
      assert.strictEqual(ended, "RST")
    }).pipe(Effect.scoped)
  )

  it.live("breaks the connection only after the responses to earlier requests on it", () =>
    Effect.gen(function* () {
      const url = yield* served(
        routed({
          "/slow": Effect.delay(Effect.succeed(text("slow")), "30 millis"),
          "/reset": Effect.fail(new ConnectionBroken({ how: "reset" }))
        }),
        certificate
      )
      const { body, ended } = yield* answerOf(url, get("/slow") + get("/reset"))
      assert.deepStrictEqual([body, ended], ["slow", "RST"])
    }).pipe(Effect.scoped)
  )
})

describe("a response", () => {
  it.live("sends a response chunk by chunk, each as soon as it is available", () =>
    Effect.gen(function* () {
      const next = yield* Deferred.make<void>()
      const stream = Stream.concat(chunks("a"), Stream.fromEffect(Effect.as(Deferred.await(next), bytes("b"))))
      const url = yield* served(Effect.succeed(HttpServerResponse.stream(stream)))
      const connection = yield* connect(url)
      connection.send(get("/", closing))
      yield* connection.until((received) => received.endsWith("1\r\na\r\n"))
      yield* Deferred.succeed(next, undefined)
      yield* connection.end
      assert.strictEqual(split(connection.received()).body, "1\r\na\r\n1\r\nb\r\n0\r\n\r\n")
    }).pipe(Effect.scoped)
  )

  it.live("sends the head of a response before its body begins", () =>
    Effect.gen(function* () {
      const url = yield* served(Effect.succeed(HttpServerResponse.stream(Stream.never)))
      const connection = yield* connect(url)
      connection.send(get())
      yield* connection.until((received) => received.endsWith("\r\n\r\n"))
      assert.match(connection.received(), /^HTTP\/1\.1 200 OK\r\n/)
      assert.strictEqual(connection.ended(), "open")
    }).pipe(Effect.scoped)
  )

  it.live("does not produce a response faster than the client reads it", () =>
    Effect.gen(function* () {
      let sent = 0
      const stream = Stream.fromIterable(Array.from({ length: 1000 }, () => bytes("x".repeat(65_536)))).pipe(
        Stream.tap(() => Effect.sync(() => sent++))
      )
      const url = yield* served(routed({ "/large": Effect.succeed(HttpServerResponse.stream(stream)) }))
      const connection = yield* connect(url)
      connection.socket.pause()
      connection.send(get("/large"))
      let before = -1
      while (before !== sent || sent === 0) {
        before = sent
        yield* Effect.sleep("50 millis")
        // Other clients are served in the meantime.
        assert.strictEqual((yield* answerOf(url, get("/", closing))).body, "other")
      }
      assert.isBelow(sent, 500)
    }).pipe(Effect.scoped)
  )

  it.live.each<readonly [string, HttpServerResponse.HttpServerResponse, string, RegExp, string]>([
    ["GET without content", HttpServerResponse.empty({ status: 200 }), "GET", /content-length: 0/i, ""],
    [
      "204",
      HttpServerResponse.text("x", { status: 204 }),
      "GET",
      /^(?![\s\S]*(content-length|transfer-encoding))/i,
      ""
    ],
    ["304", HttpServerResponse.empty({ status: 304 }), "GET", /^(?![\s\S]*(content-length|transfer-encoding))/i, ""],
    ["HEAD", text("abc"), "HEAD", /content-length: 3/i, ""],
    ["HEAD of a stream", HttpServerResponse.stream(Stream.die("not read")), "HEAD", /200 OK/, ""],
    [
      "cookies",
      HttpServerResponse.setCookieUnsafe(HttpServerResponse.setCookieUnsafe(text("x"), "a", "1"), "b", "2"),
      "GET",
      /set-cookie: a=1\r\nset-cookie: b=2/i,
      "x"
    ],
    ["a status text", HttpServerResponse.text("x", { statusText: "Fine" }), "GET", /^HTTP\/1\.1 200 Fine\r\n/, "x"],
    [
      "a raw body",
      HttpServerResponse.raw("abc", { contentType: "text/x" }),
      "GET",
      /content-type: text\/x/i,
      "3\r\nabc\r\n0\r\n\r\n"
    ]
  ])("is framed as HTTP demands: %s", ([_name, response, method, head, body]) =>
    Effect.gen(function* () {
      const url = yield* served(Effect.succeed(response))
      const answer = yield* answerOf(url, get("/", closing).replace("GET", method))
      assert.match(answer.head, head)
      assert.deepStrictEqual([answer.body, answer.ended], [body, "FIN"])
    }).pipe(Effect.scoped)
  )

  it.live("sends form data with its boundary", () =>
    Effect.gen(function* () {
      const form = new FormData()
      form.set("a", "1")
      const url = yield* served(Effect.succeed(HttpServerResponse.formData(form)))
      const { head, body } = yield* answerOf(url, get("/", closing))
      const boundary = /content-type: multipart\/form-data; boundary=(\S+)/i.exec(head)?.[1] ?? "none"
      assert.include(body, boundary)
    }).pipe(Effect.scoped)
  )

  it.live.each<readonly [string, Handler]>([
    ["throws", Effect.die(new Error("broken on purpose"))],
    ["interrupts itself", Effect.interrupt],
    ["answers with a status that HTTP does not have", Effect.succeed(HttpServerResponse.empty({ status: 99 }))],
    ["answers with an informational status", Effect.succeed(HttpServerResponse.empty({ status: 103 }))],
    [
      "answers with a header that HTTP does not allow",
      Effect.succeed(HttpServerResponse.setHeader(text("x"), "a", "b\nc"))
    ]
  ])("is 500 when the handler %s, and the log says why", ([_name, handler]) =>
    Effect.gen(function* () {
      const logged: Array<string> = []
      const logger = Logger.layer([Logger.make(({ message, cause }) => void logged.push(`${message} ${cause}`))])
      const { head, body } = yield* Effect.gen(function* () {
        const url = yield* served(handler)
        return yield* answerOf(url, get("/path?secret=x", closing))
      }).pipe(Effect.provide(logger))
      assert.match(head, /^HTTP\/1\.1 500 /)
      assert.deepStrictEqual(JSON.parse(body), { message: "The fake failed. Its log on stderr says why." })
      assert.strictEqual(logged.length, 1)
      assert.match(
        logged[0] ?? "",
        /^The fake failed to answer GET \/path .*(broken on purpose|nterrupt|RangeError|TypeError)/s
      )
      assert.notInclude(logged[0] ?? "", "secret=x")
    }).pipe(Effect.scoped)
  )

  it.live("cuts a response off when its body throws, so that no client considers it complete", () =>
    Effect.gen(function* () {
      const stream = Stream.concat(chunks("a"), Stream.die("broken on purpose"))
      const url = yield* served(Effect.succeed(HttpServerResponse.stream(stream)))
      assert.strictEqual((yield* answerOf(url, get())).body, "1\r\na\r\n")
    }).pipe(Effect.provide(Logger.layer([])), Effect.scoped)
  )
})

describe("a request", () => {
  const echo: Handler = Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) =>
    Effect.map(Effect.orDie(request.text), (body) =>
      HttpServerResponse.jsonUnsafe({ method: request.method, url: request.url, headers: request.headers, body })
    )
  )

  it.live("passes a request on as it was sent: target, repeated headers, body", () =>
    Effect.gen(function* () {
      const url = yield* served(echo)
      for (const target of ["/a/../b//c?x=%2F&x=2", "//", "/%zz", "/?"]) {
        const { body } = yield* answerOf(url, post(target, "body", `X-A: 1\r\nx-a: 2\r\n${closing}`))
        assert.deepInclude(JSON.parse(body), { method: "POST", url: target, body: "body" })
        assert.deepInclude(JSON.parse(body).headers, { "x-a": "1, 2", host: "a", "content-length": "4" })
      }
    }).pipe(Effect.scoped)
  )

  it.live("reads the path when the target of a request is a complete URL", () =>
    Effect.gen(function* () {
      const url = yield* served(echo)
      const { body } = yield* answerOf(url, get("http://b/c?d", closing))
      assert.strictEqual(JSON.parse(body).url, "/c?d")
    }).pipe(Effect.scoped)
  )

  it.live("reads a request that arrives in pieces, in chunks, and after 100 Continue", () =>
    Effect.gen(function* () {
      const url = yield* served(echo)
      const connection = yield* connect(url)
      connection.send(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
      )
      yield* connection.until((received) => received === "HTTP/1.1 100 Continue\r\n\r\n")
      for (const byte of "3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n") connection.send(byte)
      yield* connection.end
      assert.include(connection.received(), '"body":"abcd"')
    }).pipe(Effect.scoped)
  )

  it.live("answers a request without 100 Continue when its body is not read", () =>
    Effect.gen(function* () {
      const url = yield* served(Effect.succeed(text("no")))
      const head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
      const answer = yield* answerOf(url, head)
      assert.match(answer.head, /^HTTP\/1\.1 200 OK[\s\S]*connection: close/i)
      assert.deepStrictEqual([answer.body, answer.ended], ["no", "FIN"])
    }).pipe(Effect.scoped)
  )

  it.live("discards the body of a request when it is not read, and serves the next request", () =>
    Effect.gen(function* () {
      const url = yield* served(routed({ "/unread": Effect.succeed(text("unread")) }))
      const connection = yield* connect(url)
      connection.send(post("/unread", "x".repeat(20 * 1024 * 1024)))
      connection.send(get("/next", closing))
      yield* connection.end
      const { body } = split(connection.received())
      assert.match(body, /^unreadHTTP\/1\.1 200 OK[\s\S]*\r\n\r\nother$/)
    }).pipe(Effect.scoped)
  )

  it.live("discards the rest of a body when the handler stops reading", () =>
    Effect.gen(function* () {
      const firstChunk: Handler = Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) =>
        Effect.as(Effect.orDie(Stream.runDrain(Stream.take(request.stream, 1))), text("enough"))
      )
      const url = yield* served(routed({ "/first": firstChunk }))
      const connection = yield* connect(url)
      connection.send(post("/first", "x".repeat(20 * 1024 * 1024)))
      connection.send(get("/next", closing))
      yield* connection.end
      assert.match(split(connection.received()).body, /^enoughHTTP\/1\.1 200 OK[\s\S]*\r\n\r\nother$/)
    }).pipe(Effect.scoped)
  )

  it.live("answers pipelined requests in their order", () =>
    Effect.gen(function* () {
      const url = yield* served(
        routed({ "/1": Effect.delay(Effect.succeed(text("one")), "40 millis"), "/2": Effect.succeed(text("two")) })
      )
      const { body } = yield* answerOf(url, get("/1") + get("/2") + get("/3", closing))
      assert.deepStrictEqual(body.match(/one|two|other/g), ["one", "two", "other"])
    }).pipe(Effect.scoped)
  )

  it.live("interrupts the handler when the client closes the connection", () =>
    Effect.gen(function* () {
      const [arrived, left] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      const url = yield* served(
        Effect.andThen(Deferred.succeed(arrived, undefined), Effect.never).pipe(
          Effect.onInterrupt(() => Deferred.succeed(left, undefined))
        )
      )
      const connection = yield* connect(url)
      connection.send(get())
      yield* Deferred.await(arrived)
      connection.socket.destroy()
      yield* Deferred.await(left)
    }).pipe(Effect.scoped)
  )

  it.live("serves a request that arrives before the handler waits for it", () =>
    Effect.gen(function* () {
      const server = yield* listen({ host: "127.0.0.1", port: 0, tls: undefined })
      const connection = yield* connect(`http://127.0.0.1:${server.port}`)
      connection.send(get("/", closing))
      yield* Effect.sleep("20 millis")
      yield* server.serve(Effect.succeed(text("late")))
      yield* connection.end
      assert.strictEqual(split(connection.received()).body, "late")
    }).pipe(Effect.scoped)
  )

  it.live.each([
    ["is not HTTP", "hello\r\n\r\n", 400],
    ["has no Host", "GET / HTTP/1.1\r\n\r\n", 400],
    ["has a head that is too large", `GET / HTTP/1.1\r\nHost: a\r\nX: ${"x".repeat(20_000)}\r\n\r\n`, 431]
  ] as const)("that %s is refused", ([_name, request, status]) =>
    Effect.gen(function* () {
      const url = yield* served(Effect.succeed(text("no")))
      assert.match((yield* answerOf(url, request)).head, new RegExp(`^HTTP/1.1 ${status} `))
    }).pipe(Effect.scoped)
  )

  it.live("serves a request while 500 clients are slow", () =>
    Effect.gen(function* () {
      const url = yield* served(echo)
      const slow = yield* Effect.all(
        Array.from({ length: 500 }, () => connect(url)),
        { concurrency: 50 }
      )
      const request = post("/", "0123456789", closing)
      for (const { send } of slow) send(request.slice(0, 30))
      assert.strictEqual(JSON.parse((yield* answerOf(url, request)).body).body, "0123456789")
      for (const { send } of slow) send(request.slice(30, -5))
      assert.strictEqual(JSON.parse((yield* answerOf(url, request)).body).body, "0123456789")
      for (const { send } of slow) send(request.slice(-5))
      yield* Effect.all(
        slow.map(({ end }) => end),
        { concurrency: "unbounded" }
      )
      for (const connection of slow) assert.include(connection.received(), '"body":"0123456789"')
    }).pipe(Effect.scoped)
  )
})

describe("a server", () => {
  const either = ["127.0.0.1", "[::1]", "localhost"]

  it.live.each([undefined, "localhost"])("answers on both loopback addresses when the host is %s", (host) =>
    Effect.gen(function* () {
      const server = yield* listen({ host, port: 0, tls: undefined })
      yield* server.serve(Effect.succeed(HttpServerResponse.jsonUnsafe("here")))
      for (const name of either) {
        assert.strictEqual((yield* call(`http://${name}:${server.port}`, "GET /")).body, "here")
      }
    }).pipe(Effect.scoped)
  )

  it.live("does not answer on ::1 when the host is 127.0.0.1", () =>
    Effect.gen(function* () {
      const url = yield* served(Effect.succeed(text("here")))
      const exit = yield* Effect.exit(connect(url.replace("127.0.0.1", "[::1]")))
      assert.include(String(exit), "ECONNREFUSED")
    }).pipe(Effect.scoped)
  )

  it.live("does not start when the port is taken on one of the loopback addresses, and frees the other", () =>
    Effect.gen(function* () {
      const taken = createServer()
      yield* Effect.acquireRelease(
        Effect.callback<void>((resume) => void taken.listen(0, "::1", () => resume(Effect.void))),
        () => Effect.callback<void>((resume) => void taken.close(() => resume(Effect.void)))
      )
      const address = taken.address()
      const port = typeof address === "object" && address !== null ? address.port : 0
      const error = yield* Effect.flip(listen({ host: undefined, port, tls: undefined }))
      assert.include(String(error.cause), `can't listen on ::1, port ${port}: another program uses it`)
      const again = yield* listen({ host: "127.0.0.1", port, tls: undefined })
      assert.strictEqual(again.port, port)
    }).pipe(Effect.scoped)
  )

  it.live("frees its port when its scope is closed, even if handlers hang", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const arrived = yield* Deferred.make<void>()
      const hang = Effect.andThen(Deferred.succeed(arrived, undefined), Effect.uninterruptible(Effect.never))
      const url = yield* Scope.provide(served(hang), scope)
      const connection = yield* connect(url)
      connection.send(get())
      yield* Deferred.await(arrived)
      yield* Scope.close(scope, Exit.void)
      yield* connection.end
      const port = Number(new URL(url).port)
      assert.strictEqual((yield* listen({ host: "127.0.0.1", port, tls: undefined })).port, port)
    }).pipe(Effect.scoped)
  )

  it.live("stops the server when its layer fails before it serves", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { port } = yield* Scope.provide(listen({ host: undefined, port: 0, tls: undefined }), scope)
      yield* Scope.close(scope, Exit.fail("not made"))
      const again = yield* listen({ host: undefined, port, tls: undefined })
      assert.strictEqual(again.port, port)
    }).pipe(Effect.scoped)
  )
})
