// Serves the Users API, and the identities that the platform creates for apps.
import { json } from "../engine/answer.ts"
import type { Route } from "../engine/handler.ts"
import { formatInstant } from "../engine/instant.ts"
import { type Application, credentialsOf } from "../ims/clients.ts"
import { now } from "../ims/state.ts"
import type { ValidToken } from "../ims/tokens.ts"
import type { User } from "../ims/users.ts"
import { apiError } from "./apiError.ts"
import { onApi } from "./bearer.ts"
import type { Platform } from "./state.ts"

/** Returns whether the platform knows the app's identity by now. */
const hasIdentity = ({ ims }: Platform, app: Application): boolean => now(ims) >= app.identityFrom

export const emailOf = (app: Application): string => credentialsOf(app).clientEmail

/** Returns the app with this e-mail, if the platform knows its identity by now. */
export const findApp = (platform: Platform, email: string): Application | undefined =>
  [...platform.ims.apps.values()].find((app) => emailOf(app) === email && hasIdentity(platform, app))

/** Returns the e-mail by which the caller is a member of iTwins: that of the user, or that of the app. */
export const callerOf = ({ app, user }: ValidToken): string => user?.email ?? emailOf(app)

/** The platform writes seven fractional digits. */
const dateOf = (epochMillis: number): string => formatInstant(epochMillis).replace("Z", "0000Z")

const userView = ({ consents: _consents, createdAt, generation: _generation, ...facts }: User) => ({
  ...facts,
  createdDateTime: dateOf(createdAt)
})

/** Serves `GET /users/me`: the user who signed in, or for a service app a made-up person with the app's name. */
export const usersMe = (platform: Platform): Route =>
  onApi(
    platform,
    { method: "GET", path: "/users/me", scopes: ["itwin-platform", "users:read"], version: 1 },
    ({ app, user }, { entry }) => {
      if (user !== undefined) return json(entry, 200, { user: userView(user) })
      if (!hasIdentity(platform, app)) {
        entry.explanation = "The platform does not know the identity of the app yet."
        return apiError(entry, 404, "UserNotFound", "The user was not found.")
      }
      return json(entry, 200, {
        user: {
          id: app.userId,
          displayName: emailOf(app),
          givenName: app.name,
          surname: "",
          email: emailOf(app),
          alternateEmail: null,
          phone: null,
          organizationName: "",
          city: null,
          country: null,
          language: "en",
          createdDateTime: dateOf(app.createdAt)
        }
      })
    }
  )
