// Builds the controls of the fake IMS and platform.
import type * as Environment from "@effect-itwin/core/Environment"
import * as Effect from "effect/Effect"
import type { FakeIms } from "../FakeIms.ts"
import { makeEngineControls } from "./engine/controls.ts"
import type { Fake } from "./fakeIms.ts"
import { makeImsControls } from "./ims/controls.ts"
import { clear } from "./ims/state.ts"
import { makeUserControls } from "./ims/userControls.ts"
import { makePlatformControls } from "./platform/controls.ts"

const tokenRoute = "POST /connect/token"

export const makeControls = (fake: Fake, environment: Environment.Environment): FakeIms["Service"] => {
  const { engine, ims, platform } = fake
  const { profile } = ims
  const { assertRequests, entries, ...common } = makeEngineControls(engine)
  return {
    environment,
    ...makeImsControls(ims),
    ...makeUserControls(fake),
    ...makePlatformControls(engine, platform),
    ...common,
    tokenRequests: entries({ route: tokenRoute }),
    forApp: (clientId) => entries({ clientId }),
    assertTokenRequests: (n) => assertRequests(tokenRoute, n, "token requests"),
    reset: Effect.sync(() => {
      clear(ims)
      ims.profile = profile
      platform.iTwins.clear()
      engine.reset()
    })
  }
}
