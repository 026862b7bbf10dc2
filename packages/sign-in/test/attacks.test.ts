import { assert, describe, it } from "@effect/vitest"
import { AuthorizationCode, SealedText, SessionStore } from "@effect-itwin/core"
import { FakeIms, Fault } from "@effect-itwin/testing"
import { Effect, Fiber, Option, Redacted, Schema } from "effect"
import { TestClock } from "effect/testing"
import {
  ada,
  type Browser,
  bob,
  changed,
  form,
  keys,
  makeBrowser,
  navigate,
  origin,
  otherKeys,
  Platform,
  pendingPrefix,
  replica,
  sessionCookie
} from "./support.ts"

const forever = Number.POSITIVE_INFINITY

/** What the browser of the victim opens at the end of an attack. */
interface Attack {
  readonly victim: Browser
  readonly attacker: Browser
}

const sign = (cookies: ReadonlyArray<readonly [string, string]>): string =>
  cookies.map(([name, value]) => `${name}=${value}`).join("; ")

const pendingOf = (browser: Browser): ReadonlyArray<readonly [string, string]> =>
  [...browser.jar].filter(([name]) => name.startsWith(pendingPrefix)).map(([name, { value }]) => [name, value] as const)

const oneOf = (browser: Browser): readonly [string, string] => pendingOf(browser)[0] ?? ["", ""]

const stateOf = (callback: URL): string => callback.searchParams.get("state") ?? ""

/** Seals something else for the cookie of a state, under the key of the app. */
const reseal = Effect.fnUntraced(function* (browser: Browser, change: (text: string) => string, key = keys) {
  const [name, value] = oneOf(browser)
  const text = yield* SealedText.make(keys).open(value, name)
  browser.jar.set(name, {
    value: yield* SealedText.make(key).seal(change(Option.getOrThrow(text)), name),
    until: forever
  })
})

/** Each row: what the victim's browser opens. It must get no session, and no code of it may reach IMS. */
const callbacks: ReadonlyArray<
  readonly [
    string,
    (attack: Attack) => Effect.Effect<readonly [string, Record<string, string>?], unknown, FakeIms.FakeIms>
  ]
