// Counts, for each kind of failure, the token requests and secret reads that 100 callers without a token cause when
// they call again every 5 s, 50 ms apart. Time is virtual, and settings are the defaults. `node scripts/storms.ts`
// prints the table; TokenCache.storms.test.ts checks it.
import { ClientCredentials, Environment, SecretProvider, SecretProviderError, TokenCache } from "@effect-itwin/core"
import { Clock, Duration, Effect, Layer, Logger, Random, Redacted } from "effect"
import { HttpClient, HttpClientError, HttpClientRequest, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"

type Answer = () => Response | Effect.Effect<Response, HttpClientError.HttpClientError>
type Read = Effect.Effect<ClientCredentials.ClientCredentials, SecretProviderError.SecretProviderError>

/** The outcome of every request, or of every read of the secret. */
export interface Kind {
  readonly name: string
  readonly answer?: Answer
  readonly read?: Read
}

const json =
  (status: number, body: unknown, headers: Record<string, string> = {}): Answer =>
  () =>
    Response.json(body, { status, headers })

const html =
  (status: number): Answer =>
  () =>
    new Response("<!DOCTYPE html><title>Access</title>", { status, headers: { "content-type": "text/html" } })

const oauth = (error: string, status = 400) => json(status, { error })

const after = (status: number, seconds: number) => json(status, {}, { "retry-after": String(seconds) })

const broken =
  (code: string): Answer =>
  () =>
    Effect.fail(
      new HttpClientError.HttpClientError({
        reason: new HttpClientError.TransportError({
          request: HttpClientRequest.post(Environment.production.tokenEndpoint),
          cause: Object.assign(new Error("fetch failed"), { code })
        })
      })
    )

const token = (fields: object) => json(200, { access_token: "fake.token", token_type: "Bearer", ...fields })

const fields = { provider: "Vault", secretName: "itwin" }
const unread = (reason: SecretProviderError.SecretProviderErrorReason): Read =>
  Effect.fail(new SecretProviderError.SecretProviderError({ reason }))

const credentials = new ClientCredentials.ClientCredentials({
  clientId: "service-Storms",
  clientSecret: Redacted.make("fake-secret-+/=storms")
})

export const kinds: ReadonlyArray<Kind> = [
  { name: "401 `invalid_client`", answer: oauth("invalid_client", 401) },
  { name: "400 `invalid_request`", answer: oauth("invalid_request") },
  { name: "400 `invalid_scope`", answer: oauth("invalid_scope") },
  { name: "400 `unauthorized_client`", answer: oauth("unauthorized_client") },
  { name: "400 `unsupported_grant_type`", answer: oauth("unsupported_grant_type") },
  { name: "400 with an unknown code", answer: oauth("quota_exceeded") },
  { name: "403, an HTML page of a firewall", answer: html(403) },
  { name: "429", answer: json(429, {}) },
  { name: "429, `Retry-After: 2`", answer: after(429, 2) },
  { name: "429, `Retry-After: 60`", answer: after(429, 60) },
  { name: "500", answer: json(500, {}) },
  { name: "500, `Retry-After: 60`", answer: after(500, 60) },
  { name: "502, `Retry-After: 60`", answer: after(502, 60) },
  { name: "503, `Retry-After: 5`", answer: after(503, 5) },
  { name: "503, `Retry-After: 86400`", answer: after(503, 86_400) },
  {
    name: "302 to another origin",
    answer: () => new Response(null, { status: 302, headers: { location: "https://x.example" } })
  },
  { name: "200, the HTML page of a captive portal", answer: html(200) },
  { name: "200 without `access_token`", answer: json(200, { token_type: "Bearer", expires_in: 3600 }) },
  { name: "200, `expires_in: 0`", answer: token({ expires_in: 0 }) },
  { name: "200, a body of 300 KiB", answer: token({ padding: "x".repeat(300 * 1024), expires_in: 3600 }) },
  { name: "connection reset", answer: broken("ECONNRESET") },
  { name: "unknown host", answer: broken("ENOTFOUND") },
  { name: "certificate expired", answer: broken("CERT_HAS_EXPIRED") },
  { name: "no response", answer: () => Effect.never },
  { name: "the `HttpClient` throws", answer: () => Effect.die(new TypeError("x")) },
  { name: "secret: `NotFound`", read: unread(new SecretProviderError.NotFound(fields)) },
  { name: "secret: `Disabled`", read: unread(new SecretProviderError.Disabled(fields)) },
  { name: "secret: `AccessDenied`", read: unread(new SecretProviderError.AccessDenied(fields)) },
  { name: "secret: `CredentialUnavailable`", read: unread(new SecretProviderError.CredentialUnavailable(fields)) },
  { name: "secret: `InvalidSecret`", read: unread(new SecretProviderError.InvalidSecret(fields)) },
  { name: "secret: `Misconfigured`", read: unread(new SecretProviderError.Misconfigured(fields)) },
  { name: "secret: `Throttled`", read: unread(new SecretProviderError.Throttled(fields)) },
  {
    name: "secret: `Throttled`, wait 60 s",
    read: unread(new SecretProviderError.Throttled({ ...fields, retryAfter: Duration.seconds(60) }))
  },
  { name: "secret: `Unavailable`", read: unread(new SecretProviderError.Unavailable(fields)) },
  { name: "secret: the provider throws", read: Effect.die(new TypeError("x")) },
  { name: "secret: no response", read: Effect.never }
]

const minutes = 3

/** The number in the first minute, and in the worst minute after it. */
export interface Count {
  readonly first: number
  readonly later: number
}

const countOf = (moments: ReadonlyArray<number>): Count => {
  const perMinute = Array.from(
    { length: minutes },
    (_, minute) => moments.filter((moment) => Math.floor(moment / 60_000) === minute).length
  )
  return { first: perMinute[0] ?? 0, later: Math.max(...perMinute.slice(1)) }
}

const latency = "40 millis"

/** Counts what 100 callers of `get`, or of `refresh`, cause in three minutes. */
const count = Effect.fnUntraced(function* (kind: Kind, method: "get" | "refresh") {
  const requests: Array<number> = []
  const reads: Array<number> = []
  const noted = <A, E>(moments: Array<number>, effect: Effect.Effect<A, E>) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      moments.push(now)
      return Effect.delay(effect, latency)
    })
  const client = HttpClient.make((request) =>
    noted(
      requests,
      Effect.suspend(() => {
        const answer = (kind.answer ?? token({ expires_in: 3600 }))()
        return Effect.map(Effect.isEffect(answer) ? answer : Effect.succeed(answer), (response) =>
          HttpClientResponse.fromWeb(request, response)
        )
      })
    )
  )
  const cache = yield* TokenCache.make().pipe(
    Effect.provide([
      Environment.layer(Environment.production),
      Layer.succeed(HttpClient.HttpClient, client),
      Layer.succeed(SecretProvider.SecretProvider, {
        credentials: noted(reads, kind.read ?? Effect.succeed(credentials))
      })
    ]),
    Effect.orDie
  )
  const caller = (index: number) =>
    Effect.exit(cache[method]()).pipe(
      Effect.andThen(Effect.sleep("5 seconds")),
      Effect.forever,
      Effect.delay(Duration.millis(index * 50)),
      Effect.forkScoped
    )
  for (let index = 0; index < 100; index++) yield* caller(index)
  yield* TestClock.adjust(Duration.millis(minutes * 60_000 - 1))
  return { requests: countOf(requests), reads: countOf(reads) }
}, Effect.scoped)

