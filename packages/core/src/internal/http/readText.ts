// Bodies of untrusted servers, read up to a limit.
import * as Effect from "effect/Effect"
import * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"

type Response = HttpClientResponse.HttpClientResponse

/** The largest body that is read: 256 KiB, after decompression. */
export const maxBodyBytes: number = 256 * 1024

export interface Text {
  readonly text: string
  readonly isCut: boolean
}

/** Collects chunks up to the limit. `add` returns whether the chunk was within it. */
const makeCollector = () => {
  const decoder = new TextDecoder()
  let size = 0
  let text = ""
  return {
    add: (chunk: Uint8Array): boolean => {
      size += chunk.byteLength
      const beyond = Math.max(0, size - maxBodyBytes)
      text += decoder.decode(chunk.subarray(0, chunk.byteLength - beyond), { stream: true })
      return beyond === 0
    },
    result: (): Text => ({ text: text + decoder.decode(), isCut: size > maxBodyBytes })
  }
}

/** Reads the body of fetch, which most clients use, without a `Stream`, because that is faster. */
const readWeb = (response: Response, source: globalThis.Response) => {
  if (source.body === null) return Effect.succeed<Text>({ text: "", isCut: false })
  const reader: ReadableStreamDefaultReader<Uint8Array> = source.body.getReader()
  const collector = makeCollector()
  const pull = (): Promise<Text> =>
    reader.read().then(({ done, value }) => {
      if (done) return collector.result()
      if (collector.add(value)) return pull()
      reader.cancel().catch(() => undefined)
      return collector.result()
    })
  return Effect.onInterrupt(
    Effect.tryPromise({
      try: pull,
      catch: (cause) =>
        new HttpClientError.HttpClientError({
          reason: new HttpClientError.DecodeError({ request: response.request, response, cause })
        })
    }),
    // Do not wait for the cancellation: one that never ends would delay the interruption.
    () => Effect.sync(() => void reader.cancel().catch(() => undefined))
  )
}

const readStream = (response: Response) => {
  const collector = makeCollector()
  return response.stream.pipe(
    Stream.takeWhile((chunk) => collector.add(chunk)),
    Stream.runDrain,
    // `HttpClient` treats an empty body as an error.
    Effect.catchIf(
      (error) => error.reason._tag === "EmptyBodyError",
      () => Effect.void
    ),
    Effect.map(() => collector.result())
  )
}

/** Reads a body, cut at {@link maxBodyBytes}. */
export const readText = (response: Response): Effect.Effect<Text, HttpClientError.HttpClientError> =>
  Effect.suspend(() => {
    const source = HttpClientResponse.toWeb(response)
    return Option.isSome(source) ? readWeb(response, source.value) : readStream(response)
  })

/** Cancels a body that is not read, and its connection. */
export const discard = (response: Response): Effect.Effect<void> =>
  Effect.sync(() => {
    const source = HttpClientResponse.toWeb(response)
    if (Option.isSome(source)) source.value.body?.cancel().catch(() => undefined)
  })
