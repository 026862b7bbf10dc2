import * as Schema from "effect/Schema"

/** The claims of the user. */
export const User = Schema.Struct({
  subject: Schema.String,
  email: Schema.optional(Schema.String),
  name: Schema.optional(Schema.String),
  givenName: Schema.optional(Schema.String),
  familyName: Schema.optional(Schema.String)
})
