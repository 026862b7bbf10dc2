// What the page makes of requests, tokens and apps, without a browser.
import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { FakeIms } from "@effect-itwin/testing"
import { Effect, Fiber, Redacted, Schema } from "effect"
import { TestClock } from "effect/testing"
import { makeJournal } from "../src/internal/engine/journal.ts"
import * as snippets from "../src/internal/serve/page/client/snippets.ts"
import { clock, decode, shown } from "../src/internal/serve/page/client/token.ts"
import { answer, curl, maskIn } from "../src/internal/serve/page/client/wire.ts"
import { openerOf, openInBrowser } from "../src/internal/serve/page/open.ts"
import { appOf } from "./pageSnippets.ts"

const secret = "fake-secret-a+b/c='d $HOME `x` \"\\"

const request = {
  method: "POST",
  path: "/connect/token",
  headers: { accept: "application/json" },
  form: { client_id: "service-Ab12", client_secret: secret },
  secrets: [secret]
} as const

/** Runs the text in a shell where `curl` prints its arguments. */
const argumentsOf = (text: string): ReadonlyArray<string> =>
  execFileSync("/bin/sh", ["-c", `curl() { printf '%s\\0' "$@"; }\n${text}`], { encoding: "utf8", env: {} })
    .split("\0")
    .slice(0, -1)

describe("the request as a command", () => {
  it("gives curl the same words whatever the secret contains", () => {
    assert.deepStrictEqual(argumentsOf(curl("http://127.0.0.1:1234", request).full), [
      "http://127.0.0.1:1234/connect/token",
      "-H",
      "accept: application/json",
      "--data-urlencode",
      "client_id=service-Ab12",
      "--data-urlencode",
      `client_secret=${secret}`
    ])
  })

  it("is a POST also without a form, and quotes an address with a query", () => {
    const words = argumentsOf(curl("http://127.0.0.1", { method: "POST", path: "/x?a=1&b=$2", secrets: [] }).full)
    assert.deepStrictEqual(words, ["http://127.0.0.1/x?a=1&b=$2", "-X", "POST"])
  })

  it("shows no part of the secret until the reader asks for it", () => {
    const plain = "fake-secret-a+b/c="
    const { masked } = curl("http://127.0.0.1", { ...request, form: { client_secret: plain }, secrets: [plain] })
    assert.notInclude(masked, "fake-secret")
    assert.include(masked, "client_secret=••••••••")
  })

  it("shows of a token only its beginning", () => {
    const { masked, full } = maskIn("Bearer eyJhbGciOiJub25lIn0.payload.signature", [
      "eyJhbGciOiJub25lIn0.payload.signature"
    ])
    assert.strictEqual(masked, "Bearer eyJhbGciOiJu…")
    assert.include(full, "signature")
  })

  it("exports variables that a shell takes as they are", () => {
    const { full, masked } = snippets.variables("http://127.0.0.1:1234", appOf("service", ["itwin-platform"]))
    const seen = execFileSync("/bin/sh", ["-c", `${full}\nprintf %s "$ITWIN_CLIENT_SECRET"`], {
      encoding: "utf8",
      env: {}
    })
    assert.strictEqual(seen, appOf("service", []).clientSecret)
    assert.include(masked, "ITWIN_CLIENT_ID=service-Ab12")
  })

  it("masks a secret that contains a single quote in both forms", () => {
    const { masked } = snippets.variables("http://127.0.0.1:1234", appOf("service", ["itwin-platform"]))
    assert.notInclude(masked, "fake-secret")
  })
})

describe("the answer", () => {
  it("shows status, the headers that matter and the body with indentation", () => {
    const headers = { "content-type": "application/json", "x-correlation-id": "id", date: "today" }
    assert.strictEqual(
      answer({ status: 401, headers, body: '{"error":"invalid_client"}' }).full,
      'HTTP/1.1 401\ncontent-type: application/json\nx-correlation-id: id\n\n{\n  "error": "invalid_client"\n}'
    )
  })

  it("shows a body that is not JSON as it is", () => {
    assert.strictEqual(answer({ status: 503, headers: {}, body: "<p>down" }).full, "HTTP/1.1 503\n\n<p>down")
  })
})

