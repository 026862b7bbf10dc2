// Apps and their secrets.
import * as Effect from "effect/Effect"
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as FakeIms from "../../../FakeIms.ts"
import { explain } from "../../engine/explain.ts"
import * as inputs from "../inputs.ts"
import type { Admin } from "./admin.ts"
import { asDone, Done, group } from "./declare.ts"
import { BadRequest, Conflict, NotFound, orNotFound } from "./errors.ts"

export const App = Schema.Struct({
  name: Schema.String,
  type: inputs.AppType,
  clientId: Schema.String,
  clientSecret: Schema.optionalKey(
    Schema.String.annotate({ description: "The newest secret; absent for native and single-page apps." })
  ),
  clientEmail: Schema.optionalKey(
    Schema.String.annotate({ description: "The e-mail by which a service app becomes a member of an iTwin." })
  ),
  scopes: Schema.Array(Schema.String),
  redirectUris: Schema.Array(Schema.String),
  postLogoutRedirectUris: Schema.Array(Schema.String),
  enabled: Schema.Boolean
}).annotate({ identifier: "App" })

const credentialsOf = ({ credentials, type }: FakeIms.App | FakeIms.PublicApp) => ({
  clientId: credentials.clientId,
  ...("clientSecret" in credentials ? { clientSecret: Redacted.value(credentials.clientSecret) } : {}),
  ...("clientEmail" in credentials && type === "service" ? { clientEmail: credentials.clientEmail } : {})
})

export const viewOf = (app: FakeIms.App | FakeIms.PublicApp): typeof App.Type => ({
  name: app.name,
  type: app.type,
  ...credentialsOf(app),
  scopes: [...app.scopes],
  redirectUris: app.redirectUris,
  postLogoutRedirectUris: app.postLogoutRedirectUris,
  enabled: app.enabled
})

const params = { clientId: Schema.String }

const Revocation = Schema.Struct({
  secret: Schema.optionalKey(Schema.NonEmptyString.annotate({ description: "The value of the secret." })),
  version: Schema.optionalKey(
    Schema.Int.annotate({ description: "The number of the secret, from 1 in the order of creation." })
  )
}).check(
  Schema.makeFilter(({ secret, version }) =>
    (secret === undefined) === (version === undefined) ? "Expected either secret or version" : undefined
  )
)

export const apps = group(
  "apps",
  "/__admin/apps",
  "Apps of all types, and their secrets.",
  HttpApiEndpoint.get("apps", "/", { success: Schema.Array(App) }).annotate(OpenApi.Summary, "Lists the apps"),
  HttpApiEndpoint.post("registerApp", "/", {
    payload: inputs.App,
    success: App.pipe(HttpApiSchema.status(201)),
    error: Conflict
  }).annotate(OpenApi.Summary, "Registers an app, as in the file"),
  HttpApiEndpoint.get("app", "/:clientId", { params, success: App, error: NotFound }).annotate(
    OpenApi.Summary,
    "Describes an app"
  ),
  HttpApiEndpoint.delete("deleteApp", "/:clientId", { params, success: Done, error: NotFound }).annotate(
    OpenApi.Summary,
    "Deletes the app"
  ),
  HttpApiEndpoint.post("regenerateSecret", "/:clientId/secret", {
    params,
    payload: Schema.Struct({
      overlapMillis: Schema.optionalKey(
        inputs.Millis.annotate({ description: "How long the older secrets stay valid; 0 by default." })
      )
    }),
    success: App,
    error: NotFound
  }).annotate(OpenApi.Summary, "Gives the app a new secret; the older ones end at once, or after `overlapMillis`"),
  HttpApiEndpoint.post("revokeSecret", "/:clientId/secret/revoke", {
    params,
    payload: Revocation,
    success: Done,
    error: NotFound
  }).annotate(OpenApi.Summary, "Rejects a secret of the app from now on: `secret` or `version`"),
  HttpApiEndpoint.post("disableApp", "/:clientId/disable", { params, success: Done, error: NotFound }).annotate(
    OpenApi.Summary,
    "Rejects the app and its tokens"
  ),
  HttpApiEndpoint.post("enableApp", "/:clientId/enable", { params, success: Done, error: NotFound }).annotate(
    OpenApi.Summary,
    "Ends `disable`"
  ),
  HttpApiEndpoint.post("revokeAllTokens", "/:clientId/revoke-tokens", {
    params,
    success: Done,
    error: NotFound
  }).annotate(OpenApi.Summary, "Rejects all access tokens that were issued to the app so far")
)

export const layer = ({ ims }: Admin) => {
  const find = (clientId: string) =>
    Effect.flatMap(ims.apps, (apps) => {
      const app = apps.find(({ credentials }) => credentials.clientId === clientId)
      return app === undefined
        ? Effect.fail(new NotFound({ message: `The fake has no app ${clientId}` }))
        : Effect.succeed(app)
    })
  const isTaken = (clientId: string | undefined) =>
    Effect.map(ims.apps, (apps) => apps.some(({ credentials }) => credentials.clientId === clientId))

  return HttpApiBuilder.group(HttpApi.make("fake-ims").add(apps), "apps", (handlers) =>
    handlers.handleAll({
      apps: () => Effect.map(ims.apps, (apps) => apps.map(viewOf)),
      registerApp: Effect.fnUntraced(function* ({ payload }) {
        if (yield* isTaken(payload.clientId)) {
          return yield* new Conflict({ message: `clientId: The fake has an app ${payload.clientId} already` })
        }
        const registered = ims.registerApp(inputs.toRegistration(payload))
        return viewOf(yield* Effect.mapError(registered, (error) => new BadRequest({ message: explain(error) })))
      }),
      app: ({ params }) => Effect.map(find(params.clientId), viewOf),
      deleteApp: ({ params }) => ims.deleteApp(params.clientId).pipe(orNotFound, asDone),
      regenerateSecret: ({ params, payload }) =>
        ims.regenerateSecret(params.clientId, { overlap: payload.overlapMillis }).pipe(orNotFound, Effect.map(viewOf)),
      revokeSecret: ({ params, payload: { secret, version = 0 } }) =>
        ims
          .revokeSecret(params.clientId, secret === undefined ? version : Redacted.make(secret))
          .pipe(orNotFound, asDone),
      disableApp: ({ params }) => ims.disableApp(params.clientId).pipe(orNotFound, asDone),
      enableApp: ({ params }) => ims.enableApp(params.clientId).pipe(orNotFound, asDone),
      revokeAllTokens: ({ params }) => ims.revokeAllTokens(params.clientId).pipe(orNotFound, asDone)
    })
  )
}
