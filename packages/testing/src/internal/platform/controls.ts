// Builds the controls of the fake platform: iTwins with their roles and members, and the test's own routes.
import * as Effect from "effect/Effect"
import type { FakeIms } from "../../FakeIms.ts"
import { uuid } from "../engine/entropy.ts"
import { FakeError } from "../engine/fakeError.ts"
import type { Engine } from "../engine/handler.ts"
import { find } from "../ims/controls.ts"
import { ownRoute } from "./ownRoute.ts"
import { addMember, findMember, type Platform } from "./state.ts"

type Controls = Pick<FakeIms["Service"], "createITwin" | "addRole" | "addMember" | "removeMember" | "addRoute">

export const makePlatformControls = (engine: Engine, platform: Platform): Controls => {
  const { iTwins } = platform
  const { entropy } = platform.ims
  const findITwin = (id: string) => find(iTwins, "iTwin", id)

  return {
    createITwin: ({ displayName, id: given, number = null, subClass = "Project", type = null, ...rest }) =>
      Effect.sync(() => {
        const id = given ?? uuid(entropy)
        const facts = { id, class: rest.class ?? "Endeavor", subClass, type, number, displayName }
        iTwins.set(id, { ...facts, roles: new Map(), members: new Map() })
        return { id }
      }),
    addRole: (iTwinId, { displayName, description = "", permissions }) =>
      Effect.sync(() => {
        const id = uuid(entropy)
        findITwin(iTwinId).roles.set(id, { id, displayName, description, permissions })
        return { id }
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
        engine.add(ownRoute(platform, { method, path, scopes }, handler))
      })
  }
}
