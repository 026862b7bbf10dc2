// Describes how a fault ends a connection without a complete answer. Each way of serving shows it as a client sees it.
import * as Data from "effect/Data"

/**
 * Fails a handler before the answer, or the stream of the answer's body after the bytes that were sent.
 *
 * `reset` ends the connection with RST; `garbage` sends bytes that are not HTTP and closes it.
 */
export class ConnectionBroken extends Data.TaggedError("ConnectionBroken")<{ readonly how: "reset" | "garbage" }> {
  /** Returns the error code that Node.js uses for it. */
  get code(): "ECONNRESET" | "HPE_INVALID_CHUNK_SIZE" {
    return this.how === "reset" ? "ECONNRESET" : "HPE_INVALID_CHUNK_SIZE"
  }
}
