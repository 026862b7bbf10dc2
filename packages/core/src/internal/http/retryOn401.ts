// Tells whether another token may help after a 401 of an API.
import * as Effect from "effect/Effect"
import { readText } from "./readText.ts"
import type { Answer } from "./unauthenticated.ts"

/** Codes of a 401 for which another token does not help: no token was sent, or the API does not know the app. */
const incurable = /"(HeaderNotFound|UnknownClient)"/i

/** Returns whether another token may help, and the response with at most 256 KiB of its body still to be read. */
export const examine = (answer: Answer): Effect.Effect<{ readonly answer: Answer; readonly isCurable: boolean }> =>
  readText(answer).pipe(
    // The status is enough if the body stalls or breaks off, and the caller must not wait for it.
    Effect.timeout("5 seconds"),
    Effect.match({ onFailure: () => "", onSuccess: ({ text }) => text }),
    Effect.map((text) => ({ answer: answer.withBody(text), isCurable: !incurable.test(text) }))
  )
