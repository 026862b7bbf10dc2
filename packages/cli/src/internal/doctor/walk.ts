// The steps of the doctor: each prints a line, or becomes an entry of the JSON list.
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Stdio from "effect/Stdio"
import { type OutputClosed, print, say, visible } from "../output.ts"
import { describe, Ended, type ExitCode, exitCodeOf, type Failure } from "../report.ts"
import { canColor, waiting } from "../spinner.ts"

/** What a step found. */
export interface Finding {
  /** Nothing is wrong if absent. */
  readonly isProblem?: boolean
  readonly message: string
  readonly advice?: string | undefined
}

export interface Problem {
  readonly message: string
  readonly advice: string
}

interface Line extends Finding {
  readonly step: string
}

const green = (text: string) => `\u001B[32m${text}\u001B[39m`
const red = (text: string) => `\u001B[31m${text}\u001B[39m`

const indent = " ".repeat(15)

/** Breaks the text at spaces, after 85 characters at most where that is possible. */
const wrapped = (text: string): string =>
  (text.match(/\S.{0,84}(?= |$)|\S+/g) ?? []).map((line) => `${indent}${line.trimEnd()}`).join("\n")

/** The first sentence is what failed; the rest is what to do. */
const findingOf = (failure: Failure): Finding => {
  const text = describe(failure)
  const end = /[.)] (?=[A-Z])/.exec(text)
  return end === null
    ? { isProblem: true, message: text }
    : { isProblem: true, message: text.slice(0, end.index + 1), advice: text.slice(end.index + 2) }
}

export const makeWalk = Effect.fnUntraced(function* (isJson: boolean) {
  const isColored = yield* canColor
  const lines: Array<Line> = []

  const show = (line: Line) => {
    const plain = line.isProblem === true ? "✗" : "✓"
    const mark = !isColored ? plain : line.isProblem === true ? red(plain) : green(plain)
    const first = print(`${mark} ${line.step.padEnd(13)}${line.message}`)
    return line.advice === undefined ? first : Effect.andThen(first, print(wrapped(line.advice)))
  }

  const add = (line: Line, code: ExitCode): Effect.Effect<void, OutputClosed | Ended, Stdio.Stdio> =>
    Effect.gen(function* () {
      const shown = { ...line, message: visible(line.message) }
      lines.push(shown)
      if (!isJson) yield* show(shown)
      if (line.isProblem === true) return yield* new Ended({ code })
    })

  return {
    /** Runs one step, and says what it found. Ends the walk if it fails or finds a problem. */
    step: <A, E extends Failure, R>(
      name: string,
      effect: Effect.Effect<A, E, R>,
      find: (found: A, now: number) => Finding,
      nameOf: (failure: E) => string = () => name
    ): Effect.Effect<A, OutputClosed | Ended, R | Stdio.Stdio> =>
      effect.pipe(
        waiting(name),
        Effect.matchEffect({
          onFailure: (failure) =>
            Effect.andThen(
              add({ step: nameOf(failure), ...findingOf(failure) }, exitCodeOf(failure)),
              new Ended({ code: exitCodeOf(failure) })
            ),
          onSuccess: (found) =>
            Effect.as(
              Effect.flatMap(Clock.currentTimeMillis, (now) => add({ step: name, ...find(found, now) }, 1)),
              found
            )
        })
      ),

    /** Adds a step that needs no effect. */
    check: (name: string, message: string, problem: Problem | undefined) =>
      add(problem === undefined ? { step: name, message } : { step: name, isProblem: true, ...problem }, 1),

    /** Prints the JSON list, and says on stderr that a step failed if stdout is not seen. */
    finish: <A, E, R>(walk: Effect.Effect<A, E, R>): Effect.Effect<A, E | OutputClosed, R | Stdio.Stdio> =>
      Effect.gen(function* () {
        const { stdoutIsTerminal } = yield* Stdio.Stdio
        const exit = yield* Effect.exit(walk)
        if (isJson) {
          const list = lines.map(({ advice, isProblem, message, step }) => ({
            step,
            ok: isProblem !== true,
            message,
            ...(advice === undefined ? {} : { advice })
          }))
          yield* print(JSON.stringify(list, null, 2))
        }
        const failed = lines.find(({ isProblem }) => isProblem)
        if (failed !== undefined && !(yield* stdoutIsTerminal)) {
          yield* say(`itwin-auth: The step "${failed.step}" failed: ${failed.message}`)
        }
        return yield* exit
      })
  }
})

export type Walk = Effect.Success<ReturnType<typeof makeWalk>>
