import { assert, describe, it } from "@effect/vitest"
import { type FakeIms, Fault } from "@effect-itwin/testing"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { itwinAuth, secretOf, withApp } from "./harness.ts"

interface Line {
  readonly step: string
  readonly ok: boolean
  readonly message: string
  readonly advice?: string
}

const iTwinOf = (fake: FakeIms.FakeIms["Service"], app: FakeIms.App, permissions?: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const { id } = yield* fake.createITwin({ displayName: "Bridge" })
    const roleIds =
      permissions === undefined ? [] : [(yield* fake.addRole(id, { displayName: "Role", permissions })).id]
    yield* fake.addMember(id, { email: app.credentials.clientEmail, roleIds })
    return id
  })

/** Runs the doctor with `--json`. */
const listOf = (...[app, args, world]: Parameters<typeof itwinAuth>) =>
  Effect.map(itwinAuth(app, ["doctor", "--json", ...args], world), ({ code, stderr, stdout }) => {
    const list: ReadonlyArray<Line> = JSON.parse(stdout)
    return { code, list, stderr, text: stdout, last: list.at(-1), steps: list.map(({ step }) => step) }
  })

const date = (value: string) => Fault.times({ _tag: "WithHeaders", headers: { date: value } }, 1)

const network = "Node 26.10.0, no proxy, no extra certificate authorities"

