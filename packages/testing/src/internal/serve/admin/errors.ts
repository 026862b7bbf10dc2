// What the admin API refuses, and the error that each becomes. The body is `{ message }`.
import * as Effect from "effect/Effect"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as Schema from "effect/Schema"
import { explain } from "../../engine/explain.ts"
import { FakeError } from "../../engine/fakeError.ts"

const Problem = Schema.Struct({
  message: Schema.String.annotate({ description: "What is wrong, and where." })
}).annotate({ identifier: "Problem" })

export class BadRequest extends Schema.Error<BadRequest>("BadRequest")(Problem, {
  httpApiStatus: 400,
  description: "The request is not valid. The message names the place in the body, the query or the path."
}) {}

export class NotFound extends Schema.Error<NotFound>("NotFound")(Problem, {
  httpApiStatus: 404,
  description: "The fake does not have what the request names."
}) {}

export class Conflict extends Schema.Error<Conflict>("Conflict")(Problem, {
  httpApiStatus: 409,
  description: "The state of the fake does not allow it, or is not what the request expects."
}) {}

/** Turns a request that does not fit the declaration into a `BadRequest`. */
export class Validation extends HttpApiMiddleware.Service<Validation>()(
  "@effect-itwin/testing/serve/admin/Validation",
  { error: BadRequest }
) {}

const places: Readonly<Record<string, string>> = { Params: "In the path: ", Query: "In the query: ", Payload: "" }

export const layerValidation = HttpApiMiddleware.layerSchemaErrorTransform(Validation, (error) => {
  const place = places[error.kind]
  return place === undefined
    ? Effect.die(new Error(`The admin API can't encode its answer. ${explain(error.cause)}`))
    : Effect.fail(new BadRequest({ message: place + explain(error.cause) }))
})

/** The message of a defect with which a control says that the test is mistaken. */
const mistakeOf = (defect: unknown): string | undefined =>
  defect instanceof FakeError || defect instanceof RangeError ? defect.message : undefined

/** Returns 404 when a control does not know an id, a name or a route, which is a defect in TypeScript. */
export const orNotFound = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | NotFound, R> =>
  Effect.catchDefect(effect, (defect) => {
    const message = mistakeOf(defect)
    return message === undefined ? Effect.die(defect) : Effect.fail(new NotFound({ message }))
  })

/** Returns 409 when a control says that an expectation is not met. */
export const orConflict = <A, R>(effect: Effect.Effect<A, { readonly message: string }, R>) =>
  Effect.mapError(effect, ({ message }) => new Conflict({ message }))
