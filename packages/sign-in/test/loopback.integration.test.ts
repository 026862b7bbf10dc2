import { connect, type Socket } from "node:net"
import { networkInterfaces } from "node:os"
import { assert, describe, it } from "@effect/vitest"
import { SignInError, TokenError } from "@effect-itwin/core"
import { LoopbackSignIn } from "@effect-itwin/sign-in"
import { FakeIms, Fault } from "@effect-itwin/testing"
import { Deferred, Effect, Exit, Fiber } from "effect"
import { type Answer, freePort, occupy, send } from "./socket.ts"

const isOpen = (url: string) => Effect.isSuccess(send(url, { path: "/" }))

/** A native app of the fake with a user, and its redirect URI. */
const makeApp = Effect.fnUntraced(function* (host = "127.0.0.1") {
  const fake = yield* FakeIms.FakeIms
  yield* fake.addUser({ email: "ada@example.com", givenName: "Ada" })
  const redirectUri = `http://${host}:${yield* freePort}/callback`
  const { credentials } = yield* fake.registerApp({ name: "Native", type: "native", redirectUris: [redirectUri] })
  return { fake, redirectUri, clientId: credentials.clientId }
})

/** Signs in, and gives `act` the URL of the sign-in page and the answer of a person who signs in there. */
const signInWith = Effect.fnUntraced(function* (
  act: (callback: URL, url: string) => Effect.Effect<unknown, unknown>,
  options: { readonly host?: string; readonly deny?: boolean; readonly timeout?: number } = {}
) {
  const { clientId, fake, redirectUri } = yield* makeApp(options.host)
  const opened = yield* Deferred.make<string>()
  const browser = Effect.gen(function* () {
    const url = yield* Deferred.await(opened)
    yield* act(yield* fake.signIn(url, { deny: options.deny }), url)
  })
  const [exit] = yield* Effect.all(
    [
      Effect.exit(
        LoopbackSignIn.signIn({
          clientId,
          redirectUris: [redirectUri],
          open: (url) => Deferred.succeed(opened, url),
          timeout: options.timeout ?? 10_000
        })
      ),
      browser
    ],
    { concurrency: "unbounded" }
  )
  assert.isFalse(yield* isOpen(redirectUri), "the port is closed")
  return { exit, fake, redirectUri }
})

const reasonOf = <A, E>(exit: Exit.Exit<A, E>): string => {
  const [error] = Exit.isFailure(exit) ? exit.cause.reasons : []
  if (error?._tag !== "Fail") return String(error?._tag)
  return SignInError.isSignInError(error.error) || TokenError.isTokenError(error.error)
    ? error.error.reason._tag
    : String(error.error)
}

const changed = (callback: URL, change: (query: URLSearchParams) => void): URL => {
  const url = new URL(callback)
  change(url.searchParams)
  return url
}

