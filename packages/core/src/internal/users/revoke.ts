// Revokes a token (RFC 7009).
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import type * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { Environment } from "../../Environment.ts"
import * as ImsRequest from "../../ImsRequest.ts"
import { RetryPolicy } from "../../RetryPolicy.ts"
import { ClientAuthentication } from "../../TokenRequest.ts"
import { OAuthErrorResponse } from "../../TokenResponse.ts"
import { clientRequest, type Sent, serverTextFor } from "../request/client.ts"

export type TokenKind = "refresh_token" | "access_token"

const decodeError = Schema.decodeResult(Schema.fromJsonString(OAuthErrorResponse))

export const revoke = Effect.fnUntraced(function* (
  { revocationEndpoint }: Environment,
  credentials: Sent["credentials"],
  token: Redacted.Redacted,
  kind: TokenKind
): Effect.fn.Return<void, ImsRequest.ImsRequestError, HttpClient.HttpClient> {
  const send = yield* ImsRequest.make
  const authentication = yield* ClientAuthentication
  const { attemptTimeout } = yield* RetryPolicy
  const sent: Sent = { credentials, form: { token, token_type_hint: kind } }
  const request = clientRequest(sent, revocationEndpoint, authentication, {})
  const { body, status } = yield* send(request, attemptTimeout)
  // A token that is not valid any more is a success too (RFC 7009 §2.2).
  if (status === 200) return
  const error = Result.getOrUndefined(decodeError(body))
  const serverText = serverTextFor(sent)
  const code = error === undefined ? "" : ` (${serverText.showCode(error.error)})`
  return yield* new ImsRequest.ImsRequestError({ kind: "status", detail: `returned the status ${status}${code}` })
})
