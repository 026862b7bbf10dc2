// Measures the verification of a token with a known key, next to `jose` alone and to peers, and of a token that was
// verified before. Prints microseconds.
import { generateKeyPairSync, sign } from "node:crypto"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { Environment } from "@effect-itwin/core"
import { AccessTokenVerifier } from "@effect-itwin/verify"
import { IntrospectionClient } from "@itwin/service-authorization"
import { JwtVerifier } from "aws-jwt-verify"
import { Effect, Layer, Redacted } from "effect"
import { FetchHttpClient } from "effect/http"
import { importJWK, jwtVerify } from "jose"
import { print } from "./print.ts"

const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 })
const jwk = { ...publicKey.export({ format: "jwk" }), kid: "key-1", use: "sig", alg: "RS256" }

const server = createServer((request, response) => {
  response.setHeader("content-type", "application/json")
  response.end(
    JSON.stringify(
      request.url?.endsWith("jwks") === true
        ? { keys: [jwk] }
        : {
            issuer: url,
            authorization_endpoint: url,
            token_endpoint: `${url}/connect/token`,
            jwks_uri: `${url}/.well-known/openid-configuration/jwks`,
            response_types_supported: [],
            subject_types_supported: [],
            id_token_signing_alg_values_supported: ["RS256"]
          }
    )
  )
})
await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
const jwksUri = `${url}/.well-known/openid-configuration/jwks`

const clientId = "service-Bench"
const audience = "bentley-api-management"
const encode = (part: unknown) => Buffer.from(JSON.stringify(part)).toString("base64url")

/** A token of the size and shape of those of IMS. Each has its own id, so no result is kept for it. */
const makeToken = (n: number, scope: unknown): string => {
  const seconds = Math.floor(Date.now() / 1000)
  const claims = {
    client_id: clientId,
    scope,
    iss: url,
    aud: [`${url}/resources`, audience],
    sub: clientId,
    exp: seconds + 3600,
    iat: seconds,
    nbf: seconds,
    jti: `fake-${n}`
  }
  const input = `${encode({ alg: "RS256", kid: "key-1", typ: "JWT" })}.${encode(claims)}`
  return `${input}.${sign("sha256", Buffer.from(input), privateKey).toString("base64url")}`
}

const rounds = 2_400
const tokens = Array.from({ length: rounds }, (_, n) => makeToken(n, ["itwin-platform"]))
/** aws-jwt-verify rejects a list of scopes, which is what IMS writes. */
const textTokens = tokens.map((_, n) => makeToken(n, "itwin-platform"))

const key = await importJWK(jwk, "RS256")
const jose = async (token: string) => {
  await jwtVerify(token, key, { algorithms: ["RS256"], issuer: url, audience })
}

const aws = JwtVerifier.create({ issuer: url, audience, jwksUri })
aws.cacheJwks({ keys: [jwk] } as Parameters<typeof aws.cacheJwks>[0])

const introspection = new IntrospectionClient({ issuerUrl: url })

const Verifier = AccessTokenVerifier.layer({ clientIds: [clientId] }).pipe(
  Layer.provide([
    FetchHttpClient.layer,
    Environment.layer(Environment.custom({ tokenEndpoint: `${url}/connect/token`, apiBaseUrl: url }))
  ])
)

const micros = (started: number, turns = 1) => ((performance.now() - started) * 1000) / turns

const block = 40

const program = Effect.gen(function* () {
  const verifier = yield* AccessTokenVerifier.AccessTokenVerifier
  const series = {
    ours: [] as number[],
    hit: [] as number[],
    jose: [] as number[],
    "aws-jwt-verify": [] as number[],
    "service-authorization": [] as number[]
  }
  /** Verifies a block of tokens, one after the other, and returns the microseconds of one. */
  const loop = (texts: ReadonlyArray<string>, run: (text: string) => Promise<unknown>) =>
    Effect.promise(async () => {
      const started = performance.now()
      for (const text of texts) await run(text)
      return micros(started, texts.length)
    })
  const loopOurs = (texts: ReadonlyArray<string>) =>
    Effect.gen(function* () {
      const started = performance.now()
      for (const text of texts) yield* verifier.verify(Redacted.make(text))
      return micros(started, texts.length)
    })
  for (let at = 0; at < rounds; at += block) {
    const some = tokens.slice(at, at + block)
    const isOdd = (at / block) % 2 === 1
    // In alternating order, because the first one pays for the block's cold memory.
    const before = isOdd ? yield* loop(some, jose) : undefined
    const ours = yield* loopOurs(some)
    const alone = before ?? (yield* loop(some, jose))
    const peer = yield* loop(textTokens.slice(at, at + block), (text) => aws.verify(text))
    const other = yield* loop(some, (text) => introspection.introspect(`Bearer ${text}`))
    // The first third warms up.
    if (at < rounds / 3) continue
    series.ours.push(ours)
    series.jose.push(alone)
    series["aws-jwt-verify"].push(peer)
    series["service-authorization"].push(other)
  }
  // A server gets a new text with each request, so the loop does too.
  const known = Buffer.from(tokens.at(-1) ?? "")
  for (let round = 0; round < 100; round++) {
    const texts = Array.from({ length: 200 }, () => Redacted.make(known.toString("latin1")))
    const started = performance.now()
    for (const text of texts) yield* verifier.verify(text)
    if (round >= 30) series.hit.push(micros(started, texts.length))
  }
  print(series)
})

await Effect.runPromise(program.pipe(Effect.provide(Verifier), Effect.orDie))
server.closeAllConnections()
server.close()
process.exit(0)
