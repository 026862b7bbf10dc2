// When a 401 of an API is worth another token.
import * as Effect from "effect/Effect"
import { readText } from "./readText.ts"
import type { Answer } from "./unauthenticated.ts"

/** Codes of a 401 that another token can't cure: none was sent, or the API does not know the app. */
const incurable = /"(HeaderNotFound|UnknownClient)"/i

/** Returns whether another token may help, and the answer with its body still to be read, at most 256 KiB of it. */
export const examine = (answer: Answer): Effect.Effect<{ readonly answer: Answer; readonly isCurable: boolean }> =>
  readText(answer).pipe(
    // A 401 whose body stalls or breaks off is a 401 all the same, and does not keep the caller waiting.
    Effect.timeout("5 seconds"),
    Effect.match({ onFailure: () => "", onSuccess: ({ text }) => text }),
    Effect.map((text) => ({ answer: answer.withBody(text), isCurable: !incurable.test(text) }))
  )
