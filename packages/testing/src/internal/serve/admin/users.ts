// The users, and what a person does on the pages of the fake.
import * as Effect from "effect/Effect"
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Schema from "effect/Schema"
import * as inputs from "../inputs.ts"
import type { Admin } from "./admin.ts"
import { asDone, Done, group } from "./declare.ts"
import { Conflict, NotFound, orConflict, orNotFound } from "./errors.ts"

const User = Schema.Struct({
  id: Schema.String,
  email: Schema.String,
  givenName: Schema.String,
  surname: Schema.String,
  displayName: Schema.String,
  alternateEmail: Schema.NullOr(Schema.String),
  phone: Schema.NullOr(Schema.String),
  organizationName: Schema.String,
  city: Schema.NullOr(Schema.String),
  country: Schema.NullOr(Schema.String),
  language: Schema.String
}).annotate({ identifier: "User" })

const params = { email: Schema.String }

export const users = group(
  "users",
  "/__admin",
  "The users, and what a person does on the pages of the fake.",
  HttpApiEndpoint.get("users", "/users", { success: Schema.Array(User) }).annotate(OpenApi.Summary, "Lists the users"),
  HttpApiEndpoint.post("addUser", "/users", {
    payload: inputs.User,
    success: User.pipe(HttpApiSchema.status(201))
  }).annotate(OpenApi.Summary, "Adds a user who can sign in, or replaces the one with the same `email`"),
  HttpApiEndpoint.delete("deleteUser", "/users/:email", { params, success: Done, error: NotFound }).annotate(
    OpenApi.Summary,
    "Deletes the user; all sign-ins of the user end"
  ),
  HttpApiEndpoint.post("revokeSignIns", "/users/:email/revoke-sign-ins", {
    params,
    success: Done,
    error: NotFound
  }).annotate(OpenApi.Summary, "Ends all sign-ins of the user: sessions, codes, refresh tokens and access tokens"),
  HttpApiEndpoint.post("signIn", "/authorize", {
    payload: Schema.Struct({
      url: Schema.NonEmptyString.annotate({ description: "The authorization request that a browser would open." }),
      email: Schema.optionalKey(Schema.NonEmptyString.annotate({ description: "The first user by default." })),
      deny: Schema.optionalKey(Schema.Boolean.annotate({ description: "Whether the user denies the request." }))
    }),
    success: Schema.Struct({
      location: Schema.String.annotate({ description: "Where the browser is sent, with `code` or with `error`." })
    }),
    error: Conflict
  }).annotate(
    OpenApi.Summary,
    "Signs a user in and consents, or denies (`deny`), as a person does on the pages at `url`; returns `location`"
  )
)

export const layer = ({ ims }: Admin) =>
  HttpApiBuilder.group(HttpApi.make("fake-ims").add(users), "users", (handlers) =>
    handlers.handleAll({
      users: () => ims.users,
      addUser: ({ payload }) => ims.addUser(payload),
      deleteUser: ({ params }) => ims.deleteUser(params.email).pipe(orNotFound, asDone),
      revokeSignIns: ({ params }) => ims.revokeSignIns(params.email).pipe(orNotFound, asDone),
      signIn: ({ payload: { url, ...options } }) =>
        ims.signIn(url, options).pipe(
          orConflict,
          Effect.map(({ href }) => ({ location: href }))
        )
    })
  )
