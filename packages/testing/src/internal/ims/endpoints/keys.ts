// Serves the public keys of IMS (RFC 7517).
import { json } from "../../engine/answer.ts"
import type { Route } from "../../engine/handler.ts"
import { publicJwk } from "../../engine/jwt.ts"
import { host } from "../oauthError.ts"
import type { Ims } from "../state.ts"

export const keys = (ims: Ims): Route => ({
  host,
  cors: true,
  method: "GET",
  paths: ["/.well-known/openid-configuration/jwks"],
  serve: ({ entry }) => {
    entry.outcome = "ok"
    return json(entry, 200, { keys: ims.keys.map(publicJwk) })
  }
})
