// Everything as it was at the start.
import * as Effect from "effect/Effect"
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Schema from "effect/Schema"
import type { Admin } from "./admin.ts"
import { App, viewOf } from "./apps.ts"
import { group } from "./declare.ts"

export const reset = group(
  "reset",
  "/__admin",
  "Everything as it was at the start.",
  HttpApiEndpoint.post("reset", "/reset", { success: Schema.Struct({ apps: Schema.Array(App) }) }).annotate(
    OpenApi.Summary,
    "Restores apps, users, secrets, iTwins, script, profile and time of the start; tokens, journal and added routes are gone"
  )
)

export const layer = ({ added, clock, ims, onReset }: Admin) =>
  HttpApiBuilder.group(HttpApi.make("fake-ims").add(reset), "reset", (handlers) =>
    handlers.handleAll({
      reset: Effect.fnUntraced(function* () {
        clock.reset()
        // The program may have removed some of them itself.
        for (const { name, own } of yield* ims.routes) if (own && added.has(name)) yield* ims.removeRoute(name)
        added.clear()
        yield* ims.reset
        yield* onReset
        return { apps: (yield* ims.apps).map(viewOf) }
      })
    })
  )
