// Sign-ins in progress. Each one is a sealed cookie of its own, so that two windows can sign in at the same time. The
// name of the cookie is part of what is sealed, and is made from the state: the answer of one sign-in finds no other.
import * as AuthorizationCode from "@effect-itwin/core/AuthorizationCode"
import type { SealedText } from "@effect-itwin/core/SealedText"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Base64Url from "effect/encoding/Base64Url"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { removeCookie, setCookie, transactionPrefix } from "./cookies.ts"

/** How long a person may take to sign in. */
const life = AuthorizationCode.timeLimit

/** The number of sign-ins in progress that a browser keeps, so that the header `Cookie` stays within usual limits. */
const maxPending = 4

export class Pending extends Schema.Class<Pending>("@effect-itwin/sign-in/internal/Pending")({
  transaction: AuthorizationCode.Transaction,
  returnTo: Schema.String
}) {}

const PendingJson = Schema.fromJsonString(Schema.toCodecJson(Pending))
const encode = Schema.encodeEffect(PendingJson)
const decode = Schema.decodeEffect(PendingJson)

type Change = (response: HttpServerResponse.HttpServerResponse) => HttpServerResponse.HttpServerResponse

/** The name does not contain the state, because names of cookies are shown in more places than values. */
const nameOf = (state: string): Effect.Effect<string> =>
  Effect.map(
    Effect.promise(() => globalThis.crypto.subtle.digest("SHA-256", new TextEncoder().encode(state))),
    (digest) => transactionPrefix + Base64Url.encode(new Uint8Array(digest).subarray(0, 9))
  )

export const makePending = (sealed: SealedText) => {
  const open = (name: string, value: string): Effect.Effect<Option.Option<Pending>> =>
    sealed.open(value, name).pipe(
      Effect.flatMap((text) => (Option.isNone(text) ? Effect.succeedNone : Effect.option(decode(text.value)))),
      Effect.flatMap((pending) =>
        Effect.map(DateTime.now, (now) =>
          Option.filter(pending, ({ transaction: { startedAt } }) => {
            const age = DateTime.toEpochMillis(now) - DateTime.toEpochMillis(startedAt)
            // Below 0 if the replica that began it has a clock that is ahead.
            return age < Duration.toMillis(life)
          })
        )
      )
    )

  /** Returns the names of the cookies to remove, so that there is room for one more. */
  const surplus = Effect.fnUntraced(function* (cookies: ReadonlyMap<string, string>) {
    const remove: Array<string> = []
    const kept: Array<{ readonly name: string; readonly startedAt: number }> = []
    for (const [name, value] of cookies) {
      if (!name.startsWith(transactionPrefix)) continue
      const pending = yield* open(name, value)
      if (Option.isNone(pending)) remove.push(name)
      else kept.push({ name, startedAt: DateTime.toEpochMillis(pending.value.transaction.startedAt) })
    }
    kept.sort((a, b) => b.startedAt - a.startedAt)
    return [...remove, ...kept.slice(maxPending - 1).map(({ name }) => name)]
  })

  return {
    /** Returns what adds the cookie of a sign-in to the response, and removes those that are useless. */
    add: Effect.fnUntraced(function* (pending: Pending, cookies: ReadonlyMap<string, string>) {
      const name = yield* nameOf(Redacted.value(pending.transaction.state))
      const value = yield* sealed.seal(yield* Effect.orDie(encode(pending)), name)
      const names = yield* surplus(cookies)
      const change: Change = (response) =>
        names.reduce((response, name) => removeCookie(name)(response), setCookie(name, value, life)(response))
      return change
    }),
    /** Returns the sign-in that began with this state in this browser, and what removes its cookie. */
    find: Effect.fnUntraced(function* (state: string, cookies: ReadonlyMap<string, string>) {
      const name = yield* nameOf(state)
      const value = cookies.get(name)
      if (value === undefined) return Option.none()
      const remove: Change = removeCookie(name)
      return Option.map(yield* open(name, value), (pending) => ({ pending, remove }))
    })
  }
}
