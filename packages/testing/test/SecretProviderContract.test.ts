import { assert, describe, it } from "@effect/vitest"
import { ClientCredentials, SecretProvider, SecretProviderError } from "@effect-itwin/core"
import { SecretProviderContract } from "@effect-itwin/testing"
import { Cause, Context, Deferred, Effect, Exit, Layer, Redacted } from "effect"

type Reason = SecretProviderError.SecretProviderErrorReason

/** Describes a backend in memory: what it holds, or why it can't be read. */
class Memory extends Context.Service<
  Memory,
  { clientId: string; clientSecret: string | undefined; refusal: Reason | undefined }
>()("Memory") {}

const about = { provider: "MemorySecretProvider", secretName: "itwin" }

const fail = (reason: Reason) => Effect.fail(new SecretProviderError.SecretProviderError({ reason }))

const readMemory = (memory: Memory["Service"]): SecretProvider.SecretProvider["Service"]["credentials"] =>
  Effect.suspend(() => {
    const { clientId, clientSecret, refusal } = memory
    if (refusal !== undefined) return fail(refusal)
    if (clientSecret === undefined) return fail(new SecretProviderError.NotFound(about))
    const trimmed = clientSecret.replace(/\n$/, "")
    return trimmed.trim() === ""
      ? fail(new SecretProviderError.InvalidSecret(about))
      : Effect.succeed(
          new ClientCredentials.ClientCredentials({ clientId, clientSecret: Redacted.make(trimmed), version: "1" })
        )
  })

const change = (patch: Partial<Memory["Service"]>) =>
  Effect.map(Memory, (memory) => {
    Object.assign(memory, patch)
  })

const set = ({ clientId, clientSecret }: ClientCredentials.ClientCredentials) =>
  change({ clientId, clientSecret: Redacted.value(clientSecret) })

const refuse = (refusal: Reason) => change({ refusal })

/** Describes every state, with a provider made for the test. */
const memoryBackend = (
  makeRead: (memory: Memory["Service"]) => SecretProvider.SecretProvider["Service"]["credentials"]
): SecretProviderContract.Backend<Memory> => ({
  backend: Layer.sync(Memory, () => ({ clientId: "", clientSecret: undefined, refusal: undefined })),
  layer: Layer.effect(
    SecretProvider.SecretProvider,
    Effect.map(Memory, (memory) => ({ credentials: makeRead(memory) }))
  ),
  set,
  rotate: set,
  remove: change({ clientSecret: undefined }),
  disable: refuse(new SecretProviderError.Disabled(about)),
  deny: refuse(new SecretProviderError.AccessDenied(about)),
  throttle: refuse(new SecretProviderError.Throttled(about)),
  makeUnavailable: refuse(new SecretProviderError.Unavailable(about)),
  setRaw: (clientSecret) => change({ clientSecret })
})

const names = [
  "reads the client id and the secret",
  "sees a rotated secret at the next read",
  "says NotFound when the secret is missing",
  "says Disabled when the secret is switched off",
  "says AccessDenied when it may not read the secret",
  "says Throttled, retryable, when it reads too often",
  "says Unavailable, retryable, when the backend is down",
  "takes no empty secret",
  "takes no blank secret",
  "drops one trailing newline, or says InvalidSecret",
  "serves 20 readers at once",
  "lets an interrupted reader harm no other",
  "shows the secret nowhere"
]

