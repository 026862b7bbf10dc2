// Where effect/cli prints: help that was asked for goes to stdout, a wrong invocation to stderr only, so that
// `itwin-auth token --format header | curl -H @- …` never sends a help text.
import type * as CliError from "effect/cli/CliError"
import * as CliOutput from "effect/cli/CliOutput"
import * as Effect from "effect/Effect"
import * as Stdio from "effect/Stdio"
import { print, say } from "./output.ts"
import { canColor } from "./spinner.ts"

/** Quotes what a person mistyped. Anything else may be a secret. */
const quoted = (text: string): string => (/^[a-z][a-z-]{0,15}$/.test(text) ? ` "${text}"` : "")

const suggested = (suggestions: ReadonlyArray<string>): string =>
  suggestions.length === 0 ? "" : ` Did you mean ${suggestions.join(" or ")}?`

const expected = (text: string): string => {
  const plain = text
    .replace(/^Schema validation failed: /, "")
    .replace("a string representing a finite number", "a number")
  return plain.startsWith("Expected") ? plain : `Expected ${plain}`
}

const isCredential = (option: string): boolean => /secret|password|client-?id/i.test(option)

/** Shows the name of the option. Without a space before it, the secret is a part of the name. */
const named = (option: string): string => {
  const [name] = /^--[a-z-]{1,20}(?==|$)/.exec(option) ?? []
  return name === undefined ? "" : ` ${name}`
}

const messageOf = (error: CliError.NonShowHelpErrors): string => {
  switch (error._tag) {
    case "UnrecognizedOption":
      return isCredential(error.option)
        ? `The option${named(error.option)} does not exist, because other users of a machine can see arguments. Set ITWIN_CLIENT_ID and ITWIN_CLIENT_SECRET.`
        : `The option${quoted(error.option.replace(/^-+/, ""))} does not exist.${suggested(error.suggestions)}`
    case "UnknownSubcommand":
      return `The command${quoted(error.subcommand)} does not exist.${suggested(error.suggestions)}`
    case "UnexpectedArgument":
      return `There is an unexpected argument${error.arguments.map(quoted)[0]}.`
    case "InvalidValue":
      return error.value === ""
        ? `The option --${error.option} needs a value. ${expected(error.expected)}.`
        : `The value of --${error.option} can't be used. ${expected(error.expected)}.`
    default:
      return `${error.message}.`
  }
}

/** Returns what is wrong, one line for each problem. */
const problemsOf = (errors: ReadonlyArray<CliError.NonShowHelpErrors>): ReadonlyArray<string> => [
  ...new Set(errors.map((error) => messageOf(error).replace(/\.\.$/, ".")))
]

export const presenter: Effect.Effect<CliOutput.Presenter, never, Stdio.Stdio> = Effect.gen(function* () {
  const stdio = yield* Stdio.Stdio
  const formatter = CliOutput.defaultFormatter({ colors: yield* canColor })
  const present = (event: CliOutput.Presenter.Event): Effect.Effect<void, never, Stdio.Stdio> => {
    switch (event._tag) {
      case "Help": {
        const help = formatter.formatHelpDoc(event.helpDoc)
        return event.reason === "Requested"
          ? Effect.ignore(print(help))
          : say(CliOutput.defaultFormatter({ colors: false }).formatHelpDoc(event.helpDoc))
      }
      case "Version":
        return Effect.ignore(print(`${event.name} ${event.version}`))
      case "InvalidInvocation":
        return Effect.gen(function* () {
          for (const problem of problemsOf(event.errors)) yield* say(`itwin-auth: ${problem}`)
          yield* say(`Run "${event.commandPath.join(" ")} --help" to see how it is used.`)
        })
    }
  }
  return { present: (event) => Effect.provideService(present(event), Stdio.Stdio, stdio) }
})
