// The canary for encodings: a server echoes a machine-made secret, or the token, in each encoding and in each place
// whose text may be shown. The secrets are made when the test runs.
import { inspect } from "node:util"
import { assert, it } from "@effect/vitest"
import {
  ClientCredentials,
  ITwin,
  ITwinApiError,
  ITwinHttpClient,
  RetryPolicy,
  Scopes,
  SecretProvider,
  TokenError,
  TokenRequest
} from "@effect-itwin/core"
import { Effect, Exit, Layer, Redacted, Schema } from "effect"
import { observe } from "./canary.ts"
import { encodings, showsPartOf } from "./serverText/encodings.ts"
import { makeRandom, makeSecret } from "./serverText/secrets.ts"
import { type Step, scripted, tokenAnswer } from "./support.ts"

const secret = makeSecret("base64", 44, makeRandom(4))

/** A telemetry export has many numbers, in which fewer than 12 characters could be found by chance. */
const search = (thing: unknown, echo: string, where: string) => {
  const text = typeof thing === "string" ? thing : inspect(thing, { showHidden: true, depth: 20 })
  assert.isFalse(showsPartOf(text, secret, echo, 12), `${where}: ${text}`)
}

/** Drops characters that a header can't have. */
const header = (text: string) => text.replace(/[^\x20-\x7E]+/g, " ").trim()

const failures = (echo: string): ReadonlyArray<readonly [string, Step]> => {
  const headers = { "x-correlation-id": header(echo) }
  return [
    [
      "error_description",
      () => Response.json({ error: "invalid_client", error_description: `No: ${echo}` }, { status: 401, headers })
    ],
    ["error", () => Response.json({ error: echo, error_description: echo }, { status: 400, headers })],
    ["error of a 503", () => Response.json({ error: echo, error_description: `<${echo}>` }, { status: 503, headers })],
    ["error next to a token", () => Response.json({ access_token: echo, token_type: echo, error: echo }, { headers })],
    ["token_type", () => Response.json({ access_token: "fake.token", token_type: echo }, { headers })],
    [
      "access_token",
      () => Response.json({ access_token: `${echo} `, token_type: "Bearer", [echo]: echo }, { headers })
    ],
    ["body", () => new Response(echo, { headers })],
    [
      "Location",
      () =>
        new Response(null, {
          status: 302,
          headers: { ...headers, location: `https://${echo.replace(/[^A-Za-z0-9]/g, "")}.example/${encodeURI(echo)}` }
        })
    ]
  ]
}

it.effect.each(Object.entries(encodings))(
  "shows no part of a secret or token when a server echoes it in %s",
  ([_name, encode]) =>
    Effect.gen(function* () {
      const echo = encode(secret)
      const credentials = new ClientCredentials.ClientCredentials({
        clientId: "service-Ab12",
        clientSecret: Redacted.make(secret)
      })
      const send = (step: Step) =>
        observe(
          TokenRequest.send({ credentials, scopes: Scopes.itwinPlatform }).pipe(
            Effect.provide([scripted(step).layer, RetryPolicy.layer(RetryPolicy.none)])
          )
        )
      for (const [where, step] of failures(echo)) {
        const { exit, exported } = yield* send(step)
        const error = yield* Effect.flip(exit)
        const encoded = Schema.encodeSync(TokenError.TokenError)(error)
        for (const thing of [error, exit, encoded, ...Object.values(exported)]) search(thing, echo, where)
      }

      const granted = yield* send(tokenAnswer({ scope: `itwin-platform ${echo}` }))
      for (const thing of [granted.exit, ...Object.values(granted.exported)]) {
        search(thing, echo, "scope")
      }

      const headers = { "x-correlation-id": header(echo) }
      const envelope = { code: echo, message: `No: ${echo}`, target: echo }
      const api = (step: Step) =>
        observe(
          Effect.gen(function* () {
            const client = yield* ITwinHttpClient.ITwinHttpClient
            const response = yield* client.get("/itwins")
            return yield* ITwinApiError.schemaBodyJson(Schema.Record(Schema.String, Schema.Number))(response)
          }).pipe(
            Effect.provide(
              ITwin.layer.pipe(
                Layer.provide([
                  // Only the token, because APIs do not get the secret.
                  scripted(tokenAnswer({ access_token: secret.replace(/=/g, "") }), step).layer,
                  SecretProvider.layerStatic(credentials)
                ])
              )
            )
          )
        )
      for (const [where, step] of [
        [
          "error envelope",
          () => Response.json({ error: { ...envelope, details: [envelope] } }, { status: 422, headers })
        ],
        ["gateway", () => Response.json({ statusCode: 401, message: echo }, { status: 403, headers })],
        ["key", () => Response.json({ [echo]: "x" }, { headers })],
        ["API body", () => new Response(echo, { headers })]
      ] satisfies ReadonlyArray<readonly [string, Step]>) {
        const { exit, exported } = yield* api(step)
        assert.isTrue(Exit.isFailure(exit), where)
        for (const thing of [exit, ...Object.values(exported)]) search(thing, echo, where)
      }
    })
)
