/**
 * Calls the iTwins API of the platform, version 1.
 *
 * **Gotchas**
 *
 * A list contains the iTwins to which the app was invited. It is empty, not 403, if there is none: the token is valid,
 * but the app's identity has no role yet.
 *
 * **Example** (Listing the first five projects, with one request)
 *
 * ```ts
 * import { ITwins } from "@effect-itwin/core"
 * import { Console, Stream } from "effect"
 *
 * export const program = ITwins.list({ query: { subClass: "Project" } }).pipe(
 *   Stream.take(5),
 *   Stream.runForEach(({ displayName, id }) => Console.log(displayName ?? id))
 * )
 * ```
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { ITwinApiError } from "./ITwinApiError.ts"
import type { ITwinHttpClient } from "./ITwinHttpClient.ts"
import { checkOption } from "./internal/checkOption.ts"
import { callApi } from "./internal/http/callApi.ts"
import { Links, pages } from "./internal/http/pages.ts"
import { optionalField } from "./internal/optionalField.ts"
import type { TokenError } from "./TokenError.ts"

/**
 * Describes an iTwin as a list contains it.
 *
 * @category models
 * @since 0.1.0
 */
export class ITwin extends Schema.Class<ITwin>("@effect-itwin/core/ITwins/ITwin")({
  id: Schema.String,
  /** For example `Endeavor`. */
  class: optionalField(Schema.String),
  /** For example `Project` or `Asset`. */
  subClass: optionalField(Schema.String),
  type: optionalField(Schema.String),
  /** The number that the organization gave it; unique in the organization. */
  number: optionalField(Schema.String),
  displayName: optionalField(Schema.String)
}) {}

/**
 * Sets what {@link list} returns. An invalid option is a defect, a `RangeError`, when the stream runs.
 *
 * @category models
 * @since 0.1.0
 */
export interface ListOptions {
  /**
   * How many iTwins the list can return at all: 1 to 10,000 (header `X-Max-Return`). Without it, the platform stops
   * after 1,000, and does not say so.
   */
  readonly maxReturn?: number | undefined
  /** How many iTwins one request returns (`$top`); 100 by default. */
  readonly pageSize?: number | undefined
  /** Further parameters of the operation, for example `{ subClass: "Project" }`. */
  readonly query?: Readonly<Record<string, string>> | undefined
}

const read = callApi(1, Schema.Struct({ iTwins: Schema.NullOr(Schema.Array(ITwin)), _links: Links }))

/**
 * Returns the iTwins of the app: `GET /itwins`. Each page is requested when it is needed.
 *
 * @category requests
 * @since 0.1.0
 */
export const list = (
  options: ListOptions = {}
): Stream.Stream<ITwin, ITwinApiError | TokenError | HttpClientError.HttpClientError, ITwinHttpClient> =>
  Stream.suspend(() => {
    const { maxReturn, pageSize, query = {} } = options
    checkOption(
      "ITwins.list: maxReturn",
      maxReturn,
      maxReturn === undefined || (Number.isInteger(maxReturn) && maxReturn >= 1 && maxReturn <= 10_000),
      "an integer from 1 to 10,000"
    )
    const headers = maxReturn === undefined ? {} : { "x-max-return": String(maxReturn) }
    const request = HttpClientRequest.get("/itwins", { headers, urlParams: query })
    return pages("ITwins.list", pageSize, request, (page) =>
      Effect.map(read(page), ({ _links, iTwins }) => ({ items: iTwins, links: _links }))
    )
  })
