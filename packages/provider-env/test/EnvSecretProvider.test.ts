import { assert, describe, it } from "@effect/vitest"
import { ITwin, SecretProvider, Users } from "@effect-itwin/core"
import { EnvSecretProvider } from "@effect-itwin/provider-env"
import { FakeIms, SecretProviderContract } from "@effect-itwin/testing"
import { Cause, ConfigProvider, Context, Effect, Exit, FileSystem, Layer, PlatformError, Redacted } from "effect"

const secret = "fake-secret-a+b/c="

const read = Effect.flatMap(SecretProvider.SecretProvider, (provider) => provider.credentials)

const withConfig = (provider: ConfigProvider.ConfigProvider) =>
  Effect.provide(EnvSecretProvider.layer.pipe(Layer.provide(ConfigProvider.layer(provider))))

const withEnv = (variables: Record<string, string>) =>
  withConfig(ConfigProvider.fromEnvRecord(variables, { preserveEmptyStrings: true }))

/** Returns the defect with which the effect dies. */
const defectOf = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.exit(self), (exit) => (Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined))

/** Provides the variables as the process environment would. */
class Variables extends Context.Service<Variables, Record<string, string>>()("Variables") {}

const assign = (variables: Record<string, string>) =>
  Effect.map(Variables, (target) => {
    Object.assign(target, variables)
  })

const contract = SecretProviderContract.cases<Variables>({
  backend: Layer.sync(Variables, () => ({})),
  layer: EnvSecretProvider.layer.pipe(
    Layer.provide(
      Layer.unwrap(
        Effect.map(Variables, (variables) =>
          ConfigProvider.layer(ConfigProvider.fromEnvRecord(variables, { preserveEmptyStrings: true }))
        )
      )
    )
  ),
  set: ({ clientId, clientSecret }) =>
    assign({ ITWIN_CLIENT_ID: clientId, ITWIN_CLIENT_SECRET: Redacted.value(clientSecret) }),
  rotate: ({ clientSecret }) => assign({ ITWIN_CLIENT_SECRET: Redacted.value(clientSecret) }),
  remove: Effect.map(Variables, (variables) => {
    delete variables.ITWIN_CLIENT_SECRET
  }),
  setRaw: (clientSecret) => assign({ ITWIN_CLIENT_SECRET: clientSecret })
})

describe("EnvSecretProvider: the contract of secret providers", () => {
  for (const { name, run } of contract) it.effect(name, () => run)
})

