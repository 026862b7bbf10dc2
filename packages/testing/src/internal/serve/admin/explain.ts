// What the library makes of a response: the error that a program would see.
import * as Effect from "effect/Effect"
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Schema from "effect/Schema"
import * as inputs from "../inputs.ts"
import type { Admin } from "./admin.ts"
import { group } from "./declare.ts"
import { NotFound } from "./errors.ts"

export const Received = Schema.Struct({
  from: Schema.Literals(["authorize", "token", "api"]).annotate({
    description: "Who sent the response: the authorization endpoint, the token endpoint, or `GET /users/me`."
  }),
  grant: Schema.Literals(["client_credentials", "authorization_code", "refresh_token"])
    .pipe(Schema.withDecodingDefaultKey(Effect.succeed("client_credentials" as const)))
    .annotate({ description: "The grant of a token request; `client_credentials` by default." }),
  clientId: Schema.String.annotate({ description: "The app that sent the request." }),
  scopes: Schema.NonEmptyArray(inputs.Scope).annotate({ description: "The scopes that were requested." }),
  status: Schema.Int.check(Schema.isBetween({ minimum: 200, maximum: 599 })),
  headers: Schema.Record(Schema.String, Schema.String),
  body: Schema.String
})

const Explained = Schema.Struct({
  error: Schema.String.annotate({
    description: "`TokenError`, `ITwinApiError` or `SignInError`; empty if the response is a success."
  }),
  reason: Schema.String,
  message: Schema.String
}).annotate({ identifier: "LibraryError" })

export const explain = group(
  "explain",
  "/__admin",
  "What the library makes of a response.",
  HttpApiEndpoint.post("explain", "/explain", { payload: Received, success: Explained, error: NotFound }).annotate(
    OpenApi.Summary,
    "Returns the error with which @effect-itwin/core fails when it receives this response"
  )
)

export const layer = ({ ims }: Admin) =>
  HttpApiBuilder.group(HttpApi.make("fake-ims").add(explain), "explain", (handlers) =>
    handlers.handle(
      "explain",
      Effect.fnUntraced(function* ({ payload }) {
        const app = (yield* ims.apps).find(({ credentials }) => credentials.clientId === payload.clientId)
        if (app === undefined) return yield* new NotFound({ message: `The fake has no app ${payload.clientId}` })
        // Loaded with the first request, because no other request needs the library's client.
        const { explainResponse } = yield* Effect.promise(() => import("../page/libraryError.ts"))
        return yield* explainResponse(ims.environment, app.credentials, payload)
      })
    )
  )
