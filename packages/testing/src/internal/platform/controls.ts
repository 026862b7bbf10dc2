// Builds the controls of the fake platform: iTwins with their roles and members, and the test's own routes.
import * as Effect from "effect/Effect"
import type { FakeIms } from "../../FakeIms.ts"
import { uuid } from "../engine/entropy.ts"
import { FakeError } from "../engine/fakeError.ts"
import type { Engine, Route } from "../engine/handler.ts"
import { nameOf } from "../engine/router.ts"
import { find } from "../ims/controls.ts"
import { ownRoute } from "./ownRoute.ts"
import { addMember, findMember, type ITwin, type Platform } from "./state.ts"

type Controls = Pick<
  FakeIms["Service"],
  | "iTwins"
  | "createITwin"
  | "deleteITwin"
  | "addRole"
  | "deleteRole"
  | "addMember"
  | "removeMember"
  | "addRoute"
  | "removeRoute"
  | "routes"
>

const iTwinView = ({ members, roles, ...facts }: ITwin) => ({
  ...facts,
  roles: [...roles.values()],
  members: [...members.values()]
    .filter(({ isRemoved }) => !isRemoved)
    .map(({ email, roleIds }) => ({ email, roleIds: [...roleIds] }))
})

export const makePlatformControls = (engine: Engine, platform: Platform): Controls => {
  const { iTwins } = platform
  const { entropy } = platform.ims
  const findITwin = (id: string) => find(iTwins, "iTwin", id)
  /** The routes of the test's own, each with the route of the fake that it replaces. */
  const own = new Map<string, Route | undefined>()

  return {
    iTwins: Effect.sync(() => [...iTwins.values()].map(iTwinView)),
    createITwin: ({ displayName, id: given, number = null, subClass = "Project", type = null, ...rest }) =>
      Effect.sync(() => {
        const id = given ?? uuid(entropy)
        const facts = { id, class: rest.class ?? "Endeavor", subClass, type, number, displayName }
        iTwins.set(id, { ...facts, roles: new Map(), members: new Map() })
        return { id }
      }),
    deleteITwin: (id) => Effect.sync(() => void iTwins.delete(findITwin(id).id)),
    addRole: (iTwinId, { displayName, description = "", permissions }) =>
      Effect.sync(() => {
        const id = uuid(entropy)
        findITwin(iTwinId).roles.set(id, { id, displayName, description, permissions })
        return { id }
      }),
    deleteRole: (iTwinId, roleId) =>
      Effect.sync(() => {
        const { members, roles } = findITwin(iTwinId)
        roles.delete(find(roles, "role", roleId).id)
        for (const { roleIds } of members.values()) roleIds.delete(roleId)
      }),
    addMember: (iTwinId, { email, roleIds = [] }) =>
      Effect.sync(() => {
        const iTwin = findITwin(iTwinId)
        for (const id of roleIds) find(iTwin.roles, "role", id)
        addMember(iTwin, email, roleIds)
      }),
    removeMember: (iTwinId, email) =>
      Effect.sync(() => {
        const member = findMember(findITwin(iTwinId), email)
        if (member === undefined) throw new FakeError({ message: `The iTwin ${iTwinId} has no member ${email}` })
        member.isRemoved = true
      }),
    addRoute: (method, path, handler, options) =>
      Effect.sync(() => {
        const scopes = options?.scopes ?? ["itwin-platform"]
        const route = ownRoute(platform, { method, path, scopes }, handler)
        const replaced = engine.add(route)
        if (!own.has(nameOf(route))) own.set(nameOf(route), replaced)
      }),
    removeRoute: (name) =>
      Effect.sync(() => {
        if (!own.has(name)) {
          const names = own.size === 0 ? "none" : [...own.keys()].join(", ")
          throw new RangeError(`The test added no route ${JSON.stringify(name)}. Its routes: ${names}.`)
        }
        const replaced = own.get(name)
        own.delete(name)
        engine.remove(name)
        if (replaced !== undefined) engine.add(replaced)
      }),
    routes: Effect.sync(() => engine.routes().map((name) => ({ name, own: own.has(name) })))
  }
}
