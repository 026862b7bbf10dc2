// Reads the JSON that clients send to the vault, and decides which parts of it the journal shows.
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import { redactText } from "../engine/redact.ts"
import type { Changes } from "./secrets.ts"

const optional = <S extends Schema.Constraint>(schema: S) => Schema.optional(Schema.NullOr(schema))

const changeFields = {
  contentType: optional(Schema.String),
  attributes: optional(
    Schema.Struct({ enabled: optional(Schema.Boolean), nbf: optional(Schema.Int), exp: optional(Schema.Int) })
  ),
  tags: optional(Schema.Record(Schema.String, Schema.String))
}

const UpdateBody = Schema.fromJsonString(Schema.Struct(changeFields))

const SetBody = Schema.fromJsonString(Schema.Struct({ value: Schema.String, ...changeFields }))

/** Says what is not valid, without the text that was sent, which may be a secret. */
export interface NotValid {
  readonly _tag: "NotValid"
  readonly why: string
}

const paths = SchemaIssue.makeFormatterStandardSchemaV1()

const notValid = ({ issue }: Schema.SchemaError): NotValid => {
  const names = paths(issue).issues.flatMap(({ path = [] }) => {
    const [first] = path
    return first === undefined ? [] : [String(typeof first === "object" ? first.key : first)]
  })
  return {
    _tag: "NotValid",
    why: names.length === 0 ? "The body is not a JSON object." : `These properties are not valid: ${names.join(", ")}.`
  }
}

const changesOf = ({ contentType, attributes, tags }: typeof UpdateBody.Type): Changes => ({
  contentType: contentType ?? undefined,
  enabled: attributes?.enabled ?? undefined,
  notBefore: attributes?.nbf ?? undefined,
  expires: attributes?.exp ?? undefined,
  tags: tags ?? undefined
})

const decodeUpdate = Schema.decodeUnknownResult(UpdateBody, { errors: "all" })

const decodeSet = Schema.decodeUnknownResult(SetBody, { errors: "all" })

/** Reads the body of `PATCH`. */
export const readUpdate = (body: string): Changes | NotValid => {
  const decoded = decodeUpdate(body)
  return decoded._tag === "Success" ? changesOf(decoded.success) : notValid(decoded.failure)
}

/** Reads the body of `PUT`. */
export const readSet = (body: string): { readonly value: string; readonly changes: Changes } | NotValid => {
  const decoded = decodeSet(body)
  return decoded._tag === "Success"
    ? { value: decoded.success.value, changes: changesOf(decoded.success) }
    : notValid(decoded.failure)
}

/** Is the shortest value that is searched for. A shorter one would hide ordinary words. */
const shortestSearched = 8

/** Returns the forms in which values can stand in a URL, a header or a body, the longest first: one can contain another. */
export const formsOf = (values: ReadonlyArray<string>): ReadonlyArray<string> =>
  values
    .filter((value) => value.length >= shortestSearched)
    .flatMap((value) => [
      value,
      encodeURIComponent(value),
      encodeURIComponent(value).replace(/%../g, (code) => code.toLowerCase()),
      new URLSearchParams({ "": value }).toString().slice(1),
      JSON.stringify(value).slice(1, -1)
    ])
    .sort((one, other) => other.length - one.length)

const parseObject = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Record(Schema.String, Schema.Unknown)))

/**
 * Shows a JSON object without the properties named `value`, without that value elsewhere, and without the values that
 * the vault has. Of any other body nothing is shown.
 */
export const showBody =
  (values: () => ReadonlyArray<string>) =>
  (body: string): string | undefined =>
    Option.getOrUndefined(
      Option.map(parseObject(body), (json) => {
        const hidden = formsOf(typeof json.value === "string" ? [json.value, ...values()] : values())
        const hide = (text: string) => redactText(text, hidden)
        return hide(
          JSON.stringify(json, (name, item: unknown) =>
            /^value$/i.test(name) ? "<redacted>" : typeof item === "string" ? hide(item) : item
          )
        )
      })
    )
