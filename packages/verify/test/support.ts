// Shared by the tests: keys, tokens that are signed by hand, and an IMS whose key set is scripted.
import { createHmac, generateKeyPairSync, type KeyObject, sign } from "node:crypto"
import { Environment } from "@effect-itwin/core"
import { AccessTokenVerifier, type VerificationError } from "@effect-itwin/verify"
import { Effect, Layer, Redacted } from "effect"
import { HttpClient, type HttpClientError, type HttpClientRequest, HttpClientResponse } from "effect/http"

export const issuer = "https://ims.bentley.com"
export const clientId = "service-Ab12"
export const jwksUrl = `${issuer}/.well-known/openid-configuration/jwks`

export type Json = Readonly<Record<string, unknown>>

export interface TestKey {
  readonly kid: string
  readonly privateKey: KeyObject
  readonly jwk: Json
}

const cached = new Map<string, TestKey>()

/** Returns the same RSA key for the same id and size, because generating one is slow. */
export const rsaKey = (kid: string, modulusLength = 2048): TestKey => {
  const found = cached.get(`${kid} ${modulusLength}`)
  if (found !== undefined) return found
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength })
  const key = { kid, privateKey, jwk: { ...publicKey.export({ format: "jwk" }), kid, use: "sig", alg: "RS256" } }
  cached.set(`${kid} ${modulusLength}`, key)
  return key
}

export const encode = (part: unknown): string =>
  Buffer.from(typeof part === "string" ? part : JSON.stringify(part)).toString("base64url")

/** The claims of a valid token at the start of `TestClock`. */
export const claims: Json = {
  client_id: clientId,
  scope: ["itwin-platform"],
  iss: issuer,
  aud: [`${issuer}/resources`, "bentley-api-management"],
  sub: clientId,
  exp: 3600,
  iat: 0,
  nbf: 0,
  jti: "fake-jti"
}

export const header = (key: TestKey): Json => ({ alg: "RS256", kid: key.kid, typ: "JWT" })

/** Signs the two encoded parts with RS256. */
export const signed = (key: TestKey, head: string, payload: string): string =>
  `${head}.${payload}.${sign("sha256", Buffer.from(`${head}.${payload}`), key.privateKey).toString("base64url")}`

/** Returns a token; `change` replaces or removes (undefined) claims, `head` header parameters. */
export const token = (key: TestKey, change: Json = {}, head: Json = {}): string =>
  signed(key, encode({ ...header(key), ...head }), encode({ ...claims, ...change }))

export const hmac = (secret: string | Buffer, head: Json, payload: Json): string => {
  const input = `${encode(head)}.${encode(payload)}`
  return `${input}.${createHmac("sha256", secret).update(input).digest("base64url")}`
}

export const keySet = (...keys: ReadonlyArray<TestKey>): Json => ({ keys: keys.map(({ jwk }) => jwk) })

export type Answer = () => Response | Effect.Effect<Response, HttpClientError.HttpClientError>

/** An IMS whose response to each request is what `answer` returns at that time. Counts the requests. */
export const ims = (answer: Answer) => {
  const state = { answer, requests: [] as Array<HttpClientRequest.HttpClientRequest> }
  const client = HttpClient.make((request) =>
    Effect.suspend(() => {
      state.requests.push(request)
      const made = state.answer()
      return Effect.map(Effect.isEffect(made) ? made : Effect.succeed(made), (response) =>
        HttpClientResponse.fromWeb(request, response)
      )
    })
  )
  const layer = Layer.mergeAll(Layer.succeed(HttpClient.HttpClient, client), Environment.layer(Environment.production))
  return { state, layer }
}

export const json =
  (body: unknown, init?: ResponseInit): Answer =>
  () =>
    Response.json(body, init)

export const verify = (text: string) =>
  Effect.flatMap(AccessTokenVerifier.AccessTokenVerifier, (verifier) => verifier.verify(Redacted.make(text)))

/** Verifies, and returns `accepted` or the tag of the reason. */
export const outcome = (text: string) =>
  verify(text).pipe(
    Effect.as("accepted"),
    Effect.catch(({ reason }: VerificationError.VerificationError) => Effect.succeed(reason._tag as string))
  )
