// The services of Node that the command needs. `@effect/platform-node` has them all, but loading terminals, child
// processes and watchers takes longer than requesting a token.
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as PlatformError from "effect/PlatformError"
import * as Predicate from "effect/Predicate"
import * as Sink from "effect/Sink"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import { agents } from "./proxy.ts"
import { readText } from "./readFile.ts"

const failedWrite = (method: "stdout" | "stderr") =>
  Effect.fail(PlatformError.systemError({ module: "Stdio", method, _tag: "WriteZero" }))

const writeChunk = (name: "stdout" | "stderr") => (chunk: string | Uint8Array) =>
  Effect.callback<void, PlatformError.PlatformError>((resume) => {
    process[name].write(chunk, (error) => resume(error ? failedWrite(name) : Effect.void))
  })

const write = (name: "stdout" | "stderr") => Sink.forEach(writeChunk(name))

const isTerminal = (name: "stdin" | "stdout" | "stderr") => Effect.sync(() => process[name].isTTY === true)

const stdio = Stdio.make({
  args: Effect.sync(() => process.argv.slice(2)),
  stdinIsTerminal: isTerminal("stdin"),
  stdoutIsTerminal: isTerminal("stdout"),
  stderrIsTerminal: isTerminal("stderr"),
  stdout: () => write("stdout"),
  stderr: () => write("stderr"),
  stdin: Stream.empty
})

const tags = { ENOENT: "NotFound", EACCES: "PermissionDenied", EPERM: "PermissionDenied" } as const

const tagOf = (error: unknown): PlatformError.SystemErrorTag => {
  const code = Predicate.hasProperty(error, "code") ? error.code : undefined
  return code === "ENOENT" || code === "EACCES" || code === "EPERM" ? tags[code] : "Unknown"
}

/** Reads text, for `ITWIN_CLIENT_SECRET_FILE`. Nothing else is needed. */
const fileSystem = FileSystem.makeNoop({
  readFileString: (path) =>
    Effect.mapError(readText(path), (error) =>
      PlatformError.systemError({ module: "FileSystem", method: "readFileString", _tag: tagOf(error) })
    )
})

// Not `fetch`: loading Node's fetch takes as long as loading this command.
const httpClient = NodeHttpClient.layerNodeHttpNoAgent.pipe(Layer.provide(Layer.sync(NodeHttpClient.HttpAgent, agents)))

export const layer = Layer.mergeAll(
  Layer.succeed(Stdio.Stdio, stdio),
  Layer.succeed(FileSystem.FileSystem, fileSystem),
  httpClient
)
