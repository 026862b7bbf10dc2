import * as TerminalCapabilities from "effect/cli/TerminalCapabilities"
import * as Effect from "effect/Effect"
import * as Stdio from "effect/Stdio"
import { draw } from "./output.ts"
import { variable } from "./proxy.ts"

const frames = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"]
const clearLine = "\r\u001B[2K"

const spin = (label: string) =>
  Effect.andThen(
    Effect.sleep("300 millis"),
    Effect.gen(function* () {
      for (let i = 0; ; i++) {
        yield* draw(`${clearLine}${frames[i % frames.length]} ${label}`)
        yield* Effect.sleep("80 millis")
      }
    }).pipe(Effect.onExit(() => draw(clearLine)))
  )

/** Shows a spinner on the terminal at stderr, if the effect takes more than 300 ms. */
export const waiting =
  (label: string) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R | Stdio.Stdio> =>
    Effect.gen(function* () {
      const { stderrIsTerminal } = yield* Stdio.Stdio
      const isDumb = (yield* variable("TERM")) === "dumb"
      if (isDumb || !(yield* stderrIsTerminal)) return yield* effect
      return yield* Effect.raceFirst(effect, spin(label))
    })

/** Whether colors may be printed to stdout. */
export const canColor = Effect.map(TerminalCapabilities.TerminalCapabilities, (terminal) => terminal.canColor)
