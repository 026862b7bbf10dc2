// What the file of `fake-ims --config` may say, and how a fake is set up by it.
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as FakeIms from "../../FakeIms.ts"
import * as Fault from "../../Fault.ts"
import { explain } from "../engine/explain.ts"
import { App, iTwinFields, ProfileChanges, Role, Seconds, toRegistration, User } from "./inputs.ts"
import { findSyntaxProblem } from "./jsonSyntax.ts"

const Member = Schema.Struct({
  /** The name of an app of the file; or else an e-mail. */
  app: Schema.optionalKey(Schema.String),
  email: Schema.optionalKey(Schema.NonEmptyString),
  /** Names of roles of the iTwin. */
  roles: Schema.optionalKey(Schema.Array(Schema.String))
}).check(
  Schema.makeFilter(({ app, email }) =>
    (app === undefined) === (email === undefined) ? "Expected either app or email" : undefined
  )
)

const ITwin = Schema.Struct({
  ...iTwinFields,
  roles: Schema.optionalKey(Schema.Array(Role)),
  members: Schema.optionalKey(Schema.Array(Member))
})

type Problems = Array<{ readonly path: ReadonlyArray<PropertyKey>; readonly issue: string }>

const Settings = Schema.Struct({
  apps: Schema.optionalKey(Schema.Array(App)),
  users: Schema.optionalKey(Schema.Array(User)),
  iTwins: Schema.optionalKey(Schema.Array(ITwin)),
  script: Schema.optionalKey(Schema.Record(Schema.String, Schema.Array(Fault.Step))),
  seed: Schema.optionalKey(Schema.NonEmptyString),
  tokenLife: Schema.optionalKey(Seconds),
  profile: Schema.optionalKey(ProfileChanges),
  algorithm: Schema.optionalKey(Schema.Literals(["EdDSA", "RS256"]))
}).check(
  Schema.makeFilter(({ apps = [], iTwins = [] }) => {
    const problems: Problems = []
    const ids = apps.map(({ clientId }) => clientId)
    ids.forEach((id, index) => {
      if (id !== undefined && ids.indexOf(id) < index) {
        problems.push({ path: ["apps", index, "clientId"], issue: `Expected a client id that no other app has: ${id}` })
      }
    })
    iTwins.forEach(({ roles = [], members = [] }, index) => {
      members.forEach((member, position) => {
        const path = ["iTwins", index, "members", position]
        const isOne = apps.some(({ name, type = "service" }) => name === member.app && type === "service")
        if (member.app !== undefined && !isOne) {
          problems.push({
            path: [...path, "app"],
            issue: `Expected the name of one of the service apps, not ${member.app}`
          })
        }
        const unknown = member.roles?.find((role) => !roles.some(({ displayName }) => displayName === role))
        if (unknown !== undefined) {
          problems.push({ path: [...path, "roles"], issue: `Expected names of roles of this iTwin, not ${unknown}` })
        }
      })
    })
    return problems
  })
)

export type Settings = typeof Settings.Type

const decode = Schema.decodeUnknownEffect(Schema.toCodecJson(Schema.fromJsonString(Settings)), {
  onExcessProperty: "error",
  errors: "all"
})

/** The settings can't be used; the message says where and why. */
export class SettingsError extends Data.TaggedError("SettingsError")<{ readonly message: string }> {}

export const parse = (text: string): Effect.Effect<Settings, SettingsError> =>
  Effect.suspend(() => {
    // Some editors put a byte order mark in front of the text.
    const json = text.replace(/^\uFEFF/, "")
    const problem = findSyntaxProblem(json)
    return problem === undefined
      ? Effect.mapError(decode(json), (error) => new SettingsError({ message: explain(error) }))
      : new SettingsError({
          message: `line ${problem.line}, column ${problem.column}: This is not JSON. Expected ${problem.expected}.`
        })
  })

const createITwin = Effect.fnUntraced(function* (
  fake: FakeIms.FakeIms["Service"],
  /** The e-mails of the apps, by name. */
  emails: ReadonlyMap<string, string>,
  iTwin: typeof ITwin.Type
) {
  const { id } = yield* fake.createITwin(iTwin)
  const roles = new Map<string, string>()
  for (const role of iTwin.roles ?? []) roles.set(role.displayName, (yield* fake.addRole(id, role)).id)
  for (const { app = "", email = emails.get(app) ?? "", roles: names = [] } of iTwin.members ?? []) {
    yield* fake.addMember(id, { email, roleIds: names.flatMap((name) => roles.get(name) ?? []) })
  }
  return { ...iTwin, id }
})

/**
 * Registers what the settings name. Gives the settings back with the ids and secrets that were made, so that doing it
 * again makes the same.
 */
export const setUp = Effect.fnUntraced(function* (fake: FakeIms.FakeIms["Service"], settings: Settings) {
  const emails = new Map<string, string>()
  const apps = yield* Effect.forEach(
    settings.apps ?? [{ name: "Fake app" }],
    Effect.fnUntraced(function* (app, index) {
      const { credentials } = yield* Effect.mapError(
        fake.registerApp(toRegistration(app)),
        (error) => new SettingsError({ message: explain(error).replaceAll(/^/gm, `apps[${index}].`) })
      )
      if (!("clientSecret" in credentials)) return { ...app, clientId: credentials.clientId }
      const { clientEmail, clientId, clientSecret } = credentials
      emails.set(app.name, clientEmail)
      return { ...app, clientId, clientSecret: Redacted.value(clientSecret) }
    })
  )
  const users = yield* Effect.forEach(settings.users ?? [{ email: "user@example.com" }], (user) =>
    Effect.map(fake.addUser(user), ({ id }) => ({ ...user, id }))
  )
  const iTwins = yield* Effect.forEach(settings.iTwins ?? [], (iTwin) => createITwin(fake, emails, iTwin))
  for (const [route, steps] of Object.entries(settings.script ?? {})) {
    yield* fake
      .script(route, ...steps)
      .pipe(
        Effect.catchDefect((defect) =>
          defect instanceof RangeError
            ? new SettingsError({ message: `script[${JSON.stringify(route)}]: ${defect.message}` })
            : Effect.die(defect)
        )
      )
  }
  return { ...settings, apps, users, iTwins }
})
