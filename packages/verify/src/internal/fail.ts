import * as Effect from "effect/Effect"
import { VerificationError, type VerificationErrorReason } from "../VerificationError.ts"

/** Fails with the reason, inside of the one error. */
export const fail = (reason: VerificationErrorReason): Effect.Effect<never, VerificationError> =>
  Effect.fail(new VerificationError({ reason }))
