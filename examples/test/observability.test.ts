import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { run } from "./spawn.ts"

const main = fileURLToPath(new URL("../observability/main.ts", import.meta.url))

describe("the observability example", () => {
  it.live(
    "shows spans with links, metrics and logs when the example makes a request, a hit, a failed renewal and a recovery",
    () =>
      Effect.gen(function* () {
        const { code, stdout, stderr } = yield* run([main])
        assert.strictEqual(stderr, "")
        assert.strictEqual(code, 0)
        for (const line of [
          "00:00:00.0  TokenCache.request: 120 ms, linked to invoice 1 and invoice 2",
          "00:00:00.0  TokenRequest.send: 120 ms, in TokenCache.request",
          "itwin.auth.cache.requests [itwin.auth.cache=billing, result=hit]: 1 {request}",
          "itwin.auth.cache.requests [itwin.auth.cache=billing, result=miss]: 2 {request}",
          "itwin.auth.cache.requests [itwin.auth.cache=billing, result=stale]: 2 {request}",
          "itwin.auth.refresh.failures [itwin.auth.cache=billing, error.type=ServerError]: 1 {failure}",
          "itwin.auth.token.time_to_expiry [itwin.auth.cache=billing]: 3600 s",
          "00:00:00.1  Debug  Obtained an access token",
          "00:52:00.1  Info   Recovered: obtained an access token"
        ]) {
          assert.include(stdout.split("\n"), `  ${line}`)
        }
        assert.match(stdout, /00:50:00\.1 {2}TokenCache\.request: \d+ ms, linked to invoice 4, failed/)
        assert.match(
          stdout,
          /00:50:00\.\d {2}Warn {3}Obtained no access token\. The token endpoint failed\. .*status 503/
        )
        assert.notMatch(stdout, /eyJ|fake-secret-/)
      })
  )
})
