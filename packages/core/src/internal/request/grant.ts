// The forms of the grants of users (RFC 6749 §4.1.3 and §6, RFC 7636 §4.5).

import type { Scopes } from "../../Scopes.ts"
import type { Grant } from "../../TokenRequest.ts"
import { appForm, type GrantForm } from "./decode.ts"

/** Client credentials unless `grant` is another one. */
export const formOf = (grant: Grant | undefined, scopes: Scopes): GrantForm => {
  switch (grant?._tag) {
    case "AuthorizationCode":
      return {
        grant_type: "authorization_code",
        code: grant.code,
        redirect_uri: grant.redirectUri,
        code_verifier: grant.codeVerifier
      }
    case "RefreshToken":
      return { grant_type: "refresh_token", refresh_token: grant.refreshToken }
    default:
      return appForm(scopes)
  }
}
