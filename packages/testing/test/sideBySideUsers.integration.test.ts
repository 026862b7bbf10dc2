// Sends one table of requests of users' apps to oidc-provider and to the fake, so that the fake can't drift from OAuth 2.0
// and OpenID Connect. The table lists each difference with a reason.
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { FetchHttpClient } from "effect/http"
import { type Answer, rows } from "./signInRequests.ts"
import * as servers from "./signInServers.ts"

const answers = (layer: Layer.Layer<servers.SignInServer, unknown>) =>
  Effect.gen(function* () {
    const server = yield* servers.SignInServer
    return yield* Effect.forEach(rows, ({ name, run }) =>
      Effect.map(run(server), (answer) => `${name}: ${line(answer)}`)
    )
  }).pipe(Effect.provide(Layer.merge(layer, FetchHttpClient.layer)))

const line = ({ error, status, to, tokens }: Answer): string =>
  [status, to, error ?? "no error", tokens.length === 0 ? "no token" : tokens.join(" ")].join(", ")

describe("one table of requests of users' apps", () => {
  it("compares at least 50 requests, each with a different name, and gives a reason for each difference", () => {
    assert.isAtLeast(rows.length, 50)
    assert.strictEqual(new Set(rows.map(({ name }) => name)).size, rows.length)
    for (const { fake, name, peer } of rows) {
      if (peer === undefined) continue
      const { why, ...different } = peer
      assert.isAbove(why.length, 20, name)
      assert.notDeepEqual({ ...fake, ...different }, fake, name)
    }
  })

  it.live("returns from the fake what the table says", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(
        yield* answers(servers.fake),
        rows.map(({ fake, name }) => `${name}: ${line(fake)}`)
      )
    })
  )

  it.live("returns the same from oidc-provider, apart from the listed differences", () =>
    Effect.gen(function* () {
      const expected = rows.map(
        ({ fake, name, peer: { why: _why, ...different } = { why: "" } }) =>
          `${name}: ${line({ ...fake, ...different })}`
      )
      assert.deepStrictEqual(yield* answers(servers.oidcProvider), expected)
    })
  )
})
