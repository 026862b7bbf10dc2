// Starts the command `fake-ims` as a child process, and sends requests to it.
import { spawn } from "node:child_process"
import { request } from "node:http"
import { fileURLToPath } from "node:url"
import { Effect } from "effect"

const source = fileURLToPath(new URL("../src/internal/serve/bin.ts", import.meta.url))

/** The command as it is published, if it was built. */
export const bundle = fileURLToPath(new URL("../dist/fake-ims.js", import.meta.url))

export interface Facts {
  readonly ready: boolean
  readonly url: string
  readonly tokenEndpoint: string
  readonly apiBaseUrl: string
  readonly apps: ReadonlyArray<{ readonly name: string; readonly clientId: string; readonly clientSecret?: string }>
  readonly users: ReadonlyArray<string>
  readonly vault?: {
    readonly url: string
    readonly tenantId: string
    readonly clientSecret: string
    readonly certificate?: string
  }
}

export interface Exited {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface Bin {
  readonly facts: Facts
  /** The id of the process. */
  readonly pid: number | undefined
  readonly kill: (signal: NodeJS.Signals) => void
  readonly exited: Promise<Exited>
}

const launch = (args: ReadonlyArray<string>, env: Record<string, string> = {}, file = source) => {
  const child = spawn(process.execPath, [file, ...args], {
    env: { ...process.env, NODE_ENV: "test", ...env },
    stdio: ["ignore", "pipe", "pipe"]
  })
  const text = { stdout: "", stderr: "" }
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (chunk: string) => {
      text[name] += chunk
    })
  }
  const exited = new Promise<Exited>((resolve, reject) => {
    child.on("error", reject)
    child.on("close", (code) => resolve({ code, ...text }))
  })
  return { child, text, exited }
}

/** Runs it to its end. */
export const run = (args: ReadonlyArray<string>, env?: Record<string, string>): Promise<Exited> =>
  launch(args, env).exited

/** Runs it until it says that it is ready. */
export const start = (args: ReadonlyArray<string> = [], env?: Record<string, string>, file?: string): Promise<Bin> =>
  new Promise((resolve, reject) => {
    const { child, text, exited } = launch(args, env, file)
    child.stdout.on("data", () => {
      const [line, ...rest] = text.stdout.split("\n")
      if (line !== undefined && rest.length > 0) {
        resolve({ facts: JSON.parse(line), pid: child.pid, kill: (signal) => void child.kill(signal), exited })
      }
    })
    exited.then(({ code, stderr }) => reject(new Error(`fake-ims ended with ${code}: ${stderr}`)), reject)
  })

export const started = (args?: ReadonlyArray<string>, env?: Record<string, string>) =>
  Effect.acquireRelease(
    Effect.promise(() => start(args, env)),
    ({ kill, exited }) =>
      Effect.promise(() => {
        kill("SIGKILL")
        return exited
      })
  )

export interface Answer {
  readonly status: number
  readonly headers: Record<string, unknown>
  // biome-ignore lint/suspicious/noExplicitAny: JSON of the admin API, which the tests look into
  readonly body: any
}

/** Sends one request on its own connection, with any headers (`fetch` does not allow `Host`). */
export const call = (
  url: string,
  route: string,
  options: { readonly json?: unknown; readonly text?: string; readonly headers?: Record<string, string> } = {}
): Effect.Effect<Answer> =>
  Effect.promise(
    () =>
      new Promise((resolve, reject) => {
        const [method, path] = route.split(" ")
        const body = options.json === undefined ? options.text : JSON.stringify(options.json)
        const headers = {
          ...(options.json === undefined ? {} : { "content-type": "application/json" }),
          ...(body === undefined ? {} : { "content-length": String(Buffer.byteLength(body)) }),
          ...options.headers
        }
        const sent = request(new URL(path ?? "/", url), { method, headers, agent: false }, (response) => {
          let text = ""
          response.setEncoding("utf8").on("data", (chunk: string) => {
            text += chunk
          })
          response.on("error", reject)
          response.on("end", () =>
            resolve({
              status: response.statusCode ?? 0,
              headers: response.headers,
              body: text === "" ? undefined : JSON.parse(text)
            })
          )
        })
        sent.on("error", reject)
        sent.end(body)
      })
  )
