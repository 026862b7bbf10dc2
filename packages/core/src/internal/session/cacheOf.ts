// The tokens of one session as a `TokenCache`. A session without a refresh token has the token of its sign-in, and no
// other one.
import * as Effect from "effect/Effect"
import type { AccessToken } from "../../AccessToken.ts"
import type { Environment } from "../../Environment.ts"
import * as Scopes from "../../Scopes.ts"
import type { Session, SessionId } from "../../SessionStore.ts"
import type { TokenCache } from "../../TokenCache.ts"
import * as TokenError from "../../TokenError.ts"
import type { TokenLife } from "../life/tokenLife.ts"

interface Options {
  readonly environment: Environment
  readonly life: TokenLife<string>
  /** Reads the session from the store, and takes the token that it has now. */
  readonly look: (id: SessionId) => Effect.Effect<Session, TokenError.TokenError>
  /** Does not take this token from the store again. */
  readonly reject: (key: string, token: AccessToken) => void
}

export const makeCacheOf = ({
  environment,
  life,
  look,
  reject
}: Options): ((id: SessionId) => TokenCache["Service"]) => {
  const fail = (reason: TokenError.TokenErrorReason) =>
    Effect.fail(new TokenError.TokenError({ reason, endpoint: environment.tokenEndpoint }))

  const lookFor = (id: SessionId, scopes: Scopes.Scopes | undefined) =>
    Effect.flatMap(look(id), (session) => {
      const has = new Set(Scopes.tokens(session.scopes))
      return scopes === undefined || Scopes.tokens(scopes).every((scope) => has.has(scope))
        ? Effect.succeed(session)
        : fail(new TokenError.InvalidScope({ scopes }))
    })

  const get = (id: SessionId, scopes?: Scopes.Scopes) =>
    Effect.flatMap(lookFor(id, scopes), ({ accessToken, key, refreshToken }) =>
      refreshToken === undefined ? Effect.succeed(accessToken) : life.get(key)
    )

  return (id) => ({
    environment,
    get: (scopes) => get(id, scopes),
    refresh: (scopes) =>
      Effect.flatMap(lookFor(id, scopes), ({ key, refreshToken }) =>
        refreshToken === undefined ? fail(new TokenError.SignedOut({ why: "expired" })) : life.refresh(key)
      ),
    replace: (token) =>
      look(id).pipe(
        Effect.flatMap(({ key, refreshToken }) =>
          refreshToken === undefined ? Effect.succeedNone : life.replace(key, token)
        ),
        Effect.catch(() => Effect.succeedNone)
      ),
    invalidate: (token) =>
      look(id).pipe(
        Effect.flatMap(({ key }) =>
          Effect.sync(() => {
            reject(key, token)
            life.invalidate(key, token)
          })
        ),
        Effect.ignore
      ),
    peekUnsafe: () => undefined,
    isReady: look(id).pipe(
      Effect.flatMap(({ key, refreshToken }) =>
        refreshToken === undefined ? Effect.succeed(true) : life.isReady(key)
      ),
      Effect.catch(() => Effect.succeed(false))
    ),
    status: look(id).pipe(
      Effect.map(({ accessToken, key, refreshToken, scopes }) => {
        const status = life.status(key)
        return refreshToken === undefined
          ? [{ ...status, scopes, state: "fresh" as const, expiresAt: accessToken.expiresAt }]
          : [{ ...status, scopes }]
      }),
      Effect.catch(() => Effect.succeed([]))
    )
  })
}
