/**
 * Signs a user in to a native program (RFC 8252): the browser opens the sign-in page of IMS, and comes back to a port on
 * this machine.
 *
 * **Details**
 *
 * - The program has no secret. PKCE and `state` bind the answer to this sign-in.
 * - `redirectUris` are registered with the app: http on `127.0.0.1`, `[::1]` or `localhost`. The first one whose port is
 *   free is used. The program listens on loopback only, from before the browser is opened until the answer is there.
 * - Only the exact path and `Host` are accepted. An answer with another state gets 400, and the wait goes on.
 * - The page in the browser says that the window can be closed, or why the sign-in failed.
 * - The port is closed at the end, also after a failure or an interruption.
 *
 * Use the result with `UserTokens.layerPublic`, which keeps the session and renews its token.
 *
 * **Gotchas**
 *
 * Register several ports, because another program may have one. Prefer `127.0.0.1` to `localhost`, which a browser may
 * resolve to either interface: then both must be free.
 *
 * **Example** (Signing a user in)
 *
 * ```ts
 * import { LoopbackSignIn } from "@effect-itwin/sign-in"
 * import { Console } from "effect"
 *
 * export const signIn = LoopbackSignIn.signIn({
 *   clientId: "native-Ab12",
 *   redirectUris: ["http://127.0.0.1:37610/callback", "http://127.0.0.1:37611/callback"],
 *   open: (url) => Console.log(`Open ${url} in a browser.`)
 * })
 * ```
 *
 * @since 0.1.0
 */
import * as AuthorizationCode from "@effect-itwin/core/AuthorizationCode"
import { PublicClient } from "@effect-itwin/core/ClientCredentials"
import * as Environment from "@effect-itwin/core/Environment"
import type * as Scopes from "@effect-itwin/core/Scopes"
import { NoAnswer, SignInError } from "@effect-itwin/core/SignInError"
import type { TokenError } from "@effect-itwin/core/TokenError"
import type { NonEmptyReadonlyArray } from "effect/Array"
import type * as Config from "effect/Config"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { pageOf } from "./internal/failures.ts"
import { type LoopbackAddress, loopbackAddressOf } from "./internal/loopbackAddress.ts"
import { type Arrival, listen } from "./internal/loopbackServer.ts"
import { checkTimeout, defaultScopes } from "./internal/options.ts"

/**
 * Says that other programs have the ports of all redirect URIs.
 *
 * @category errors
 * @since 0.1.0
 */
export class NoFreePort extends Schema.Error<NoFreePort>("@effect-itwin/sign-in/LoopbackSignIn/NoFreePort")({
  _tag: Schema.tag("NoFreePort"),
  redirectUris: Schema.Array(Schema.String)
}) {
  override get message(): string {
    return `The sign-in can't listen for its answer, because no port is free for ${this.redirectUris.join(", ")}. Close the program that uses the port, or register another redirect URI.`
  }
}

/**
 * Sets the options of a sign-in.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options<E, R> {
  /** The client id of the native app. */
  readonly clientId: string
  /** The redirect URIs to try, in this order, exactly as they are registered. */
  readonly redirectUris: NonEmptyReadonlyArray<string>
  /**
   * Opens the URL in a browser, or shows it to the user. A failure ends the sign-in. Otherwise it may take as long as
   * the sign-in, and is interrupted at its end.
   */
  readonly open: (url: string) => Effect.Effect<unknown, E, R>
  /** How long to wait for the answer; 5 minutes by default, at most 10. */
  readonly timeout?: Duration.Input | undefined
  /** The scopes to request; those of `SignInRoutes.defaultScopes` by default. */
  readonly scopes?: Scopes.Scopes | undefined
  readonly prompt?: AuthorizationCode.Prompt | undefined
  /** The e-mail of the user, if it is known. */
  readonly loginHint?: string | undefined
}

const completed = {
  title: "You are signed in",
  text: "You can close this window and go back to the program."
}

/** Listens at the first address whose port is free. */
const listenFirst = (
  addresses: ReadonlyArray<LoopbackAddress>,
  accept: (arrival: Arrival) => boolean
): Effect.Effect<LoopbackAddress, NoFreePort, Scope.Scope> =>
  Effect.gen(function* () {
    for (const address of addresses) {
      if (yield* listen(address, accept)) return address
    }
    return yield* new NoFreePort({ redirectUris: addresses.map(({ redirectUri }) => redirectUri) })
  })

/**
 * Signs a user in, and returns the tokens.
 *
 * Fails with the reason `NoAnswer` if nobody came back in time. Fails with a `ConfigError` if no `Environment` is
 * provided and the variables of `Environment.config` are invalid. Dies with a `RangeError` if a redirect URI is not a
 * loopback address.
 *
 * @category requests
 * @since 0.1.0
 */
export const signIn = <E = never, R = never>(
  options: Options<E, R>
): Effect.Effect<
  AuthorizationCode.SignedIn,
  SignInError | TokenError | NoFreePort | Config.ConfigError | E,
  HttpClient.HttpClient | R
> =>
  Effect.gen(function* () {
    const { clientId, loginHint, open, prompt, scopes = defaultScopes } = options
    const addresses = options.redirectUris.map(loopbackAddressOf)
    const timeout = checkTimeout("LoopbackSignIn: timeout", options.timeout ?? "5 minutes")
    const environment = yield* Environment.configured
    const arrived = yield* Deferred.make<Arrival, E>()
    // Nothing fits before the sign-in has begun, and nothing fits twice.
    let expected: string | undefined
    const { redirectUri } = yield* listenFirst(addresses, (arrival) => {
      const states = arrival.query.getAll("state")
      if (expected === undefined || states.length !== 1 || states[0] !== expected) return false
      expected = undefined
      Deferred.doneUnsafe(arrived, Effect.succeed(arrival))
      return true
    })
    const inEnvironment = Effect.provideService(Environment.Environment, environment)
    const { transaction, url } = yield* inEnvironment(
      AuthorizationCode.start({ clientId, redirectUri, scopes, prompt, loginHint })
    )
    expected = Redacted.value(transaction.state)

    yield* Effect.forkScoped(
      Effect.catchCause(open(Redacted.value(url)), (cause) => Deferred.failCause(arrived, cause))
    )
    const { query, respond } = yield* Deferred.await(arrived).pipe(
      Effect.timeoutOrElse({
        duration: timeout,
        orElse: () =>
          Effect.fail(
            new SignInError({ reason: new NoAnswer({ limit: timeout }), issuer: environment.issuer, clientId })
          )
      })
    )
    return yield* AuthorizationCode.redeem(query, transaction, new PublicClient({ clientId })).pipe(
      Effect.tap(() => respond(completed, 200)),
      Effect.tapError((error) => {
        const { page, status } = pageOf(error)
        return respond({ ...page, text: `${page.text} You can close this window.` }, status)
      }),
      inEnvironment
    )
  }).pipe(Effect.scoped)
