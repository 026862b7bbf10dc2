// Lists that the platform returns page by page.
import * as Effect from "effect/Effect"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { checkCount } from "../checkOption.ts"

/** The page size that is documented for all lists. */
const defaultPageSize = 100

/**
 * `next` says whether there is another page. Where it is, is never read from here: the documented URL has another path
 * than its operation, and a URL that a server names could lead elsewhere.
 */
export const Links = Schema.optionalKey(
  Schema.NullOr(Schema.Struct({ next: Schema.optionalKey(Schema.NullOr(Schema.Json)) }))
)

interface Page<A> {
  readonly items: ReadonlyArray<A> | null
  readonly links: typeof Links.Type | undefined
}

/**
 * Requests a page when the consumer needs its items. Ends when the response names no next page, or when a page is empty,
 * so that a server that always names one can't cause an endless loop.
 */
export const pages = <A, E, R>(
  name: string,
  pageSize: number = defaultPageSize,
  request: HttpClientRequest.HttpClientRequest,
  read: (request: HttpClientRequest.HttpClientRequest) => Effect.Effect<Page<A>, E, R>
): Stream.Stream<A, E, R> =>
  Stream.suspend(() => {
    checkCount(`${name}: pageSize`, pageSize)
    return Stream.paginate(0, (skip) =>
      read(HttpClientRequest.setUrlParams(request, { $skip: skip, $top: pageSize })).pipe(
        Effect.map(({ items, links }) => {
          const found = items ?? []
          const hasNext = found.length > 0 && links?.next !== undefined && links.next !== null
          return [found, hasNext ? Option.some(skip + found.length) : Option.none<number>()] as const
        })
      )
    )
  }).pipe(Stream.withSpan(name))
