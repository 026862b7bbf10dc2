// What the admin API controls.
import type * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import type { FakeIms } from "../../../FakeIms.ts"
import type { FakeKeyVault } from "../../../FakeKeyVault.ts"
import type { AdjustableClock } from "../../engine/clock.ts"
import type { Journal } from "../../engine/journal.ts"

export interface Admin {
  /** The origin that serves it. */
  readonly url: string
  readonly ims: FakeIms["Service"]
  /** The journal of `ims`, for readers that follow it. */
  readonly journal: Journal
  /** The vault that is controlled too. */
  readonly vault: FakeKeyVault["Service"] | undefined
  /** The clock of both. */
  readonly clock: AdjustableClock
  /** What requests must bring as bearer token, if anything. */
  readonly token: Redacted.Redacted | undefined
  /** The names of the routes that were added over HTTP. */
  readonly added: Set<string>
  /** Sets the fake up again after a reset. */
  readonly onReset: Effect.Effect<void>
}
