/**
 * Runs fleets of processes that share tokens of 12 s through a real Redis, breaks what can break, and counts token
 * requests and failed gets. Prints a table, and exits with 1 if a get failed, an expired token was returned, or a mark
 * was missed. Needs `redis-server`, and fails without it.
 *
 * `--replicas` (50), `--seconds` (34), `--parallel` (1) fleets at once, `--only` a part of a case's name.
 */
import { type ChildProcess, fork } from "node:child_process"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { parseArgs } from "node:util"
import { FakeIms, FakeImsServer, Fault } from "@effect-itwin/testing"
import { Effect, Layer, Logger, ManagedRuntime, Redacted } from "effect"
import { startProxy } from "../../packages/store-redis/test/proxy.ts"
import { freePort, type RedisServer, startRedis } from "../../packages/store-redis/test/redisServer.ts"
import { printTable } from "../table.ts"
import type { Message, Report, Setup } from "./replica.ts"

const { values } = parseArgs({
  options: {
    replicas: { type: "string", default: "50" },
    seconds: { type: "string", default: "34" },
    parallel: { type: "string", default: "1" },
    only: { type: "string", default: "" }
  }
})
const replicas = Number(values.replicas)
const seconds = Number(values.seconds)

const lifeSeconds = 12
/** What IMS takes to answer. Leaves time to end a process that waits for it. */
const answerMillis = 300
const route = "POST /connect/token"

interface Fleet {
  readonly redis: RedisServer
  readonly ims: FakeIms.FakeIms["Service"]
  /** Ends a replica with SIGKILL as soon as it is about to request a token, from this second on. */
  readonly killHolder: (second: number) => Promise<void>
  /** Waits until this second of the run. */
  readonly until: (second: number) => Promise<unknown>
}

interface Case {
  readonly redisConfig?: ReadonlyArray<string>
  /** Returns the URL for the replicas; that of Redis by default. */
  readonly url?: (redis: RedisServer) => Promise<string | undefined> | string | undefined
  readonly soft?: number
  readonly happens?: (fleet: Fleet) => Promise<unknown>
  /** The most token requests. */
  readonly most?: number
  readonly caches?: number
  readonly stepSeconds?: number
  readonly processes?: number
  readonly seconds?: number
}

const partitions = new Map<RedisServer, Awaited<ReturnType<typeof startProxy>>>()

/** Something that begins before the first renewal, and ends after the token of the start has expired. */
const outage = (begin: (fleet: Fleet) => unknown, end: (fleet: Fleet) => unknown) => async (fleet: Fleet) => {
  await fleet.until(4)
  await begin(fleet)
  await fleet.until(18)
  await end(fleet)
}

const cases: Readonly<Record<string, Case>> = {
  "nothing happens": { most: 9 },
  "nothing happens, soft at 25 %": { soft: 0.25, most: 6 },
  "without a store": { url: () => undefined },
  "the holder of the lease is killed at the start": { happens: (fleet) => fleet.killHolder(0), most: 11 },
  "the holder of the lease is killed at a renewal": { happens: (fleet) => fleet.killHolder(2), most: 11 },
  "Redis is killed, and started later": {
    happens: outage(
      ({ redis }) => redis.kill(),
      ({ redis }) => redis.start()
    )
  },
  "Redis is stopped (SIGSTOP), and continues later": {
    happens: outage(
      ({ redis }) => redis.pause(),
      ({ redis }) => redis.resume()
    )
  },
  "Redis is partitioned, and reachable later": {
    url: async (redis) => {
      const proxy = await startProxy(redis.port)
      partitions.set(redis, proxy)
      return `redis://127.0.0.1:${proxy.port}`
    },
    happens: outage(
      ({ redis }) => partitions.get(redis)?.partition(),
      ({ redis }) => partitions.get(redis)?.heal()
    )
  },
  "Redis is flushed each second": {
    happens: async ({ redis, until }) => {
      for (let second = 1; second < 20; second++) {
        await until(second)
        await redis.command("FLUSHALL")
      }
    }
  },
  "Redis is absent from the start": { url: async () => `redis://127.0.0.1:${await freePort()}` },
  "Redis is full (maxmemory)": {
    happens: outage(
      ({ redis }) => redis.command("CONFIG", "SET", "maxmemory", "1"),
      ({ redis }) => redis.command("CONFIG", "SET", "maxmemory", "0")
    )
  },
  "Redis is a read-only replica": {
    happens: outage(
      async ({ redis }) => redis.command("REPLICAOF", "127.0.0.1", String(await freePort())),
      ({ redis }) => redis.command("REPLICAOF", "NO", "ONE")
    )
  },
  "the password is wrong": {
    redisConfig: ["--requirepass", "fake-secret-a+b/c="],
    url: ({ port }) => `redis://:fake-secret-wrong@127.0.0.1:${port}`
  },
  "IMS returns 503 for 3.5 s": {
    happens: async ({ ims, until }) => {
      await until(4)
      await Effect.runPromise(
        Effect.andThen(ims.clearScripts, ims.script(route, Fault.always(Fault.respond({ status: 503 }))))
      )
      await until(7.5)
      await Effect.runPromise(Effect.andThen(ims.clearScripts, ims.script(route, slowAnswer)))
    }
  },
  // 1,000 caches use two cores for about 1.5 s before the last one has read the store.
  "1,000 caches start at once": { caches: 250, processes: 4, seconds: 5, stepSeconds: 5, most: 1 }
}

