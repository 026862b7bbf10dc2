import type { Call, Response } from "../../engine/handler.ts"
import type { Application } from "../clients.ts"
import type { Form } from "../form.ts"
import type { Ims } from "../state.ts"

/** Answers the request of an authenticated app for a token. */
export type Grant = (ims: Ims, app: Application, form: Form["values"], call: Call) => Response
