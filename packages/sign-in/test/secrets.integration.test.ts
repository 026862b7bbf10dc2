import { createServer } from "node:http"
import { inspect } from "node:util"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { assert, describe, it } from "@effect/vitest"
import { SealedText, SessionStore } from "@effect-itwin/core"
import { LoopbackSignIn } from "@effect-itwin/sign-in"
import { FakeIms, Fault } from "@effect-itwin/testing"
import { Effect, Layer, Option, Redacted } from "effect"
import { HttpClientRequest, HttpMiddleware, HttpRouter, HttpServer, HttpServerResponse } from "effect/http"
import { type Observed, observe, strings } from "../../core/test/canary.ts"
import { freePort, send } from "./socket.ts"
import {
  ada,
  changed,
  keys,
  makeBrowser,
  Platform,
  pendingPrefix,
  Routes,
  type Send,
  sessionCookie
} from "./support.ts"

/** Everything that must not show, by its name. */
type Secrets = Map<string, string>

const addQuery = (secrets: Secrets, prefix: string, url: URL) => {
  for (const name of ["code", "state", "nonce", "code_challenge", "id_token_hint"]) {
    const value = url.searchParams.get(name)
    if (value !== null) secrets.set(`${prefix} ${name}`, value)
  }
}

/** Adds what the session holds: its id and its tokens. */
const addSession = Effect.fnUntraced(function* (secrets: Secrets, prefix: string, text: string | undefined) {
  const id = Option.getOrThrow(SessionStore.parseId(text ?? ""))
  secrets.set(`${prefix} session id`, Redacted.value(id))
  const session = Option.getOrThrow(yield* (yield* SessionStore.SessionStore).get(id))
  const tokens = {
    access: session.accessToken.value,
    refresh: session.refreshToken,
    id: session.idToken
  }
  for (const [name, token] of Object.entries(tokens)) {
    if (token !== undefined) secrets.set(`${prefix} ${name} token`, Redacted.value(token))
  }
})

const search = (secrets: Secrets, { exit, exported, seen }: Observed<unknown, unknown>) => {
  assert.strictEqual(exit._tag, "Success", inspect(exit, { depth: 9 }))
  const texts = [...seen.flatMap(strings), ...Object.values(exported)]
  assert.isAbove(texts.length, 20)
  for (const [name, secret] of secrets) {
    assert.isAbove(secret.length, 8, name)
    const found = texts.find((text) => text.includes(secret))
    assert.isTrue(
      found === undefined,
      `${name} shows in …${found?.slice(Math.max(0, found.indexOf(secret) - 300), found.indexOf(secret) + 60)}…`
    )
  }
  return { traces: exported.traces ?? "", logs: exported.logs ?? "" }
}

