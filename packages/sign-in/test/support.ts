// A web app with the sign-in in process, and a browser that keeps its cookies.

import { SessionStore, Users, UserTokens } from "@effect-itwin/core"
import { CurrentUser, SignInRoutes } from "@effect-itwin/sign-in"
import { FakeIms } from "@effect-itwin/testing"
import { Clock, Effect, Layer, Option, Redacted, type Scope } from "effect"
import { HttpClientRequest, HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"

export const origin = "https://app.example.com"

export const keys = [Redacted.make("c2lnbi1pbi10ZXN0LWtleS1udW1iZXItMDEtYWJjZGU=")] as const
export const otherKeys = [Redacted.make("c2lnbi1pbi10ZXN0LWtleS1udW1iZXItMDItYWJjZGU=")] as const

export const sessionCookie = "__Host-itwin-session"
export const pendingPrefix = "__Host-itwin-sign-in-"

export const ada = "ada@example.com"
export const bob = "bob@example.com"

/** The fake with a web app and two users. One store for all replicas. */
export const Platform = (options: FakeIms.TestOptions = {}) =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      yield* fake.addUser({ email: ada, givenName: "Ada", surname: "Lovelace" })
      yield* fake.addUser({ email: bob, givenName: "Bob", surname: "Builder" })
    })
  ).pipe(
    Layer.provideMerge(
      FakeIms.layerTest({
        app: {
          name: "Web",
          type: "web",
          redirectUris: [`${origin}/sign-in/callback`],
          postLogoutRedirectUris: [`${origin}/`]
        },
        ...options
      })
    ),
    Layer.provideMerge(SessionStore.layerMemory)
  )

const me = Effect.gen(function* () {
  const { user } = yield* CurrentUser.CurrentUser
  const { displayName, email } = yield* Users.me
  return HttpServerResponse.jsonUnsafe({ subject: user?.subject, claimed: user?.email, displayName, email })
})

const act = Effect.map(CurrentUser.CurrentUser, ({ user }) => HttpServerResponse.text(`done for ${user?.email}`))

const maybe = Effect.map(CurrentUser.OptionalUser, (user) =>
  HttpServerResponse.text(
    Option.match(user, { onNone: () => "nobody", onSome: ({ user }) => user?.email ?? "unnamed" })
  )
)

const Guarded = HttpRouter.addAll([
  HttpRouter.route("GET", "/me", me),
  HttpRouter.route("GET", "/act", act),
  HttpRouter.route("POST", "/act", act),
  HttpRouter.route(
    "GET",
    "/cached",
    HttpServerResponse.text("same for all", { headers: { "cache-control": "max-age=60" } })
  )
])
const Open = HttpRouter.addAll([HttpRouter.route("*", "/maybe", maybe)])

/** The routes of one replica. */
export const Routes = (options: Partial<SignInRoutes.Options> = {}, tokens: UserTokens.WebOptions = {}) =>
  Layer.mergeAll(
    SignInRoutes.layer({ baseUrl: origin, keys, ...options }),
    Guarded.pipe(Layer.provide(CurrentUser.layer)),
    Open.pipe(Layer.provide(CurrentUser.layerOptional))
  ).pipe(Layer.provide(UserTokens.layerWith(tokens)))

export type Send = (
  request: HttpClientRequest.HttpClientRequest
) => Effect.Effect<HttpServerResponse.HttpServerResponse, unknown, Scope.Scope>

/** Builds a replica, and returns what sends a request to it. */
export const replica = (options: Partial<SignInRoutes.Options> = {}, tokens: UserTokens.WebOptions = {}) =>
  Effect.map(
    HttpRouter.toHttpEffect(Routes(options, tokens)),
    (handler): Send =>
      (request) =>
        Effect.provideService(
          handler,
          HttpServerRequest.HttpServerRequest,
          HttpServerRequest.fromClientRequest(request)
        )
  )

interface Stored {
  readonly value: string
  readonly until: number
}

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly location: string | undefined
  readonly setCookie: ReadonlyArray<string>
  readonly text: string
}

type Headers = Readonly<Record<string, string>>

