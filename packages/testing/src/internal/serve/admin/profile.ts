// The profile: how the fake behaves where the platform's behavior is not documented.
import * as Effect from "effect/Effect"
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as OpenApi from "effect/http-api/OpenApi"
import * as inputs from "../inputs.ts"
import type { Admin } from "./admin.ts"
import { group } from "./declare.ts"

const Profile = inputs.Profile.annotate({ identifier: "Profile" })

export const profile = group(
  "profile",
  "/__admin",
  "How the fake behaves where the platform's behavior is not documented.",
  HttpApiEndpoint.get("profile", "/profile", { success: Profile }).annotate(
    OpenApi.Summary,
    "Returns the switches for behavior that is not documented"
  ),
  HttpApiEndpoint.patch("setProfile", "/profile", { payload: inputs.ProfileChanges, success: Profile }).annotate(
    OpenApi.Summary,
    "Changes switches until the next reset"
  )
)

export const layer = ({ ims }: Admin) =>
  HttpApiBuilder.group(HttpApi.make("fake-ims").add(profile), "profile", (handlers) =>
    handlers.handleAll({
      profile: () => ims.profile,
      setProfile: ({ payload }) => Effect.andThen(ims.setProfile(payload), ims.profile)
    })
  )
