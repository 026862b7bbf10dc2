#!/usr/bin/env node
// The command `fake-ims`.
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Logger from "effect/Logger"
import * as Runtime from "effect/Runtime"
import { main } from "./cli.ts"

NodeRuntime.runMain(
  // What is printed on stdout is for programs to read.
  main.pipe(Effect.provide(NodeServices.layer), Effect.provideService(Logger.LogToStderr, true)),
  {
    // A signal is how it is meant to end.
    teardown: (exit, onExit) =>
      Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause) ? onExit(0) : Runtime.defaultTeardown(exit, onExit)
  }
)
