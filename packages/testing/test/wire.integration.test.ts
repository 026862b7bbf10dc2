// Checks how each fault changes the bytes on a connection, and how it ends the connection.
import { assert, describe, it } from "@effect/vitest"
import { FakeIms, FakeImsServer, Fault } from "@effect-itwin/testing"
import { Effect } from "effect"
import { selfSigned } from "../src/internal/serve/certificate.ts"
import { connect, split } from "./rawConnection.ts"

const route = "GET /.well-known/openid-configuration"

interface Expected {
  readonly status?: number
  /** What follows the head, from the normal body. */
  readonly body: (normal: string) => string
  readonly headers?: ReadonlyArray<string>
  /** `open` for a connection that the next request can use, `hung` for one whose response does not end. */
  readonly ends: "open" | "hung" | "FIN" | "RST"
}

const garbage = "\u0000not HTTP\u0000\r\n"
const half = (normal: string) => normal.slice(0, Math.floor(normal.length / 2))
const whole = (normal: string) => normal
const changed = (normal: string, change: (json: Record<string, unknown>) => void) => {
  const json = JSON.parse(normal)
  change(json)
  return JSON.stringify(json)
}

const table: ReadonlyArray<readonly [string, Fault.Fault | undefined, Expected]> = [
  ["no fault", undefined, { body: whole, ends: "open" }],
  [
    "respond",
    Fault.respond({ status: 503, headers: { "retry-after": "2" }, body: { a: 1 } }),
    { status: 503, headers: ["retry-after: 2", "content-length: 7"], body: () => '{"a":1}', ends: "open" }
  ],
  ["respond without a body", Fault.respond({ status: 204 }), { status: 204, body: () => "", ends: "open" }],
  [
    "html",
    Fault.html(502, "Down"),
    {
      status: 502,
      headers: ["content-type: text/html"],
      body: () => "<!DOCTYPE html><html><head><title>Down</title></head><body><h1>Down</h1></body></html>",
      ends: "open"
    }
  ],
  [
    "rateLimit",
    Fault.rateLimit(60),
    {
      status: 429,
      headers: ["retry-after: 60"],
      body: () => '{"error":{"code":"TooManyRequests","message":"The client sent too many requests."}}',
      ends: "open"
    }
  ],
  [
    "redirect",
    Fault.redirect("https://login.example.com/"),
    { status: 302, headers: ["location: https://login.example.com/"], body: () => "", ends: "open" }
  ],
  ["delay", Fault.delay("10 millis"), { body: whole, ends: "open" }],
  ["hang", Fault.hang, { status: 0, body: () => "", ends: "hung" }],
  ["stall", Fault.stall, { body: half, ends: "hung" }],
  ["reset", Fault.reset, { status: 0, body: () => "", ends: "RST" }],
  ["resetAmidBody", Fault.resetAmidBody, { body: half, ends: "RST" }],
  ["dribble", Fault.dribble("1 millis"), { body: whole, ends: "open" }],
  [
    "chaos",
    Fault.chaos("wire", [1, Fault.respond({ status: 503 })]),
    { status: 503, headers: ["content-length: 0"], body: () => "", ends: "open" }
  ],
  [
    "garbage",
    Fault.garbage,
    {
      headers: ["transfer-encoding: chunked"],
      body: (normal) => `${half(normal).length.toString(16)}\r\n${half(normal)}\r\n${garbage}`,
      ends: "FIN"
    }
  ],
  ["truncate", Fault.truncate, { body: half, ends: "open" }],
  [
    "fields",
    Fault.fields({ issuer: null }),
    { body: (normal) => changed(normal, (json) => Object.assign(json, { issuer: null })), ends: "open" }
  ],
  [
    "omit",
    Fault.omit("issuer"),
    {
      body: (normal) =>
        changed(normal, (json) => {
          delete json.issuer
        }),
      ends: "open"
    }
  ],
  ["claims", Fault.claims({ a: 1 }), { body: whole, ends: "open" }],
  ["contentType", Fault.contentType("text/html"), { headers: ["content-type: text/html"], body: whole, ends: "open" }]
]

const get = (url: string, path: string) => `GET ${path} HTTP/1.1\r\nHost: ${new URL(url).host}\r\n\r\n`
const path = route.split(" ")[1] ?? ""

const lengthOf = (head: string) => Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0)

/** Returns whether a complete response arrived. */
const isComplete = (received: string) => {
  const { head, body } = split(received)
  return received.includes("\r\n\r\n") && body.length >= lengthOf(head)
}

describe.each([
  ["http", FakeImsServer.layer()],
  ["https", FakeImsServer.layer({ tls: selfSigned(["127.0.0.1"]) })]
])("on the wire of %s", (_protocol, layer) => {
  /** Reads the body of the normal response, on its own connection. */
  const normal = (url: string) =>
    Effect.scoped(
      Effect.gen(function* () {
        const connection = yield* connect(url)
        connection.send(get(url, path))
        yield* connection.until(isComplete)
        return split(connection.received()).body
      })
    )

  it.live.each(table)("sends the bytes of %s, and ends the connection as it says", ([, fault, expected]) =>
    Effect.gen(function* () {
      const { environment, script } = yield* FakeIms.FakeIms
      const url = environment.apiBaseUrl
      const complete = yield* normal(url)
      if (fault !== undefined) yield* script(route, Fault.once(fault))
      const connection = yield* connect(url)
      connection.send(get(url, path))
      const body = expected.body(complete)
      const isAsExpected = (received: string) =>
        expected.status === 0 ? false : received.includes("\r\n\r\n") && split(received).body.length >= body.length
      if (expected.ends === "RST" || expected.ends === "FIN") {
        yield* connection.end
        assert.strictEqual(connection.ended(), expected.ends)
      } else if (expected.status !== 0) {
        yield* connection.until(isAsExpected)
      }
      // More bytes would arrive in this time, in which the server answers two more clients.
      yield* normal(url)
      yield* normal(url)

      const { head, body: sent } = split(connection.received())
      assert.strictEqual(sent, body)
      if (expected.status === 0) assert.strictEqual(head, "")
      else assert.match(head, new RegExp(`^HTTP/1\\.1 ${expected.status ?? 200} `))
      for (const header of expected.headers ?? []) assert.include(head.toLowerCase().split("\r\n"), header)
      if (expected.ends !== "open") {
        // A stall and a reset announce the complete body.
        if (body !== "" && !body.endsWith(garbage)) assert.strictEqual(lengthOf(head), complete.length)
        assert.strictEqual(connection.ended(), expected.ends === "hung" ? "open" : expected.ends)
        return
      }
      const before = connection.received().length
      connection.send(get(url, path))
      yield* connection.until((received) => isComplete(received.slice(before)))
      assert.strictEqual(split(connection.received().slice(before)).body, complete)
      assert.strictEqual(connection.ended(), "open")
    }).pipe(Effect.provide(layer), Effect.scoped)
  )
})
