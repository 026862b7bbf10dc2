/**
 * Calls the Access Control API of the platform, version 2: what the app may do on an iTwin, and who its members are.
 *
 * A call needs the scope of the token **and** a role with the permission on the iTwin. {@link permissions} needs no
 * permission, so that an app can check itself.
 *
 * **Gotchas**
 *
 * An iTwin id may contain only letters, digits, `-` and `_`. With any other, nothing is sent, and the call fails with an
 * `HttpClientError` that has the reason `InvalidUrlError`.
 *
 * **Example** (Checking what the app may do)
 *
 * ```ts test
 * import { assert, it } from "@effect/vitest"
 * import { AccessControl, ITwin, SecretProvider } from "@effect-itwin/core"
 * import { FakeIms } from "@effect-itwin/testing"
 * import { Effect, Layer } from "effect"
 *
 * it.effect("returns the permissions of the app", () =>
 *   Effect.gen(function* () {
 *     const fake = yield* FakeIms.FakeIms
 *     const { clientEmail } = yield* (yield* SecretProvider.SecretProvider).credentials
 *     const iTwin = yield* fake.createITwin({ displayName: "Bridge" })
 *     const role = yield* fake.addRole(iTwin.id, { displayName: "Reader", permissions: ["imodels_read"] })
 *     yield* fake.addMember(iTwin.id, { email: clientEmail, roleIds: [role.id] })
 *     assert.deepStrictEqual(yield* AccessControl.permissions(iTwin.id), ["imodels_read"])
 *   }).pipe(Effect.provide(ITwin.layer.pipe(Layer.provideMerge(FakeIms.layerTest()))))
 * )
 * ```
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { ITwinApiError } from "./ITwinApiError.ts"
import type { ITwinHttpClient } from "./ITwinHttpClient.ts"
import { callApi } from "./internal/http/callApi.ts"
import { Links, pages } from "./internal/http/pages.ts"
import { optionalField } from "./internal/optionalField.ts"
import type { TokenError } from "./TokenError.ts"

/**
 * Describes a role of an iTwin. As a part of a {@link Member} it has no permissions.
 *
 * @category models
 * @since 0.1.0
 */
export class Role extends Schema.Class<Role>("@effect-itwin/core/AccessControl/Role")({
  id: Schema.String,
  displayName: optionalField(Schema.String),
  description: optionalField(Schema.String),
  permissions: optionalField(Schema.Array(Schema.String))
}) {}

/**
 * Describes a member of an iTwin. A member that was removed from the platform has no e-mail.
 *
 * @category models
 * @since 0.1.0
 */
export class Member extends Schema.Class<Member>("@effect-itwin/core/AccessControl/Member")({
  id: Schema.String,
  email: optionalField(Schema.String),
  givenName: optionalField(Schema.String),
  surname: optionalField(Schema.String),
  organization: optionalField(Schema.String),
  roles: optionalField(Schema.Array(Role))
}) {}

/**
 * Describes an invitation of somebody whom the platform does not know yet.
 *
 * @category models
 * @since 0.1.0
 */
export class Invitation extends Schema.Class<Invitation>("@effect-itwin/core/AccessControl/Invitation")({
  id: optionalField(Schema.String),
  email: optionalField(Schema.String),
  /** For example `Pending`. */
  status: optionalField(Schema.String)
}) {}

/**
 * Contains what {@link addMember} caused: a member, or an invitation.
 *
 * @category models
 * @since 0.1.0
 */
export interface Added {
  readonly members: ReadonlyArray<Member>
  readonly invitations: ReadonlyArray<Invitation>
}

type Failure = ITwinApiError | TokenError | HttpClientError.HttpClientError

