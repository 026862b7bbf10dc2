// Scripts of faults: of IMS with the platform, and of the vault.
import type * as Effect from "effect/Effect"
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Schema from "effect/Schema"
import type { FakeIms } from "../../../FakeIms.ts"
import { Step } from "../../../Fault.ts"
import type { Admin } from "./admin.ts"
import { asDone, Done, group } from "./declare.ts"
import { Conflict, NotFound, orConflict, orNotFound } from "./errors.ts"

/** The endpoints for any fake. */
export const scriptEndpoints = [
  HttpApiEndpoint.post("script", "/script", {
    payload: Schema.Struct({
      route: Schema.String.annotate({ description: "For example `POST /connect/token`." }),
      steps: Schema.Array(Step.annotate({ identifier: "Step" }))
    }),
    success: Done,
    error: NotFound
  }).annotate(OpenApi.Summary, "Adds `steps` to the script of a `route`"),
  HttpApiEndpoint.delete("clearScripts", "/script", { success: Done }).annotate(
    OpenApi.Summary,
    "Drops the remaining steps of all scripts"
  ),
  HttpApiEndpoint.get("verify", "/verify", { success: Done, error: Conflict }).annotate(
    OpenApi.Summary,
    "Returns 200, or 409 with the steps that were never applied"
  )
] as const

type Controls = Pick<FakeIms["Service"], "script" | "clearScripts"> & {
  readonly verify: Effect.Effect<void, { readonly message: string }>
}

export const scriptHandlers = (controls: Controls) => ({
  script: ({
    payload: { route, steps }
  }: {
    readonly payload: { readonly route: string; readonly steps: ReadonlyArray<Step> }
  }) => controls.script(route, ...steps).pipe(orNotFound, asDone),
  clearScripts: () => asDone(controls.clearScripts),
  verify: () => controls.verify.pipe(orConflict, asDone)
})

export const script = group("script", "/__admin", "Faults by script.", ...scriptEndpoints)

export const layer = ({ ims }: Admin) =>
  HttpApiBuilder.group(HttpApi.make("fake-ims").add(script), "script", (handlers) =>
    handlers.handleAll(scriptHandlers(ims))
  )
