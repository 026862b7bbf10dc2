// The transport is the one of the layer: fetch, its options, and those of undici. What a caller provides around a single
// request is not used, since such an option can send the secret or the token elsewhere, for example through a proxy.
// Redirects are left to us. Both fetch and its options say so, since a client may provide either of them to itself.
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Headers from "effect/http/Headers"
import type * as HttpClient from "effect/http/HttpClient"

/** `FetchHttpClient/RequestInit`, `NodeHttpClient/UndiciOptions` and so on, by name: core runs without Node. */
const isTransport = (key: string): boolean => /\wHttpClient\//.test(key)

const select = (context: Context.Context<never>, isWanted: (key: string) => boolean): Context.Context<never> =>
  Context.makeUnsafe(new Map([...context.mapUnsafe].filter(([key]) => isWanted(key))))

/** Replaces the transport in a context. */
export type Pin = (context: Context.Context<never>) => Context.Context<never>

/** Leaves redirects to us. Drops `Host`, which could bring the token to another site at the same address. */
const guarded =
  (fetch: () => typeof globalThis.fetch): typeof globalThis.fetch =>
  (input, init) =>
    fetch()(input, {
      ...init,
      redirect: "manual",
      headers: Headers.remove(Headers.fromInput(init?.headers), "host")
    })

/** The fetch functions made here: a context that holds one is pinned. */
const guards = new WeakSet<typeof globalThis.fetch>()

/**
 * Returns a function that replaces the transport in a caller's context by that of the layer.
 *
 * A client runs the request effect in its own context, to which options may have been provided alone. So a request
 * effect that gives no request shows that context, and sends nothing.
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
