// The controls of the vault. Its script and its journal have the same shapes as those of IMS.
import * as Effect from "effect/Effect"
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { FakeKeyVault } from "../../../FakeKeyVault.ts"
import { isSecretName } from "../../vault/secrets.ts"
import * as inputs from "../inputs.ts"
import { asDone, Done, group, orAbsent } from "./declare.ts"
import { Conflict, NotFound, orNotFound } from "./errors.ts"
import { journalEndpoints, journalHandlers } from "./journal.ts"
import { scriptEndpoints, scriptHandlers } from "./script.ts"

const Facts = Schema.Struct({
  url: Schema.String,
  tenantId: Schema.String,
  clientId: Schema.String,
  clientSecret: Schema.String
}).annotate({ identifier: "Vault", description: "What a client needs to reach the vault." })

const Tags = Schema.Record(Schema.String, Schema.String)

const Version = Schema.Struct({
  id: Schema.String,
  enabled: Schema.Boolean,
  createdAt: Schema.DateTimeUtcFromString,
  contentType: orAbsent(Schema.String),
  expiresAt: orAbsent(Schema.DateTimeUtcFromString),
  notBefore: orAbsent(Schema.DateTimeUtcFromString),
  tags: Tags
}).annotate({ identifier: "SecretVersion", description: "A version of a secret, without its value." })

const params = {
  name: Schema.String.check(
    Schema.makeFilter((name) =>
      isSecretName(name) ? undefined : "Expected the name of a secret: 1 to 127 of 0-9, a-z, A-Z and -"
    )
  )
}

const Which = Schema.Struct({
  version: Schema.optionalKey(Schema.NonEmptyString.annotate({ description: "The newest version by default." }))
})

const secret = { params, success: Done, error: NotFound }

/** `setSecret` becomes `vaultSetSecret`, because the names of operations are unique in the document. */
const inVault = ({ operationId, ...operation }: Readonly<Record<string, unknown>>): Record<string, unknown> => {
  const name = String(operationId)
  return { ...operation, operationId: `vault${name.charAt(0).toUpperCase()}${name.slice(1)}` }
}

