// Serves the Access Control API. The roles that a caller, user or app, has on an iTwin decide what the caller may do
// there. An iTwin that the caller was not added to does not exist for the caller.
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { json } from "../engine/answer.ts"
import type { Call, Response, Route } from "../engine/handler.ts"
import type { Method, Path } from "../engine/router.ts"
import { findUser } from "../ims/users.ts"
import { apiError } from "./apiError.ts"
import { onApi } from "./bearer.ts"
import { pageOf } from "./paging.ts"
import { addMember, findMember, type ITwin, type Member, type Platform, type Role } from "./state.ts"
import { callerOf, findApp } from "./users.ts"

/** Names the permission to add members. */
export const invitePermission = "administration_invite_member"

/** Names the permission to list roles. */
export const rolesPermission = "administration_manage_roles"

const rolesOf = (iTwin: ITwin, email: string): ReadonlyArray<Role> =>
  [...(findMember(iTwin, email)?.roleIds ?? [])].flatMap((id) => iTwin.roles.get(id) ?? [])

const permissionsOf = (iTwin: ITwin, email: string): ReadonlyArray<string> => [
  ...new Set(rolesOf(iTwin, email).flatMap((role) => role.permissions))
]

const memberView = (platform: Platform, iTwin: ITwin, { email, isRemoved }: Member) => {
  const app = findApp(platform, email)
  const user = findUser(platform.ims, email)
  const id = user?.id ?? app?.userId ?? null
  return isRemoved
    ? { id, email: null, givenName: null, surname: null, organization: null, roles: [] }
    : {
        id,
        email,
        givenName: user?.givenName ?? app?.name ?? "",
        surname: user?.surname ?? "",
        organization: user?.organizationName ?? "",
        roles: rolesOf(iTwin, email).map(({ id, displayName }) => ({ id, displayName }))
      }
}

interface Operation {
  readonly method: Method
  /** The path after that of the iTwin. */
  readonly path: Path
  /** What the caller must be permitted to do on the iTwin. */
  readonly permission?: string
}

/** Builds the route of an operation on one iTwin, for its members. */
const onITwin = (
  platform: Platform,
  { method, path, permission }: Operation,
  serve: (iTwin: ITwin, email: string, call: Call) => Response
): Route =>
  onApi(
    platform,
    {
      method,
      path: `/accesscontrol/itwins/:id${path}`,
      scopes: ["itwin-platform", "accesscontrol:read", "accesscontrol:modify"],
      version: 2
    },
    (caller, call) => {
      const { entry } = call
      const email = callerOf(caller)
      const iTwin = platform.iTwins.get(call.params.id ?? "")
      if (iTwin === undefined || findMember(iTwin, email) === undefined) {
        entry.explanation = iTwin === undefined ? "The iTwin does not exist." : `${email} is not a member of the iTwin.`
        return apiError(entry, 404, "iTwinNotFound", "Requested iTwin is not available.")
      }
      if (permission !== undefined && !permissionsOf(iTwin, email).includes(permission)) {
        entry.explanation = `${email} lacks the permission ${permission} on the iTwin.`
        return apiError(
          entry,
          403,
          "InsufficientPermissions",
          "The user has insufficient permissions for the requested operation."
        )
      }
      return serve(iTwin, email, call)
    }
  )

const permissions = (platform: Platform): Route =>
  onITwin(platform, { method: "GET", path: "/permissions" }, (iTwin, email, { entry }) =>
    json(entry, 200, { permissions: permissionsOf(iTwin, email) })
  )

const roles = (platform: Platform): Route =>
  onITwin(platform, { method: "GET", path: "/roles", permission: rolesPermission }, (iTwin, _email, { entry }) =>
    json(entry, 200, { roles: [...iTwin.roles.values()] })
  )

const members = (platform: Platform): Route =>
  onITwin(platform, { method: "GET", path: "/members/users" }, (iTwin, _email, call) => {
    // The links have the documented path, which is not that of this operation.
    const url = `${platform.apiBaseUrl}/accesscontrol/itwins/${iTwin.id}/members`
    const page = pageOf(call, [...iTwin.members.values()], url)
    return "refused" in page
      ? page.refused
      : json(call.entry, 200, {
          members: page.items.map((member) => memberView(platform, iTwin, member)),
          _links: page.links
        })
  })

const decodeMembers = Schema.decodeUnknownResult(
  Schema.fromJsonString(
    Schema.Struct({
      members: Schema.NonEmptyArray(
        Schema.Struct({ email: Schema.NonEmptyString, roleIds: Schema.NonEmptyArray(Schema.String) })
      )
    })
  )
)

const addMembers = (platform: Platform): Route =>
  onITwin(
    platform,
    { method: "POST", path: "/members/users", permission: invitePermission },
    (iTwin, _email, { body, entry }) => {
      const unprocessable = (code: string, message: string) =>
        apiError(entry, 422, "InvalidiTwinsMemberRequest", "Request body is invalid.", { details: [{ code, message }] })
      const decoded = decodeMembers(body)
      if (Result.isFailure(decoded)) {
        return unprocessable("InvalidRequestBody", "Each of members must have an email and at least one of roleIds.")
      }
      const { members } = decoded.success
      const unknown = members.flatMap(({ roleIds }) => roleIds).find((id) => !iTwin.roles.has(id))
      if (unknown !== undefined) return unprocessable("RoleNotFound", `The iTwin has no role ${unknown}.`)
      for (const { email, roleIds } of members) addMember(iTwin, email, roleIds)
      const isKnown = ({ email }: { readonly email: string }) =>
        findUser(platform.ims, email) !== undefined || findApp(platform, email) !== undefined
      const added = members.filter(isKnown).flatMap(({ email }) => findMember(iTwin, email) ?? [])
      const invited = members.filter((member) => !isKnown(member))
      return json(entry, 201, {
        members: added.length === 0 ? null : added.map((member) => memberView(platform, iTwin, member)),
        invitations: invited.length === 0 ? null : invited.map(({ email }) => ({ email, status: "Pending" }))
      })
    }
  )

export const accessControl = (platform: Platform): ReadonlyArray<Route> =>
  [permissions, roles, members, addMembers].map((route) => route(platform))
