/**
 * Loads the command `fake-ims`, and exits with 1 if it ends, answers wrongly, or uses more memory than allowed: many
 * token requests over parallel connections, while other connections send their request slowly, and one huge body. It
 * prints figures of each phase.
 *
 * By default the form for CI. `--full` is the proof: 200 connections, 500 slow ones, 200 MB, 100,000 requests.
 */
import { readFileSync } from "node:fs"
import { Agent, request } from "node:http"
import { connect, type Socket } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import { parseArgs } from "node:util"
import { type Facts, start } from "../bin.ts"

const { values } = parseArgs({
  options: {
    full: { type: "boolean", default: false },
    connections: { type: "string" },
    slow: { type: "string" },
    megabytes: { type: "string" },
    requests: { type: "string" }
  }
})
const size = (given: string | undefined, small: number, full: number): number =>
  Number(given ?? (values.full ? full : small))
const connections = size(values.connections, 50, 200)
const slowConnections = size(values.slow, 100, 500)
const megabytes = size(values.megabytes, 20, 200)
const requests = size(values.requests, 5_000, 100_000)

/** The most memory that the process may ever have, in MiB. It remembers tokens until they expire. */
const mostMemory = values.full ? 512 : 384
/** The longest that one request may take, also on a busy machine. */
const mostMillis = 10_000

const problems: Array<string> = []
const expect = (isMet: boolean, problem: string): void => {
  if (!isMet) problems.push(problem)
}

const bin = await start()
let hasEnded = false
bin.exited.then(() => {
  hasEnded = true
})
const { facts } = bin

/** Returns a figure of the process in MiB: `VmRSS` is its memory now, `VmHWM` the most that it ever had. */
const memory = (figure: "VmRSS" | "VmHWM"): number => {
  const text = readFileSync(`/proc/${bin.pid}/status`, "utf8")
  return Number(new RegExp(`^${figure}:\\s+(\\d+) kB$`, "m").exec(text)?.[1]) / 1024
}

const rows: Array<{
  readonly phase: string
  readonly requests: number
  readonly seconds: number
  readonly rss: number
}> = []

const phase = async (name: string, requests: number, run: () => Promise<void>): Promise<void> => {
  const started = performance.now()
  await run()
  rows.push({ phase: name, requests, seconds: (performance.now() - started) / 1000, rss: memory("VmRSS") })
}

const [app] = facts.apps
const form = new URLSearchParams({
  grant_type: "client_credentials",
  client_id: app?.clientId ?? "",
  client_secret: app?.clientSecret ?? "",
  scope: "itwin-platform"
}).toString()

const latencies: Array<number> = []

/** Sends a request, and returns status and body. Rejects if the connection breaks or the answer takes too long. */
const send = (
  agent: Agent | undefined,
  path: string,
  options: { readonly method?: string; readonly headers?: Record<string, string>; readonly body?: string } = {}
): Promise<{ readonly status: number; readonly text: string }> =>
  new Promise((resolve, reject) => {
    const sent = performance.now()
    const { method = "GET", headers = {}, body } = options
    const outgoing = request(new URL(path, facts.url), { agent, method, headers, timeout: mostMillis }, (response) => {
      let text = ""
      response.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk
      })
      response.on("error", reject)
      response.on("end", () => {
        latencies.push(performance.now() - sent)
        resolve({ status: response.statusCode ?? 0, text })
      })
    })
    outgoing.on("timeout", () => outgoing.destroy(new Error(`no answer within ${mostMillis} ms`)))
    outgoing.on("error", reject)
    outgoing.end(body)
  })

const requestToken = async (agent: Agent): Promise<string> => {
  const { status, text } = await send(agent, "/connect/token", {
    method: "POST",
    headers: { "content-type": "application/x-www-form-urlencoded", "content-length": String(Buffer.byteLength(form)) },
    body: form
  })
  if (status !== 200) throw new Error(`a token request was answered with ${status}: ${text.slice(0, 200)}`)
  return JSON.parse(text).access_token
}

const agent = new Agent({ keepAlive: true, maxSockets: connections })

/** Requests `count` tokens over all connections. Each tenth one is also used at an API. */
const requestTokens = async (count: number): Promise<void> => {
  let left = count
  const worker = async () => {
    while (left-- > 0) {
      const token = await requestToken(agent)
      if (left % 10 !== 0) continue
      const { status } = await send(agent, "/users/me", { headers: { authorization: `Bearer ${token}` } })
      if (status !== 200) throw new Error(`a call with a fresh token was answered with ${status}`)
    }
  }
  await Promise.all(Array.from({ length: connections }, worker))
}

