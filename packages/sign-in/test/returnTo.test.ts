import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { checkPostSignOutUrl, originOf, returnToOf } from "../src/internal/origin.ts"

const origin = "https://app.example.com"

describe("returnToOf", () => {
  it.each([
    ["/", "/"],
    ["/projects", "/projects"],
    ["/projects?open=1&name=a%20b", "/projects?open=1&name=a%20b"],
    ["/projects#part", "/projects#part"],
    ["/a//b", "/a//b"],
    ["/a/../b", "/b"],
    ["/search?next=//evil.example", "/search?next=//evil.example"],
    ["/search?text=line%0Aline", "/search?text=line%0Aline"],
    ["/sign-information", "/sign-information"],
    ["/sign-in-help", "/sign-in-help"],
    ["/größe", "/gr%C3%B6%C3%9Fe"],
    ["/user@example.com", "/user@example.com"]
  ])("keeps the path %j", (given, expected) => {
    assert.strictEqual(returnToOf(given, origin), expected)
  })

  it.each([
    undefined,
    "",
    "projects",
    "https://evil.example",
    "https://app.example.com/projects",
    "http:evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "//evil.example",
    "///evil.example",
    "////evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/projects\\..\\evil",
    "/\t/evil.example",
    "/\n/evil.example",
    " //evil.example",
    "/ /evil.example",
    "/\u0000/evil.example",
    "/\u0085/evil.example",
    "/%2f/evil.example",
    "/%2Fevil.example",
    "/%5cevil.example",
    "/%252fevil.example",
    "/%25252Fevil.example",
    "/.//evil.example",
    "/..//evil.example",
    "/a/..//evil.example",
    "/./%2fevil.example",
    "/%2e//evil.example",
    "/%2e%2e//evil.example",
    "/%0d%0aSet-Cookie:a=b",
    "/%00",
    "/%250d%250a",
    "/a%zz",
    "/%c3%28",
    "/sign-in",
    "/sign-in?returnTo=/sign-in",
    "/sign-in/callback?code=1&state=2",
    "/SIGN-IN",
    "/%73ign-in",
    "/a/../sign-in",
    "/sign-in/",
    "/sign-in;a=b",
    "/sign-out",
    `/${"a".repeat(600)}`,
    `/${"ö".repeat(200)}`
  ])("returns / for %j", (given) => {
    assert.strictEqual(returnToOf(given, origin), "/")
  })

  it.prop("stays on the origin for any text", [Schema.String], ([text]) => {
    for (const given of [text, `/${text}`, `//${text}`, `/.//${text}`]) {
      const path = returnToOf(given, origin)
      assert.match(path, /^\/(?![/\\])[\x21-\x7e]*$/)
      assert.strictEqual(new URL(path, origin).origin, origin)
      // Accepted once, it is accepted again.
      assert.strictEqual(returnToOf(path, origin), path)
    }
  })
})

describe("originOf", () => {
  it.each([
    ["https://app.example.com", "https://app.example.com"],
    ["https://app.example.com/", "https://app.example.com"],
    ["HTTPS://App.Example.com:443", "https://app.example.com"],
    ["https://app.example.com:8443", "https://app.example.com:8443"],
    ["http://127.0.0.1:3000", "http://127.0.0.1:3000"],
    ["http://localhost:3000", "http://localhost:3000"],
    ["http://[::1]:3000", "http://[::1]:3000"]
  ])("accepts %j", (given, expected) => {
    assert.strictEqual(originOf(given), expected)
  })

  it.each([
    "",
    "app.example.com",
    "//app.example.com",
    "http://app.example.com",
    "http://0.0.0.0:3000",
    "http://localhost.evil.example",
    "ftp://app.example.com",
    "https://app.example.com/path",
    "https://app.example.com?a=b",
    "https://app.example.com/?",
    "https://app.example.com/#part",
    "https://fake-secret-user+/=@app.example.com"
  ])("throws a RangeError that does not quote %j", (given) => {
    assert.throws(() => originOf(given), RangeError)
    assert.throws(() => originOf(given), /^(?!.*fake-secret-)/)
  })
})

describe("checkPostSignOutUrl", () => {
  it.each(["https://www.example.com/bye?a=b", "http://localhost:3000/"])("keeps %j as it is", (given) => {
    assert.strictEqual(checkPostSignOutUrl(given), given)
  })

  it.each(["/bye", "http://www.example.com", "javascript:alert(1)", "https://user@example.com/"])(
    "rejects %j",
    (given) => {
      assert.throws(() => checkPostSignOutUrl(given), RangeError)
    }
  )
})
