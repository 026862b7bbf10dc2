// The steps of a store over the `eval` of any Redis service.
import { type Claimed, type Service, TokenStoreError } from "@effect-itwin/core/TokenStore"
import * as Effect from "effect/Effect"
import type * as Redis from "effect/persistence/Redis"
import { meaningOf } from "./failure.ts"
import type { Settings } from "./settings.ts"
import { type Steps, steps } from "./steps.ts"

/** Returns the reply of a claim, or undefined if it is not one that the script returns. */
const claimedOf = (reply: unknown): Claimed | undefined => {
  if (!Array.isArray(reply)) return undefined
  const items: ReadonlyArray<unknown> = reply
  const texts = items.filter((item) => typeof item === "string")
  const [tag, ...rest] = texts
  const [value, second = "", third, fourth] = rest
  const number = (text: string | undefined) => (text === undefined || text === "" ? Number.NaN : Number(text))
  const claimed = ((): Claimed | undefined => {
    switch (`${tag} ${rest.length}`) {
      case "Token 4":
        return { _tag: "Token", value: value ?? "", version: second, age: number(third), left: number(fourth) }
      case "Held 2":
        return { _tag: "Held", value: value ?? "", left: number(second) }
      case "Busy 1":
        return { _tag: "Busy", left: number(value) }
      case "Lease 0":
      case "Lease 1":
        return { _tag: "Lease", previous: value }
      default:
        return undefined
    }
  })()
  if (claimed === undefined || texts.length !== items.length) return undefined
  const times = claimed._tag === "Lease" ? [] : claimed._tag === "Token" ? [claimed.age, claimed.left] : [claimed.left]
  return times.every(Number.isFinite) ? claimed : undefined
}

export const makeStore = (
  { name, prefix, timeout }: Settings,
  redis: Pick<Redis.Redis["Service"], "eval">,
  script: Steps = steps
): Service => {
  const evaluate = redis.eval(script)
  const failure = (error: Redis.RedisError) => new TokenStoreError({ store: name, ...meaningOf(error) })
  const run = (row: string, ...args: ReadonlyArray<string | number>) =>
    Effect.mapError(evaluate(`${prefix}${row}`, ...args.map(String)), failure)
  return {
    name,
    isPrivate: false,
    timeout,
    claim: (row, { forget, known, lease, level, minLeft, owner }) =>
      Effect.flatMap(
        run(row, "claim", owner, lease, forget, minLeft, level, ...(known === undefined ? [] : [known])),
        (reply) => {
          const claimed = claimedOf(reply)
          return claimed === undefined
            ? Effect.fail(
                new TokenStoreError({
                  store: name,
                  kind: "refused",
                  detail: "its reply is not one of this store. Check that the URL is that of a Redis server."
                })
              )
            : Effect.succeed(claimed)
        }
      ),
    publish: (row, { age, left, owner, value }) => Effect.asVoid(run(row, "publish", owner, value, age, left)),
    release: (row, owner, setback) =>
      Effect.asVoid(
        run(row, "release", owner, ...(setback === undefined ? [] : [setback.value, setback.left, setback.level]))
      ),
    drop: (row, version) => Effect.asVoid(run(row, "drop", version))
  }
}
