// What apps, iTwins and the profile are described with in JSON: by the file of `--config`, and over `/__admin`.
import * as Duration from "effect/Duration"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"
import * as FakeIms from "../../FakeIms.ts"
import { appTypes } from "../ims/appTypes.ts"

/** At most 10 years. */
export const Seconds = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 315_576_000 }))

/** At most 10 years. */
export const Millis = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 315_576_000_000 }))

/** RFC 6749 §3.3 */
export const Scope = Schema.String.check(
  Schema.isPattern(/^[\x21\x23-\x5b\x5d-\x7e]+$/, {
    expected: "a scope: printable ASCII without spaces, quotes and \\"
  })
)

export const Claims = Schema.Record(Schema.String, Schema.Json)

export const AppType = Schema.Literals(appTypes)

/** What an app is registered with. */
export const App = Schema.Struct({
  name: FakeIms.AppName,
  type: Schema.optionalKey(AppType.annotate({ description: "`service` by default." })),
  redirectUris: Schema.optionalKey(
    Schema.Array(Schema.String).annotate({
      description: "Where users may be sent after they signed in; required except for a service app."
    })
  ),
  postLogoutRedirectUris: Schema.optionalKey(
    Schema.Array(Schema.String).annotate({ description: "Where users may be sent after they signed out." })
  ),
  scopes: Schema.optionalKey(
    Schema.Array(Scope).annotate({
      description: 'The scopes that it may request; ["itwin-platform"] by default, and more if users sign in to it.'
    })
  ),
  tokenLife: Schema.optionalKey(Seconds.annotate({ description: "The life of its tokens, in seconds." })),
  claims: Schema.optionalKey(
    Claims.annotate({ description: "Claims of its tokens, in addition to the platform's or instead of them." })
  ),
  response: Schema.optionalKey(
    Schema.Struct({
      set: Schema.optionalKey(Claims),
      omit: Schema.optionalKey(Schema.Array(Schema.String))
    }).annotate({ description: "Fields of its token responses to set or to leave out." })
  ),
  identityDelayMillis: Schema.optionalKey(
    Millis.annotate({
      description: "How long after registration the platform knows the app's identity; 0 by default."
    })
  ),
  clientId: Schema.optionalKey(Schema.NonEmptyString.annotate({ description: "A given client id." })),
  clientSecret: Schema.optionalKey(FakeIms.FakeSecret)
})

export const toRegistration = (app: typeof App.Type): FakeIms.Registration => ({
  name: app.name,
  type: app.type,
  redirectUris: app.redirectUris,
  postLogoutRedirectUris: app.postLogoutRedirectUris,
  scopes: app.scopes,
  claims: app.claims,
  response: app.response,
  clientId: app.clientId,
  tokenLife: app.tokenLife === undefined ? undefined : Duration.seconds(app.tokenLife),
  identityDelay: app.identityDelayMillis,
  clientSecret: app.clientSecret === undefined ? undefined : Redacted.make(app.clientSecret)
})

const text = (description: string) => Schema.optionalKey(Schema.NonEmptyString.annotate({ description }))

const Text = Schema.optionalKey(Schema.String)
const NullableText = Schema.optionalKey(Schema.NullOr(Schema.String))

/** What a user is added with. */
export const User = Schema.Struct({
  email: Schema.String.check(Schema.isPattern(/^[^\s@]+@[^\s@]+$/, { expected: "an e-mail" })),
  id: text("A given id."),
  givenName: Text,
  surname: Text,
  displayName: Text,
  alternateEmail: NullableText,
  phone: NullableText,
  organizationName: Text,
  city: NullableText,
  country: NullableText,
  language: Text
})

/** What an iTwin is created with; its roles and members come afterwards. */
export const iTwinFields = {
  displayName: Schema.NonEmptyString,
  id: text("A given id."),
  class: text("`Endeavor` by default."),
  subClass: text("`Project` by default."),
  type: Schema.optionalKey(Schema.NullOr(Schema.String)),
  number: Schema.optionalKey(Schema.NullOr(Schema.String))
}

export const Role = Schema.Struct({
  displayName: Schema.NonEmptyString,
  description: Schema.optionalKey(Schema.String),
  permissions: Schema.Array(Schema.NonEmptyString)
})

export const Profile = Schema.Struct({
  invalidClientStatus: Schema.Literals([400, 401]),
  basicChallenge: Schema.Boolean,
  clientSecretBasic: Schema.Boolean,
  basicEncoding: Schema.Literals(["form", "raw", "either"]),
  scopeClaim: Schema.Literals(["array", "string"]),
  scopeInResponse: Schema.Boolean,
  refusedScopes: Schema.Array(Scope),
  tokenLifeSeconds: Seconds,
  codeLifeSeconds: Seconds,
  refreshTokenLifeSeconds: Seconds,
  refreshTokenRotation: Schema.Boolean,
  refreshTokenGraceSeconds: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 315_576_000 })),
  signIn: Schema.Literals(["page", "auto"])
})

/** Some switches of the profile. */
export const ProfileChanges = Profile.mapFields((fields) => Struct.map(fields, Schema.optionalKey))