describe("itwin-auth doctor", () => {
  it.effect("prints a line for each step when everything works", () =>
    withApp((app, fake) =>
      Effect.gen(function* () {
        const id = yield* iTwinOf(fake, app, ["imodels_read", "imodels_webview"])
        yield* fake.script("GET /users/me", date("Thu, 01 Jan 1970 00:00:00 GMT"))
        const { code, stderr, stdout } = yield* itwinAuth(app, ["doctor", "--itwin", id])
        assert.strictEqual(
          stdout,
          `✓ platform     production: token endpoint https://ims.bentley.com/connect/token, API https://api.bentley.com
✓ network      ${network}
✓ credentials  environment variables ITWIN_CLIENT_ID and ITWIN_CLIENT_SECRET; client id ${app.credentials.clientId}
✓ token        Bearer token, expires in 1 h
✓ scopes       itwin-platform
✓ API          GET /users/me returned Mine
✓ clock        in agreement with the platform's
✓ iTwin        the app holds imodels_read, imodels_webview
`
        )
        assert.strictEqual(stderr, "")
        assert.strictEqual(code, 0)
        assert.strictEqual((yield* fake.tokenRequests).length, 1)
      })
    )
  )

  it.effect("prints the same steps as a list with --json", () =>
    withApp((app) =>
      Effect.gen(function* () {
        const { code, list, steps } = yield* listOf(app, [])
        assert.deepStrictEqual(steps, ["platform", "network", "credentials", "token", "scopes", "API", "clock"])
        assert.isTrue(list.every(({ ok }) => ok))
        assert.strictEqual(code, 0)
      })
    )
  )

  it.effect.each<readonly [string, string, number, string, Record<string, string | undefined>]>([
    ["the environment is unknown", "platform", 2, "ITWIN_ENVIRONMENT", { ITWIN_ENVIRONMENT: "moon" }],
    ["the proxy is not a URL", "network", 2, "HTTPS_PROXY", { HTTPS_PROXY: "fake-secret-p+r/o=" }],
    ["the secret is not set", "credentials", 2, "Set both.", { ITWIN_CLIENT_SECRET: undefined }],
    ["the secret is wrong", "token", 1, "regenerated", { ITWIN_CLIENT_SECRET: "fake-secret-w+r/o=" }]
  ])("stops at the first step that fails when %s", ([_name, step, expected, advice, env]) =>
    withApp((app) =>
      Effect.gen(function* () {
        const { code, last, list, stderr, text } = yield* listOf(app, [], { env })
        assert.strictEqual(last?.step, step)
        assert.deepStrictEqual(
          list.filter(({ ok }) => !ok),
          last === undefined ? [] : [last]
        )
        assert.include(`${last?.message} ${last?.advice}`, advice)
        assert.include(stderr, `itwin-auth: The step "${step}" failed: `)
        assert.strictEqual(code, expected)
        assert.notInclude(text + stderr, "fake-secret")
      })
    )
  )

  it.effect("prints the failed step with a cross and the advice below it", () =>
    withApp((app) =>
      Effect.gen(function* () {
        const env = { ITWIN_CLIENT_SECRET: undefined }
        const { stderr, stdout } = yield* itwinAuth(app, ["doctor"], { env, terminals: ["stdout"] })
        assert.deepStrictEqual(stdout.split("\n").slice(2), [
          "\u001B[31m✗\u001B[39m credentials  EnvSecretProvider: Environment variable ITWIN_CLIENT_SECRET is not set, but ITWIN_CLIENT_ID is.",
          "               Set both. See docs/errors.md#secret-notfound",
          ""
        ])
        // The person at the terminal sees it there.
        assert.strictEqual(stderr, "")
      })
    )
  )

  it.effect("prints no color when NO_COLOR is set, TERM is dumb or stdout is not a terminal", () =>
    withApp((app) =>
      Effect.gen(function* () {
        const colored = yield* itwinAuth(app, ["doctor"], { terminals: ["stdout"] })
        assert.include(colored.stdout, "\u001B[32m✓")
        for (const world of [
          { terminals: ["stdout" as const], env: { NO_COLOR: "1" } },
          { terminals: ["stdout" as const], env: { TERM: "dumb" } },
          {}
        ]) {
          assert.notInclude((yield* itwinAuth(app, ["doctor"], world)).stdout, "\u001B")
        }
      })
    )
  )

  it.effect("names the missing scope at the step scopes when IMS rejects the scope, or grants less", () =>
    withApp(
      (app, fake) =>
        Effect.gen(function* () {
          const rejected = yield* listOf(app, [])
          assert.deepStrictEqual(rejected.steps.slice(-2), ["credentials", "scopes"])
          assert.include(rejected.last?.advice, "name one that is listed there with --scope")
          yield* fake.script("POST /connect/token", Fault.once(Fault.fields({ scope: "users:read" })))
          const less = yield* listOf(app, ["--scope", "users:read", "--scope", "itwins:read"])
          assert.strictEqual(less.last?.message, "IMS did not grant itwins:read")
        }),
      ["users:read", "itwins:read"]
    )
  )

  it.effect("names --scope when the API rejects the scope of the token", () =>
    withApp(
      (app) =>
        Effect.gen(function* () {
          const { last } = yield* listOf(app, ["--scope", "itwins:read"])
          assert.strictEqual(last?.step, "API")
          assert.include(last?.advice, "request it with --scope. The token has")
        }),
      ["itwins:read"]
    )
  )

  it.effect("shows why the API rejects the token", () =>
    withApp((app, fake) =>
      Effect.gen(function* () {
        yield* fake.script("GET /users/me", Fault.times(Fault.respond({ status: 403 }), 1))
        const { last } = yield* listOf(app, [])
        assert.strictEqual(last?.step, "API")
        assert.include(last?.advice, app.credentials.clientEmail)
      })
    )
  )

  it.effect.each([
    ["in agreement with the platform's", "Thu, 01 Jan 1970 00:00:01 GMT", true],
    ["1 min 59 s behind the platform's", "Thu, 01 Jan 1970 00:02:00 GMT", true],
    ["10 min behind the platform's", "Thu, 01 Jan 1970 00:10:01 GMT", false],
    ["1 h ahead of the platform's", "Wed, 31 Dec 1969 23:00:00 GMT", false],
    ["not checked, because the response has no date", "", true]
  ] as const)("says that the clock is %s", ([message, value, ok]) =>
    withApp((app, fake) =>
      Effect.gen(function* () {
        if (value !== "") yield* fake.script("GET /users/me", date(value))
        // The clock of the test stands at the first second of 1970.
        yield* TestClock.setTime(1000)
        const { last } = yield* listOf(app, [])
        assert.deepStrictEqual([last?.step, last?.message, last?.ok], ["clock", message, ok])
      })
    )
  )

  it.effect("names the e-mail to invite when the app holds no permission, or is not a member", () =>
    withApp((app, fake) =>
      Effect.gen(function* () {
        const member = yield* listOf(app, ["--itwin", yield* iTwinOf(fake, app)])
        assert.strictEqual(member.last?.message, "the app holds no permission on the iTwin")
        const stranger = yield* listOf(app, ["--itwin", "11111111-1111-4111-8111-111111111111"])
        assert.include(stranger.last?.message, "does not exist, or the app is not a member")
        for (const { code, last } of [member, stranger]) {
          assert.include(last?.advice, `Invite ${app.credentials.clientEmail} to the iTwin`)
          assert.strictEqual(code, 1)
        }
      })
    )
  )

  it.effect("shows the proxy without its password, and whether this Node uses it", () =>
    withApp((app) =>
      Effect.gen(function* () {
        const env = { https_proxy: "http://me:fake-secret-p+w@proxy.example:3128" }
        const line = (runtime: NonNullable<Parameters<typeof itwinAuth>[2]>["runtime"]) =>
          Effect.map(listOf(app, [], { env, ...(runtime && { runtime }) }), ({ list }) => list[1])
        const used = yield* line({})
        assert.include(used?.message, "proxy proxy.example:3128 (https_proxy)")
        const lacking = { version: "22.19.0", setGlobalProxyFromEnv: undefined }
        const ignored = yield* line(lacking)
        assert.include(ignored?.message, "https_proxy is ignored")
        assert.include(ignored?.advice, "Node 22.19.0 does not use https_proxy by itself.")
        assert.isTrue(ignored?.ok)
        const started = yield* line({ ...lacking, isStartedWithProxy: true })
        assert.include(started?.message, "proxy proxy.example:3128 (https_proxy)")
        assert.notInclude(JSON.stringify([used, ignored, started]), "fake-secret")
      })
    )
  )

  it.effect("counts the extra certificate authorities, and says when their file is of no use", () =>
    withApp((app) =>
      Effect.gen(function* () {
        const pem = "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"
        const line = (files: Record<string, string>) =>
          Effect.map(listOf(app, [], { env: { NODE_EXTRA_CA_CERTS: "/ca.pem" }, files }), ({ list }) => list[1])
        assert.include((yield* line({ "/ca.pem": pem + pem }))?.message, "2 extra certificate authorities")
        for (const files of [{}, { "/ca.pem": "text" }]) {
          assert.include((yield* line(files))?.message, "NODE_EXTRA_CA_CERTS is ignored")
        }
      })
    )
  )

  it.effect("says that it failed, without the message of the defect, when code throws", () =>
    withApp((app) =>
      Effect.gen(function* () {
        const world = { env: { NODE_EXTRA_CA_CERTS: "/ca.pem" }, defect: new TypeError(secretOf(app)) }
        const plain = yield* itwinAuth(app, ["doctor"], world)
        assert.strictEqual(plain.code, 1)
        assert.match(
          plain.stderr,
          /^itwin-auth: Failed unexpectedly \(TypeError\)\..* --log-level debug to see where\.\n$/
        )
        const traced = yield* itwinAuth(app, ["doctor", "--log-level", "debug"], world)
        assert.match(traced.stderr, /\n +at .*doctor\.test\.ts/)
        assert.notInclude(plain.stderr + traced.stderr, "fake-secret")
      })
    )
  )
})
