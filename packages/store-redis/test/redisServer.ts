// A Redis server on a free port of 127.0.0.1, in a temporary directory, which is ended and removed at the end. Fails if
// `redis-server` is not installed: what needs Redis is never skipped.
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { RedisClient, type RedisFunctions, type RedisModules, type RedisScripts, type TypeMapping } from "@redis/client"

export interface RedisServer {
  readonly port: number
  readonly url: string
  /** Sends a command over its own connection. */
  readonly command: <A = unknown>(...args: ReadonlyArray<string>) => Promise<A>
  /** Stops the process (SIGSTOP), and lets it continue. */
  readonly pause: () => void
  readonly resume: () => void
  /** Ends the process with SIGKILL. */
  readonly kill: () => Promise<void>
  /** Starts it again on the same port, empty. */
  readonly start: () => Promise<void>
  readonly close: () => Promise<void>
}

export const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const address = server.address()
  server.close()
  await once(server, "close")
  return typeof address === "object" && address !== null ? address.port : 0
}

export const connect = async (port: number, login: { readonly username?: string; readonly password?: string } = {}) => {
  const client = new RedisClient<RedisModules, RedisFunctions, RedisScripts, 2, TypeMapping>({
    RESP: 2,
    socket: { host: "127.0.0.1", port, reconnectStrategy: false },
    disableClientInfo: true,
    ...login
  })
  client.on("error", () => {})
  await client.connect()
  return client
}

const running = new Set<ChildProcess>()
process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL")
})

export const startRedis = async (...config: ReadonlyArray<string>): Promise<RedisServer> => {
  const port = await freePort()
  const folder = mkdtempSync(join(tmpdir(), "effect-itwin-redis-"))
  const password = config.includes("--requirepass") ? config[config.indexOf("--requirepass") + 1] : undefined
  let child: ChildProcess

  const command = async <A>(...args: ReadonlyArray<string>): Promise<A> => {
    const client = await connect(port, password === undefined ? {} : { password })
    try {
      return await client.sendCommand<A>(args)
    } finally {
      client.destroy()
    }
  }

  const start = async () => {
    const args = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", folder]
    child = spawn("redis-server", [...args, ...config], { stdio: "ignore" })
    running.add(child)
    let failure: Error | undefined
    child.once("error", (error) => {
      failure = error
    })
    for (let attempt = 0; attempt < 200; attempt++) {
      await sleep(25)
      if (failure !== undefined) throw new Error(`redis-server can't be started: ${failure.message}`)
      if (child.exitCode !== null) throw new Error(`redis-server ended with ${child.exitCode}`)
      const reply = await command("PING").catch(() => undefined)
      if (reply === "PONG") return
    }
    throw new Error("redis-server does not answer")
  }

  const kill = async () => {
    running.delete(child)
    if (child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, "exit")
    child.kill("SIGKILL")
    await ended
  }

  await start()
  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    command,
    pause: () => void child.kill("SIGSTOP"),
    resume: () => void child.kill("SIGCONT"),
    kill,
    start,
    close: async () => {
      await kill()
      rmSync(folder, { recursive: true, force: true })
    }
  }
}