describe("SecretProviderContract", () => {
  describe("passes a provider that does it right", () => {
    for (const { name, run } of SecretProviderContract.cases(memoryBackend(readMemory))) it.effect(name, () => run)
  })

  describe("passes SecretProvider.layerStatic, as far as its states go", () => {
    for (const { name, run } of SecretProviderContract.cases<Memory>({
      backend: memoryBackend(readMemory).backend,
      layer: Layer.unwrap(
        Effect.map(Memory, ({ clientId, clientSecret = "" }) =>
          SecretProvider.layerStatic(
            new ClientCredentials.ClientCredentials({ clientId, clientSecret: Redacted.make(clientSecret) })
          )
        )
      ),
      set
    })) {
      it.effect(name, () => run)
    }
  })

  it("lists the cases of the states that the backend can be in, and no others", () => {
    const listed = (backend: SecretProviderContract.Backend<Memory>) =>
      SecretProviderContract.cases(backend).map(({ name }) => name)
    const { backend, layer, setRaw = () => Effect.void } = memoryBackend(readMemory)
    assert.deepStrictEqual(listed(memoryBackend(readMemory)), names)
    assert.deepStrictEqual(
      listed({ backend, layer, set }),
      [0, 10, 11, 12].map((index) => names[index])
    )
    assert.deepStrictEqual(
      listed({ backend, layer, set, setRaw }),
      [0, 7, 8, 9, 10, 11, 12].map((index) => names[index])
    )
  })

  const broken: ReadonlyArray<
    readonly [what: string, Parameters<typeof memoryBackend>[0], violated: ReadonlyArray<string>, seen: string]
  > = [
    [
      "remembers its first read",
      (memory) => Effect.runSync(Effect.cached(readMemory(memory))),
      names.slice(1, 10),
      "the first secret"
    ],
    [
      "calls everything NotFound",
      (memory) => Effect.catch(readMemory(memory), () => fail(new SecretProviderError.NotFound(about))),
      [...names.slice(3, 7), "takes no blank secret"],
      "NotFound"
    ],
    [
      "passes blanks and newlines on",
      (memory) =>
        Effect.suspend(() =>
          memory.clientSecret && memory.refusal === undefined
            ? Effect.succeed(
                new ClientCredentials.ClientCredentials({
                  clientId: memory.clientId,
                  clientSecret: Redacted.make(memory.clientSecret)
                })
              )
            : readMemory(memory)
        ),
      ["takes no blank secret", "drops one trailing newline, or says InvalidSecret"],
      "a defect"
    ],
    [
      "trims and mangles",
      (memory) =>
        Effect.map(
          readMemory(memory),
          ({ clientId, clientSecret }) =>
            new ClientCredentials.ClientCredentials({
              clientId,
              clientSecret: Redacted.make(Redacted.value(clientSecret).replaceAll("+", " "))
            })
        ),
      names.slice(0, 12),
      "some other text as the secret"
    ],
    [
      "shares a read and lets its first reader take it along",
      (memory) => {
        let shared: Deferred.Deferred<ClientCredentials.ClientCredentials, SecretProviderError.SecretProviderError>
        let busy = false
        return Effect.suspend(() => {
          if (busy) return Deferred.await(shared)
          shared = Deferred.makeUnsafe()
          busy = true
          return Effect.andThen(Effect.yieldNow, readMemory(memory)).pipe(
            Effect.onExit((exit) => {
              busy = false
              return Deferred.done(shared, exit)
            })
          )
        })
      },
      ["lets an interrupted reader harm no other"],
      "an interruption"
    ],
    ...[
      ["as it is", (secret: string) => secret],
      ["percent-encoded", encodeURIComponent],
      ["in base64", btoa],
      ["in base64", (secret: string) => btoa(`service-1:${secret}`)]
    ].map(
      ([form, encode]) =>
        [
          `shows the secret ${form} in its advice`,
          (memory: Memory["Service"]) =>
            Effect.catchReason(readMemory(memory), "SecretProviderError", "Unavailable", () =>
              fail(
                new SecretProviderError.Unavailable({
                  ...about,
                  advice: typeof encode === "function" ? `Got ${encode(memory.clientSecret ?? "")}.` : ""
                })
              )
            ),
          ["shows the secret nowhere"],
          `one ${form}, in the case "says Unavailable, retryable, when the backend is down"`
        ] as const
    ),
    [
      "logs the secret",
      (memory) =>
        Effect.andThen(
          Effect.logTrace("read", new Error("read", { cause: new Error(memory.clientSecret) })),
          readMemory(memory)
        ),
      ["shows the secret nowhere"],
      `one as it is, in the case "reads the client id and the secret"`
    ],
    [
      "attaches the error of its backend",
      (memory) =>
        Effect.mapError(readMemory(memory), (error) => Object.assign(error, { cause: { body: memory.clientSecret } })),
      ["shows the secret nowhere"],
      `one as it is, in the case "says Disabled when the secret is switched off"`
    ],
    ["dies", () => Effect.die("x"), names.slice(0, 12), "a defect"]
  ]

  it.effect.each(broken)("names the violated case when a provider %s", ([, makeRead, violated, seen]) =>
    Effect.gen(function* () {
      const violations = yield* Effect.forEach(SecretProviderContract.cases(memoryBackend(makeRead)), ({ run }) =>
        Effect.exit(run)
      )
      const found = violations
        .flatMap((exit) => (Exit.isFailure(exit) ? [Exit.findErrorOption(exit)] : []))
        .flatMap((option) => (option._tag === "Some" ? [option.value] : []))
      assert.deepStrictEqual(
        found.map((violation) => violation.case),
        violated
      )
      assert.include(
        found.map((violation) => violation.seen),
        seen
      )
      for (const violation of found) {
        assert.include(violation.message, `violates "${violation.case}"`)
        assert.notMatch(Cause.pretty(Cause.fail(violation)) + JSON.stringify(violation), /fake-secret-/)
      }
    })
  )
})
