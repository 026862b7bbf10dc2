/**
 * A token endpoint on 127.0.0.1 in its own process, whose faults are chosen by seeded random numbers. Sends its URL to
 * the parent process, and its counts after any message.
 */
import { createServer, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"

export interface Report {
  readonly requests: number
  /** How often each behavior was chosen. */
  readonly behaviors: Readonly<Record<string, number>>
  /** Token requests that arrived while another one for the same scopes was open. */
  readonly overlaps: number
}

const lifeSeconds = 3
/** How long the server takes to notice that the client closed a connection. */
const graceMillis = 500

/** Returns numbers from 0 to 1, the same for the same seed (mulberry32). */
const dice = (seed: number) => {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}
const random = dice(Number(process.argv[2] ?? 1))

/** The token contains the time when it was issued, so that the parent can check its age. */
const tokenOf = () =>
  JSON.stringify({
    access_token: `token.${Date.now() + lifeSeconds * 1000}.${Math.floor(random() * 1e9)}`,
    token_type: "Bearer",
    expires_in: lifeSeconds
  })

const reply = (
  response: ServerResponse,
  status: number,
  body: string,
  headers: Readonly<Record<string, string>> = {}
) => response.writeHead(status, { "content-type": "application/json", ...headers }).end(body)

type Behavior = readonly [share: number, behave: (response: ServerResponse) => void]

/** In percent; the rest are correct responses. */
const behaviors: Readonly<Record<string, Behavior>> = {
  "500": [4, (response) => reply(response, 500, "{}")],
  "503 with Retry-After": [2, (response) => reply(response, 503, "", { "retry-after": "1" })],
  "429": [1, (response) => reply(response, 429, "")],
  "429 with Retry-After": [1, (response) => reply(response, 429, "", { "retry-after": "1" })],
  invalid_client: [2, (response) => reply(response, 400, JSON.stringify({ error: "invalid_client" }))],
  reset: [3, (response) => void response.socket?.resetAndDestroy()],
  "reset in the body": [
    2,
    (response) => {
      response.writeHead(200, { "content-type": "application/json", "content-length": "1000" }).write('{"access_')
      setTimeout(() => response.socket?.resetAndDestroy(), 20)
    }
  ],
  stall: [1, () => {}],
  "stall in the body": [
    1,
    (response) => void response.writeHead(200, { "content-type": "application/json" }).write("{")
  ],
  garbage: [2, (response) => reply(response, 200, "<html>a portal</html>", { "content-type": "text/html" })],
  "slow body": [
    5,
    (response) => {
      const text = tokenOf()
      const half = Math.floor(text.length / 2)
      response.writeHead(200, { "content-type": "application/json" }).write(text.slice(0, half))
      setTimeout(() => response.end(text.slice(half)), random() * 1000)
    }
  ],
  redirect: [1, (response) => reply(response, 302, "", { location: "https://elsewhere.example/token" })]
}

const chosen = (): readonly [string, Behavior[1]] => {
  let left = random() * 100
  for (const [name, [share, behave]] of Object.entries(behaviors)) {
    left -= share
    if (left < 0) return [name, behave]
  }
  return ["correct", (response) => void setTimeout(() => reply(response, 200, tokenOf()), random() * 30)]
}

const seen: Record<string, number> = {}
const open = new Map<string, Set<ServerResponse>>()
let requests = 0
let overlaps = 0

const server = createServer((request, response) => {
  let text = ""
  request.setEncoding("utf8").on("data", (chunk) => {
    text += chunk
  })
  request.once("end", () => {
    requests++
    const key = new URLSearchParams(text).get("scope") ?? ""
    const others = open.get(key) ?? new Set()
    open.set(key, others)
    for (const other of others) {
      // Completed although a later one had begun, or left open: the client closes a request that timed out soon after.
      let isCounted = false
      const count = () => {
        if (!isCounted) overlaps++
        isCounted = true
      }
      other.once("finish", count)
      setTimeout(() => {
        if (others.has(other)) count()
      }, graceMillis)
    }
    others.add(response)
    response.once("close", () => others.delete(response))
    const [name, behave] = chosen()
    seen[name] = (seen[name] ?? 0) + 1
    behave(response)
  })
  // The client closed the connection.
  request.on("error", () => {})
})

server.listen(0, "127.0.0.1", () => process.send?.(`http://127.0.0.1:${(server.address() as AddressInfo).port}`))
process.on("message", () => process.send?.({ requests, overlaps, behaviors: seen } satisfies Report))
process.on("disconnect", () => process.exit())
