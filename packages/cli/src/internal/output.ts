// What is printed, and where. Data goes to stdout, everything else to stderr.
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"

/** Says that what reads this command's output has closed it. */
export class OutputClosed extends Data.TaggedError("OutputClosed") {
  override get message(): string {
    return "Standard output was closed before everything was written."
  }
}

const write = (text: string, name: "stdout" | "stderr") =>
  Effect.flatMap(Stdio.Stdio, (stdio) => Stream.run(Stream.succeed(text), stdio[name]()))

/** Prints data. */
export const print = (line: string): Effect.Effect<void, OutputClosed, Stdio.Stdio> =>
  Effect.mapError(write(`${line}\n`, "stdout"), () => new OutputClosed())

/** Prints a line for people. */
export const say = (line: string): Effect.Effect<void, never, Stdio.Stdio> =>
  Effect.ignore(write(`${line}\n`, "stderr"))

/** Draws on the terminal at stderr. */
export const draw = (text: string): Effect.Effect<void, never, Stdio.Stdio> => Effect.ignore(write(text, "stderr"))

/** Replaces characters that a terminal acts on, in text that others wrote: the names of apps and roles. */
export const visible = (text: string): string => text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "\uFFFD")
