/** Starts the backend: `node examples/backend/main.ts`. SIGTERM and SIGINT end it. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Cause, Effect, Exit, Layer, Logger, Runtime } from "effect"
import { Server } from "./server.ts"

Layer.launch(Server).pipe(
  Effect.onExit((exit) =>
    Exit.isFailure(exit) && !Cause.hasInterruptsOnly(exit.cause)
      ? Effect.logFatal("The backend failed", exit.cause)
      : Effect.logInfo("The backend stopped")
  ),
  Effect.provide(Logger.layer([Logger.consoleJson])),
  NodeRuntime.runMain({
    disableErrorReporting: true,
    // A signal is the normal end of a server: exit code 0 instead of 130.
    teardown: (exit, onExit) => Runtime.defaultTeardown(exit, (code) => onExit(code === 130 ? 0 : code))
  })
)
