// The canary: nothing that a user could print contains a secret or a token.
import { inspect } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import { SecretProviderError } from "@effect-itwin/core"
import { FakeKeyVault, Fault } from "@effect-itwin/testing"
import { Cause, Effect, Exit, Layer, Logger, Option, Redacted, References, Schema, Tracer } from "effect"
import { fresh, name, once, provider, read, secret } from "./support.ts"

type Vault = FakeKeyVault.FakeKeyVault["Service"]

const everything = (value: unknown): string => inspect(value, { showHidden: true, depth: Infinity, getters: true })

/** Records everything that is logged and traced. */
const listening = () => {
  const texts: Array<string> = []
  const logger = Logger.make(({ message, cause, fiber }) => {
    texts.push(everything(message), Cause.pretty(cause), everything(fiber.getRef(References.CurrentLogAnnotations)))
  })
  const spans: Array<Tracer.NativeSpan> = []
  const tracer = Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      spans.push(span)
      return span
    }
  })
  return {
    layer: Layer.mergeAll(
      Logger.layer([logger]),
      Layer.succeed(References.MinimumLogLevel, "All"),
      Layer.succeed(Tracer.Tracer, tracer)
    ),
    texts: () => [
      ...texts,
      ...spans.map((span) => everything([span.name, [...span.attributes], span.events, span.status]))
    ]
  }
}

const encode = Schema.encodeUnknownSync(Schema.toCodecJson(SecretProviderError.SecretProviderError))

const textsOf = (exit: Exit.Exit<unknown, SecretProviderError.SecretProviderError>): ReadonlyArray<string> => {
  if (Exit.isSuccess(exit)) return [String(exit), JSON.stringify(exit), everything(exit.value)]
  const error = Option.getOrThrow(Exit.findErrorOption(exit))
  return [
    error.message,
    error.stack ?? "",
    String(error),
    JSON.stringify([error, error.reason, exit]),
    JSON.stringify(encode(error)),
    everything(error),
    everything(exit),
    Cause.pretty(exit.cause)
  ]
}

const forms = (value: string) => [value, encodeURIComponent(value), btoa(value).replace(/=+$/, "").slice(0, -1)]

const json = (status: number, body: string) =>
  Fault.respond({ status, headers: { "content-type": "application/json" }, body })

const cases: ReadonlyArray<readonly [string, (vault: Vault) => Effect.Effect<unknown>, tag: string | undefined]> = [
  ["a read that succeeds", () => Effect.void, undefined],
  [
    "a truncated 200 that holds the secret",
    (_) => _.script("GET /secrets/:name", Fault.always(Fault.truncate)),
    "Unavailable"
  ],
  ["a 200 that breaks off", (_) => _.script("GET /secrets/:name", Fault.always(Fault.resetAmidBody)), "Unavailable"],
  [
    "a parse error",
    (_) => _.script("GET /secrets/:name", Fault.always(json(200, `{"value":"${secret}",}`))),
    "Unavailable"
  ],
  ["a denied request", (_) => _.deny("ForbiddenByRbac"), "AccessDenied"],
  [
    "an error whose codes are the secret",
    (_) =>
      _.script(
        "GET /secrets/:name",
        Fault.always(
          json(403, JSON.stringify({ error: { code: secret, message: secret, innererror: { code: secret } } }))
        )
      ),
    "AccessDenied"
  ],
  [
    "a challenge to a wrong host",
    (_) => _.setChallenge({ resource: `https://${btoa(secret)}.example` }),
    "Misconfigured"
  ],
  ["a vault that hangs up", (_) => _.script("GET /secrets/:name", Fault.always(Fault.reset)), "Unavailable"],
  ["a rate limit", (_) => _.script("GET /secrets/:name", Fault.always(Fault.rateLimit(secret))), "Throttled"],
  [
    "a token that is not accepted",
    (_) => _.script("GET /secrets/:name", Fault.always(json(401, `{"error":"${secret}"}`))),
    "AccessDenied"
  ],
  [
    "an Entra ID that repeats the secret",
    (_) => {
      const description = `AADSTS7000215: ${Redacted.value(_.clientSecret)} ${secret}`
      return _.script(
        "POST /:tenant/oauth2/v2.0/token",
        Fault.always(json(401, JSON.stringify({ error: "invalid_client", error_description: description })))
      )
    },
    "AccessDenied"
  ],
  [
    "an Entra ID that answers half a token",
    (_) => _.script("POST /:tenant/oauth2/v2.0/token", Fault.always(Fault.truncate)),
    "Unavailable"
  ]
]

describe("the canary of secret and token", () => {
  it.effect.each(cases)("shows no secret and no token after %s", ([, prepare, tag]) =>
    Effect.gen(function* () {
      const vault = yield* FakeKeyVault.FakeKeyVault
      yield* vault.setSecret(name, secret)
      yield* prepare(vault)
      const ear = listening()
      const exit = yield* Effect.exit(read).pipe(
        Effect.provide(Layer.fresh(provider(once).pipe(Layer.provideMerge(ear.layer))))
      )
      const failure = Exit.isFailure(exit) ? Option.getOrUndefined(Exit.findErrorOption(exit)) : undefined
      assert.strictEqual(failure?.reason._tag, tag)
      const texts = [...textsOf(exit), ...ear.texts()]
      assert.isAbove(ear.texts().length, 2)
      for (const text of texts) {
        for (const canary of [secret, Redacted.value(vault.clientSecret)].flatMap(forms)) {
          assert.notInclude(text, canary)
        }
        assert.notMatch(text, /eyJ|Bearer \S{20}/)
      }
      assert.isUndefined(failure?.cause)
      assert.isUndefined(failure?.reason.cause)
    }).pipe(Effect.provide(fresh))
  )
})
