import { createHash } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import { Headers, HttpServerResponse } from "effect/http"
import { cookiesOf, removeCookie, setCookie } from "../src/internal/cookies.ts"
import { isPrefetch, isSameOrigin, isTopLevel } from "../src/internal/fetchMetadata.ts"
import { loopbackAddressOf } from "../src/internal/loopbackAddress.ts"
import { pageHeaders, renderPage } from "../src/internal/page.ts"

const headersOf = (headers: Record<string, string>) => Headers.fromInput(headers)

describe("isSameOrigin", () => {
  const origin = "https://app.example.com"
  it.each<readonly [Record<string, string>, boolean]>([
    [{ "sec-fetch-site": "same-origin" }, true],
    [{ "sec-fetch-site": "same-origin", origin: "null" }, true],
    [{ "sec-fetch-site": "same-site", origin }, false],
    [{ "sec-fetch-site": "cross-site", origin }, false],
    [{ "sec-fetch-site": "none", origin }, false],
    [{ "sec-fetch-site": "", origin }, false],
    [{ origin }, true],
    [{ origin: "null" }, false],
    [{ origin: "https://app.example.com.evil.example" }, false],
    [{ origin: "http://app.example.com" }, false],
    [{ origin: "https://app.example.com:8443" }, false],
    [{ referer: `${origin}/page`, host: "app.example.com" }, false],
    [{}, false]
  ])("of %j is %s", (headers, expected) => {
    assert.strictEqual(isSameOrigin(headersOf(headers), origin), expected)
  })
})

describe("isPrefetch", () => {
  it.each<readonly [Record<string, string>, boolean]>([
    [{ "sec-purpose": "prefetch" }, true],
    [{ "sec-purpose": "prefetch;prerender" }, true],
    [{ purpose: "prefetch" }, true],
    [{ "x-moz": "prefetch" }, true],
    [{ "sec-purpose": "other" }, false],
    [{}, false]
  ])("of %j is %s", (headers, expected) => {
    assert.strictEqual(isPrefetch(headersOf(headers)), expected)
  })
})

describe("isTopLevel", () => {
  it.each<readonly [Record<string, string>, boolean]>([
    [{ "sec-fetch-dest": "document" }, true],
    [{}, true],
    [{ "sec-fetch-dest": "iframe" }, false],
    [{ "sec-fetch-dest": "image" }, false],
    [{ "sec-fetch-dest": "empty" }, false]
  ])("of %j is %s", (headers, expected) => {
    assert.strictEqual(isTopLevel(headersOf(headers)), expected)
  })
})

describe("the cookies", () => {
  it("have the attributes of a __Host- cookie", () => {
    const response = HttpServerResponse.empty().pipe(
      setCookie("__Host-a", "value-1_2", "10 minutes"),
      HttpServerResponse.toWeb
    )
    assert.deepStrictEqual(response.headers.getSetCookie(), [
      "__Host-a=value-1_2; Max-Age=600; Path=/; HttpOnly; Secure; SameSite=Lax"
    ])
  })

  it("are removed with the same attributes", () => {
    const response = HttpServerResponse.empty().pipe(removeCookie("__Host-a"), HttpServerResponse.toWeb)
    assert.deepStrictEqual(response.headers.getSetCookie(), [
      "__Host-a=; Max-Age=0; Path=/; HttpOnly; Secure; SameSite=Lax"
    ])
  })

  it.each<readonly [string, Record<string, string>]>([
    ["a=1; b=2", { a: "1", b: "2" }],
    ["a=1;b=2;", { a: "1", b: "2" }],
    ["a=x=y", { a: "x=y" }],
    ["a=%41", { a: "%41" }],
    ['a="1"', { a: '"1"' }],
    ["a", {}],
    ["", {}],
    // A browser sends a `__Host-` cookie once.
    ["a=1; a=2; b=3", { b: "3" }],
    ["a=1; a=1", {}],
    ["a=1;\t b=2", { a: "1", b: "2" }],
    // Other white space is a part of the name. A browser compares the name with it.
    ["\u00a0a=1; \u2000a=2; \ufeffa=3; \va=4", { "\u00a0a": "1", "\u2000a": "2", "\ufeffa": "3", "\va": "4" }],
    ["__proto__=1", { ["__proto__"]: "1" }]
  ])("of the header %j are read", (cookie, expected) => {
    assert.deepStrictEqual([...cookiesOf(headersOf({ cookie }))], Object.entries(expected))
  })
})

describe("cookiesOf", () => {
  it("leaves out a cookie that is longer than a browser stores, and its name", () => {
    const long = `a=${"x".repeat(4097)}`
    for (const cookie of [`${long}; b=2`, `a=1; ${long}; b=2`, `${long}; a=1; b=2`]) {
      assert.deepStrictEqual([...cookiesOf(headersOf({ cookie }))], [["b", "2"]])
    }
  })
})

describe("loopbackAddressOf", () => {
  it.each([
    ["http://127.0.0.1:3000/callback", ["127.0.0.1"], 3000, "127.0.0.1:3000", "/callback"],
    ["http://[::1]:3000/", ["::1"], 3000, "[::1]:3000", "/"],
    ["http://localhost:3000/a/b", ["127.0.0.1", "::1"], 3000, "localhost:3000", "/a/b"],
    ["http://127.0.0.1/callback", ["127.0.0.1"], 80, "127.0.0.1", "/callback"]
  ] as const)("reads %s", (redirectUri, interfaces, port, host, path) => {
    assert.deepStrictEqual(loopbackAddressOf(redirectUri), {
      redirectUri,
      interfaces: [...interfaces],
      port,
      host,
      path
    })
  })

  it.each([
    "https://127.0.0.1:3000/callback",
    "http://0.0.0.0:3000/callback",
    "http://192.168.0.1:3000/callback",
    "http://app.example.com/callback",
    "http://localhost.evil.example/callback",
    "http://127.0.0.1:0/callback",
    "http://127.0.0.1:3000/callback?a=b",
    "http://127.0.0.1:3000/callback#a",
    "http://fake-secret-user+/=@127.0.0.1:3000/callback",
    "myapp://callback",
    "/callback",
    ""
  ])("throws a RangeError that does not quote %s", (redirectUri) => {
    assert.throws(() => loopbackAddressOf(redirectUri), RangeError)
    assert.throws(() => loopbackAddressOf(redirectUri), /^(?!.*fake-secret-)/)
  })
})

describe("the page", () => {
  const page = renderPage({
    title: "<script>",
    text: 'a & b "c"',
    reason: "<b>",
    links: [{ href: '/sign-in?returnTo=%2F"><script>', text: "<i>" }]
  })

  it("allows its own style only", () => {
    const [, style = ""] = /<style>(.*)<\/style>/s.exec(page) ?? []
    const hash = createHash("sha256").update(style).digest("base64")
    assert.include(pageHeaders["content-security-policy"], `default-src 'none'; style-src 'sha256-${hash}'`)
  })

  it("escapes every text", () => {
    assert.notMatch(page, /<(?:script|b|i)>/)
    assert.include(page, "<h1>&#60;script&#62;</h1>")
  })

  it("can be read by everyone", () => {
    assert.match(page, /<html lang="en">/)
    assert.match(page, /<meta name="viewport" content="width=device-width, initial-scale=1">/)
    assert.match(page, /<main>\s*<h1>/)
    assert.include(page, "color-scheme:light dark")
  })
})
