// The reference to the shared store, alone in a module: a program without a store carries nothing else of it.
import * as Context from "effect/Context"
import type { Shared } from "../../TokenStore.ts"

export const TokenStore: Context.Reference<Shared | undefined> = Context.Reference<Shared | undefined>(
  "@effect-itwin/core/TokenStore",
  { defaultValue: () => undefined }
)
