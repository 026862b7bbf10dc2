/**
 * Runs a worker on workerd, the runtime of Cloudflare, and proves that the requests of one isolate can share one token
 * cache. Prints a table, and exits with 1 if a request hangs or fails.
 *
 * `--core <folder>` takes core from another checkout; `--tools <folder>` takes miniflare from a folder that has it.
 */
import { execFileSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { createServer, request } from "node:http"
import { createRequire } from "node:module"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { pathToFileURL } from "node:url"
import { parseArgs } from "node:util"
import { rolldown } from "rolldown"
import { printTable } from "../table.ts"

const { values: options } = parseArgs({
  options: { core: { type: "string", default: join(import.meta.dirname, "../..") }, tools: { type: "string" } }
})

/** Includes workerd with 122 MB, so it is not a dependency of the workspace. */
const miniflareVersion = "4.20260426.0"
const compatibilityDate = "2026-04-01"
/** A response takes at most the total timeout of a lost token request, plus another request. */
const limitMillis = 20_000

interface Miniflare {
  readonly ready: Promise<URL>
  readonly dispose: () => Promise<void>
}

const installMiniflare = async (
  folder: string
): Promise<{ readonly Miniflare: new (options: object) => Miniflare }> => {
  if (options.tools === undefined) {
    writeFileSync(join(folder, "package.json"), JSON.stringify({ name: "tools", private: true }))
    execFileSync("npm", ["install", "--no-audit", "--no-fund", "--ignore-scripts", `miniflare@${miniflareVersion}`], {
      cwd: folder,
      stdio: ["ignore", "ignore", "inherit"]
    })
  }
  return import(pathToFileURL(createRequire(join(folder, "package.json")).resolve("miniflare")).href)
}

const bundleWorker = async (): Promise<string> => {
  const index = join(resolve(options.core), "packages/core/src/index.ts")
  const bundle = await rolldown({
    input: join(import.meta.dirname, "worker.ts"),
    external: /^cloudflare:/,
    plugins: [
      {
        name: "core-of-checkout",
        resolveId(source, importer) {
          if (source === "@effect-itwin/core") return index
          // The worker and core share one copy of Effect.
          return /^effect(\/|$)/.test(source) && importer !== index ? this.resolve(source, index) : null
        }
      }
    ]
  })
  const { output } = await bundle.generate({ format: "esm" })
  return output[0].code
}

/** The token endpoint and the API. */
interface Server {
  readonly url: string
  tokenRequests: number
  /** Token requests whose connection was closed before the response. */
  cut: number
  lifeSeconds: number
  delayMillis: number
  readonly close: () => void
}

const startServer = (): Promise<Server> =>
  new Promise((done) => {
    const server = createServer((incoming, outgoing) => {
      const isToken = incoming.url === "/connect/token"
      if (isToken) {
        state.tokenRequests++
        outgoing.once("close", () => {
          if (!outgoing.writableFinished) state.cut++
        })
      }
      const body = isToken
        ? { access_token: `token-${state.tokenRequests}`, token_type: "Bearer", expires_in: state.lifeSeconds }
        : { user: { id: "1", displayName: "Worker" } }
      incoming.resume().once("end", () =>
        setTimeout(
          () => {
            outgoing.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(body))
          },
          isToken ? state.delayMillis : 10
        )
      )
    })
    const state = {
      url: "",
      tokenRequests: 0,
      cut: 0,
      lifeSeconds: 3600,
      delayMillis: 100,
      close: () => {
        server.close()
        server.closeAllConnections()
      }
    }
    server.listen(0, "127.0.0.1", () => {
      state.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
      done(state)
    })
  })

interface Answer {
  readonly outcome: string
  readonly millis: number
}

const ask = (url: string): Promise<Answer> =>
  new Promise((done) => {
    const started = performance.now()
    const finish = (outcome: string) => {
      clearTimeout(timer)
      done({ outcome, millis: performance.now() - started })
    }
    const outgoing = request(url, { agent: false }, (response) => {
      response
        .resume()
        .once("end", () => finish(String(response.statusCode)))
        .once("error", () => finish("cut"))
    })
    const timer = setTimeout(() => {
      finish("hangs")
      outgoing.destroy()
    }, limitMillis)
    outgoing.once("error", () => finish("cut")).end()
  })

const askMany = (count: number, url: string) => Promise.all(Array.from({ length: count }, () => ask(url)))

