// Explains where data that did not decode is wrong, with a path as a person writes it: `apps[0].name: Expected …`.
import type * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"

const format = SchemaIssue.makeFormatterStandardSchemaV1({
  leafHook: (issue) =>
    issue._tag === "UnexpectedKey"
      ? "This property does not exist. Check its spelling."
      : SchemaIssue.defaultLeafHook(issue)
})

const pathOf = (path: ReadonlyArray<PropertyKey>): string =>
  path
    .map((key) =>
      typeof key === "number" || /^\d+$/.test(String(key))
        ? `[${String(key)}]`
        : /^[\w$]+$/.test(String(key))
          ? `.${String(key)}`
          : `[${JSON.stringify(String(key))}]`
    )
    .join("")
    .replace(/^\./, "")

export const explain = (error: Schema.SchemaError): string =>
  format(error.issue)
    .issues.map(({ path = [], message }) => {
      const keys = path.map((segment) => (typeof segment === "object" ? segment.key : segment))
      return keys.length === 0 ? message : `${pathOf(keys)}: ${message}`
    })
    .join("\n")