/** Opens a connection that sends its token request one byte at a time, and never ends it by itself. */
const slowly = ({ url }: Facts, number: number): Socket => {
  const { host, hostname, port } = new URL(url)
  const socket = connect({ host: hostname, port: Number(port) })
  const text = `POST /connect/token HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000000\r\n\r\n${form}`
  let at = number % text.length
  socket.on("error", () => {})
  socket.on("connect", () => {
    socket.write(text.slice(0, at))
    const timer = setInterval(() => {
      socket.write(text.charAt(at++) || "&")
    }, 100 + number)
    socket.on("close", () => clearInterval(timer))
  })
  return socket
}

/** Sends a complete body of this size, and returns the status of the answer, which may come before the body is sent. */
const sendHuge = (bytes: number): Promise<number> =>
  new Promise((resolve, reject) => {
    const { host, hostname, port } = new URL(facts.url)
    const socket = connect({ host: hostname, port: Number(port) })
    const chunk = Buffer.alloc(64 * 1024, "a")
    let left = bytes
    let status = 0
    const end = (problem: string) => {
      socket.destroy()
      if (status === 0) reject(new Error(problem))
      else resolve(status)
    }
    const sendMore = () => {
      while (left > 0) {
        const part = chunk.subarray(0, Math.min(left, chunk.byteLength))
        left -= part.byteLength
        if (!socket.write(part)) return
      }
      if (status !== 0) end("")
    }
    socket.on("data", (received) => {
      status = Number(/^HTTP\/1\.1 (\d{3})/.exec(received.toString("latin1"))?.[1] ?? status)
      if (left === 0) end("")
    })
    socket.on("drain", sendMore)
    socket.on("error", ({ message }) => end(`The connection of the huge body failed: ${message}.`))
    socket.on("close", () => end("The connection of the huge body was closed without an answer."))
    socket.setTimeout(mostMillis, () => end("The huge body was not answered."))
    socket.on("connect", () => {
      socket.write(
        `POST /connect/token HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: ${bytes}\r\n\r\n`
      )
      sendMore()
    })
  })

try {
  await phase("warm up", 1_000, () => requestTokens(1_000))
  const warm = memory("VmRSS")
  latencies.length = 0
  await phase(`${connections} connections`, requests, () => requestTokens(requests))

  const slow = Array.from({ length: slowConnections }, (_, number) => slowly(facts, number))
  await sleep(500)
  await phase(`next to ${slowConnections} slow ones`, 1_000, () => requestTokens(1_000))

  await phase(`a body of ${megabytes} MB`, 1, async () => {
    // Other clients are served while it arrives.
    const [status] = await Promise.all([sendHuge(megabytes * 1_000_000), requestTokens(100)])
    expect(status === 413, `The huge body was answered with ${status}, not with 413.`)
  })
  const open = slow.filter(({ destroyed }) => !destroyed).length
  expect(open === slowConnections, `${slowConnections - open} slow connections were closed.`)
  for (const socket of slow) socket.destroy()

  const { status } = await send(undefined, "/health")
  expect(status === 200, `/health was answered with ${status}.`)
  const now = memory("VmRSS")
  const most = memory("VmHWM")
  latencies.sort((a, b) => a - b)
  const quantile = (q: number) => latencies[Math.floor(q * (latencies.length - 1))] ?? Number.NaN
  for (const { phase, requests, seconds, rss } of rows) {
    console.log(
      `${phase.padEnd(24)} ${String(requests).padStart(7)} requests  ${seconds.toFixed(1).padStart(6)} s  ${rss.toFixed(0).padStart(4)} MiB`
    )
  }
  console.log(
    `answers: p50 ${quantile(0.5).toFixed(0)} ms, p99 ${quantile(0.99).toFixed(0)} ms, at most ${quantile(1).toFixed(0)} ms`
  )
  console.log(`memory: ${warm.toFixed(0)} MiB warm, ${now.toFixed(0)} MiB at the end, at most ${most.toFixed(0)} MiB`)
  expect(most <= mostMemory, `The process had ${most.toFixed(0)} MiB, more than ${mostMemory}.`)
} catch (error) {
  problems.push(error instanceof Error ? error.message : String(error))
}

expect(!hasEnded, "fake-ims ended by itself.")
agent.destroy()
bin.kill("SIGTERM")
const { code, stderr } = await bin.exited
expect(code === 0, `fake-ims ended with ${code}.`)
expect(stderr === "", `fake-ims wrote to stderr: ${stderr.slice(0, 500)}`)
for (const problem of problems) console.error(problem)
if (problems.length > 0) process.exitCode = 1
