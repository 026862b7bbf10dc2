// `/health`, and the controls of the fake as a JSON API under `/__admin`, so that tests in any language can steer it.
// Nothing here is journaled.
import { createHash, timingSafeEqual } from "node:crypto"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { FakeIms } from "../FakeIms.ts"
import { Step } from "../Fault.ts"
import type { AdjustableClock } from "./engine/clock.ts"
import type { Method } from "./engine/router.ts"
import { explain } from "./explain.ts"
import type { Fake } from "./fakeIms.ts"
import { type Application, credentialsOf } from "./ims/clients.ts"
import { App, toRegistration } from "./settings.ts"

export interface Admin {
  readonly fake: Fake
  readonly controls: FakeIms["Service"]
  readonly clock: AdjustableClock
  /** What requests must bring as bearer token, if anything. */
  readonly token: Redacted.Redacted | undefined
  /** Sets the fake up again after a reset. */
  readonly onReset: Effect.Effect<void>
}

type Params = Readonly<Record<string, string | undefined>>
type Request = HttpServerRequest.HttpServerRequest
type Response = HttpServerResponse.HttpServerResponse

class Refusal extends Data.TaggedError("Refusal")<{ readonly status: number; readonly message: string }> {}

const refuse = (status: number, message: string, headers?: Record<string, string>): Response =>
  HttpServerResponse.jsonUnsafe({ message }, { status, headers: { ...headers } })

const digest = (text: string): Buffer => createHash("sha256").update(text).digest()

/** Why the request may not pass, if it may not. */
const guard = (token: Redacted.Redacted | undefined, { headers }: Request): Response | undefined => {
  const given = digest(headers.authorization ?? "")
  if (token !== undefined && !timingSafeEqual(given, digest(`Bearer ${Redacted.value(token)}`))) {
    return refuse(401, "The admin API wants the header Authorization: Bearer <admin token>.", {
      "www-authenticate": 'Bearer realm="fake-ims"'
    })
  }
  // A page of another site can post as a form or as text without asking; JSON it can't.
  const hasBody = headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0
  const contentType = headers["content-type"]?.split(";")[0]?.trim().toLowerCase()
  if (contentType === undefined ? hasBody : contentType !== "application/json") {
    return refuse(415, "The body must be sent as Content-Type: application/json.")
  }
  return headers.origin !== undefined && URL.parse(headers.origin)?.host !== headers.host
    ? refuse(403, `The admin API does not serve pages of other sites (Origin: ${headers.origin}).`)
    : undefined
}

/** The JSON of the body as the schema has it; an empty body is `{}`. */
const bodyOf = <A>(request: Request, schema: Schema.Codec<A, unknown>) =>
  request.text.pipe(
    Effect.mapError(() => new Refusal({ status: 400, message: "The body could not be read." })),
    Effect.map((text) => (text.trim() === "" ? "{}" : text)),
    Effect.flatMap(Schema.decodeUnknownEffect(Schema.fromJsonString(Schema.toCodecJson(schema)), strictly)),
    Effect.catchTag("SchemaError", (error) => new Refusal({ status: 400, message: explain(error) }))
  )

const strictly = { onExcessProperty: "error", errors: "all" } as const

const ScriptBody = Schema.Struct({ route: Schema.String, steps: Schema.Array(Step) })
const ClockBody = Schema.Struct({ advance: Schema.Int.check(Schema.isGreaterThanOrEqualTo(0)) })
const SecretBody = Schema.Struct({
  overlapMillis: Schema.optionalKey(Schema.Int.check(Schema.isGreaterThanOrEqualTo(0)))
})

const view = (app: Application) => {
  const { clientId, clientEmail, clientSecret } = credentialsOf(app)
  return {
    name: app.name,
    clientId,
    clientSecret: Redacted.value(clientSecret),
    clientEmail,
    scopes: [...app.scopes],
    enabled: app.isEnabled
  }
}

const done = { ok: true }

