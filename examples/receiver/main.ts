/** Starts the server: `CLIENT_IDS=service-… node examples/receiver/main.ts`. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Layer } from "effect"
import { Server } from "./server.ts"

NodeRuntime.runMain(Layer.launch(Server))
