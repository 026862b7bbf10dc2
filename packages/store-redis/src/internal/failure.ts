// What an error of Redis or of its client means for the store. Nothing of its text is shown: an error reply can repeat
// the arguments of a command, and a client's error the URL with its password.
import * as Predicate from "effect/Predicate"
import type { RedisError } from "effect/persistence/Redis"

type Meaning = readonly [kind: "timeout" | "unavailable" | "refused", detail: string]

/**
 * The codes at the start of an error reply. Redis 6 puts them behind a prefix if the error was raised in a script, so
 * they are searched in all of the text.
 */
const replies: Readonly<Record<string, Meaning>> = {
  NOAUTH: ["refused", "Redis requires a password. Put it into the URL."],
  WRONGPASS: ["refused", "Redis rejected the user name or the password. Check both in the URL."],
  NOPERM: [
    "refused",
    "the user of Redis may not run a command of the store, or not on this key. Check its access rules."
  ],
  OOM: ["refused", "Redis is full. Raise maxmemory, or allow it to evict keys."],
  READONLY: ["refused", "this Redis is a read-only replica. Use the URL of the primary."],
  MISCONF: ["refused", "Redis rejects writes because it can't save to disk. See the log of Redis."],
  NOREPLICAS: ["refused", "Redis rejects writes because it has too few replicas."],
  MOVED: [
    "refused",
    "this Redis is a member of a cluster. Provide a client of the cluster to the layer without a URL."
  ],
  CLUSTERDOWN: ["unavailable", "the Redis cluster is down."],
  LOADING: ["unavailable", "Redis is loading its data."],
  MASTERDOWN: ["unavailable", "this Redis is a replica that has lost its primary."],
  BUSY: ["unavailable", "Redis is busy with a script of another program."]
}

const replyPattern = new RegExp(`(?:^|[\\s-])(${Object.keys(replies).join("|")}) `)

const socketErrors: Readonly<Record<string, Meaning>> = {
  ConnectionTimeoutError: ["timeout", "connecting took too long. Check the network path to it: firewall, proxy, DNS."],
  SocketTimeoutError: ["timeout", "Redis did not answer in time."],
  TimeoutError: ["timeout", "Redis did not answer in time."]
}

const codeOf = (cause: unknown): string | undefined => {
  const code = Predicate.hasProperty(cause, "code") ? cause.code : undefined
  return typeof code === "string" && /^[A-Z][A-Z0-9_]{2,48}$/.test(code) ? code : undefined
}

const meaning = (cause: unknown): Meaning => {
  const message = cause instanceof Error ? cause.message : ""
  const reply = replies[replyPattern.exec(message)?.[1] ?? ""]
  if (reply !== undefined) return reply
  if (message.startsWith("ERR max number of clients")) {
    return ["unavailable", "Redis accepts no more connections. Raise maxclients."]
  }
  const className = cause instanceof Error ? cause.constructor.name : ""
  const socketError = socketErrors[className]
  if (socketError !== undefined) return socketError
  const code = codeOf(cause)
  if (code !== undefined) return ["unavailable", `Redis is unreachable (${code}).`]
  const unknownReply = /^([A-Z]{3,20}) /.exec(message)?.[1]
  if (unknownReply !== undefined) return ["refused", `Redis returned the error ${unknownReply}.`]
  return ["unavailable", "the connection to Redis was lost."]
}

/** Returns what the error of a store says. */
export const meaningOf = ({ cause }: RedisError): { readonly kind: Meaning[0]; readonly detail: string } => {
  const [kind, detail] = meaning(cause)
  return { kind, detail }
}
