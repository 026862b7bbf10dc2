// Lists that the platform returns page by page.
import * as Effect from "effect/Effect"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { ITwinApiError, Unexpected } from "../../ITwinApiError.ts"
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

const repeated = ({ method, url }: HttpClientRequest.HttpClientRequest): ITwinApiError =>
  new ITwinApiError({
    reason: new Unexpected({ detail: "the same page was returned twice, so $skip has no effect" }),
    method,
    url,
    status: 200
  })

/**
 * Requests a page when the consumer needs its items. Ends when the response names no next page, or when a page is empty,
 * and fails when a page comes twice. So a server that always names a next page can't cause an endless loop.
 */
export const pages = <A extends { readonly id: string }, E, R>(
  name: string,
  pageSize: number = defaultPageSize,
  request: HttpClientRequest.HttpClientRequest,
  read: (request: HttpClientRequest.HttpClientRequest) => Effect.Effect<Page<A>, E, R>
): Stream.Stream<A, E | ITwinApiError, R> =>
  Stream.suspend(() => {
    checkCount(`${name}: pageSize`, pageSize)
    const start: { readonly skip: number; readonly before: string } = { skip: 0, before: "" }
    return Stream.paginate(start, ({ before, skip }) =>
      read(HttpClientRequest.setUrlParams(request, { $skip: skip, $top: pageSize })).pipe(
        Effect.flatMap(({ items, links }) => {
          const found = items ?? []
          const ids = JSON.stringify(found.map(({ id }) => id))
          if (ids === before) return Effect.fail(repeated(request))
          const hasNext = found.length > 0 && links?.next !== undefined && links.next !== null
          const next = hasNext ? Option.some({ skip: skip + found.length, before: ids }) : Option.none<typeof start>()
          return Effect.succeed([found, next] as const)
        })
      )
    )
  }).pipe(Stream.withSpan(name))