export const vault = group(
  "vault",
  "/__admin/vault",
  "The fake Key Vault.",
  HttpApiEndpoint.get("facts", "/", { success: Facts }).annotate(
    OpenApi.Summary,
    "Returns the vault's URL and tenant, and the app that can get a token for it"
  ),
  HttpApiEndpoint.post("reset", "/reset", { success: Done }).annotate(
    OpenApi.Summary,
    "Forgets secrets, denial, challenge, revocations, script and journal of the vault"
  ),
  HttpApiEndpoint.get("secrets", "/secrets", { success: Schema.Array(Schema.String) }).annotate(
    OpenApi.Summary,
    "Lists the names of the secrets"
  ),
  HttpApiEndpoint.put("setSecret", "/secrets/:name", {
    params,
    payload: Schema.Struct({
      value: Schema.String,
      contentType: Schema.optionalKey(Schema.String),
      expiresAt: Schema.optionalKey(Schema.DateTimeUtcFromString),
      notBefore: Schema.optionalKey(Schema.DateTimeUtcFromString),
      enabled: Schema.optionalKey(Schema.Boolean),
      tags: Schema.optionalKey(Tags)
    }),
    success: Schema.Struct({ version: Schema.String }).pipe(HttpApiSchema.status(201)),
    error: Conflict
  }).annotate(OpenApi.Summary, "Adds a version with this `value`, which is the newest from now on"),
  HttpApiEndpoint.delete("deleteSecret", "/secrets/:name", secret).annotate(
    OpenApi.Summary,
    "Deletes a secret with all its versions; it can be recovered"
  ),
  HttpApiEndpoint.get("versions", "/secrets/:name/versions", {
    params,
    success: Schema.Array(Version),
    error: NotFound
  }).annotate(OpenApi.Summary, "Lists the versions of a secret, oldest first, without values"),
  HttpApiEndpoint.post("disableVersion", "/secrets/:name/disable", { ...secret, payload: Which }).annotate(
    OpenApi.Summary,
    "Disables a `version`, or the newest one"
  ),
  HttpApiEndpoint.post("enableVersion", "/secrets/:name/enable", { ...secret, payload: Which }).annotate(
    OpenApi.Summary,
    "Enables a `version`, or the newest one"
  ),
  HttpApiEndpoint.post("recoverSecret", "/secrets/:name/recover", secret).annotate(
    OpenApi.Summary,
    "Recovers a deleted secret"
  ),
  HttpApiEndpoint.post("purgeSecret", "/secrets/:name/purge", secret).annotate(
    OpenApi.Summary,
    "Purges a deleted secret, so that its name is free"
  ),
  HttpApiEndpoint.post("deny", "/deny", {
    payload: Schema.Struct({
      reason: Schema.Literals(["ForbiddenByRbac", "ForbiddenByPolicy", "ForbiddenByFirewall"])
    }),
    success: Done
  }).annotate(OpenApi.Summary, "Refuses every operation with 403 and this `reason`"),
  HttpApiEndpoint.post("allow", "/allow", { success: Done }).annotate(OpenApi.Summary, "Ends `deny`"),
  HttpApiEndpoint.post("setChallenge", "/challenge", {
    payload: Schema.Struct({
      authorization: Schema.optionalKey(Schema.NonEmptyString),
      resource: Schema.optionalKey(Schema.NonEmptyString)
    }),
    success: Done
  }).annotate(OpenApi.Summary, "Changes what the challenge says: `authorization`, `resource`"),
  HttpApiEndpoint.post("issueToken", "/tokens", {
    payload: Schema.Struct({
      audience: Schema.optionalKey(Schema.String.annotate({ description: "The vault by default." })),
      tenantId: Schema.optionalKey(
        Schema.String.annotate({ description: "The tenant that the vault trusts by default." })
      ),
      claims: Schema.optionalKey(inputs.Claims)
    }),
    success: Schema.Struct({ token: Schema.String }).pipe(HttpApiSchema.status(201))
  }).annotate(OpenApi.Summary, "Issues a token as Entra ID does, by default one that the vault accepts"),
  HttpApiEndpoint.post("revokeTokens", "/tokens/revoke", { success: Done }).annotate(
    OpenApi.Summary,
    "Refuses the tokens that were issued so far"
  ),
  ...scriptEndpoints,
  ...journalEndpoints
).annotateEndpoints(OpenApi.Transform, inVault)

export const layer = (controls: FakeKeyVault["Service"]) =>
  HttpApiBuilder.group(HttpApi.make("fake-ims").add(vault), "vault", (handlers) =>
    handlers.handleAll({
      ...scriptHandlers(controls),
      ...journalHandlers(controls),
      facts: () =>
        Effect.succeed({
          url: controls.vaultUrl,
          tenantId: controls.tenantId,
          clientId: controls.clientId,
          clientSecret: Redacted.value(controls.clientSecret)
        }),
      reset: () => asDone(controls.reset),
      secrets: () => controls.secretNames,
      setSecret: ({ params, payload: { value, ...options } }) =>
        controls.setSecret(params.name, Redacted.make(value), options).pipe(
          orNotFound,
          Effect.mapBoth({
            // The name is valid, so the secret is deleted.
            onFailure: ({ message }) => new Conflict({ message }),
            onSuccess: (version) => ({ version })
          })
        ),
      deleteSecret: ({ params }) => controls.deleteSecret(params.name).pipe(orNotFound, asDone),
      versions: ({ params }) => orNotFound(controls.versions(params.name)),
      disableVersion: ({ params, payload }) =>
        controls.disableVersion(params.name, payload.version).pipe(orNotFound, asDone),
      enableVersion: ({ params, payload }) =>
        controls.enableVersion(params.name, payload.version).pipe(orNotFound, asDone),
      recoverSecret: ({ params }) => controls.recoverSecret(params.name).pipe(orNotFound, asDone),
      purgeSecret: ({ params }) => controls.purgeSecret(params.name).pipe(orNotFound, asDone),
      deny: ({ payload }) => asDone(controls.deny(payload.reason)),
      allow: () => asDone(controls.allow),
      setChallenge: ({ payload }) => asDone(controls.setChallenge(payload)),
      issueToken: ({ payload }) =>
        Effect.map(controls.issueToken(payload), (token) => ({ token: Redacted.value(token) })),
      revokeTokens: () => asDone(controls.revokeTokens)
    })
  )
