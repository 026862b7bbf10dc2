// Replicas of one app that share a store: each has its own cache and its own `TokenStore.make`, as in its own process.
// IMS and the secret backend are scripted. Time is virtual.
import {
  type AccessToken,
  ClientCredentials,
  SecretProvider,
  type SecretProviderError,
  TokenCache,
  TokenStore
} from "@effect-itwin/core"
import { Effect, Layer, Logger, Redacted } from "effect"
import { HttpClient, HttpClientError, HttpServerResponse } from "effect/http"

type Answer = Effect.Effect<HttpServerResponse.HttpServerResponse | "reset">

export const json = (body: object, status = 200, headers: Record<string, string> = {}) =>
  HttpServerResponse.jsonUnsafe(body, { status, headers })

export const refused = (error = "invalid_client", status = 401): Answer => Effect.sync(() => json({ error }, status))

/** The scripted world: change its fields while the replicas run. */
export interface World {
  requests: number
  /** The secrets that were sent to IMS. */
  readonly sent: Array<string>
  life: number
  answer: (token: () => HttpServerResponse.HttpServerResponse) => Answer
  secret: string
  failure: SecretProviderError.SecretProviderError | undefined
  readonly logs: Array<string>
}

export const makeWorld = (): World => ({
  requests: 0,
  sent: [],
  life: 3600,
  answer: Effect.sync,
  secret: "fake-secret-1+/=",
  failure: undefined,
  logs: []
})

export const textOf = (token: AccessToken.AccessToken): string => Redacted.value(token.value)

export const credentialsOf = (secret: string) =>
  new ClientCredentials.ClientCredentials({ clientId: "service-fleet", clientSecret: Redacted.make(secret) })

/** Starts a replica. It ends with the scope. */
export const replica = (world: World, store: TokenStore.Service | undefined, options: TokenCache.Options = {}) => {
  const client = HttpClient.make((request) =>
    Effect.suspend(() => {
      const form = new URLSearchParams(
        request.body._tag === "Uint8Array" ? new TextDecoder().decode(request.body.body) : ""
      )
      world.sent.push(form.get("client_secret") ?? "")
      const number = ++world.requests
      return world.answer(() => json({ access_token: `token-${number}`, token_type: "Bearer", expires_in: world.life }))
    }).pipe(
      Effect.flatMap((answer) =>
        answer === "reset"
          ? Effect.fail(
              new HttpClientError.HttpClientError({
                reason: new HttpClientError.TransportError({ request, cause: { code: "ECONNRESET" } })
              })
            )
          : Effect.succeed(HttpServerResponse.toClientResponse(answer, { request }))
      )
    )
  )
  const provider = {
    credentials: Effect.suspend(() =>
      world.failure === undefined ? Effect.succeed(credentialsOf(world.secret)) : Effect.fail(world.failure)
    )
  }
  const logger = Logger.make(({ logLevel, message }) => {
    world.logs.push(`${logLevel}: ${String(message)}`)
  })
  return TokenCache.make({ jitter: 0, ...options }).pipe(
    Effect.provide([
      Layer.succeed(HttpClient.HttpClient, client),
      Layer.succeed(SecretProvider.SecretProvider, provider),
      Logger.layer([logger]),
      store === undefined ? Layer.empty : TokenStore.layer(Effect.succeed(store))
    ])
  )
}

type Step = "claim" | "publish" | "release" | "drop"

/** A store whose steps run `before` first. */
export const withFaults = (
  store: TokenStore.Service,
  before: (step: Step) => Effect.Effect<void, TokenStore.TokenStoreError>
): TokenStore.Service => ({
  ...store,
  claim: (row, claim) => Effect.andThen(before("claim"), store.claim(row, claim)),
  publish: (row, publication) => Effect.andThen(before("publish"), store.publish(row, publication)),
  release: (row, owner, setback) => Effect.andThen(before("release"), store.release(row, owner, setback)),
  drop: (row, version) => Effect.andThen(before("drop"), store.drop(row, version))
})

export const storeError = new TokenStore.TokenStoreError({
  store: "memory",
  kind: "unavailable",
  detail: "the connection was refused."
})