describe("LoopbackSignIn.signIn", () => {
  it.live.each(["127.0.0.1", "localhost", "[::1]"])("returns the tokens of the user who signed in, on %s", (host) =>
    Effect.gen(function* () {
      const pages: Array<Answer> = []
      const { exit } = yield* signInWith((callback) => Effect.map(send(callback), (page) => pages.push(page)), { host })
      assert.isTrue(Exit.isSuccess(exit))
      if (Exit.isSuccess(exit)) {
        assert.strictEqual(exit.value.claims?.email, "ada@example.com")
        assert.isDefined(exit.value.refreshToken)
      }
      const [page] = pages
      assert.strictEqual(page?.status, 200)
      assert.match(page?.text ?? "", /<h1>You are signed in<\/h1>\s*<p>You can close this window/)
      assert.strictEqual(page?.headers["cache-control"], "no-store")
      assert.strictEqual(page?.headers["referrer-policy"], "no-referrer")
      assert.match(String(page?.headers["content-security-policy"]), /^default-src 'none'/)
    }).pipe(Effect.provide(FakeIms.layerTest()))
  )

  const strangers: ReadonlyArray<readonly [string, (callback: URL) => Effect.Effect<Answer, Error>, number]> = [
    ["the state is another one", (callback) => send(changed(callback, (query) => query.set("state", "other"))), 400],
    ["the state is missing", (callback) => send(changed(callback, (query) => query.delete("state"))), 400],
    [
      "the state is repeated",
      (callback) => send(changed(callback, (query) => query.append("state", query.get("state") ?? ""))),
      400
    ],
    [
      "the state begins with the right one",
      (callback) => send(changed(callback, (query) => query.set("state", `${query.get("state")}x`))),
      400
    ],
    [
      "an error has another state",
      (callback) =>
        send(
          changed(callback, (query) => {
            query.set("state", "other")
            query.set("error", "access_denied")
          })
        ),
      400
    ],
    ["the path is longer", (callback) => send(callback, { path: `/callback/${callback.search}` }), 404],
    ["the path is in other letters", (callback) => send(callback, { path: `/Callback${callback.search}` }), 404],
    ["the path is encoded", (callback) => send(callback, { path: `/%63allback${callback.search}` }), 404],
    ["the path has dots", (callback) => send(callback, { path: `/a/../callback${callback.search}` }), 404],
    ["the request is for a proxy", (callback) => send(callback, { path: callback.href }), 404],
    ["the browser asks for an icon", (callback) => send(callback, { path: "/favicon.ico" }), 404],
    ["the method is POST", (callback) => send(callback, { method: "POST" }), 405],
    ["the method is HEAD", (callback) => send(callback, { method: "HEAD" }), 405],
    [
      "Host is another name of this machine",
      (callback) => send(callback, { headers: { host: `localhost:${callback.port}` } }),
      421
    ],
    [
      "Host is a name that resolves to this machine",
      (callback) => send(callback, { headers: { host: `evil.example:${callback.port}` } }),
      421
    ],
    ["Host has no port", (callback) => send(callback, { headers: { host: "127.0.0.1" } }), 421]
  ]

  it.live.each(strangers)("keeps waiting when %s", ([_name, attack, status]) =>
    Effect.gen(function* () {
      const statuses: Array<number> = []
      const { exit } = yield* signInWith((callback) =>
        Effect.gen(function* () {
          statuses.push((yield* attack(callback)).status)
          statuses.push((yield* attack(callback)).status)
          statuses.push((yield* send(callback)).status)
        })
      )
      assert.deepStrictEqual(statuses, [status, status, 200])
      assert.isTrue(Exit.isSuccess(exit))
    }).pipe(Effect.provide(FakeIms.layerTest()))
  )

  it.live("uses an answer once when it arrives twice at the same time", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      yield* fake.script("POST /connect/token", Fault.once(Fault.delay("300 millis")))
      const statuses: Array<number> = []
      const { exit } = yield* signInWith((callback) =>
        Effect.gen(function* () {
          const first = yield* Effect.forkChild(send(callback))
          yield* fake.awaitRequest("POST /connect/token")
          statuses.push((yield* send(callback)).status, (yield* Fiber.join(first)).status)
        })
      )
      assert.isTrue(Exit.isSuccess(exit))
      assert.deepStrictEqual(statuses, [400, 200])
      yield* fake.assertTokenRequests(1)
    }).pipe(Effect.provide(FakeIms.layerTest()))
  )

  it.live("fails with Denied when the user declines", () =>
    Effect.gen(function* () {
      const pages: Array<Answer> = []
      const { exit } = yield* signInWith((callback) => Effect.map(send(callback), (page) => pages.push(page)), {
        deny: true
      })
      assert.strictEqual(reasonOf(exit), "Denied")
      assert.strictEqual(pages[0]?.status, 403)
      assert.match(pages[0]?.text ?? "", /You can close this window/)
    }).pipe(Effect.provide(FakeIms.layerTest()))
  )

  it.live("fails with InvalidAnswer when another issuer answers", () =>
    Effect.gen(function* () {
      const { exit, fake } = yield* signInWith((callback) =>
        send(changed(callback, (query) => query.set("iss", "https://evil.example")))
      )
      assert.strictEqual(reasonOf(exit), "InvalidAnswer")
      yield* fake.assertTokenRequests(0)
    }).pipe(Effect.provide(FakeIms.layerTest()))
  )

  it.live("fails with the error of IMS, and shows nothing of it, when the code is rejected", () =>
    Effect.gen(function* () {
      const pages: Array<Answer> = []
      const { exit } = yield* signInWith((callback) =>
        Effect.map(send(changed(callback, (query) => query.set("code", "fake-secret-code+/="))), (page) =>
          pages.push(page)
        )
      )
      assert.strictEqual(reasonOf(exit), "InvalidGrant")
      assert.strictEqual(pages[0]?.status, 400)
      assert.notInclude(pages[0]?.text, "fake-secret-")
    }).pipe(Effect.provide(FakeIms.layerTest()))
  )

  it.live("fails with NoAnswer, and closes the port, when nobody comes back in time", () =>
    Effect.gen(function* () {
      const { exit } = yield* signInWith(() => Effect.void, { timeout: 30 })
      assert.strictEqual(reasonOf(exit), "NoAnswer")
    }).pipe(Effect.provide(FakeIms.layerTest()))
  )

  it.live("fails, and closes the port, when the browser can't be opened", () =>
    Effect.gen(function* () {
      const { clientId, redirectUri } = yield* makeApp()
      const error = yield* Effect.flip(
        LoopbackSignIn.signIn({ clientId, redirectUris: [redirectUri], open: () => Effect.fail("no browser" as const) })
      )
      assert.strictEqual(error, "no browser")
      assert.isFalse(yield* isOpen(redirectUri))
    }).pipe(Effect.provide(FakeIms.layerTest()))
  )

  it.live("closes the port when it is interrupted, also with a client that has sent half a request", () =>
    Effect.gen(function* () {
      const { clientId, redirectUri } = yield* makeApp()
      const opened = yield* Deferred.make<void>()
      const fiber = yield* Effect.forkChild(
        LoopbackSignIn.signIn({
          clientId,
          redirectUris: [redirectUri],
          open: () => Effect.andThen(Deferred.succeed(opened, undefined), Effect.never)
        })
      )
      yield* Deferred.await(opened)
      const { port } = new URL(redirectUri)
      const connection = yield* Effect.acquireRelease(
        Effect.callback<Socket>((resume) => {
          const socket = connect({ host: "127.0.0.1", port: Number(port) })
          socket.write("GET /callback HTTP/1.1\r\n", () => resume(Effect.succeed(socket)))
          socket.on("error", () => {})
        }),
        (socket) => Effect.sync(() => socket.destroy())
      )
      assert.isTrue(yield* isOpen(redirectUri))
      yield* Fiber.interrupt(fiber)
      assert.isFalse(yield* isOpen(redirectUri))
      assert.isFalse(connection.writable)
    }).pipe(Effect.scoped, Effect.provide(FakeIms.layerTest()))
  )

  it.live("uses the first redirect URI whose port is free", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      yield* fake.addUser({ email: "ada@example.com" })
      const takenPort = yield* freePort
      yield* occupy("::1", takenPort)
      const taken = `http://localhost:${takenPort}/callback`
      const free = `http://127.0.0.1:${yield* freePort}/callback`
      const redirectUris = [taken, free] as const
      const { credentials } = yield* fake.registerApp({ name: "Native", type: "native", redirectUris })
      const opened: Array<string | boolean | null> = []
      yield* LoopbackSignIn.signIn({
        clientId: credentials.clientId,
        redirectUris,
        open: (url) => {
          return Effect.gen(function* () {
            opened.push(new URL(url).searchParams.get("redirect_uri"))
            // The other one is not half open.
            opened.push(yield* isOpen(`http://127.0.0.1:${takenPort}`))
            yield* send(yield* fake.signIn(url))
          })
        }
      })
      assert.deepStrictEqual(opened, [free, false])
    }).pipe(Effect.scoped, Effect.provide(FakeIms.layerTest()))
  )

  it.live("fails with NoFreePort when another program has the port on one interface of localhost", () =>
    Effect.gen(function* () {
      const port = yield* freePort
      yield* occupy("::1", port)
      const redirectUri = `http://localhost:${port}/callback`
      const error = yield* Effect.flip(
        LoopbackSignIn.signIn({ clientId: "native-Ab12", redirectUris: [redirectUri], open: () => Effect.void })
      )
      assert.instanceOf(error, LoopbackSignIn.NoFreePort)
      assert.include(error.message, redirectUri)
      // Nothing listens on the interface that was free.
      assert.isFalse(yield* isOpen(redirectUri.replace("localhost", "127.0.0.1")))
    }).pipe(Effect.scoped, Effect.provide(FakeIms.layerTest()))
  )

  it.live("listens on loopback only", () =>
    Effect.gen(function* () {
      const outside = Object.values(networkInterfaces())
        .flatMap((addresses) => addresses ?? [])
        .filter(({ family, internal }) => family === "IPv4" && !internal)
      const reached: Array<boolean> = []
      yield* signInWith((callback) =>
        Effect.gen(function* () {
          for (const { address } of outside) {
            reached.push(yield* Effect.isSuccess(send(callback.href.replace("127.0.0.1", address))))
          }
          yield* send(callback)
        })
      )
      assert.notInclude(reached, true)
    }).pipe(Effect.provide(FakeIms.layerTest()))
  )

  it.effect.each<readonly [Partial<LoopbackSignIn.Options<never, never>>, RegExp]>([
    [{ redirectUris: ["https://127.0.0.1:3000/callback"] }, /redirectUris/],
    [{ timeout: 0 }, /timeout/],
    [{ timeout: "11 minutes" }, /timeout/]
  ])("dies with a RangeError for the options %j", ([options, message]) =>
    Effect.gen(function* () {
      const exit = yield* Effect.exit(
        LoopbackSignIn.signIn({
          clientId: "native-Ab12",
          redirectUris: ["http://127.0.0.1:3000/callback"],
          open: () => Effect.void,
          ...options
        })
      )
      const [reason] = Exit.isFailure(exit) ? exit.cause.reasons : []
      assert.isTrue(
        reason?._tag === "Die" && reason.defect instanceof RangeError && message.test(reason.defect.message)
      )
    }).pipe(Effect.provide(FakeIms.layerTest()))
  )

  it.live("sends the code to the token endpoint of the environment only, with the verifier", () =>
    Effect.gen(function* () {
      const { exit, fake } = yield* signInWith((callback) => send(callback))
      assert.isTrue(Exit.isSuccess(exit))
      const [request] = yield* fake.tokenRequests
      assert.strictEqual(request?.status, 200)
      yield* fake.script("POST /connect/token", Fault.always(Fault.html(503, "Maintenance")))
      const failed = yield* signInWith((callback) => send(callback))
      assert.strictEqual(reasonOf(failed.exit), "ServerError")
    }).pipe(Effect.provide(FakeIms.layerTest()))
  )
})
