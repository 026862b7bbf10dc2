// Builds the answers of the servers that a fake stands for.
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type { Writing } from "./journal.ts"

/** Returns an answer in JSON that carries the request's correlation id. */
export const json = (
  entry: Writing,
  status: number,
  body: unknown,
  headers?: Readonly<Record<string, string>>
): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.jsonUnsafe(body, { status, headers: { "x-correlation-id": entry.correlationId, ...headers } })