export interface Row {
  readonly name: string
  readonly get: { readonly requests: Count; readonly reads: Count }
  readonly refresh: { readonly requests: Count; readonly reads: Count }
}

/** Counts one kind of failure, each time with the same random numbers. */
export const measure = (kind: Kind): Effect.Effect<Row> =>
  Effect.gen(function* () {
    const counted = (method: "get" | "refresh") =>
      Effect.provide(count(kind, method), [TestClock.layer(), Logger.layer([])], { local: true })
    return { name: kind.name, get: yield* counted("get"), refresh: yield* counted("refresh") }
  }).pipe(Random.withSeed("storms"))

const cell = ({ first, later }: Count) => `${first} / ${later}`

/** The table as the guide shows it. */
export const toMarkdown = (rows: ReadonlyArray<Row>): string => {
  const table = [
    ["failure", "`get`: requests", "secret reads", "`refresh`: requests", "secret reads"],
    ...rows.map(({ name, get, refresh }) => [
      name,
      ...[get.requests, get.reads, refresh.requests, refresh.reads].map(cell)
    ])
  ]
  const widths = (table[0] ?? []).map((_, column) => Math.max(...table.map((row) => (row[column] ?? "").length)))
  const line = (row: ReadonlyArray<string>) =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`
  const rule = `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`
  return [line(table[0] ?? []), rule, ...table.slice(1).map(line)].join("\n")
}
