import { assert, describe, it } from "@effect/vitest"
import { hostsOf, urlOf, whyNotRemote } from "../src/internal/serve/hosts.ts"

const bare = {
  host: "0.0.0.0",
  publicUrl: undefined,
  allowRemote: false,
  lacksToken: true,
  seeded: true,
  production: true
}

const safe = { ...bare, host: "0.0.0.0", allowRemote: true, lacksToken: false, seeded: false, production: false }

describe("where the server may listen", () => {
  it.each([undefined, "127.0.0.1", "127.1.2.3", "localhost", "::1"])(
    "allows the address %s without --allow-remote, because it is loopback",
    (host) => {
      assert.isUndefined(whyNotRemote({ ...bare, host }))
    }
  )

  it.each(["", "0.0.0.0", "::", "192.168.1.1", "127.0.0.1.example.com", "localhost.example.com"])(
    "allows the address %j only with --allow-remote, because it is not loopback",
    (host) => {
      assert.include(whyNotRemote({ ...bare, host }), "--allow-remote")
    }
  )

  it("allows any address with --allow-remote and a token, without a seed, outside of production", () => {
    assert.isUndefined(whyNotRemote({ ...safe, publicUrl: "http://fake-ims:8080" }))
    assert.include(whyNotRemote({ ...safe, production: true }), "NODE_ENV")
    assert.include(whyNotRemote({ ...safe, lacksToken: true }), "FAKE_IMS_ADMIN_TOKEN")
    assert.include(whyNotRemote({ ...safe, seeded: true }), "seed")
  })
})

describe("the public URL", () => {
  it.each([
    "http://fake-ims:8080",
    "https://FAKE-IMS",
    "https://ims.example.com.",
    "http://bücher.example/",
    "http://10.0.0.7:1",
    "http://[::2]:8080"
  ])("can be %s", (publicUrl) => {
    assert.isUndefined(whyNotRemote({ ...safe, publicUrl }))
  })

  it.each([
    "",
    " ",
    "a",
    "a:80",
    "//a",
    "ftp://a",
    "http://a/b",
    "http://a?",
    "http://a?b",
    "http://a#b",
    "http://a#",
    "http://u@a",
    "http://u:p@a",
    "http:\\\\a",
    "http://a b",
    "http://a:99999",
    "http://[a]",
    "http://1.2.3.999"
  ])("can't be %j", (publicUrl) => {
    assert.include(whyNotRemote({ ...safe, publicUrl }), `${JSON.stringify(publicUrl)} is not a valid public URL`)
    assert.include(whyNotRemote({ ...bare, host: undefined, publicUrl }), "is not a valid public URL")
  })

  it("accepts a loopback URL as the public URL of a server on loopback, as behind a port mapping", () => {
    for (const publicUrl of ["http://localhost:9000", "https://127.0.0.1", "http://[::1]:1"]) {
      assert.isUndefined(whyNotRemote({ ...bare, host: undefined, publicUrl }))
    }
  })

  it("requires --allow-remote for a server on loopback when its public URL is not loopback", () => {
    assert.include(whyNotRemote({ ...bare, host: undefined, publicUrl: "http://example.com" }), "--allow-remote")
    assert.isUndefined(whyNotRemote({ ...safe, host: undefined, publicUrl: "http://example.com" }))
  })
})

describe("the URL of the server", () => {
  it.each([
    [undefined, "http://127.0.0.1:8080"],
    ["localhost", "http://127.0.0.1:8080"],
    ["0.0.0.0", "http://127.0.0.1:8080"],
    ["::", "http://127.0.0.1:8080"],
    ["", "http://127.0.0.1:8080"],
    ["::1", "http://[::1]:8080"],
    ["10.0.0.7", "http://10.0.0.7:8080"]
  ])("of a server on %s is %s", (host, url) => {
    assert.strictEqual(urlOf({ secure: false, host, port: 8080 }).origin, url)
  })

  it("returns the public URL as the URL of the server when it is given", () => {
    const publicUrl = "https://fake.example"
    assert.strictEqual(urlOf({ secure: false, host: "0.0.0.0", port: 8080, publicUrl }).origin, publicUrl)
  })
})

describe("the hosts that the server answers for", () => {
  it("answers for the loopback hosts with the port of the server", () => {
    const url = new URL("http://127.0.0.1:8080")
    assert.deepStrictEqual([...hostsOf({ url, secure: false, host: undefined, port: 8080 })].sort(), [
      "127.0.0.1:8080",
      "[::1]:8080",
      "localhost:8080"
    ])
  })

  it("answers for the public host and port, the given address, and loopback with the port of the server", () => {
    const hosts = hostsOf({ url: new URL("https://Fake.example:9000"), secure: false, host: "::2", port: 8080 })
    assert.isTrue(hosts.has("fake.example:9000"))
    assert.isTrue(hosts.has("[::2]:8080"))
    assert.isTrue(hosts.has("localhost:8080"))
    assert.isFalse(hosts.has("fake.example"))
    assert.isFalse(hosts.has("fake.example:8080"))
    assert.isFalse(hosts.has("localhost:9000"))
  })

  it("answers for hosts without a port when the port is that of the scheme", () => {
    for (const [secure, port] of [
      [false, 80],
      [true, 443]
    ] as const) {
      const url = new URL(`${secure ? "https" : "http"}://localhost`)
      const hosts = hostsOf({ url, secure, host: undefined, port })
      assert.isTrue(hosts.has("localhost"))
      assert.isTrue(hosts.has(`localhost:${port}`))
    }
    const behind = hostsOf({ url: new URL("https://fake.example"), secure: false, host: "0.0.0.0", port: 8080 })
    assert.isTrue(behind.has("fake.example"))
    assert.isTrue(behind.has("fake.example:443"))
    assert.isFalse(behind.has("localhost"))
  })
})
