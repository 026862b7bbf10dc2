// The controls of the fake over its state, and the fake itself with its defaults.
import type * as Environment from "@effect-itwin/core/Environment"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { App, FakeIms, Options } from "../FakeIms.ts"
import * as Journal from "../Journal.ts"
import * as Profile from "../Profile.ts"
import * as entropy from "./engine/entropy.ts"
import { type Algorithm, makeKey } from "./engine/jwt.ts"
import { type Fake, makeFake } from "./fake.ts"
import { authenticated } from "./platformApi.ts"
import { AppName, FakeImsError, FakeSecret } from "./registration.ts"
import * as state from "./state.ts"
import { checkToken } from "./tokens.ts"

const wholeSeconds = (input: Duration.Input): number => Math.floor(Duration.toSeconds(Duration.fromInputUnsafe(input)))

const decodeApp = Schema.decodeEffect(
  Schema.Struct({
    name: AppName,
    clientId: Schema.UndefinedOr(Schema.NonEmptyString),
    clientSecret: Schema.UndefinedOr(FakeSecret)
  })
)

const appView = (app: state.Application): App => ({
  name: app.name,
  scopes: app.scopes,
  credentials: state.credentialsOf(app)
})

export const makeControls = (fake: Fake, environment: Environment.Environment): FakeIms["Service"] => {
  const known = fake.state
  const find = <A>(map: ReadonlyMap<string, A>, what: string, id: string): A => {
    const found = map.get(id)
    if (found === undefined) throw new FakeImsError({ message: `The fake has no ${what} ${id}` })
    return found
  }
  const withApp = <A>(clientId: string, f: (app: state.Application) => A): Effect.Effect<A> =>
    Effect.sync(() => f(find(known.apps, "app", clientId)))
  const entries = (keep: (entry: Journal.Entry) => boolean) =>
    Effect.sync(() => known.journal.filter(keep).map((entry) => ({ ...entry })))
  const tokenRequests = entries((entry) => entry.route === "POST /connect/token")
  const revokeAll = (clientId: string) => {
    for (const [jti, owner] of known.issued) if (owner === clientId) known.revoked.add(jti)
  }

  return {
    environment,
    registerApp: (registration) =>
      Effect.map(
        decodeApp({
          name: registration.name,
          clientId: registration.clientId,
          clientSecret: registration.clientSecret && Redacted.value(registration.clientSecret)
        }),
        (given) =>
          appView(
            state.register(known, {
              ...given,
              scopes: registration.scopes ?? ["itwin-platform"],
              tokenLifeSeconds: registration.tokenLife === undefined ? undefined : wholeSeconds(registration.tokenLife),
              claims: registration.claims ?? {},
              response: registration.response ?? {},
              identityDelay: Duration.toMillis(Duration.fromInputUnsafe(registration.identityDelay ?? 0))
            })
          )
      ),
    regenerateSecret: (clientId, options) =>
      withApp(clientId, (app) => {
        state.regenerate(known, app, Duration.toMillis(Duration.fromInputUnsafe(options?.overlap ?? 0)))
        return appView(app)
      }),
    revokeSecret: (clientId, secret) =>
      withApp(clientId, (app) => {
        const found = app.secrets.find(({ value }) => value === Redacted.value(secret))
        if (found === undefined) throw new FakeImsError({ message: `The app ${clientId} never had this secret` })
        found.validUntil = Math.min(found.validUntil, state.now(known))
      }),
    revokeToken: (token) =>
      Effect.sync(() => {
        const checked = checkToken(known, Redacted.value(token.value))
        if ("app" in checked) known.revoked.add(checked.jti)
      }),
    revokeAllTokens: (clientId) => withApp(clientId, () => revokeAll(clientId)),
    disableApp: (clientId) =>
      withApp(clientId, (app) => {
        app.enabled = false
      }),
    enableApp: (clientId) =>
      withApp(clientId, (app) => {
        app.enabled = true
      }),
    deleteApp: (clientId) => withApp(clientId, () => void known.apps.delete(clientId)),
    rotateKeys: Effect.sync(() => void known.keys.unshift(makeKey(known.algorithm, known.entropy))),

    createITwin: ({ displayName, id: given }) =>
      Effect.sync(() => {
        const id = given ?? entropy.uuid(known.entropy)
        known.iTwins.set(id, { id, displayName, roles: new Map(), members: new Map() })
        return { id }
      }),
    addRole: (iTwinId, { displayName, description = "", permissions }) =>
      Effect.sync(() => {
        const id = entropy.uuid(known.entropy)
        find(known.iTwins, "iTwin", iTwinId).roles.set(id, { id, displayName, description, permissions })
        return { id }
      }),
    addMember: (iTwinId, { email, roleIds = [] }) =>
      Effect.sync(() => {
        const iTwin = find(known.iTwins, "iTwin", iTwinId)
        for (const id of roleIds) find(iTwin.roles, "role", id)
        iTwin.members.set(email, new Set([...(iTwin.members.get(email) ?? []), ...roleIds]))
      }),

    addRoute: (method, path, handler, options) =>
      fake.addRoute(
        method,
        path,
        authenticated(known, options?.scopes ?? ["itwin-platform"], ({ app, scopes }, _entry, params, request) =>
          handler({ clientId: app.clientId, scopes, params, request })
        )
      ),

    script: (route, ...steps) =>
      Effect.sync(() => {
        const script = fake.script(route)
        if (script === undefined) {
          throw new FakeImsError({ message: `The fake has no route ${route}; it has ${fake.routes().join(", ")}` })
        }
        script.add(steps)
      }),
    clearScripts: Effect.sync(() => {
      for (const script of known.scripts.values()) script.clear()
    }),
    verify: verify(fake),

    journal: entries(() => true),
    tokenRequests,
    forApp: (clientId) => entries((entry) => entry.clientId === clientId),
    assertTokenRequests: (n) =>
      Effect.flatMap(tokenRequests, (requests) =>
        requests.length === n
          ? Effect.void
          : new FakeImsError({
              message: `Expected ${n} token requests, and there were ${requests.length}:\n${Journal.format(known.journal)}`
            })
      ),
    maxConcurrent: Effect.sync(() => known.journal.reduce((most, entry) => Math.max(most, entry.concurrency), 0)),
    awaitRequest: (route, n = 1) => fake.arrival(route, n),
    reset: Effect.sync(() => {
      for (const collection of [known.apps, known.iTwins, known.issued, known.revoked, known.byRoute]) {
        collection.clear()
      }
      for (const script of known.scripts.values()) script.clear()
      known.journal.length = 0
    })
  }
}