describe("the token", () => {
  it.effect("is decoded with its claims when the fake issued it", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(Date.UTC(2030, 0, 1))
      const fake = yield* FakeIms.FakeIms
      const token = yield* fake.issueToken({ claims: { name: "Zoë" } })
      const decoded = decode(Redacted.value(token.value))
      assert.strictEqual(decoded?.header.typ, "JWT")
      assert.strictEqual(decoded?.claims.client_id, token.clientId)
      assert.strictEqual(decoded?.claims.name, "Zoë")
      assert.strictEqual(shown("iat", decoded?.claims.iat), `${Date.UTC(2030, 0, 1) / 1000} (2030-01-01T00:00:00Z)`)
    }).pipe(Effect.provide(FakeIms.layerTest()))
  )

  it.each(["", "a.b", "a.b.c", "e30.!.x", "opaque"])("is not decoded when it is not a JWT: %s", (token) => {
    assert.isUndefined(decode(token))
  })

  it("counts its life down in hours, minutes and seconds", () => {
    assert.deepStrictEqual([3600, 3599.2, 65, 0, -3].map(clock), ["1:00:00", "1:00:00", "01:05", "00:00", "00:00"])
  })
})

describe("the hint for names", () => {
  it("lists the characters that the fake rejects", () => {
    const html = readFileSync(new URL("../src/internal/serve/page/client/page.html", import.meta.url), "utf8")
    const [, list = ""] = /<p id="name-hint"[^>]*>[\s\S]*?<code>([\s\S]*?)<\/code>/.exec(html) ?? []
    const characters = list.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&quot;", '"').split(/\s+/)
    const isName = Schema.is(FakeIms.AppName)
    const rejected = Array.from({ length: 95 }, (_, index) => String.fromCharCode(32 + index)).filter((c) => !isName(c))
    assert.sameMembers(characters, rejected)
  })
})

describe("--open", () => {
  it("starts the program that opens addresses on each system", () => {
    const url = "http://127.0.0.1:1234/"
    assert.deepStrictEqual(openerOf("darwin", url), ["open", url])
    assert.deepStrictEqual(openerOf("linux", url), ["xdg-open", url])
    assert.deepStrictEqual(openerOf("win32", url), ["cmd", "/c", "start", '""', url])
  })

  it.live("says what is missing when there is no such program, and nothing when it succeeds", () =>
    Effect.gen(function* () {
      const url = "http://127.0.0.1:1234/"
      assert.strictEqual(yield* openInBrowser(url, ["no-such-opener", url]), "no-such-opener is not installed")
      assert.strictEqual(yield* openInBrowser(url, ["false"]), "false ended with 1")
      assert.isUndefined(yield* openInBrowser(url, ["true", url]))
    })
  )
})

describe("the changes of the journal", () => {
  const entry = {
    at: 0,
    route: "GET /users/me",
    method: "GET",
    path: "/users/me",
    query: {},
    headers: {},
    form: {},
    body: undefined,
    correlationId: "id",
    concurrency: 1,
    clientId: undefined,
    authentication: undefined,
    secretVersion: undefined,
    fault: undefined,
    outcome: "unanswered",
    explanation: undefined
  } as const

  it("are each entry in its newest state, in the order in which they changed", () => {
    const journal = makeJournal(10)
    const first = journal.add({ ...entry, status: undefined })
    journal.add({ ...entry, status: undefined })
    const before = journal.changesSince(0)
    first.status = 200
    journal.changed(first)
    assert.deepStrictEqual(
      before.entries.map(({ number, status }) => [number, status]),
      [
        [1, undefined],
        [2, undefined]
      ]
    )
    const after = journal.changesSince(before.last)
    assert.deepStrictEqual(
      after.entries.map(({ number, status }) => [number, status]),
      [[1, 200]]
    )
    assert.deepStrictEqual(
      journal.changesSince(0).entries.map(({ number }) => number),
      [2, 1]
    )
    assert.isFalse(after.isCleared)
    assert.isEmpty(journal.changesSince(after.last).entries)
  })

  it("say that the journal was cleared, and ignore an entry that is gone", () => {
    const journal = makeJournal(1)
    const gone = journal.add({ ...entry, status: undefined })
    const { last } = journal.changesSince(0)
    journal.clear()
    journal.changed(gone)
    journal.add({ ...entry, status: undefined })
    const { entries, isCleared } = journal.changesSince(last)
    assert.isTrue(isCleared)
    assert.deepStrictEqual(
      entries.map(({ number }) => number),
      [1]
    )
  })

  it.effect("wake a reader that waits for the next one", () =>
    Effect.gen(function* () {
      const journal = makeJournal(10)
      const waiting = yield* Effect.forkChild(journal.nextChange(0))
      yield* Effect.yieldNow
      assert.isUndefined(waiting.pollUnsafe())
      journal.add({ ...entry, status: undefined })
      yield* Fiber.join(waiting)
      yield* journal.nextChange(0)
    })
  )
})
