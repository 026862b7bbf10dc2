import * as Data from "effect/Data"

/** The fake breaks the connection here, as `RST` does. Each way to serve turns it into what a client would see. */
export class ConnectionReset extends Data.TaggedError("ConnectionReset") {
  /** What Node.js calls it. */
  readonly code = "ECONNRESET"
}
