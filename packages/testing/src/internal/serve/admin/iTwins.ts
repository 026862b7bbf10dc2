// iTwins, with their roles and members.
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
import { Conflict, NotFound, orNotFound } from "./errors.ts"

const Role = Schema.Struct({
  id: Schema.String,
  displayName: Schema.String,
  description: Schema.String,
  permissions: Schema.Array(Schema.String)
}).annotate({ identifier: "Role" })

const Member = Schema.Struct({
  email: Schema.String,
  roleIds: Schema.Array(Schema.String)
}).annotate({ identifier: "Member" })

const ITwin = Schema.Struct({
  id: Schema.String,
  displayName: Schema.String,
  class: Schema.String,
  subClass: Schema.String,
  type: Schema.NullOr(Schema.String),
  number: Schema.NullOr(Schema.String),
  roles: Schema.Array(Role),
  members: Schema.Array(Member)
}).annotate({ identifier: "ITwin" })

const params = { iTwinId: Schema.String }

export const iTwins = group(
  "itwins",
  "/__admin/itwins",
  "iTwins, with their roles and members.",
  HttpApiEndpoint.get("iTwins", "/", { success: Schema.Array(ITwin) }).annotate(
    OpenApi.Summary,
    "Lists the iTwins with their roles and members"
  ),
  HttpApiEndpoint.post("createITwin", "/", {
    payload: Schema.Struct(inputs.iTwinFields),
    success: ITwin.pipe(HttpApiSchema.status(201)),
    error: Conflict
  }).annotate(OpenApi.Summary, "Creates an iTwin without members"),
  HttpApiEndpoint.get("iTwin", "/:iTwinId", { params, success: ITwin, error: NotFound }).annotate(
    OpenApi.Summary,
    "Describes an iTwin"
  ),
  HttpApiEndpoint.delete("deleteITwin", "/:iTwinId", { params, success: Done, error: NotFound }).annotate(
    OpenApi.Summary,
    "Deletes the iTwin with its roles and members"
  ),
  HttpApiEndpoint.get("roles", "/:iTwinId/roles", { params, success: Schema.Array(Role), error: NotFound }).annotate(
    OpenApi.Summary,
    "Lists the roles of an iTwin"
  ),
  HttpApiEndpoint.post("addRole", "/:iTwinId/roles", {
    params,
    payload: inputs.Role,
    success: Schema.Struct({ id: Schema.String }).pipe(HttpApiSchema.status(201)),
    error: NotFound
  }).annotate(OpenApi.Summary, "Creates a role on the iTwin"),
  HttpApiEndpoint.delete("deleteRole", "/:iTwinId/roles/:roleId", {
    params: { ...params, roleId: Schema.String },
    success: Done,
    error: NotFound
  }).annotate(OpenApi.Summary, "Deletes the role, and takes it from its members"),
  HttpApiEndpoint.get("members", "/:iTwinId/members", {
    params,
    success: Schema.Array(Member),
    error: NotFound
  }).annotate(OpenApi.Summary, "Lists the members of an iTwin"),
  HttpApiEndpoint.post("addMember", "/:iTwinId/members", {
    params,
    payload: Schema.Struct({
      email: Schema.NonEmptyString.annotate({ description: "For an app: its `clientEmail`." }),
      roleIds: Schema.optionalKey(Schema.Array(Schema.String))
    }),
    success: Member.pipe(HttpApiSchema.status(201)),
    error: NotFound
  }).annotate(OpenApi.Summary, "Adds a member by `email`, with `roleIds` of the iTwin"),
  HttpApiEndpoint.delete("removeMember", "/:iTwinId/members/:email", {
    params: { ...params, email: Schema.String },
    success: Done,
    error: NotFound
  }).annotate(OpenApi.Summary, "Removes the member; lists of members show it without its e-mail")
)

export const layer = ({ ims }: Admin) => {
  const find = (id: string) =>
    Effect.flatMap(ims.iTwins, (iTwins) => {
      const found = iTwins.find((iTwin) => iTwin.id === id)
      return found === undefined
        ? Effect.fail(new NotFound({ message: `The fake has no iTwin ${id}` }))
        : Effect.succeed(found)
    })

  return HttpApiBuilder.group(HttpApi.make("fake-ims").add(iTwins), "itwins", (handlers) =>
    handlers.handleAll({
      iTwins: () => ims.iTwins,
      createITwin: Effect.fnUntraced(function* ({ payload }) {
        if ((yield* ims.iTwins).some(({ id }) => id === payload.id)) {
          return yield* new Conflict({ message: `id: The fake has an iTwin ${payload.id} already` })
        }
        const { id } = yield* ims.createITwin(payload)
        return yield* Effect.orDie(find(id))
      }),
      iTwin: ({ params }) => find(params.iTwinId),
      deleteITwin: ({ params }) => ims.deleteITwin(params.iTwinId).pipe(orNotFound, asDone),
      roles: ({ params }) => Effect.map(find(params.iTwinId), ({ roles }) => roles),
      addRole: ({ params, payload }) => orNotFound(ims.addRole(params.iTwinId, payload)),
      deleteRole: ({ params }) => ims.deleteRole(params.iTwinId, params.roleId).pipe(orNotFound, asDone),
      members: ({ params }) => Effect.map(find(params.iTwinId), ({ members }) => members),
      addMember: Effect.fnUntraced(function* ({ params, payload }) {
        yield* orNotFound(ims.addMember(params.iTwinId, payload))
        const { members } = yield* find(params.iTwinId)
        return members.find(({ email }) => email === payload.email) ?? { email: payload.email, roleIds: [] }
      }),
      removeMember: ({ params }) => ims.removeMember(params.iTwinId, params.email).pipe(orNotFound, asDone)
    })
  )
}