describe("codes, states, verifiers, tokens and cookies", () => {
  it.live("show in no log, span, error and page of a server, whatever happens", () =>
    Effect.gen(function* () {
      const secrets: Secrets = new Map([["key", Redacted.value(keys[0])]])
      const run = Effect.gen(function* () {
        const fake = yield* FakeIms.FakeIms
        const server = HttpServer.formatAddress((yield* HttpServer.HttpServer).address)
        const overSocket: Send = (request) => {
          const { headers, method } = request
          const { pathname, search } = Option.getOrThrow(HttpClientRequest.toUrl(request))
          return Effect.map(send(`${server}${pathname}${search}`, { method, headers: { ...headers } }), (answer) =>
            HttpServerResponse.fromWeb(
              new Response(answer.status === 204 ? null : answer.text, {
                status: answer.status,
                headers: Object.entries(answer.headers).flatMap(([name, value]) =>
                  [value ?? []].flat().map((value): [string, string] => [name, String(value)])
                )
              })
            )
          )
        }
        const browser = makeBrowser(overSocket)
        const pages: Array<string> = []
        const open = (href: string, headers = {}) =>
          Effect.tap(browser.open(href, headers), ({ text }) => Effect.sync(() => pages.push(text)))

        /** Begins a sign-in, and remembers its secrets. */
        const begin = Effect.fnUntraced(function* (name: string) {
          const url = new URL(yield* browser.begin())
          addQuery(secrets, name, url)
          for (const [cookie, { value }] of browser.jar) {
            if (!cookie.startsWith(pendingPrefix)) continue
            secrets.set(`${name} ${cookie}`, value)
            const text = Option.getOrThrow(yield* SealedText.make(keys).open(value, cookie))
            secrets.set(`${name} verifier`, JSON.parse(text).transaction.codeVerifier)
          }
          const callback = yield* fake.signIn(url, { email: ada })
          addQuery(secrets, `${name} callback`, callback)
          return callback
        })

        const first = yield* begin("first")
        yield* open(first.href, { referer: first.href })
        yield* addSession(secrets, "first", browser.session())
        yield* open("/me")
        yield* browser.load("/me")
        yield* open(first.href)
        yield* open(changed(first, (query) => query.set("error", "access_denied")))

        const denied = yield* begin("denied")
        yield* open(
          changed(denied, (query) => {
            query.delete("code")
            query.set("error", "server_error")
            query.set("error_description", `The code ${secrets.get("first callback code")} was used`)
          })
        )

        for (const fault of [Fault.html(503, "Maintenance"), Fault.reset, Fault.html(200, "Hi")]) {
          const failing = yield* begin("failing")
          yield* fake.script("POST /connect/token", Fault.always(fault))
          yield* open(failing.href, { referer: failing.href })
          yield* fake.clearScripts
        }
        const second = yield* begin("second")
        yield* open(second.href)
        yield* addSession(secrets, "second", browser.session())
        yield* browser.post("/sign-out", { "sec-fetch-site": "cross-site" })
        const { location = "" } = yield* browser.post("/sign-out")
        addQuery(secrets, "sign-out", new URL(location))
        yield* open("/me", { cookie: `${sessionCookie}=${secrets.get("second session id")}` })
        for (const [name, secret] of secrets)
          assert.isUndefined(
            pages.find((page) => page.includes(secret)),
            name
          )
      })
      const Server = HttpRouter.serve(Routes()).pipe(
        // What a curious operator may switch on.
        Layer.provide(Layer.succeed(HttpMiddleware.TracerHeaderFilter, () => true)),
        Layer.provideMerge(NodeHttpServer.layer(createServer, { host: "127.0.0.1", port: 0 }))
      )
      const observed = yield* observe(run.pipe(Effect.provide(Server), Effect.provide(Platform()), Effect.scoped))
      const { logs, traces } = search(secrets, observed)
      assert.isAtLeast(secrets.size, 20)
      // The spans are there, with the path, the route and the status, and without a query.
      assert.include(traces, '"url.path"')
      assert.include(traces, "/sign-in/callback")
      assert.include(traces, `"http.route"`)
      assert.include(traces, '"intValue":503')
      assert.notMatch(traces, /\/sign-in\/callback\?/)
      assert.include(logs, "SignInError/UnknownState")
    })
  )

  it.live("show in no log, span and error of a native program", () =>
    Effect.gen(function* () {
      const secrets: Secrets = new Map()
      const run = Effect.gen(function* () {
        const fake = yield* FakeIms.FakeIms
        const redirectUri = `http://127.0.0.1:${yield* freePort}/callback`
        const { credentials } = yield* fake.registerApp({ name: "Native", type: "native", redirectUris: [redirectUri] })
        const signIn = LoopbackSignIn.signIn({
          clientId: credentials.clientId,
          redirectUris: [redirectUri],
          open: (url) =>
            Effect.gen(function* () {
              addQuery(secrets, "url", new URL(url))
              const callback = yield* fake.signIn(url, { email: ada })
              addQuery(secrets, "callback", callback)
              yield* send(changed(callback, (query) => query.set("state", "other")))
              yield* send(callback)
            })
        })
        const { accessToken, idToken, refreshToken } = yield* signIn
        for (const [name, token] of Object.entries({ accessToken: accessToken.value, idToken, refreshToken })) {
          secrets.set(name, Redacted.value(token ?? Redacted.make("")))
        }
        yield* fake.script("POST /connect/token", Fault.always(Fault.html(200, "Hi")))
        yield* Effect.logError("failed", yield* Effect.flip(signIn))
      })
      search(secrets, yield* observe(run.pipe(Effect.provide(Platform()), Effect.scoped)))
      assert.isAtLeast(secrets.size, 8)
    })
  )
})