/** Sends a request, and resets its connection. workerd does not notice a connection that is closed without a reset. */
const askAndReset = async (url: string, afterMillis: number): Promise<void> => {
  const outgoing = request(url, { agent: false })
  outgoing.once("error", () => {}).end()
  await sleep(afterMillis)
  outgoing.socket?.resetAndDestroy()
}

/** A scenario, and how many token requests it may make. */
interface Proof {
  readonly answers: ReadonlyArray<Answer>
  readonly mostTokenRequests: number
}

/** The first caller disconnects while 20 others wait for its token request, and one caller arrives later. */
const firstLeaves = async (url: string, server: Server, leave: () => Promise<unknown>, most: number) => {
  server.delayMillis = 1000
  const first = leave()
  await sleep(100)
  const others = askMany(20, url)
  await first
  const answers = await others
  return { answers: [...answers, await ask(url)], mostTokenRequests: most }
}

const cases: Readonly<Record<string, (url: string, server: Server, renewal: string) => Promise<Proof>>> = {
  "100 first requests at once": async (url) => ({ answers: await askMany(100, url), mostTokenRequests: 1 }),
  "20 requests while a token is due, twice, and after it expired": async (url, server, renewal) => {
    // A life of 10 s: due after 7.5 s at the latest, late after 9 s.
    server.lifeSeconds = 10
    const answers = [await ask(url)]
    for (const millis of [8000, 8000, 10_500]) {
      await sleep(millis)
      answers.push(...(await askMany(20, url)))
    }
    // A renewal in the background ends with the request that started it, and is repeated.
    return { answers, mostTokenRequests: renewal === "inline" ? 4 : 6 }
  },
  "the first caller disconnects": (url, server) => firstLeaves(url, server, () => askAndReset(url, 300), 2),
  "the same, with waitUntil": (url, server) => firstLeaves(url, server, () => askAndReset(`${url}wait-until`, 300), 1),
  "the first caller's handler gives up": (url, server) => firstLeaves(url, server, () => ask(`${url}early`), 2)
}

const countOf = (answers: ReadonlyArray<Answer>): string =>
  Object.entries(Object.groupBy(answers, (answer) => answer.outcome))
    .map(([outcome, group]) => `${group?.length} × ${outcome}`)
    .join(", ")

const folder = options.tools ?? mkdtempSync(join(tmpdir(), "effect-itwin-workerd-"))
try {
  const { Miniflare } = await installMiniflare(folder)
  const script = await bundleWorker()

  const prove = async (flags: ReadonlyArray<string>, renewal: string, name: string) => {
    const server = await startServer()
    const miniflare = new Miniflare({
      modules: true,
      script,
      compatibilityDate,
      compatibilityFlags: flags,
      bindings: { renewal, server: server.url },
      host: "127.0.0.1",
      port: 0,
      cf: false,
      // workerd prints each request that it cancels.
      handleRuntimeStdio: (out: NodeJS.ReadableStream, error: NodeJS.ReadableStream) => {
        out.resume()
        error.resume()
      }
    })
    const url = (await miniflare.ready).href
    const proof = await cases[name]?.(url, server, renewal)
    await miniflare.dispose()
    server.close()
    const { answers = [], mostTokenRequests = 0 } = proof ?? {}
    const holds =
      answers.length > 0 &&
      answers.every(({ outcome }) => outcome === "200") &&
      server.tokenRequests <= mostTokenRequests
    return [
      name,
      renewal,
      flags.join(" "),
      countOf(answers),
      `${(Math.max(...answers.map(({ millis }) => millis)) / 1000).toFixed(1)} s`,
      `${server.tokenRequests} (${server.cut} cut)`,
      `≤ ${mostTokenRequests}`,
      holds ? "yes" : "NO"
    ]
  }

  const rows: Array<ReadonlyArray<string>> = []
  // With `nodejs_compat`, Effect keeps the asynchronous context of Node from one step to the next.
  for (const flags of [[], ["nodejs_compat"]]) {
    const runs = ["background", "inline"].flatMap((renewal) =>
      Object.keys(cases).map((name) => prove(flags, renewal, name))
    )
    rows.push(...(await Promise.all(runs)))
  }
  printTable([["case", "renewal", "flags", "responses", "slowest", "token requests", "mark", "holds"], ...rows])
  process.exitCode = rows.every((row) => row.at(-1) === "yes") ? 0 : 1
} finally {
  if (options.tools === undefined) rmSync(folder, { recursive: true, force: true })
}
