// Begins and completes a sign-in, and signs out.
import * as AuthorizationCode from "@effect-itwin/core/AuthorizationCode"
import * as Environment from "@effect-itwin/core/Environment"
import * as RetryPolicy from "@effect-itwin/core/RetryPolicy"
import type { Scopes } from "@effect-itwin/core/Scopes"
import { SessionStore } from "@effect-itwin/core/SessionStore"
import { SignInError, UnknownState } from "@effect-itwin/core/SignInError"
import * as TokenRequest from "@effect-itwin/core/TokenRequest"
import { UserTokens } from "@effect-itwin/core/UserTokens"
import * as DateTime from "effect/DateTime"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpClient from "effect/http/HttpClient"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { emptyResponse, redirect } from "./answers.ts"
import { cookiesOf } from "./cookies.ts"
import { isPrefetch, isSameOrigin, isTopLevel } from "./fetchMetadata.ts"
import { returnToOf } from "./origin.ts"
import { type makePending, Pending } from "./pending.ts"
import { removeSession, sessionIdOf, setSession } from "./session.ts"
import { failurePage, logged, notAPage, notFromHere, stillSignedIn } from "./signInPages.ts"

export const callbackPath = "/sign-in/callback"

type Request = HttpServerRequest.HttpServerRequest
type Response = HttpServerResponse.HttpServerResponse

/** Answers a request that must not begin or complete a sign-in, because nobody may be looking at the response. */
const refusalOf = ({ headers, method }: Request): Response | undefined => {
  if (method !== "GET") return emptyResponse(204)
  // A browser drops the prefetched page, and loads it again when it is opened.
  if (isPrefetch(headers)) return emptyResponse(503)
  return isTopLevel(headers) ? undefined : notAPage
}

const queryOf = ({ url }: Request): URLSearchParams => new URLSearchParams(/\?([^#]*)/.exec(url)?.[1] ?? "")

/** What the options of the routes lead to. */
interface Settings {
  readonly origin: string
  readonly scopes: Scopes
  readonly prompt: AuthorizationCode.Prompt | undefined
  readonly postSignOutUrl: string
  readonly pending: ReturnType<typeof makePending>
}

export const makeHandlers = Effect.fnUntraced(function* (settings: Settings) {
  const { origin, pending, postSignOutUrl, prompt, scopes } = settings
  const tokens = yield* UserTokens
  const store = yield* SessionStore
  const client = yield* HttpClient.HttpClient
  const policy = yield* RetryPolicy.RetryPolicy
  const authentication = yield* TokenRequest.ClientAuthentication
  const { environment } = tokens

  /** Anyone can begin a sign-in, so that does not read the secret each time. */
  const clientId = yield* Effect.map(tokens.credentials, (credentials) => credentials.clientId).pipe(
    Effect.cachedWithTTL((exit) => (Exit.isSuccess(exit) ? "1 minute" : "1 second"))
  )

  /** Whatever surrounds a single request does not change where the code goes. */
  const withOwnServices = <A, E, R>(self: Effect.Effect<A, E, R>) =>
    self.pipe(
      Effect.provideService(HttpClient.HttpClient, client),
      Effect.provideService(RetryPolicy.RetryPolicy, policy),
      Effect.provideService(TokenRequest.ClientAuthentication, authentication),
      Effect.provideService(Environment.Environment, environment)
    )

  const begin = Effect.fnUntraced(function* (request: Request) {
    const refusal = refusalOf(request)
    if (refusal !== undefined) return refusal
    const given = queryOf(request).getAll("returnTo")
    const returnTo = returnToOf(given.length === 1 ? given[0] : undefined, origin)
    return yield* Effect.gen(function* () {
      const { transaction, url } = yield* AuthorizationCode.start({
        clientId: yield* clientId,
        redirectUri: origin + callbackPath,
        scopes,
        prompt
      })
      const withCookie = yield* pending.add(new Pending({ transaction, returnTo }), cookiesOf(request.headers))
      return withCookie(redirect(Redacted.value(url)))
    }).pipe(Effect.catch((error) => failurePage(error, returnTo)))
  }, withOwnServices)

  /** Ends the session that the browser had before: its id must not outlive the new one. */
  const replaceSession = (request: Request) =>
    Option.match(sessionIdOf(request.headers), {
      onNone: () => Effect.void,
      // Not revoked at IMS, because that may revoke what IMS has just issued to the same user (RFC 7009 §2.1).
      onSome: (id) => Effect.catch(store.remove(id), (error) => Effect.ignoreCause(Effect.logWarning(error.message)))
    })

  /** The callbacks that are being answered, by their state. */
  const completing = new Map<string, Deferred.Deferred<Response>>()

  /**
   * Answers a callback that the browser sends again before it has the answer, as a reload does, with the same answer. A
   * code that IMS gets twice ends all that came from it (RFC 6749 §4.1.2).
   */
  const once = <R>(state: string, self: Effect.Effect<Response, never, R>) =>
    Effect.suspend(() => {
      const first = completing.get(state)
      if (first !== undefined) return Deferred.await(first)
      const answer = Deferred.makeUnsafe<Response>()
      completing.set(state, answer)
      return Effect.onExit(self, (exit) =>
        Effect.sync(() => {
          completing.delete(state)
          Deferred.doneUnsafe(answer, exit)
        })
      )
    })

  const complete = Effect.fnUntraced(function* (request: Request) {
    const refusal = refusalOf(request)
    if (refusal !== undefined) return refusal
    const query = queryOf(request)
    // A repeated state is rejected with the callback, after the sign-in was found.
    const found = yield* pending.find(query.get("state") ?? "", cookiesOf(request.headers))
    if (Option.isNone(found)) {
      const reason = new UnknownState({})
      return yield* failurePage(new SignInError({ reason, issuer: environment.issuer, clientId: "unknown" }), "/")
    }
    const {
      pending: { returnTo, transaction },
      remove
    } = found.value
    const answer = Effect.gen(function* () {
      const signedIn = yield* AuthorizationCode.redeem(query, transaction, yield* tokens.credentials)
      const id = yield* tokens.open(signedIn)
      const session = yield* tokens.session(id)
      yield* replaceSession(request)
      return setSession(id, session, yield* DateTime.now)(redirect(origin + returnTo))
    }).pipe(
      Effect.catch((error) => failurePage(error, returnTo)),
      Effect.map(remove)
    )
    return yield* once(Redacted.value(transaction.state), answer)
  }, withOwnServices)

  const signOut = Effect.fnUntraced(function* (request: Request) {
    if (!isSameOrigin(request.headers, origin)) return notFromHere
    const id = sessionIdOf(request.headers)
    if (Option.isNone(id)) return removeSession(redirect(postSignOutUrl))
    return yield* Effect.gen(function* () {
      const session = yield* tokens.session(id.value).pipe(
        Effect.asSome,
        Effect.catchIf(
          ({ reason }) => reason._tag === "SignedOut",
          () => Effect.succeedNone
        )
      )
      // Also one that can't be read here, because another replica may have its key.
      const { idToken } = yield* tokens.close(id.value)
      if (Option.isNone(session)) return removeSession(redirect(postSignOutUrl))
      const url = AuthorizationCode.endSessionUrl(environment, {
        clientId: session.value.clientId,
        idToken,
        postLogoutRedirectUri: postSignOutUrl
      })
      return removeSession(redirect(Redacted.value(url)))
    }).pipe(Effect.catch((error) => logged(error, 503, stillSignedIn)))
  }, withOwnServices)

  return { begin, complete, signOut }
})
