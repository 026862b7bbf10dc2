/** A web app whose users sign in with their Bentley account; docs/web-app.md explains the parts. */
import { createServer } from "node:http"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Environment, SessionStore, Users, UserTokens } from "@effect-itwin/core"
import { EnvSecretProvider } from "@effect-itwin/provider-env"
import { CurrentUser, SignInRoutes } from "@effect-itwin/sign-in"
import { Config, DateTime, Effect, Layer, Option } from "effect"
import { FetchHttpClient, HttpRouter, HttpServerResponse } from "effect/http"
import * as pages from "./pages.ts"

/** Works with and without a user. */
const start = Effect.map(CurrentUser.OptionalUser, (user) =>
  Option.match(user, {
    onNone: () => pages.welcome,
    onSome: ({ user }) => pages.welcomeBack(user?.givenName ?? user?.email ?? "you")
  })
)

/** `Users.me` calls the platform as the user of this request. */
const me = Effect.gen(function* () {
  const { expiresAt } = yield* CurrentUser.CurrentUser
  const user = yield* Users.me
  const until = DateTime.formatUtc(expiresAt, { locale: "en", dateStyle: "long", timeStyle: "short" })
  return pages.profile(user, `${until} UTC`)
}).pipe(
  Effect.catch((error) =>
    // If the session has ended, CurrentUser sends the person to the sign-in.
    error.reason._tag === "SignedOut" || error.reason._tag === "Unauthorized"
      ? Effect.fail(error)
      : Effect.as(Effect.logWarning(error.message), pages.unavailable)
  )
)

/**
 * A page loads its style and its script. `form-action` names IMS too, because the sign-out ends there, and a browser
 * checks the redirects of a form.
 */
const SecurityHeaders = HttpRouter.middleware(
  Effect.map(Environment.configured, ({ endSessionEndpoint }) => {
    const headers = {
      "content-security-policy": `default-src 'none'; script-src 'self'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self' ${new URL(endSessionEndpoint).origin}`,
      "referrer-policy": "same-origin",
      "x-content-type-options": "nosniff"
    }
    return (httpEffect) => Effect.map(httpEffect, HttpServerResponse.setHeaders(headers))
  })
).layer

export const Pages = Layer.mergeAll(
  HttpRouter.add("GET", "/", start).pipe(Layer.provide(CurrentUser.layerOptional)),
  HttpRouter.add("GET", "/me", me).pipe(Layer.provide(CurrentUser.layer)),
  HttpRouter.add("GET", "/style.css", HttpServerResponse.text(pages.style, { contentType: "text/css" })),
  HttpRouter.add("GET", "/page.js", HttpServerResponse.text(pages.script, { contentType: "text/javascript" }))
).pipe(Layer.provide(SecurityHeaders))

/** BASE_URL is the address that browsers use. Register `<BASE_URL>/sign-in/callback` and `<BASE_URL>/` with the app. */
const SignIn = Layer.unwrap(
  Effect.map(Config.withDefault(Config.String("BASE_URL"), "http://localhost:3000"), (baseUrl) =>
    SignInRoutes.layer({ baseUrl })
  )
)

/** One process, so the sessions are in its memory. With several replicas, use `RedisSessionStore`. */
const Sessions = UserTokens.layer.pipe(Layer.provideMerge(SessionStore.layerMemory))

/** Listens on HOST and PORT. */
const Listener = NodeHttpServer.layerConfig(createServer, {
  host: Config.withDefault(Config.String("HOST"), "127.0.0.1"),
  port: Config.withDefault(Config.Int("PORT"), 3000)
})

export const Server = HttpRouter.serve(Layer.merge(Pages, SignIn)).pipe(
  Layer.provide([Sessions, Listener]),
  Layer.provide([EnvSecretProvider.layer, FetchHttpClient.layer])
)
