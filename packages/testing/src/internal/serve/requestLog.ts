// Logs each request in one line, for the command.
import type { IncomingMessage, ServerResponse } from "node:http"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { Observed, type Seen } from "../engine/observed.ts"
import { isOwnPath } from "./ownPaths.ts"

/** Switches the request log: requests to the fake have the level Info, those to its own endpoints Debug. */
export const RequestLog = Context.Reference<boolean>("@effect-itwin/testing/serve/RequestLog", {
  defaultValue: () => false
})

const longest = 200

/** Returns the path without the query, which may contain a secret. */
const pathOf = ({ url = "" }: IncomingMessage): string => url.split("?")[0] ?? ""

const cut = (path: string): string => (path.length > longest ? `${path.slice(0, longest)}…` : path)

/** Logs the request when its exchange ends: answered, broken, or left by the client. */
export const logged =
  (request: IncomingMessage, response: ServerResponse) =>
  <E>(exchange: Effect.Effect<void, E>): Effect.Effect<void, E> =>
    Effect.flatMap(RequestLog, (enabled) => {
      if (!enabled) return exchange
      const started = Clock.Clock.defaultValue().currentTimeMillisUnsafe()
      const observed: { entry: Seen | undefined } = { entry: undefined }
      const line = Effect.suspend(() => {
        const took = Clock.Clock.defaultValue().currentTimeMillisUnsafe() - started
        // The journal's path is without secrets.
        const { clientId, fault, outcome, path = pathOf(request) } = observed.entry ?? {}
        const what = outcome === "fault" ? `fault: ${fault}` : outcome
        const status = response.headersSent ? response.statusCode : "-"
        const parts = [request.method, cut(path), status, what ?? "-", clientId ?? "-", `${took} ms`]
        const write = isOwnPath(path) ? Effect.logDebug : Effect.logInfo
        return write(parts.join(" "))
      })
      return Effect.ensuring(Effect.provideService(exchange, Observed, observed), line)
    })
