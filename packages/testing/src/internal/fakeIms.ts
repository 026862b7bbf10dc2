// Builds the fake IMS and the fake platform over one engine: state, routes, and a handler for each way to serve them.
import type { Environment } from "@effect-itwin/core/Environment"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Options } from "../FakeIms.ts"
import * as Profile from "../Profile.ts"
import { verifyWhenClosed } from "./engine/controls.ts"
import { fromSeed } from "./engine/entropy.ts"
import { type Engine, type Handler, makeEngine } from "./engine/handler.ts"
import type { Algorithm } from "./engine/jwt.ts"
import { isOriginOfPage } from "./ims/clients.ts"
import { authorization } from "./ims/endpoints/authorization.ts"
import { discovery } from "./ims/endpoints/discovery.ts"
import { endSessionRoutes } from "./ims/endpoints/endSession.ts"
import { introspection } from "./ims/endpoints/introspection.ts"
import { keys } from "./ims/endpoints/keys.ts"
import { revocation } from "./ims/endpoints/revocation.ts"
import { token } from "./ims/endpoints/token.ts"
import { userInfo } from "./ims/endpoints/userInfo.ts"
import { host as imsHost } from "./ims/oauthError.ts"
import { type Ims, makeIms, wholeSeconds } from "./ims/state.ts"
import { accessControl } from "./platform/accessControl.ts"
import { host as apiHost } from "./platform/apiError.ts"
import { listITwins } from "./platform/iTwins.ts"
import type { Platform } from "./platform/state.ts"
import { usersMe } from "./platform/users.ts"

export interface Fake {
  readonly engine: Engine
  /** The state of IMS. */
  readonly ims: Ims
  /** The state of the platform. */
  readonly platform: Platform
  /** Serves IMS. */
  readonly onIms: Handler
  /** Serves the APIs. */
  readonly onApi: Handler
  /** Serves both on one origin. */
  readonly all: Handler
}

export interface Where {
  /** The URLs that it answers for. */
  readonly environment: Environment
  readonly algorithm: Algorithm
  readonly seed: string
}

const checkedLimit = (limit: number | undefined): number | undefined => {
  if (limit === undefined || (Number.isInteger(limit) && limit >= 1)) return limit
  throw new RangeError(`journalLimit must be an integer of at least 1, not ${limit}.`)
}

/** Builds the fake. When its scope is closed, unused steps of scripts are a warning, or a defect if it is strict. */
export const makeFake = Effect.fnUntraced(function* (
  options: Options | undefined,
  where: Where
): Effect.fn.Return<Fake, never, Scope.Scope> {
  const { tokenLife, profile } = options ?? {}
  const clock = yield* Clock.Clock
  const entropy = fromSeed(options?.seed ?? where.seed)
  const ims = makeIms({
    clock,
    entropy,
    environment: where.environment,
    algorithm: options?.algorithm ?? where.algorithm,
    profile: {
      ...Profile.platform,
      ...profile,
      ...(tokenLife === undefined ? {} : { tokenLifeSeconds: wholeSeconds(tokenLife) })
    }
  })
  const journalLimit = checkedLimit(options?.journalLimit)
  const engine = makeEngine({ clock, entropy, journalLimit, redact: ims.redact, allowsOrigin: isOriginOfPage(ims) })
  const platform: Platform = { ims, apiBaseUrl: where.environment.apiBaseUrl, iTwins: new Map() }
  for (const route of [token, introspection, revocation, discovery, keys]) engine.add(route(ims))
  for (const route of [...authorization(ims), ...userInfo(ims), ...endSessionRoutes(ims)]) engine.add(route)
  for (const route of [usersMe(platform), listITwins(platform), ...accessControl(platform)]) engine.add(route)
  yield* verifyWhenClosed(engine, options)
  return {
    engine,
    ims,
    platform,
    onIms: engine.handler(imsHost),
    onApi: engine.handler(apiHost),
    all: engine.handler(imsHost, apiHost)
  }
})
