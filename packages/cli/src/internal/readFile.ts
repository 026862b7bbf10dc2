// Reads a file with a secret so that the process can end meanwhile. `readFile` reads a pipe on a thread of Node, for
// which the end of the process waits: with a pipe that nobody writes to, for ever.
import { constants, openSync } from "node:fs"
import { readFile, stat } from "node:fs/promises"
import * as Effect from "effect/Effect"

const attempt = <A>(run: (signal: AbortSignal) => Promise<A>): Effect.Effect<A, unknown> =>
  Effect.tryPromise({ try: run, catch: (cause) => cause })

const readAll = (fd: number): Effect.Effect<string, unknown> =>
  Effect.callback((resume) => {
    let text = ""
    // An `import` of it would load modules that nothing here needs.
    const { Socket } = process.getBuiltinModule("node:net")
    const socket = new Socket({ fd, readable: true, writable: false })
    socket.setEncoding("utf8")
    socket.on("data", (chunk) => {
      text += chunk
    })
    socket.on("end", () => resume(Effect.succeed(text)))
    socket.on("error", (error) => resume(Effect.fail(error)))
    return Effect.sync(() => void socket.destroy())
  })

/** A pipe without a name never gets a second process that writes to it: what `<(command)` becomes in a shell. */
const isUnnamed = (path: string): boolean => /^\/(?:proc\/|dev\/fd\/|dev\/stdin$)/.test(path)

/** Waits until another process writes. Until then, a pipe that is opened without waiting is empty. */
const readPipe = (path: string): Effect.Effect<string, unknown> =>
  Effect.try({
    try: () => openSync(path, constants.O_RDONLY | constants.O_NONBLOCK),
    catch: (cause) => cause
  }).pipe(
    Effect.flatMap(readAll),
    Effect.flatMap((text) =>
      text !== "" || isUnnamed(path)
        ? Effect.succeed(text)
        : Effect.andThen(
            Effect.sleep("50 millis"),
            Effect.suspend(() => readPipe(path))
          )
    )
  )

/** Reads a file or a pipe as text. A device has no end, and is not read. */
export const readText = (path: string): Effect.Effect<string, unknown> =>
  Effect.flatMap(
    attempt(() => stat(path)),
    (found) => {
      if (found.isFIFO()) return readPipe(path)
      return found.isCharacterDevice() || found.isBlockDevice()
        ? Effect.fail(undefined)
        : attempt((signal) => readFile(path, { encoding: "utf8", signal }))
    }
  )
