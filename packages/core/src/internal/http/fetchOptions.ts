// A request of ours sets one option of fetch and keeps all others, such as a proxy's dispatcher. They may have been
// provided to the client's own layer alone, and are then visible only from inside of it.
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import type * as HttpClient from "effect/http/HttpClient"

/**
 * The fetch options that the client would use here, with redirects left to us. A client runs the request effect in its
 * own context, so one that gives no request shows that context, and sends nothing. Middleware sees that it was called:
 * what is built on a client looks once, and gives its requests the answer.
 */
export const withoutRedirects = <E>(client: HttpClient.HttpClient.With<E>): Effect.Effect<globalThis.RequestInit> =>
  Effect.contextWith((context: Context.Context<never>) => {
    let options = Context.getOrUndefined(context, FetchHttpClient.RequestInit)
    if (options?.redirect === "manual") return Effect.succeed(options)
    const look = Effect.contextWith((context: Context.Context<never>) => {
      options = Context.getOrUndefined(context, FetchHttpClient.RequestInit)
      return Effect.interrupt
    })
    return Effect.map(Effect.exit(client.postprocess(look)), () => ({ ...options, redirect: "manual" }))
  })
