// How each part of the admin API is declared.
import * as Effect from "effect/Effect"
import * as HttpApi from "effect/http-api/HttpApi"
import type * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import { Validation } from "./errors.ts"

const strictly = { onExcessProperty: "error", errors: "all" } as const

/** Declares a group of endpoints. What the request has in addition to the declaration is an error. */
export const group = <const Id extends string, const Endpoints extends readonly [Top, ...ReadonlyArray<Top>]>(
  id: Id,
  prefix: `/${string}`,
  description: string,
  ...endpoints: Endpoints
) =>
  HttpApiGroup.make(id, { topLevel: true })
    .add(...endpoints)
    .prefix(prefix)
    .middleware(Validation)
    .annotate(OpenApi.Description, description)
    .annotate(HttpApi.PayloadParseOptions, strictly)
    .annotate(HttpApi.QueryParseOptions, strictly)

type Top = HttpApiEndpoint.Constraint

/** What an operation answers that has nothing to tell. */
export const Done = Schema.Struct({ ok: Schema.Literal(true) }).annotate({ identifier: "Done", description: "Done." })

export const done = { ok: true } as const

export const asDone = Effect.as(done)

/** Declares a field of an answer that is left out when it is `undefined`. */
export const orAbsent = <S extends Schema.Top>(schema: S) =>
  Schema.optionalKey(schema).pipe(
    Schema.decodeTo(
      Schema.UndefinedOr(Schema.toType(schema)),
      SchemaTransformation.transformOptional({
        decode: (value) => Option.some(Option.getOrUndefined(value)),
        encode: Option.filter(Predicate.isNotUndefined)
      })
    )
  )
