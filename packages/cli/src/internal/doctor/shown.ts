import * as Duration from "effect/Duration"

/** Writes milliseconds as a person reads them: `59 min 59 s`. */
export const shown = (millis: number): string =>
  Duration.format(Duration.seconds(Math.round(millis / 1000)))
    .replace(/(\d)m(?![a-z])/g, "$1min")
    .replace(/(\d)(?=[a-z])/g, "$1 ")
