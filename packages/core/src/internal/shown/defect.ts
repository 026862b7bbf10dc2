// A defect of foreign code (an HTTP client, a secret provider, a tracer) may contain the request with the secret. So
// only its class name and its stack frames are kept, never its message.
import * as Cause from "effect/Cause"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { makeServerText } from "./serverText.ts"

/** The part of a defect that an error keeps. */
export const defectFields = {
  /** The class of the error that was thrown, for example `TypeError`; the type of a value that is not an error. */
  errorName: Schema.String,
  /** At most 5 stack frames, the innermost first. */
  frames: Schema.Array(Schema.String)
}

interface DefectFields {
  readonly errorName: string
  readonly frames: ReadonlyArray<string>
}

const maxFrames = 5

/**
 * Matches `at fn (file:///path/file.js:1:2)` and `at file:///path/file.js:1:2`, but neither evaluated code nor URLs.
 */
const frame =
  /^\s{1,8}at (?:((?:(?:async|new|get|set) )*[\w$.<>[\]# ]{1,120}) \()?((?:file:\/\/(?:\/[A-Z]:)?|node:)?[\w\-./@+~]{1,300}:\d{1,7}:\d{1,7})\)?$/

/** A computed name may be anything, so only what looks like words is shown. */
const ordinary = makeServerText([])

const shownFrame = (line: string): string | undefined => {
  const [found, name, place] = frame.exec(line) ?? []
  if (found === undefined || place === undefined) return undefined
  return name === undefined || ordinary.showComplete(name) === undefined ? place : `${name} (${place})`
}

const framesOf = (error: Error): ReadonlyArray<string> => {
  const { stack } = error
  if (!Predicate.isString(stack)) return []
  // The stack begins with the message, which may look like frames. If the message can't be found, it is unknown where
  // the frames begin.
  const at = stack.indexOf(error.message)
  if (at < 0) return []
  const frames: Array<string> = []
  for (const line of stack.slice(at + error.message.length, at + error.message.length + 20_000).split("\n")) {
    const found = shownFrame(line)
    if (found !== undefined && frames.length < maxFrames) frames.push(found)
  }
  return frames
}

const className = (value: Error): string => {
  const made: unknown = value.constructor
  return Predicate.isFunction(made) && /^[A-Z][A-Za-z]{0,39}$/.test(made.name) ? made.name : "Error"
}

/**
 * Returns what may be shown of a cause that is not a failure. Reading the defect runs foreign code, which may throw.
 */
export const defectOf = (cause: Cause.Cause<unknown>): DefectFields => {
  const defect = cause.reasons.find(Cause.isDieReason)?.defect
  if (defect === undefined) return { errorName: Cause.hasInterrupts(cause) ? "Interrupt" : "undefined", frames: [] }
  return Result.getOrElse(
    Result.try(() =>
      Predicate.isError(defect)
        ? { errorName: className(defect), frames: framesOf(defect) }
        : { errorName: defect === null ? "null" : typeof defect, frames: [] }
    ),
    () => ({ errorName: "Error", frames: [] })
  )
}

/** Says what was thrown and where, and that it is a bug. */
export const describeDefect = ({ errorName, frames }: DefectFields): string => {
  const article = /^[AEIOU]/i.test(errorName) ? "an" : "a"
  const where = frames[0] === undefined ? "" : ` (at ${frames[0]})`
  return `threw ${article} ${errorName}${where}. This is a bug in the program, not an outage.`
}
