// Token requests set one option of fetch and keep all others, for example the dispatcher of a proxy. Options that were
// provided to the layer of the client only are visible only inside the client.
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import type * as HttpClient from "effect/http/HttpClient"

/**
 * Returns the fetch options that the client would use here, but without following redirects. A client runs the request
 * effect in its own context, so an effect without a request can read that context, and nothing is sent. Middleware sees
 * this as a call. So call this once for each client, and use the result for all its requests.
 */
export const withoutRedirects = <E>(client: HttpClient.HttpClient.With<E>): Effect.Effect<globalThis.RequestInit> =>
  Effect.contextWith((context: Context.Context<never>) => {
    let options = Context.getOrUndefined(context, FetchHttpClient.RequestInit)
    if (options?.redirect === "manual") return Effect.succeed(options)
    const look = Effect.contextWith((context: Context.Context<never>) => {
      options = Context.getOrUndefined(context, FetchHttpClient.RequestInit)
      return Effect.interrupt
    })
    // Suspended, because the client may throw. It throws again when the request is sent, and is reported then.
    const asked = Effect.exit(Effect.suspend(() => client.postprocess(look)))
    return Effect.map(asked, () => ({ ...options, redirect: "manual" }))
  })
