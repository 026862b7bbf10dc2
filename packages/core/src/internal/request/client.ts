// How a client says who it is (RFC 6749 §2.3.1 and §3.2.1), and which secrets it sends.
import * as Base64 from "effect/encoding/Base64"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Redacted from "effect/Redacted"
import type { ClientCredentials, PublicClient } from "../../ClientCredentials.ts"
import type { ClientAuthentication } from "../../TokenRequest.ts"
import { makeServerText, type ServerText } from "../shown/serverText.ts"
import { version } from "../version.ts"

/** A form as a client sends it. Its secrets are redacted. */
export interface Sent {
  readonly credentials: ClientCredentials | PublicClient
  readonly form: Readonly<Record<string, string | Redacted.Redacted>>
}

/** Encodes one value as `application/x-www-form-urlencoded` (RFC 6749 appendix B). */
const formEncode = (value: string): string => new URLSearchParams({ "": value }).toString().slice(1)

const basic = ({ clientId, clientSecret }: ClientCredentials): readonly [string, string] => [
  formEncode(clientId),
  formEncode(Redacted.value(clientSecret))
]

/** Builds a form POST of the client. A public client sends its id only. */
export const clientRequest = (
  { credentials, form }: Sent,
  endpoint: string,
  authentication: ClientAuthentication | undefined,
  headers: Record<string, string>
): HttpClientRequest.HttpClientRequest => {
  const request = HttpClientRequest.post(endpoint, {
    acceptJson: true,
    headers: { "user-agent": `effect-itwin/${version}`, ...headers }
  })
  if (authentication === "client_secret_basic" && "clientSecret" in credentials) {
    const [clientId, clientSecret] = basic(credentials)
    return request.pipe(
      HttpClientRequest.basicAuth(clientId, Redacted.make(clientSecret)),
      HttpClientRequest.bodyUrlParams(form)
    )
  }
  return HttpClientRequest.bodyUrlParams(request, {
    ...form,
    client_id: credentials.clientId,
    ...("clientSecret" in credentials && { client_secret: credentials.clientSecret })
  })
}

/** Returns the secrets in the forms in which they are sent, each with its name. */
export const secretsOf = ({ credentials, form }: Sent): ReadonlyArray<readonly [name: string, secret: string]> => [
  ...("clientSecret" in credentials
    ? ([
        ["client_secret", Redacted.value(credentials.clientSecret)],
        ["client_secret", Base64.encode(basic(credentials).join(":"))]
      ] as const)
    : []),
  ...Object.entries(form).flatMap(([name, value]) =>
    Redacted.isRedacted(value) ? [[name, Redacted.value(value)] as const] : []
  )
]

/** Shows text of the server that received the form. `received`: tokens in its response. */
export const serverTextFor = (sent: Sent, received: ReadonlyArray<string> = []): ServerText =>
  makeServerText([...secretsOf(sent).map(([, secret]) => secret), ...received])
