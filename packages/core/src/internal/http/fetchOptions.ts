// A request of ours sets one option of fetch and keeps all others, such as a proxy's dispatcher. They may have been
// provided to the client's own layer only, and are then visible only inside it.
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import type * as HttpClient from "effect/http/HttpClient"

/**
 * Returns the fetch options that the client would use here, with redirects left to us. A client runs the request effect
 * in its own context, so an effect that returns no request reads that context, and nothing is sent. Middleware sees a
 * call: what is built on a client calls this once, and uses the result for all its requests.
 */
export const withoutRedirects = <E>(client: HttpClient.HttpClient.With<E>): Effect.Effect<globalThis.RequestInit> =>
  Effect.contextWith((context: Context.Context<never>) => {
    let options = Context.getOrUndefined(context, FetchHttpClient.RequestInit)
    if (options?.redirect === "manual") return Effect.succeed(options)
    const look = Effect.contextWith((context: Context.Context<never>) => {
      options = Context.getOrUndefined(context, FetchHttpClient.RequestInit)
      return Effect.interrupt
    })
    // Suspended, since a client may throw: it then throws again when the request is sent, and is reported there.
    const asked = Effect.exit(Effect.suspend(() => client.postprocess(look)))
    return Effect.map(asked, () => ({ ...options, redirect: "manual" }))
  })
