// How a client says who it is (RFC 6749 §2.3.1 and §3.2.1).
import * as Base64 from "effect/encoding/Base64"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Redacted from "effect/Redacted"
import type { ClientCredentials, PublicClient } from "../../ClientCredentials.ts"
import type { ClientAuthentication } from "../../TokenRequest.ts"
import { version } from "../version.ts"

export type Client = ClientCredentials | PublicClient

/** Encodes one value as `application/x-www-form-urlencoded` (RFC 6749 appendix B). */
const formEncode = (value: string): string => new URLSearchParams({ "": value }).toString().slice(1)

const secretOf = (client: Client): Redacted.Redacted | undefined =>
  "clientSecret" in client ? client.clientSecret : undefined

const basic = (clientId: string, secret: Redacted.Redacted): readonly [string, string] => [
  formEncode(clientId),
  formEncode(Redacted.value(secret))
]

/** Builds a form POST of the client. A public client sends its id only. */
export const clientRequest = (options: {
  readonly credentials: Client
  readonly endpoint: string
  readonly authentication?: ClientAuthentication | undefined
  readonly headers?: Record<string, string>
  readonly form: Record<string, string | Redacted.Redacted>
}): HttpClientRequest.HttpClientRequest => {
  const { clientId } = options.credentials
  const secret = secretOf(options.credentials)
  const request = HttpClientRequest.post(options.endpoint, {
    acceptJson: true,
    headers: { "user-agent": `effect-itwin/${version}`, ...options.headers }
  })
  if (secret !== undefined && options.authentication === "client_secret_basic") {
    const [id, password] = basic(clientId, secret)
    return request.pipe(
      HttpClientRequest.basicAuth(id, Redacted.make(password)),
      HttpClientRequest.bodyUrlParams(options.form)
    )
  }
  return HttpClientRequest.bodyUrlParams(request, {
    ...options.form,
    client_id: clientId,
    ...(secret === undefined ? {} : { client_secret: secret })
  })
}

/** Returns the secret of the client in the forms in which it is sent. */
export const clientSecrets = (client: Client): ReadonlyArray<string> => {
  const secret = secretOf(client)
  return secret === undefined ? [] : [Redacted.value(secret), Base64.encode(basic(client.clientId, secret).join(":"))]
}
