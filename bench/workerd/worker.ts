/**
 * The worker that run.ts starts: one runtime for the isolate, shared by all requests. Each request returns the name
 * that `Users.me` returns.
 */
import { env } from "cloudflare:workers"
import { ClientCredentials, Environment, ITwin, SecretProvider, Users } from "@effect-itwin/core"
import { Cause, Effect, Layer, ManagedRuntime, Redacted } from "effect"
import { FetchHttpClient } from "effect/http"

const runtime = ManagedRuntime.make(
  ITwin.layerWith({ renewal: env.renewal }).pipe(
    Layer.provide([
      FetchHttpClient.layer,
      Environment.layer(Environment.custom({ tokenEndpoint: `${env.server}/connect/token`, apiBaseUrl: env.server })),
      SecretProvider.layerStatic(
        new ClientCredentials.ClientCredentials({
          clientId: "service-workerd",
          clientSecret: Redacted.make("fake-secret-a+b/c=")
        })
      )
    ])
  )
)

const answer = () =>
  runtime.runPromise(
    Users.me.pipe(
      Effect.map((user) => new Response(user.displayName)),
      Effect.catchCause((cause) => Effect.succeed(new Response(Cause.pretty(cause), { status: 500 })))
    )
  )

interface Context {
  readonly waitUntil: (promise: Promise<unknown>) => void
}

export default {
  fetch: (request: Request, _: unknown, context: Context): Response | Promise<Response> => {
    const { pathname } = new URL(request.url)
    const answered = answer()
    if (pathname === "/wait-until") context.waitUntil(answered)
    // The handler returns, and the runtime ends what the request still waits for.
    return pathname === "/early" ? new Response("early") : answered
  }
}