/** Builds a request about the iTwin. An id from outside could otherwise name another path, for example with `../`. */
const request = (
  method: "GET" | "POST",
  iTwinId: string,
  path: string
): Effect.Effect<HttpClientRequest.HttpClientRequest, HttpClientError.HttpClientError> => {
  const to = (id: string) => HttpClientRequest.make(method)(`/accesscontrol/itwins/${id}/${path}`)
  if (/^[\w-]+$/.test(iTwinId)) return Effect.succeed(to(iTwinId))
  const description = "the iTwin id is empty, or has characters other than letters, digits, - and _"
  const reason = new HttpClientError.InvalidUrlError({ request: to("invalid"), description })
  return Effect.fail(new HttpClientError.HttpClientError({ reason }))
}

const readPermissions = callApi(2, Schema.Struct({ permissions: Schema.NullOr(Schema.Array(Schema.String)) }))

/**
 * Returns what the app may do on the iTwin: `GET /accesscontrol/itwins/{id}/permissions`. Needs no permission.
 *
 * @category requests
 * @since 0.1.0
 */
export const permissions: (iTwinId: string) => Effect.Effect<ReadonlyArray<string>, Failure, ITwinHttpClient> =
  Effect.fn("AccessControl.permissions")(function* (iTwinId) {
    return (yield* readPermissions(yield* request("GET", iTwinId, "permissions"))).permissions ?? []
  })

const readRoles = callApi(2, Schema.Struct({ roles: Schema.NullOr(Schema.Array(Role)) }))

/**
 * Returns the roles of the iTwin with their permissions: `GET /accesscontrol/itwins/{id}/roles`. Needs the permission
 * `administration_manage_roles`.
 *
 * @category requests
 * @since 0.1.0
 */
export const roles: (iTwinId: string) => Effect.Effect<ReadonlyArray<Role>, Failure, ITwinHttpClient> = Effect.fn(
  "AccessControl.roles"
)(function* (iTwinId) {
  return (yield* readRoles(yield* request("GET", iTwinId, "roles"))).roles ?? []
})

const readMembers = callApi(2, Schema.Struct({ members: Schema.NullOr(Schema.Array(Member)), _links: Links }))

/**
 * Returns the members of the iTwin: `GET /accesscontrol/itwins/{id}/members/users`. Each page is requested when it is
 * needed. An invalid option is a defect, a `RangeError`, when the stream runs.
 *
 * @category requests
 * @since 0.1.0
 */
export const members = (
  iTwinId: string,
  options: {
    /** How many members one request returns (`$top`); 100 by default. */
    readonly pageSize?: number | undefined
  } = {}
): Stream.Stream<Member, Failure, ITwinHttpClient> =>
  Stream.unwrap(
    Effect.map(request("GET", iTwinId, "members/users"), (first) =>
      pages("AccessControl.members", options.pageSize, first, (page) =>
        Effect.map(readMembers(page), ({ _links, members }) => ({ items: members, links: _links }))
      )
    )
  )

const readAdded = callApi(
  2,
  Schema.Struct({
    members: optionalField(Schema.Array(Member)),
    invitations: optionalField(Schema.Array(Invitation))
  })
)

/**
 * Adds a member with roles to the iTwin: `POST /accesscontrol/itwins/{id}/members/users`. Needs the permission
 * `administration_invite_member`. Somebody whom the platform does not know gets an invitation.
 *
 * @category requests
 * @since 0.1.0
 */
export const addMember: (
  iTwinId: string,
  member: {
    /** The e-mail of a person, or of a service app: `ClientCredentials.clientEmail`. */
    readonly email: string
    readonly roleIds: ReadonlyArray<string>
  }
) => Effect.Effect<Added, Failure, ITwinHttpClient> = Effect.fn("AccessControl.addMember")(function* (
  iTwinId,
  { email, roleIds }
) {
  const post = yield* request("POST", iTwinId, "members/users")
  const body = { members: [{ email, roleIds }] }
  const { invitations = [], members = [] } = yield* readAdded(HttpClientRequest.bodyJsonUnsafe(post, body))
  return { members, invitations }
})
