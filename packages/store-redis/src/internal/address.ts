// Where Redis is, read from a URL. The URL is never part of a message, because it may contain a password.
import * as Result from "effect/Result"

export interface Address {
  readonly host: string
  readonly port: number
  readonly isTls: boolean
  readonly database: number
  readonly username?: string
  readonly password?: string
}

const expected = "redis://host:port or rediss://host:port, with user:password@ before the host if needed"

const decoded = (text: string) => Result.try(() => decodeURIComponent(text))

/** Returns the address, or fails with what was expected. */
export const addressOf = (text: string): Result.Result<Address, string> => {
  if (!URL.canParse(text)) return Result.fail(expected)
  const { hash, hostname, password, pathname, port, protocol, search, username } = new URL(text)
  if (protocol !== "redis:" && protocol !== "rediss:") return Result.fail(expected)
  if (hostname === "") return Result.fail(expected)
  if (search !== "" || hash !== "") return Result.fail(`${expected}, without a query`)
  const database = /^\/?$/.test(pathname) ? "0" : pathname.slice(1)
  if (!/^\d{1,5}$/.test(database)) return Result.fail(`${expected}; the path can only be the number of a database`)
  const user = decoded(username)
  const secret = decoded(password)
  if (Result.isFailure(user) || Result.isFailure(secret)) {
    return Result.fail(`${expected}; the password is percent-encoded: write % as %25`)
  }
  return Result.succeed({
    host: hostname.replace(/^\[(.*)\]$/, "$1"),
    port: port === "" ? 6379 : Number(port),
    isTls: protocol === "rediss:",
    database: Number(database),
    ...(user.success === "" ? {} : { username: user.success }),
    ...(secret.success === "" ? {} : { password: secret.success })
  })
}

/** Names the server without user and password. */
export const nameOf = ({ database, host, port }: Address): string =>
  `Redis at ${host.includes(":") ? `[${host}]` : host}:${port}${database === 0 ? "" : `/${database}`}`
