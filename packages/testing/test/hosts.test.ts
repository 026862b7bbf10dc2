import { assert, describe, it } from "@effect/vitest"
import { hostsOf, whyNotRemote } from "../src/internal/hosts.ts"

const bare = {
  host: "0.0.0.0",
  publicHost: undefined,
  allowRemote: false,
  lacksToken: true,
  seeded: true,
  production: true
}

const safe = { ...bare, host: "0.0.0.0", allowRemote: true, lacksToken: false, seeded: false, production: false }

describe("where the server may listen", () => {
  it.each(["127.0.0.1", "127.1.2.3", "localhost", "::1"])("%s is loopback, and always allowed", (host) => {
    assert.isUndefined(whyNotRemote({ ...bare, host }))
  })

  it.each(["", "0.0.0.0", "::", "192.168.1.1", "127.0.0.1.example.com", "localhost.example.com"])(
    "%j is not, and wants to be allowed",
    (host) => {
      assert.include(whyNotRemote({ ...bare, host }), "--allow-remote")
    }
  )

  it("anywhere, once it is allowed, has a token, no seed, and is not in production", () => {
    assert.isUndefined(whyNotRemote({ ...safe, publicHost: "fake-ims" }))
    assert.include(whyNotRemote({ ...safe, production: true }), "NODE_ENV")
    assert.include(whyNotRemote({ ...safe, lacksToken: true }), "FAKE_IMS_ADMIN_TOKEN")
    assert.include(whyNotRemote({ ...safe, seeded: true }), "seed")
  })
})

describe("the name by which others reach the server", () => {
  it.each(["fake-ims", "FAKE_IMS", "ims.example.com.", "bücher.example", "10.0.0.7", "[::2]"])(
    "%s can be one",
    (publicHost) => {
      assert.isUndefined(whyNotRemote({ ...safe, publicHost }))
    }
  )

  it.each([
    "",
    " ",
    "a b",
    "a\t",
    "http://a",
    "a:80",
    "a/b",
    "a?b",
    "a#b",
    "u@a",
    "a\\b",
    "a%2fb",
    "::2",
    "[a]",
    "1.2.3.999"
  ])("%j can't", (publicHost) => {
    assert.include(whyNotRemote({ ...safe, publicHost }), `${JSON.stringify(publicHost)} is no public host`)
  })
})

describe("for which hosts the server answers", () => {
  it("its own, with its port", () => {
    assert.deepStrictEqual([...hostsOf(new URL("http://127.0.0.1:8080"), "127.0.0.1")].sort(), [
      "127.0.0.1:8080",
      "[::1]:8080",
      "localhost:8080"
    ])
  })

  it("its public name, and the address it was given", () => {
    const hosts = hostsOf(new URL("http://fake-ims:8080"), "::2")
    assert.isTrue(hosts.has("fake-ims:8080"))
    assert.isTrue(hosts.has("[::2]:8080"))
    assert.isFalse(hosts.has("fake-ims"))
  })

  it("without a port too, where it is the scheme's", () => {
    for (const [url, port] of [
      ["http://localhost", 80],
      ["https://localhost", 443]
    ] as const) {
      const hosts = hostsOf(new URL(url), "localhost")
      assert.isTrue(hosts.has("localhost"))
      assert.isTrue(hosts.has(`localhost:${port}`))
    }
  })
})
