// Requests use the transport of the layer: fetch, its options, and those of undici. Options that a caller provides
// around a single request are not used, because they can send the secret or the token elsewhere, for example through a
// proxy. Fetch does not follow redirects. Both fetch and its options say so, because a client may provide either of
// them to itself.
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Headers from "effect/http/Headers"
import type * as HttpClient from "effect/http/HttpClient"

/**
 * Matches `FetchHttpClient/RequestInit`, `NodeHttpClient/UndiciOptions` and others by name, since core can't import
 * Node.
 */
const isTransport = (key: string): boolean => /\wHttpClient\//.test(key)

const select = (context: Context.Context<never>, isWanted: (key: string) => boolean): Context.Context<never> =>
  Context.makeUnsafe(new Map([...context.mapUnsafe].filter(([key]) => isWanted(key))))

/** Replaces the transport in a context. */
export type Pin = (context: Context.Context<never>) => Context.Context<never>

/** Does not follow redirects. Drops `Host`, which could send the token to another site at the same address. */
const guarded =
  (fetch: () => typeof globalThis.fetch): typeof globalThis.fetch =>
  (input, init) =>
    fetch()(input, {
      ...init,
      redirect: "manual",
      headers: Headers.remove(Headers.fromInput(init?.headers), "host")
    })

/** The fetch functions built here. A context with one of them has the transport of the layer. */
const guards = new WeakSet<typeof globalThis.fetch>()

/**
 * Returns a function that replaces the transport in a caller's context by that of the layer.
 *
 * Options may have been provided to the client only. A client runs the request effect in its own context, so an effect
 * without a request can read that context, and nothing is sent.
 */
export const pinTransport = (client: HttpClient.HttpClient): Effect.Effect<Pin> =>
  Effect.contextWith((outside: Context.Context<never>) => {
    if (guards.has(Context.get(outside, FetchHttpClient.Fetch))) return Effect.succeed<Pin>(identity)
    let inside = outside
    const look = Effect.contextWith((context: Context.Context<never>) => {
      inside = context
      return Effect.interrupt
    })
    return Effect.map(Effect.exit(Effect.suspend(() => client.postprocess(look))), () => {
      const fetch = guarded(() => Context.get(inside, FetchHttpClient.Fetch))
      guards.add(fetch)
      const transport = select(inside, isTransport).pipe(
        Context.add(FetchHttpClient.Fetch, fetch),
        Context.add(FetchHttpClient.RequestInit, {
          ...Context.getOrUndefined(inside, FetchHttpClient.RequestInit),
          redirect: "manual"
        })
      )
      return (context: Context.Context<never>) =>
        Context.merge(
          select(context, (key) => !isTransport(key)),
          transport
        )
    })
  })