> = [
  [
    "the callback of the attacker's sign-in (login CSRF)",
    ({ attacker }) => Effect.map(attacker.callback({ email: bob }), ({ href }) => [href])
  ],
  [
    "the attacker's callback while an own sign-in is in progress",
    ({ attacker, victim }) =>
      Effect.gen(function* () {
        yield* victim.callback()
        return [(yield* attacker.callback({ email: bob })).href]
      })
  ],
  [
    "the attacker's code with the victim's state, from another client's sign-in",
    ({ attacker, victim }) =>
      Effect.gen(function* () {
        const own = yield* victim.callback()
        const code = (yield* attacker.callback({ email: bob })).searchParams.get("code") ?? ""
        // PKCE: IMS rejects the code, because the victim's verifier does not fit.
        return [changed(own, (query) => query.set("code", code))]
      })
  ],
  [
    "the victim's code with the attacker's state",
    ({ attacker, victim }) =>
      Effect.gen(function* () {
        const own = yield* victim.callback()
        const other = yield* attacker.callback({ email: bob })
        return [changed(own, (query) => query.set("state", stateOf(other)))]
      })
  ],
  [
    "the cookie of another sign-in under the name that fits",
    ({ attacker, victim }) =>
      Effect.gen(function* () {
        const own = yield* victim.callback()
        yield* attacker.callback({ email: bob })
        victim.jar.set(oneOf(victim)[0], { value: oneOf(attacker)[1], until: forever })
        return [own.href]
      })
  ],
  [
    "the cookie of another window under the name that fits",
    ({ victim }) =>
      Effect.gen(function* () {
        const one = yield* victim.callback()
        const [name] = oneOf(victim)
        yield* victim.callback()
        const other = pendingOf(victim).find(([found]) => found !== name)?.[1] ?? ""
        victim.jar.set(name, { value: other, until: forever })
        return [one.href]
      })
  ],
  [
    "a cookie that was sealed under another key",
    ({ victim }) =>
      Effect.gen(function* () {
        const own = yield* victim.callback()
        const [name, value] = oneOf(victim)
        const text = Option.getOrThrow(yield* SealedText.make(keys).open(value, name))
        victim.jar.set(name, { value: yield* SealedText.make(otherKeys).seal(text, name), until: forever })
        return [own.href]
      })
  ],
  [
    "a cookie that was sealed for another purpose",
    ({ victim }) =>
      Effect.gen(function* () {
        const own = yield* victim.callback()
        const [name, value] = oneOf(victim)
        const text = Option.getOrThrow(yield* SealedText.make(keys).open(value, name))
        victim.jar.set(name, { value: yield* SealedText.make(keys).seal(text, "session"), until: forever })
        return [own.href]
      })
  ],
  [
    "a cookie with one bit changed",
    ({ victim }) =>
      Effect.gen(function* () {
        const own = yield* victim.callback()
        const [name, value] = oneOf(victim)
        const last = value.at(-5) === "A" ? "B" : "A"
        victim.jar.set(name, { value: `${value.slice(0, -5)}${last}${value.slice(-4)}`, until: forever })
        return [own.href]
      })
  ],
  [
    "a cookie with plain JSON",
    ({ victim }) =>
      Effect.gen(function* () {
        const own = yield* victim.callback()
        victim.jar.set(oneOf(victim)[0], { value: '{"transaction":{},"returnTo":"/"}', until: forever })
        return [own.href]
      })
  ],
  [
    "an empty cookie",
    ({ victim }) =>
      Effect.gen(function* () {
        const own = yield* victim.callback()
        victim.jar.set(oneOf(victim)[0], { value: "", until: forever })
        return [own.href]
      })
  ],
  [
    "the cookie twice",
    ({ victim }) =>
      Effect.gen(function* () {
        const own = yield* victim.callback()
        return [own.href, { cookie: sign([oneOf(victim), oneOf(victim)]) }]
      })
  ],
  [
    "an oversized cookie",
    ({ victim }) =>
      Effect.gen(function* () {
        const own = yield* victim.callback()
        victim.jar.set(oneOf(victim)[0], { value: "A".repeat(100_000), until: forever })
        return [own.href]
      })
  ],
  [
    "no cookie at all",
    ({ victim }) =>
      Effect.gen(function* () {
        const own = yield* victim.callback()
        victim.jar.clear()
        return [own.href]
      })
  ],
  [
    "the cookie without the prefix __Host-",
    ({ victim }) =>
      Effect.gen(function* () {
        const own = yield* victim.callback()
        const [name, value] = oneOf(victim)
        return [own.href, { cookie: `${name.slice("__Host-".length)}=${value}` }]
      })
  ],
  [
    "the state twice",
    ({ victim }) =>
      Effect.map(victim.callback(), (own) => [changed(own, (query) => query.append("state", stateOf(own)))])
  ],
  [
    "another state first, and the right one second",
    ({ victim }) => Effect.map(victim.callback(), (own) => [own.href.replace("?", "?state=other&")])
  ],
  [
    "the code twice",
    ({ victim }) => Effect.map(victim.callback(), (own) => [changed(own, (query) => query.append("code", "other"))])
  ],
  [
    "a callback without a state",
    ({ victim }) => Effect.map(victim.callback(), (own) => [changed(own, (query) => query.delete("state"))])
  ],
  [
    "a callback with an empty state",
    ({ victim }) => Effect.map(victim.callback(), (own) => [changed(own, (query) => query.set("state", ""))])
  ],
  [
    "a callback with a state of 10,000 characters",
    ({ victim }) =>
      Effect.map(victim.callback(), (own) => [changed(own, (query) => query.set("state", "a".repeat(10_000)))])
  ],
  [
    "a callback without a code",
    ({ victim }) => Effect.map(victim.callback(), (own) => [changed(own, (query) => query.delete("code"))])
  ],
  [
    "the answer of another issuer (mix-up)",
    ({ victim }) =>
      Effect.map(victim.callback(), (own) => [changed(own, (query) => query.set("iss", "https://evil.example"))])
  ],
  [
    "a code and an error",
    ({ victim }) =>
      Effect.map(victim.callback(), (own) => [changed(own, (query) => query.set("error", "access_denied"))])
  ],
  [
    "an access token in the query",
    ({ victim }) =>
      Effect.map(victim.callback(), (own) => [changed(own, (query) => query.set("access_token", "fake-secret-a+/="))])
  ],
  [
    "a callback after 10 minutes",
    ({ victim }) =>
      Effect.gen(function* () {
        const own = yield* victim.callback()
        const [name, value] = oneOf(victim)
        victim.jar.set(name, { value, until: forever })
        yield* TestClock.adjust("10 minutes")
        return [own.href]
      })
  ],
  [
    "a sign-in of another client",
    ({ victim }) =>
      Effect.gen(function* () {
        const own = yield* victim.callback()
        yield* reseal(victim, (text) => text.replace(/"clientId":"[^"]+"/, '"clientId":"webapp-Other"'))
        return [own.href]
      })
  ]
]

describe("a callback that does not belong to the sign-in of this browser", () => {
  it.effect.each(callbacks)("begins no session: %s", ([_name, attack]) =>
    Effect.gen(function* () {
      const send = yield* replica()
      const [victim, attacker] = [makeBrowser(send), makeBrowser(send)]
      const fake = yield* FakeIms.FakeIms
      const [href, headers] = yield* attack({ victim, attacker })
      for (let time = 0; time < 2; time++) {
        const { setCookie, status, text } = yield* victim.open(href, headers)
        assert.strictEqual(status, 400)
        assert.isUndefined(setCookie.find((line) => line.startsWith(sessionCookie)))
        assert.isUndefined(victim.session())
        assert.notMatch(text, /fake-secret-|access_token|evil/)
      }
      assert.strictEqual((yield* victim.load("/me")).status, 401)
      // A rejected code is the most that IMS sees.
      for (const { outcome } of yield* fake.tokenRequests) assert.notStrictEqual(outcome, "token")
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )
})

describe("a used callback", () => {
  it.effect("is not sent to IMS again, so the session stays", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const browser = makeBrowser(yield* replica())
      const callback = yield* browser.callback()
      yield* browser.open(callback.href)
      for (let time = 0; time < 3; time++) assert.strictEqual((yield* browser.open(callback.href)).status, 400)
      yield* fake.assertTokenRequests(1)
      assert.strictEqual((yield* browser.load("/me")).status, 200)
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )

  it.effect("is sent to IMS once when the browser sends it again before it has the answer", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const browser = makeBrowser(yield* replica())
      const { href } = yield* browser.callback()
      yield* fake.script("POST /connect/token", Fault.once(Fault.delay("5 seconds")))
      const opening = yield* Effect.forkChild(Effect.all([browser.open(href), browser.open(href)], { concurrency: 2 }))
      yield* fake.awaitRequest("POST /connect/token")
      // WebCrypto does not wait for the clock. It has finished for both when it has for a third one.
      yield* browser.begin()
      yield* TestClock.adjust("5 seconds")
      const [first, second] = yield* Fiber.join(opening)
      assert.deepStrictEqual(second.setCookie, first.setCookie)
      assert.strictEqual(yield* fake.countRequests("POST /connect/token"), 1)
      assert.strictEqual((yield* browser.load("/me")).status, 200)
      // Afterwards as before.
      assert.strictEqual((yield* browser.open(href)).status, 400)
      assert.strictEqual((yield* browser.signIn()).status, 303)
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )

  it.effect("gives a thief who has the address no session", () =>
    Effect.gen(function* () {
      const send = yield* replica()
      const [victim, thief] = [makeBrowser(send), makeBrowser(send)]
      const callback = yield* victim.callback()
      assert.strictEqual((yield* thief.open(callback.href)).status, 400)
      yield* thief.callback()
      assert.strictEqual((yield* thief.open(callback.href)).status, 400)
      assert.isUndefined(thief.session())
      // The theft does not use up the code.
      assert.strictEqual((yield* victim.open(callback.href)).status, 303)
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )
})

describe("a session cookie that this app did not give to this browser", () => {
  const cases: ReadonlyArray<readonly [string, (session: string) => string]> = [
    ["another id", () => `${sessionCookie}=${"B".repeat(43)}`],
    ["a shorter id", (session) => `${sessionCookie}=${session.slice(1)}`],
    ["a longer id", (session) => `${sessionCookie}=${session}A`],
    ["an empty id", () => `${sessionCookie}=`],
    ["the id in quotes", (session) => `${sessionCookie}="${session}"`],
    [
      "the id percent-encoded",
      (session) => `${sessionCookie}=%${session.charCodeAt(0).toString(16)}${session.slice(1)}`
    ],
    ["the id twice", (session) => `${sessionCookie}=${session}; ${sessionCookie}=${session}`],
    ["another id and the id", (session) => `${sessionCookie}=${"B".repeat(43)}; ${sessionCookie}=${session}`],
    ["the id without the prefix", (session) => `itwin-session=${session}`],
    ["the id under other letters", (session) => `__host-itwin-session=${session}`],
    // Another host of the site may set these names: a browser does not see the prefix.
    ["the id under a name with a no-break space", (session) => `\u00a0${sessionCookie}=${session}`],
    ["the id under a name with other white space", (session) => `\u2000${sessionCookie}=${session}`],
    ["a name of a prototype", (session) => `__proto__=${session}; constructor=${session}`],
    ["100 KB", () => `${sessionCookie}=${"A".repeat(100_000)}`],
    ["a path", () => `${sessionCookie}=../../../../../../etc/passwd-and-enough-letters`]
  ]
  it.effect.each(cases)("is nobody: %s", ([_name, cookieOf]) =>
    Effect.gen(function* () {
      const browser = makeBrowser(yield* replica())
      yield* browser.signIn()
      const cookie = cookieOf(browser.session() ?? "")
      assert.strictEqual((yield* browser.load("/me", { cookie })).status, 401)
      assert.strictEqual((yield* browser.open("/maybe", { cookie })).text, "nobody")
      // The session of the user goes on.
      browser.jar.clear()
      yield* browser.signIn()
      assert.strictEqual((yield* browser.load("/me")).status, 200)
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )
})

describe("a stolen session cookie", () => {
  it.effect("is nobody after a sign-out at a replica that does not have the key of the session", () =>
    Effect.gen(function* () {
      const backend = { ...(yield* SessionStore.makeMemory), isPrivate: false }
      const replicaWith = (...keys: Parameters<typeof SealedText.make>[0]) =>
        Effect.provideService(replica(), SessionStore.SessionStore, SessionStore.make(backend, { keys }))
      const here = makeBrowser(yield* replicaWith(otherKeys[0], keys[0]))
      const there = makeBrowser(yield* replicaWith(keys[0]))
      yield* here.signIn()
      const cookie = `${sessionCookie}=${here.session()}`
      assert.strictEqual((yield* there.post("/sign-out", { ...form, cookie })).location, `${origin}/`)
      assert.strictEqual((yield* here.load("/me", { cookie })).status, 401)
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )
})

describe("a request of another site", () => {
  const signOuts: ReadonlyArray<readonly [string, Record<string, string>]> = [
    ["another site", { ...form, "sec-fetch-site": "cross-site" }],
    ["another host of the same site", { ...form, "sec-fetch-site": "same-site" }],
    ["no page at all", { ...form, "sec-fetch-site": "none" }],
    ["another site that forges Origin", { ...form, "sec-fetch-site": "cross-site", origin }],
    ["another origin, without Fetch Metadata", { origin: "https://evil.example" }],
    ["a sandboxed frame, without Fetch Metadata", { origin: "null" }],
    ["the same host on http, without Fetch Metadata", { origin: "http://app.example.com" }],
    ["a host that begins like this one, without Fetch Metadata", { origin: `${origin}.evil.example` }],
    ["somebody who says nothing", {}],
    ["somebody who has the right Referer only", { referer: `${origin}/` }],
    ["somebody who forges Host", { host: "evil.example", origin: "https://evil.example" }]
  ]
  it.effect.each(signOuts)("does not sign the user out: %s", ([_name, headers]) =>
    Effect.gen(function* () {
      const browser = makeBrowser(yield* replica())
      yield* browser.signIn()
      const session = browser.session()
      const answer = yield* browser.post("/sign-out", headers)
      assert.strictEqual(answer.status, 403)
      assert.deepStrictEqual(answer.setCookie, [])
      assert.strictEqual(browser.session(), session)
      assert.strictEqual((yield* browser.load("/me")).status, 200)
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )

  it.effect("does not sign the user out by GET or HEAD", () =>
    Effect.gen(function* () {
      const browser = makeBrowser(yield* replica())
      yield* browser.signIn()
      for (const method of ["GET", "HEAD"] as const) {
        const exit = yield* Effect.exit(browser.exchange(method, "/sign-out", navigate))
        assert.strictEqual(exit._tag, "Failure")
      }
      assert.strictEqual((yield* browser.load("/me")).status, 200)
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )

  it.effect("signs the user out from a page of this origin in a browser without Fetch Metadata", () =>
    Effect.gen(function* () {
      const browser = makeBrowser(yield* replica())
      yield* browser.signIn()
      assert.strictEqual((yield* browser.post("/sign-out", { origin })).status, 303)
      assert.strictEqual((yield* browser.load("/me")).status, 401)
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )

  it.effect.each(["same-site", "cross-site"])("does not act as the user, but may link to a page: %s", (site) =>
    Effect.gen(function* () {
      const browser = makeBrowser(yield* replica())
      yield* browser.signIn()
      const elsewhere = { "sec-fetch-site": site }
      assert.strictEqual((yield* browser.post("/act", { ...form, ...elsewhere })).status, 403)
      assert.strictEqual((yield* browser.load("/act", elsewhere)).status, 403)
      assert.strictEqual((yield* browser.open("/act", { ...elsewhere, "sec-fetch-dest": "iframe" })).status, 403)
      assert.strictEqual((yield* browser.post("/maybe", { ...form, ...elsewhere })).text, "nobody")
      assert.strictEqual((yield* browser.open("/act", elsewhere)).text, `done for ${ada}`)
      assert.strictEqual((yield* browser.open("/maybe", elsewhere)).text, ada)
      assert.strictEqual((yield* browser.post("/act")).text, `done for ${ada}`)
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )
})

describe("the header Host", () => {
  it.effect("changes no address", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const browser = makeBrowser(yield* replica())
      const headers = {
        host: "evil.example",
        "x-forwarded-host": "evil.example",
        "x-forwarded-proto": "http",
        forwarded: "host=evil.example"
      }
      const { location = "" } = yield* browser.open("/sign-in?returnTo=/me", headers)
      assert.strictEqual(new URL(location).searchParams.get("redirect_uri"), `${origin}/sign-in/callback`)
      const callback = yield* fake.signIn(location, { email: ada })
      assert.strictEqual((yield* browser.open(callback.href, headers)).location, `${origin}/me`)
      assert.strictEqual(
        (yield* makeBrowser(yield* replica()).open("/me", headers)).location,
        "/sign-in?returnTo=%2Fme"
      )
      const out = yield* browser.post("/sign-out", { ...form, ...headers })
      assert.strictEqual(new URL(out.location ?? "").searchParams.get("post_logout_redirect_uri"), `${origin}/`)
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )
})

describe("returnTo", () => {
  it.effect.each([
    "//evil.example",
    "/\\evil.example",
    "https://evil.example",
    "/%2f%2fevil.example",
    "/.//evil.example",
    "/\t/evil.example",
    "/sign-in",
    "/sign-out",
    "javascript:alert(1)"
  ])("stays on the origin for %j", (returnTo) =>
    Effect.gen(function* () {
      const browser = makeBrowser(yield* replica())
      assert.strictEqual((yield* browser.signIn({ returnTo })).location, `${origin}/`)
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )

  it.effect("is / when it is repeated or missing", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const browser = makeBrowser(yield* replica())
      for (const path of ["/sign-in", "/sign-in?returnTo=/a&returnTo=/b", "/sign-in?return=/a"]) {
        const { location = "" } = yield* browser.open(path)
        const callback = yield* fake.signIn(location, { email: ada })
        assert.strictEqual((yield* browser.open(callback.href)).location, `${origin}/`)
      }
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )
})

describe("the cookie of a sign-in", () => {
  it.effect("shows nothing of the transaction, neither in its name nor in its value", () =>
    Effect.gen(function* () {
      const browser = makeBrowser(yield* replica())
      const url = new URL(yield* browser.begin())
      const [name, value] = oneOf(browser)
      const state = url.searchParams.get("state") ?? ""
      for (const text of [name, value, Buffer.from(value, "base64url").toString("latin1")]) {
        for (const part of [state.slice(0, 8), url.searchParams.get("nonce")?.slice(0, 8) ?? "", "/me"]) {
          assert.notInclude(text, part)
        }
      }
      const sealed = yield* SealedText.make(keys).open(value, name)
      const { transaction } = JSON.parse(Option.getOrThrow(sealed))
      const decoded = yield* Schema.decodeUnknownEffect(Schema.toCodecJson(AuthorizationCode.Transaction))(transaction)
      assert.strictEqual(Redacted.value(decoded.state), state)
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )

  it.effect("outlives the replacement of the key, as long as the old key is in the list", () =>
    Effect.gen(function* () {
      const before = makeBrowser(yield* replica())
      const callback = yield* before.callback()
      const rotated = makeBrowser(yield* replica({ keys: [...otherKeys, ...keys] }))
      const without = makeBrowser(yield* replica({ keys: otherKeys }))
      for (const [name, cookie] of before.jar) {
        rotated.jar.set(name, cookie)
        without.jar.set(name, cookie)
      }
      assert.strictEqual((yield* without.open(callback.href)).status, 400)
      assert.strictEqual((yield* rotated.open(callback.href)).status, 303)
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )

  it.effect("is accepted from a replica whose clock is ahead", () =>
    Effect.gen(function* () {
      const browser = makeBrowser(yield* replica())
      const callback = yield* browser.callback()
      yield* reseal(browser, (text) => text.replace(/"startedAt":\d+/, '"startedAt":5000'))
      assert.strictEqual((yield* browser.open(callback.href)).status, 303)
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )

  it.effect("is for one layer only when no key is given", () =>
    Effect.gen(function* () {
      const here = makeBrowser(yield* replica({ keys: undefined }))
      const there = makeBrowser(yield* replica({ keys: undefined }))
      const callback = yield* here.callback()
      for (const [name, cookie] of here.jar) there.jar.set(name, cookie)
      assert.strictEqual((yield* there.open(callback.href)).status, 400)
      assert.strictEqual((yield* here.open(callback.href)).status, 303)
    }).pipe(Effect.scoped, Effect.provide(Platform()))
  )
})