/** The headers of a browser that opens an address, loads it with a script, or sends a form. */
export const navigate: Headers = {
  accept: "text/html,application/xhtml+xml",
  "sec-fetch-mode": "navigate",
  "sec-fetch-dest": "document",
  "sec-fetch-site": "none"
}
export const script: Headers = {
  accept: "application/json",
  "sec-fetch-mode": "cors",
  "sec-fetch-dest": "empty",
  "sec-fetch-site": "same-origin"
}
export const form: Headers = { ...navigate, "sec-fetch-site": "same-origin" }

/** A browser on https. It keeps cookies as RFC 6265 and the prefix `__Host-` demand. */
export const makeBrowser = (send: Send) => {
  const jar = new Map<string, Stored>()

  const store = (line: string, now: number) => {
    const [pair = "", ...rest] = line.split("; ")
    const attributes = new Set(rest.map((text) => text.toLowerCase()))
    const [name = "", value = ""] = pair.split(/=(.*)/s)
    const needed = ["path=/", "secure", "httponly", "samesite=lax"]
    if (!name.startsWith("__Host-") || !needed.every((text) => attributes.has(text)) || /domain=/i.test(line)) {
      throw new Error(`A browser does not accept, or the app must not set: ${line}`)
    }
    const maxAge = Number(/max-age=(\d+)/i.exec(line)?.[1] ?? Number.NaN)
    if (Number.isNaN(maxAge)) throw new Error(`The cookie has no life: ${line}`)
    if (maxAge === 0) jar.delete(name)
    else jar.set(name, { value, until: now + maxAge * 1000 })
  }

  const exchange = Effect.fnUntraced(function* (method: "GET" | "POST" | "HEAD", path: string, headers: Headers) {
    const now = yield* Clock.currentTimeMillis
    for (const [name, { until }] of jar) if (until <= now) jar.delete(name)
    const cookie = [...jar].map(([name, { value }]) => `${name}=${value}`).join("; ")
    const request = HttpClientRequest.make(method)(new URL(path, origin), {
      headers: { host: new URL(origin).host, ...(cookie === "" ? {} : { cookie }), ...headers }
    })
    const response = yield* Effect.scoped(Effect.orDie(send(request)))
    const web = HttpServerResponse.toWeb(response)
    const setCookie = web.headers.getSetCookie()
    for (const line of setCookie) store(line, now)
    const answer: Answer = {
      status: web.status,
      headers: Object.fromEntries(web.headers),
      location: web.headers.get("location") ?? undefined,
      setCookie,
      text: yield* Effect.promise(() => web.text())
    }
    return answer
  })

  const names = () => [...jar.keys()]
  const open = (path: string, headers: Headers = {}) => exchange("GET", path, { ...navigate, ...headers })
  /** Opens the sign-in, and returns the address of IMS. */
  const begin = Effect.fnUntraced(function* (returnTo = "/me") {
    const { location = "" } = yield* open(`/sign-in?returnTo=${encodeURIComponent(returnTo)}`)
    return location
  })

  return {
    jar,
    names,
    pending: () => names().filter((name) => name.startsWith(pendingPrefix)),
    session: () => jar.get(sessionCookie)?.value,
    open,
    exchange,
    load: (path: string, headers: Headers = {}) => exchange("GET", path, { ...script, ...headers }),
    post: (path: string, headers: Headers = form) => exchange("POST", path, headers),
    begin,
    /** Begins a sign-in, signs in at IMS, and returns the address of the callback. */
    callback: Effect.fnUntraced(function* (
      options: { readonly returnTo?: string; readonly email?: string; readonly deny?: boolean } = {}
    ) {
      const fake = yield* FakeIms.FakeIms
      return yield* fake.signIn(yield* begin(options.returnTo), { email: ada, ...options })
    }),
    /** Signs in. */
    signIn: Effect.fnUntraced(function* (options: { readonly returnTo?: string; readonly email?: string } = {}) {
      const fake = yield* FakeIms.FakeIms
      const callback = yield* fake.signIn(yield* begin(options.returnTo), { email: ada, ...options })
      return yield* open(callback.href)
    })
  }
}

export type Browser = ReturnType<typeof makeBrowser>

/** Returns the callback with other parameters. */
export const changed = (callback: URL, change: (query: URLSearchParams) => void): string => {
  const url = new URL(callback)
  change(url.searchParams)
  return url.href
}
