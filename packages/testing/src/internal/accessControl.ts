// The Access Control API: what an app may do on an iTwin follows from the roles it was given there. An iTwin that it
// was not added to does not exist for it.
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { apiError, json } from "./answer.ts"
import { authenticated, type Params, type Response } from "./platformApi.ts"
import { type Application, credentialsOf, type Entry, hasIdentity, type ITwin, type State } from "./state.ts"

const scopes = ["itwin-platform", "accesscontrol:read", "accesscontrol:modify"]

/** The permission to add members. */
export const invitePermission = "administration_invite_member"

const rolesOf = (iTwin: ITwin, email: string) =>
  [...(iTwin.members.get(email) ?? [])].flatMap((id) => iTwin.roles.get(id) ?? [])

const permissionsOf = (iTwin: ITwin, email: string): ReadonlyArray<string> => [
  ...new Set(rolesOf(iTwin, email).flatMap((role) => role.permissions))
]

const appOf = (state: State, email: string): Application | undefined =>
  [...state.apps.values()].find((app) => credentialsOf(app).clientEmail === email && hasIdentity(state, app))

const memberOf = (state: State, iTwin: ITwin, email: string) => {
  const app = appOf(state, email)
  return {
    id: app?.userId ?? null,
    email,
    givenName: app?.name ?? "",
    surname: "",
    organization: "",
    roles: rolesOf(iTwin, email).map(({ id, displayName }) => ({ id, displayName }))
  }
}

/** A route of one iTwin, for those who were added to it. */
const onITwin = (
  state: State,
  handle: (
    iTwin: ITwin,
    email: string,
    entry: Entry,
    body: Effect.Effect<unknown>
  ) => Response | Effect.Effect<Response>
) =>
  authenticated(state, scopes, ({ app }, entry, params: Params, request) => {
    const iTwin = state.iTwins.get(params.id ?? "")
    const { clientEmail } = credentialsOf(app)
    return iTwin === undefined || !iTwin.members.has(clientEmail)
      ? apiError(entry, 404, "iTwinNotFound", "Requested iTwin is not available.")
      : handle(
          iTwin,
          clientEmail,
          entry,
          Effect.catch(request.json, () => Effect.succeed(undefined))
        )
  })

export const permissions = (state: State) =>
  onITwin(state, (iTwin, email, entry) => json(entry, 200, { permissions: permissionsOf(iTwin, email) }))

export const roles = (state: State) =>
  onITwin(state, (iTwin, _email, entry) => json(entry, 200, { roles: [...iTwin.roles.values()] }))

export const members = (state: State) =>
  onITwin(state, (iTwin, _email, entry) =>
    json(entry, 200, {
      members: [...iTwin.members.keys()].map((email) => memberOf(state, iTwin, email)),
      _links: { self: { href: `${state.apiBaseUrl}/accesscontrol/itwins/${iTwin.id}/members/users` } }
    })
  )

const decodeMembers = Schema.decodeUnknownEffect(
  Schema.Struct({
    members: Schema.NonEmptyArray(Schema.Struct({ email: Schema.String, roleIds: Schema.NonEmptyArray(Schema.String) }))
  })
)

export const addMembers = (state: State) =>
  onITwin(state, (iTwin, email, entry, body) => {
    if (!permissionsOf(iTwin, email).includes(invitePermission)) {
      return apiError(
        entry,
        403,
        "InsufficientPermissions",
        "The user has insufficient permissions for the requested operation."
      )
    }
    const unprocessable = (code: string, message: string) =>
      apiError(entry, 422, "InvalidiTwinsMemberRequest", "Request body is invalid.", [{ code, message }])
    return body.pipe(
      Effect.flatMap(decodeMembers),
      Effect.match({
        onFailure: () => unprocessable("InvalidRequestBody", "members must name an e-mail and its roleIds."),
        onSuccess: ({ members }) => {
          const unknown = members.flatMap(({ roleIds }) => roleIds).find((id) => !iTwin.roles.has(id))
          if (unknown !== undefined) return unprocessable("RoleNotFound", `The role ${unknown} is not of this iTwin.`)
          for (const { email, roleIds } of members) {
            iTwin.members.set(email, new Set([...(iTwin.members.get(email) ?? []), ...roleIds]))
          }
          const known = members.filter(({ email }) => appOf(state, email) !== undefined)
          const invited = members.filter(({ email }) => appOf(state, email) === undefined)
          return json(entry, 201, {
            members: known.length === 0 ? null : known.map(({ email }) => memberOf(state, iTwin, email)),
            invitations: invited.length === 0 ? null : invited.map(({ email }) => ({ email, status: "Pending" }))
          })
        }
      })
    )
  })