const verify = (fake: Fake): Effect.Effect<void, FakeImsError> =>
  Effect.suspend(() => {
    const unused = [...fake.state.scripts].flatMap(([route, script]) =>
      script.unused().map((step) => `${route}: ${JSON.stringify(step)}`)
    )
    return unused.length === 0
      ? Effect.void
      : new FakeImsError({ message: `Steps of the script that were never used:\n${unused.join("\n")}` })
  })

export const make = Effect.fnUntraced(function* (
  options: Options | undefined,
  where: {
    readonly issuer: string
    readonly apiBaseUrl: string
    readonly algorithm: Algorithm
    readonly seed: string
  }
): Effect.fn.Return<Fake, never, Scope.Scope> {
  const { tokenLife, profile } = options ?? {}
  const fake = yield* makeFake(
    state.makeState({
      clock: yield* Clock.Clock,
      entropy: entropy.fromSeed(options?.seed ?? where.seed),
      issuer: where.issuer,
      apiBaseUrl: where.apiBaseUrl,
      algorithm: options?.algorithm ?? where.algorithm,
      profile: {
        ...Profile.platform,
        ...profile,
        ...(tokenLife === undefined ? {} : { tokenLifeSeconds: wholeSeconds(tokenLife) })
      }
    })
  )
  yield* Effect.addFinalizer(() =>
    Effect.catch(verify(fake), (error) =>
      options?.strict === true ? Effect.die(error) : Effect.logWarning(error.message)
    )
  )
  return fake
})
