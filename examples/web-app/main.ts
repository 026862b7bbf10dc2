/** Starts the web app: `ITWIN_CLIENT_ID=… ITWIN_CLIENT_SECRET=… node examples/web-app/main.ts`. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Layer } from "effect"
import { Server } from "./server.ts"

NodeRuntime.runMain(Layer.launch(Server))
