// The steps of a session store over any Redis service. A session and its lock are two keys; each step uses one of them.
import { type Backend, SessionStoreError } from "@effect-itwin/core/SessionStore"
import * as Effect from "effect/Effect"
import * as Redis from "effect/persistence/Redis"
import { meaningOf } from "./failure.ts"
import type { Settings } from "./settings.ts"

const onKey = (lua: string) =>
  Redis.script((key: string, ...args: ReadonlyArray<string>) => [key, ...args], {
    lua,
    numberOfKeys: 1
  }).withReturnType<unknown>()

// Built once, because the Redis service remembers by identity which scripts it has loaded.

/** Takes the lock, or extends it for its owner. */
const take = onKey(`
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
`)

/** Ends the lock of its owner. */
const release = onKey(`
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
`)

export const makeSessions = (
  { name: store, prefix, timeout }: Settings,
  redis: Pick<Redis.Redis["Service"], "eval" | "send">
): Backend => {
  const [evaluateTake, evaluateRelease] = [redis.eval(take), redis.eval(release)]
  const failure = (error: Redis.RedisError) => new SessionStoreError({ store, ...meaningOf(error) })
  const send = (command: string, name: string, ...args: ReadonlyArray<string>) =>
    Effect.mapError(redis.send(command, `${prefix}${name}`, ...args), failure)
  const lockOf = (name: string) => `${prefix}lock:${name}`
  const foreign = new SessionStoreError({
    store,
    kind: "refused",
    detail: "its reply is not one of this store. Check that the URL is that of a Redis server."
  })
  const replied = <A>(isRight: (reply: unknown) => reply is A) => Effect.filterOrFail(isRight, () => foreign)
  const isText = (reply: unknown): reply is string | null => reply === null || typeof reply === "string"
  const isFlag = (reply: unknown): reply is 0 | 1 => reply === 0 || reply === 1

  return {
    name: store,
    isPrivate: false,
    timeout,
    get: (name) =>
      send("GET", name).pipe(
        replied(isText),
        Effect.map((text) => text ?? undefined)
      ),
    set: (name, text, { life, onlyIfPresent }) =>
      send("SET", name, text, "PX", String(life), ...(onlyIfPresent ? ["XX"] : [])).pipe(
        replied(isText),
        Effect.map((reply) => reply === "OK")
      ),
    remove: (name) => Effect.asVoid(send("DEL", name)),
    tryLock: (name, owner, life) =>
      evaluateTake(lockOf(name), owner, String(life)).pipe(
        Effect.mapError(failure),
        replied(isFlag),
        Effect.map((reply) => reply === 1)
      ),
    unlock: (name, owner) => Effect.asVoid(Effect.mapError(evaluateRelease(lockOf(name), owner), failure))
  }
}