/** Serves what begins with `/__admin`, and `/health`. */
export const makeAdmin = Effect.fnUntraced(function* ({ fake, controls, clock, token, onReset }: Admin) {
  const { engine, ims, platform } = fake
  const router = yield* HttpRouter.make

  const add = (
    method: Method,
    path: HttpRouter.PathInput,
    handle: (request: Request, params: Params) => Effect.Effect<unknown, Refusal>,
    status = 200
  ) =>
    router.add(method, `/__admin${path}`, (request) =>
      HttpRouter.params.pipe(
        Effect.flatMap((params) => handle(request, params)),
        Effect.map((body) => HttpServerResponse.jsonUnsafe(body, { status })),
        Effect.catchTag("Refusal", ({ status, message }) => Effect.succeed(refuse(status, message)))
      )
    )

  const appOf = ({ clientId = "" }: Params) =>
    Effect.suspend(() => {
      const app = ims.apps.get(clientId)
      return app === undefined
        ? new Refusal({ status: 404, message: `The fake has no app ${clientId}` })
        : Effect.succeed(app)
    })
  const onApp = (f: (clientId: string) => Effect.Effect<void>) => (_request: Request, params: Params) =>
    Effect.flatMap(appOf(params), (app) => Effect.as(f(app.clientId), done))
  const apps = Effect.sync(() => [...ims.apps.values()].map(view))
  const time = Effect.sync(() => ({ now: clock.currentTimeMillisUnsafe(), offset: clock.offset() }))

  yield* add("POST", "/reset", () =>
    Effect.sync(clock.reset).pipe(
      Effect.andThen(controls.reset),
      Effect.andThen(onReset),
      Effect.andThen(Effect.map(apps, (apps) => ({ apps })))
    )
  )

  yield* add("POST", "/script", (request) =>
    Effect.flatMap(bodyOf(request, ScriptBody), ({ route, steps }) =>
      engine.routes().includes(route)
        ? Effect.as(controls.script(route, ...steps), done)
        : new Refusal({
            status: 404,
            message: `The fake has no route ${JSON.stringify(route)}. Its routes: ${engine.routes().join(", ")}.`
          })
    )
  )
  yield* add("DELETE", "/script", () => Effect.as(controls.clearScripts, done))
  yield* add("GET", "/verify", () =>
    controls.verify.pipe(
      Effect.as(done),
      Effect.mapError(({ message }) => new Refusal({ status: 409, message }))
    )
  )
  yield* add("GET", "/journal", () => controls.journal)

  yield* add("GET", "/clock", () => time)
  yield* add("POST", "/clock", (request) =>
    Effect.flatMap(bodyOf(request, ClockBody), ({ advance }) =>
      Effect.andThen(
        Effect.sync(() => clock.advance(advance)),
        time
      )
    )
  )

  yield* add("GET", "/apps", () => apps)
  yield* add(
    "POST",
    "/apps",
    (request) =>
      Effect.flatMap(bodyOf(request, App), (app) =>
        app.clientId !== undefined && ims.apps.has(app.clientId)
          ? new Refusal({ status: 409, message: `The fake has an app ${app.clientId} already` })
          : controls.registerApp(toRegistration(app)).pipe(
              Effect.mapError((error) => new Refusal({ status: 400, message: explain(error) })),
              Effect.flatMap(({ credentials: { clientId } }) => Effect.map(appOf({ clientId }), view))
            )
      ),
    201
  )
  yield* add("POST", "/apps/:clientId/secret", (request, params) =>
    Effect.gen(function* () {
      const app = yield* appOf(params)
      const { overlapMillis } = yield* bodyOf(request, SecretBody)
      yield* controls.regenerateSecret(app.clientId, { overlap: overlapMillis })
      return view(app)
    })
  )
  yield* add("POST", "/apps/:clientId/disable", onApp(controls.disableApp))
  yield* add("POST", "/apps/:clientId/enable", onApp(controls.enableApp))
  yield* add("POST", "/apps/:clientId/revoke-tokens", onApp(controls.revokeAllTokens))
  yield* add("DELETE", "/apps/:clientId", onApp(controls.deleteApp))
  yield* add("GET", "/itwins", () =>
    Effect.sync(() => [...platform.iTwins.values()].map(({ id, displayName }) => ({ id, displayName })))
  )

  yield* router.add("GET", "/health", HttpServerResponse.jsonUnsafe({ status: "ok" }))
  yield* router.add("*", "/*", (request) =>
    Effect.succeed(refuse(404, `The admin API has no ${request.method} ${pathOf(request)}`))
  )

  const routes = Effect.orDie(Effect.scoped(router.asHttpEffect()))
  return Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
    const refused = pathOf(request) === "/health" ? undefined : guard(token, request)
    return refused === undefined ? routes : Effect.succeed(refused)
  })
})

const pathOf = (request: Request): string => request.url.split("?")[0] ?? ""

export const isAdmin = (request: Request): boolean =>
  pathOf(request) === "/health" || /^\/__admin(?:\/|$)/.test(pathOf(request))