const slowAnswer = Fault.always(Fault.delay(answerMillis))

const nextMessage = (child: ChildProcess, isIt: (message: Message) => boolean): Promise<Message> =>
  new Promise((resolve, reject) => {
    const onExit = (code: number | null) => reject(new Error(`a replica ended with ${code}`))
    const onMessage = (message: Message) => {
      if (!isIt(message)) return
      child.off("message", onMessage)
      child.off("exit", onExit)
      resolve(message)
    }
    child.on("message", onMessage)
    child.once("exit", onExit)
  })

// Ends what was started.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1))

const run = async (name: string, options: Case) => {
  const { caches = 1, happens, processes = replicas, soft, stepSeconds } = options
  const redis = await startRedis(...(options.redisConfig ?? []))
  const runtime = ManagedRuntime.make(
    FakeImsServer.layer({ tokenLife: `${lifeSeconds} seconds` }).pipe(Layer.provideMerge(Logger.layer([])))
  )
  const children: Array<ChildProcess> = []
  try {
    const ims = await runtime.runPromise(FakeIms.FakeIms)
    const { credentials } = await runtime.runPromise(ims.registerApp({ name: "Fleet" }))
    await runtime.runPromise(ims.script(route, slowAnswer))
    const setup: Setup = {
      imsUrl: ims.environment.apiBaseUrl,
      clientId: credentials.clientId,
      clientSecret: Redacted.value(credentials.clientSecret),
      redisUrl: options.url === undefined ? redis.url : await options.url(redis),
      soft,
      stepSeconds,
      caches
    }
    // A few at a time: all of them begin together later.
    for (let index = 0; index < processes; index += 4) {
      const some = Array.from({ length: Math.min(4, processes - index) }, () =>
        fork(join(import.meta.dirname, "replica.ts"))
      )
      children.push(...some)
      await Promise.all(
        some.map((child) => {
          const ready = nextMessage(child, (message) => message === "ready")
          child.send(setup)
          return ready
        })
      )
    }

    const begunAt = performance.now()
    const until = (second: number) => sleep(Math.max(0, begunAt + second * 1000 - performance.now()))
    let killed: ChildProcess | undefined
    const killHolder = async (second: number) => {
      await until(second)
      await new Promise<void>((resolve) => {
        for (const child of children) {
          child.on("message", (message) => {
            if (message !== "requesting" || killed !== undefined) return
            killed = child
            child.kill("SIGKILL")
            resolve()
          })
        }
      })
    }
    const happening = happens?.({ redis, ims, killHolder, until })
    for (const child of children) child.send("begin")
    await happening
    await until(options.seconds ?? seconds)
    const alive = children.filter((child) => child !== killed)
    const reports = await Promise.all(
      alive.map((child) => {
        const report = nextMessage(child, (message) => typeof message === "object")
        child.send("end")
        return report as Promise<Report>
      })
    )
    const requests = (await runtime.runPromise(ims.tokenRequests)).length
    const sum = (count: (report: Report) => number) => reports.reduce((total, report) => total + count(report), 0)
    const failed = sum(({ failures }) => failures.length)
    const expired = sum(({ expired }) => expired)
    const texts = new Map<string, number>()
    for (const text of reports.flatMap(({ failures, warnings }) => [...failures, ...warnings])) {
      texts.set(text, (texts.get(text) ?? 0) + 1)
    }
    const most = options.most
    return {
      holds: failed === 0 && expired === 0 && (most === undefined || requests <= most) && alive.length > 0,
      texts,
      row: [
        name,
        `${processes * caches}`,
        `${requests}`,
        most === undefined ? "" : `≤ ${most}`,
        `${sum(({ gets }) => gets)}`,
        `${failed}`,
        `${expired}`,
        `${(Math.max(...reports.map(({ slowestMillis }) => slowestMillis)) / 1000).toFixed(2)} s`,
        `${sum(({ warnings }) => warnings.length)}`
      ]
    }
  } finally {
    for (const child of children) child.kill("SIGKILL")
    await runtime.dispose()
    await partitions.get(redis)?.close()
    await redis.close()
  }
}

const chosen = Object.entries(cases).filter(([name]) => name.includes(values.only))
const results: Array<Awaited<ReturnType<typeof run>>> = []
const next = async (): Promise<void> => {
  const entry = chosen.shift()
  if (entry === undefined) return
  results.push(await run(...entry))
  console.error(`${entry[0]}: ${results.at(-1)?.holds === true ? "holds" : "DOES NOT HOLD"}`)
  return next()
}
await Promise.all(Array.from({ length: Number(values.parallel) }, next))

printTable([
  ["case", "replicas", "token requests", "mark", "gets", "failed", "expired", "slowest get", "warnings", "holds"],
  ...results.map(({ holds, row }) => [...row, holds ? "yes" : "NO"])
])
for (const { holds, row, texts } of results) {
  // Each failure has its own correlation id.
  const shown = [...texts].slice(0, holds ? 3 : 10)
  for (const [text, count] of shown) console.log(`${row[0]}: ${count} × ${text}`)
}
process.exit(results.length > 0 && results.every(({ holds }) => holds) ? 0 : 1)
