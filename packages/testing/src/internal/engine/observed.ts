// Carries a request's journal entry to the log of the server that received the request.
import * as Context from "effect/Context"
import type { Entry } from "../../Journal.ts"

/** Describes what the log says about a request in addition to what the server knows. */
export type Seen = Pick<Entry, "path" | "clientId" | "outcome" | "fault" | "explanation">

/** Holds the place where the engine puts the journal's entry of the request, if a server waits for it. */
export const Observed = Context.Reference<{ entry: Seen | undefined } | undefined>(
  "@effect-itwin/testing/engine/Observed",
  { defaultValue: () => undefined }
)