describe("EnvSecretProvider", () => {
  it.effect("reads id and secret from any ConfigProvider", () =>
    Effect.gen(function* () {
      for (const provider of [
        ConfigProvider.fromEnvRecord({ ITWIN_CLIENT_ID: "service-1", ITWIN_CLIENT_SECRET: secret }),
        ConfigProvider.fromDotEnvContents(`ITWIN_CLIENT_ID=service-1\nITWIN_CLIENT_SECRET="${secret}"\n`),
        ConfigProvider.fromUnknown({ itwin: { client: { id: "service-1", secret } } }).pipe(
          ConfigProvider.mapInput((path) => path.flatMap((part) => String(part).toLowerCase().split("_")))
        )
      ]) {
        const credentials = yield* withConfig(provider)(read)
        assert.strictEqual(credentials.clientId, "service-1")
        assert.strictEqual(Redacted.value(credentials.clientSecret), secret)
      }
    })
  )

  it.effect("drops one trailing newline of the values of variables", () =>
    Effect.gen(function* () {
      const credentials = yield* read
      assert.strictEqual(credentials.clientId, "service-1")
      assert.strictEqual(Redacted.value(credentials.clientSecret), secret)
    }).pipe(withEnv({ ITWIN_CLIENT_ID: "service-1\n", ITWIN_CLIENT_SECRET: `${secret}\r\n` }))
  )

  it.effect("returns the new value when a variable changed", () => {
    const variables: Record<string, string> = { ITWIN_CLIENT_ID: "service-1", ITWIN_CLIENT_SECRET: secret }
    return Effect.gen(function* () {
      yield* read
      variables.ITWIN_CLIENT_SECRET = "fake-secret-new="
      assert.strictEqual(Redacted.value((yield* read).clientSecret), "fake-secret-new=")
    }).pipe(withEnv(variables))
  })

  it.effect.each([
    [
      {},
      "NotFound",
      "Environment variables ITWIN_CLIENT_ID and ITWIN_CLIENT_SECRET are not set. Set both to the values shown under My Apps, or provide another SecretProvider."
    ],
    [{ ITWIN_CLIENT_SECRET: secret }, "NotFound", "variable ITWIN_CLIENT_ID is not set, but ITWIN_CLIENT_SECRET is"],
    [{ ITWIN_CLIENT_ID: "service-1" }, "NotFound", "ITWIN_CLIENT_SECRET is not set, but ITWIN_CLIENT_ID is. Set both."],
    [{ ITWIN_CLIENT_ID: "", ITWIN_CLIENT_SECRET: secret }, "InvalidSecret", "ITWIN_CLIENT_ID"],
    [{ ITWIN_CLIENT_ID: "service-1", ITWIN_CLIENT_SECRET: " \t" }, "InvalidSecret", "blank"],
    [{ ITWIN_CLIENT_ID: secret, ITWIN_CLIENT_SECRET: "service-1" }, "InvalidSecret", "swapped"],
    [{ ITWIN_CLIENT_ID: "service-1", ITWIN_CLIENT_SECRET: `${secret} ` }, "InvalidSecret", "white space"],
    [{ ITWIN_CLIENT_ID: "service-1", ITWIN_CLIENT_SECRET: `${secret}\n\n` }, "InvalidSecret", "white space"],
    [{ ITWIN_CLIENT_ID: "service-1", ITWIN_CLIENT_SECRET: `${secret}é` }, "InvalidSecret", "another character"],
    [{ ITWIN_CLIENT_ID: "service-1", ITWIN_CLIENT_SECRET: secret.repeat(57) }, "InvalidSecret", "1,024"]
  ] as const)("fails when the variables are %j: reason %s, naming the variable", ([variables, tag, text]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(read)
      assert.strictEqual(error.reason._tag, tag)
      assert.include(error.message, text)
      assert.notInclude(JSON.stringify(error) + error.message, secret)
    }).pipe(withEnv(variables))
  )

  it.effect.each([
    ["ITP_SERVICE_CLIENT_ID", "ITP_SERVICE_CLIENT_SECRET"],
    ["IMJS_OIDC_AGENT_TEST_CLIENT_ID", "IMJS_OIDC_AGENT_TEST_CLIENT_SECRET"]
  ] as const)("does not use %s, but says which line would", ([id, clientSecret]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(read)
      assert.strictEqual(error.reason._tag, "NotFound")
      assert.include(
        error.message,
        `EnvSecretProvider.layerWith({ clientId: "${id}", clientSecret: "${clientSecret}" })`
      )
    }).pipe(withEnv({ [id]: "service-1", [clientSecret]: secret }))
  )

  describe("layerWith", () => {
    const lists = { clientId: ["A_ID", "B_ID"], clientSecret: ["A_SECRET", "B_SECRET"] }
    const readWith = (names: EnvSecretProvider.Names, variables: Record<string, string>) =>
      Effect.provide(
        read,
        EnvSecretProvider.layerWith(names).pipe(
          Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord(variables)))
        )
      )

    it.effect("tries pairs of names in order", () =>
      Effect.gen(function* () {
        const b = { B_ID: "service-b", B_SECRET: `${secret}b` }
        assert.strictEqual((yield* readWith(lists, b)).clientId, "service-b")
        const both = yield* readWith(lists, { ...b, A_ID: "service-a", A_SECRET: `${secret}a` })
        assert.strictEqual(both.clientId, "service-a")
        assert.strictEqual(Redacted.value(both.clientSecret), `${secret}a`)
        const one = yield* readWith({ clientId: "X", clientSecret: "Y" }, { X: "service-x", Y: secret })
        assert.strictEqual(one.clientId, "service-x")
      })
    )

    it.effect("fails when half of a pair is set, although another pair is complete", () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(readWith(lists, { A_ID: "service-a", B_ID: "service-b", B_SECRET: secret }))
        assert.strictEqual(error.reason._tag, "NotFound")
        assert.include(error.message, "A_SECRET is not set")
      })
    )

    it.effect("names every pair when none is set", () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(readWith(lists, {}))
        assert.include(error.message, "Environment variables A_ID and A_SECRET, or B_ID and B_SECRET are not set.")
      })
    )

    it.effect("dies with a RangeError when the lists of names differ in length or are empty", () =>
      Effect.gen(function* () {
        for (const names of [
          { ...lists, clientSecret: "A_SECRET" },
          { clientId: [], clientSecret: [] }
        ]) {
          assert.instanceOf(yield* defectOf(readWith(names, {})), RangeError)
        }
      })
    )
  })

  describe("layerWith and layerFilesWith", () => {
    it.effect.each<readonly [string, unknown, unknown, string]>([
      ["the secret", "ITWIN_CLIENT_ID", secret, "clientSecret"],
      ["the id", "service-1", "ITWIN_CLIENT_SECRET", "clientId"],
      ["the secret, in a list", ["A_ID", "B_ID"], ["A_SECRET", secret], "clientSecret"],
      ["a variable that is not set", "ITWIN_CLIENT_ID", undefined, "clientSecret"],
      ["nothing", "", "ITWIN_CLIENT_SECRET", "clientId"]
    ])("dies with a RangeError that does not quote it when a name is %s", ([_what, clientId, clientSecret, option]) =>
      Effect.gen(function* () {
        // As in JavaScript, or after a wrong `!`.
        const names = { clientId, clientSecret } as EnvSecretProvider.Names
        for (const layer of [EnvSecretProvider.layerWith(names), EnvSecretProvider.layerFilesWith(names)]) {
          const defect = yield* defectOf(Layer.build(layer.pipe(Layer.provide(FileSystem.layerNoop({})))))
          assert.instanceOf(defect, RangeError)
          assert.include(String(defect), `EnvSecretProvider: ${option} must be`)
          assert.include(String(defect), "never its value")
          assert.notMatch(String(defect), /fake-secret|service-1/)
        }
      }).pipe(withEnv({ ITWIN_CLIENT_ID: "service-1", ITWIN_CLIENT_SECRET: secret }))
    )
  })

  describe("layerFiles", () => {
    /** Files by path; `null` is a file that may not be read. */
    const readFrom = (files: Record<string, string | null>, variables: Record<string, string>) =>
      Effect.provide(
        read,
        EnvSecretProvider.layerFiles.pipe(
          Layer.provide([
            ConfigProvider.layer(ConfigProvider.fromEnvRecord(variables)),
            FileSystem.layerNoop({
              readFileString: (path) => {
                const text = files[path]
                return typeof text === "string"
                  ? Effect.succeed(text)
                  : Effect.fail(
                      PlatformError.systemError({
                        _tag: text === null ? "PermissionDenied" : "NotFound",
                        module: "FileSystem",
                        method: "readFileString",
                        pathOrDescriptor: path
                      })
                    )
              }
            })
          ])
        )
      )
    const pointing = { ITWIN_CLIENT_ID: "service-1", ITWIN_CLIENT_SECRET_FILE: "/secrets/itwin" }

    it.effect.each(["", "\n", "\r\n"])("reads the file, and drops one trailing newline: %j", (end) =>
      Effect.gen(function* () {
        const credentials = yield* readFrom({ "/secrets/itwin": `${secret}${end}` }, pointing)
        assert.strictEqual(Redacted.value(credentials.clientSecret), secret)
      })
    )

    it.effect("returns the new value when the file changed", () => {
      const files = { "/secrets/itwin": secret }
      return Effect.gen(function* () {
        const provider = yield* Effect.provide(
          SecretProvider.SecretProvider,
          EnvSecretProvider.layerFiles.pipe(
            Layer.provide([
              ConfigProvider.layer(ConfigProvider.fromEnvRecord(pointing)),
              FileSystem.layerNoop({ readFileString: () => Effect.sync(() => files["/secrets/itwin"]) })
            ])
          )
        )
        yield* provider.credentials
        files["/secrets/itwin"] = "fake-secret-new="
        assert.strictEqual(Redacted.value((yield* provider.credentials).clientSecret), "fake-secret-new=")
      })
    })

    it.effect.each<readonly [string, Record<string, string | null>, Record<string, string>, string, string]>([
      ["no file", {}, pointing, "NotFound", "does not exist"],
      [
        "a file it may not read",
        { "/secrets/itwin": null },
        pointing,
        "AccessDenied",
        "Grant this process read access"
      ],
      ["an empty file", { "/secrets/itwin": "\n" }, pointing, "InvalidSecret", "blank"],
      ["two newlines", { "/secrets/itwin": `${secret}\n\n` }, pointing, "InvalidSecret", "white space"],
      ["a byte order mark", { "/secrets/itwin": `\uFEFF${secret}` }, pointing, "InvalidSecret", "UTF-16"],
      ["both set", { "/secrets/itwin": secret }, { ...pointing, ITWIN_CLIENT_SECRET: secret }, "Misconfigured", "Both"],
      ["the secret in place of a path", {}, { ...pointing, ITWIN_CLIENT_SECRET_FILE: secret }, "NotFound", "_FILE"]
    ])("fails, and shows neither value nor path, when there is %s", ([_name, files, variables, tag, text]) =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(readFrom(files, variables))
        assert.strictEqual(error.reason._tag, tag)
        assert.include(error.message, text)
        assert.include(error.message, "ITWIN_CLIENT_SECRET_FILE")
        assert.notInclude(JSON.stringify(error) + error.message, secret)
        assert.notInclude(error.message, "/secrets")
      })
    )
  })

  it.effect("fails with Unavailable when the ConfigProvider fails", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(read)
      assert.strictEqual(error.reason._tag, "Unavailable")
      assert.isTrue(error.isRetryable)
    }).pipe(
      withConfig(
        ConfigProvider.make(() => Effect.fail(new ConfigProvider.SourceError({ message: `disk broke: ${secret}` })))
      )
    )
  )

  it.effect("uses the ConfigProvider of the layer, not that of a caller", () =>
    Effect.gen(function* () {
      const credentials = yield* read.pipe(
        Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord({}))
      )
      assert.strictEqual(credentials.clientId, "service-1")
    }).pipe(withEnv({ ITWIN_CLIENT_ID: "service-1", ITWIN_CLIENT_SECRET: secret }))
  )

  it.effect("provides the credentials to ITwin.layer", () =>
    Effect.gen(function* () {
      const fake = yield* FakeIms.FakeIms
      const app = yield* fake.registerApp({ name: "From the environment" })
      const me = yield* Users.me.pipe(
        Effect.provide(ITwin.layer.pipe(Layer.provide(EnvSecretProvider.layer))),
        Effect.provideService(
          ConfigProvider.ConfigProvider,
          ConfigProvider.fromEnvRecord({
            ITWIN_CLIENT_ID: app.credentials.clientId,
            ITWIN_CLIENT_SECRET: Redacted.value(app.credentials.clientSecret)
          })
        )
      )
      assert.strictEqual(me.givenName, "From the environment")
    }).pipe(Effect.provide(FakeIms.layerTest()))
  )
})
