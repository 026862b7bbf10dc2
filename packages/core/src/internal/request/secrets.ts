// What a token request sends that is secret.
import * as Redacted from "effect/Redacted"
import type { Exchange } from "../../TokenRequest.ts"
import { clientSecrets } from "./client.ts"

type Sent = Pick<Exchange, "credentials"> & { readonly grant?: Exchange["grant"] | undefined }

/** Returns the secrets of the grant by name. */
const grantSecrets = ({ grant }: Sent): Record<string, Redacted.Redacted> => {
  switch (grant?._tag) {
    case "AuthorizationCode":
      return { "the authorization code": grant.code, "the code verifier": grant.codeVerifier }
    case "RefreshToken":
      return { "the refresh token": grant.refreshToken }
    default:
      return {}
  }
}

/** Returns which secret of the request this text is, if any. */
export const secretNamed = (sent: Sent, text: string): string | undefined =>
  text === clientSecrets(sent.credentials)[0]
    ? "the client secret"
    : Object.entries(grantSecrets(sent)).find(([, secret]) => Redacted.value(secret) === text)?.[0]

/** Returns all secrets of the request, in the forms in which it contains them. */
export const secretsOf = (sent: Sent): ReadonlyArray<string> => [
  ...clientSecrets(sent.credentials),
  ...Object.values(grantSecrets(sent)).map(Redacted.value)
]
