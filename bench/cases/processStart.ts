// Measures the time from the start of a process to the token that it prints: the built `itwin-auth token`, a script with
// plain fetch, and one with @itwin/service-authorization. Prints the median of milliseconds for each.
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { print } from "./print.ts"
import { start } from "./server.ts"

const rounds = 10

const server = await start("fakeServer.ts")
const folder = mkdtempSync(join(tmpdir(), "itwin-auth-bench-"))
const env = {
  PATH: process.env.PATH,
  ITWIN_TOKEN_ENDPOINT: `${server.url}/connect/token`,
  ITWIN_API_URL: server.url,
  ITWIN_CLIENT_ID: server.clientId,
  ITWIN_CLIENT_SECRET: server.clientSecret,
  // Where Node keeps compiled code: empty at the start, and filled by the first round.
  XDG_CACHE_HOME: folder
}

/** Returns milliseconds until a line with a token was printed. */
const took = (file: string, ...args: ReadonlyArray<string>): Promise<number> =>
  new Promise((resolve, reject) => {
    const started = performance.now()
    let printed = ""
    let elapsed = Number.NaN
    const child = spawn(process.execPath, [join(import.meta.dirname, file), ...args], {
      env,
      stdio: ["ignore", "pipe", "inherit"]
    })
    child.stdout.on("data", (chunk) => {
      printed += chunk
      if (printed.endsWith("\n")) elapsed = performance.now() - started
    })
    child.once("close", () => {
      if (/^[\w-]+\.[\w-]+\.[\w-]+\n$/.test(printed)) resolve(elapsed)
      else reject(new Error(`${file} printed no token`))
    })
  })

const series = { ours: [] as number[], "plain fetch": [] as number[], "service-authorization": [] as number[] }
for (let i = 0; i <= rounds; i++) {
  const fetched = await took("start/plainFetch.js")
  const ours = await took("../../packages/cli/dist/bin.js", "token")
  const peer = await took("start/serviceAuthorization.js")
  // The first round warms up.
  if (i === 0) continue
  series["plain fetch"].push(fetched)
  series.ours.push(ours)
  series["service-authorization"].push(peer)
}
print(series)
server.stop()
rmSync(folder, { recursive: true, force: true })
process.exit(0)
