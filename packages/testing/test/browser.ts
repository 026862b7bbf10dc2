// A browser without a window: it keeps cookies, follows no redirect, and fills in the forms of pages.
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { FetchHttpClient, HttpClient, HttpClientRequest } from "effect/http"

export interface Page {
  readonly url: string
  readonly status: number
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly html: string
  /** Where a redirect leads. */
  readonly location: URL | undefined
}

const textIn = (text: string) =>
  text
    .replaceAll("&quot;", '"')
    .replaceAll("&#39;", "'")
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">")
    .replaceAll("&amp;", "&")

export type Fields = Readonly<Record<string, string | ReadonlyArray<string>>>

export const makeBrowser = () => {
  let jar = new Map<string, string>()

  const execute = Effect.fnUntraced(function* (request: HttpClientRequest.HttpClientRequest) {
    const cookie = Array.from(jar, ([name, value]) => `${name}=${value}`).join("; ")
    const response = yield* HttpClient.execute(
      cookie === "" ? request : HttpClientRequest.setHeader(request, "cookie", cookie)
    ).pipe(Effect.provideService(FetchHttpClient.RequestInit, { redirect: "manual" }))
    for (const [name, { options, value }] of Object.entries(response.cookies.cookies)) {
      if (options?.maxAge === 0 || value === "") jar.delete(name)
      else jar.set(name, value)
    }
    const { headers, status } = response
    const page: Page = {
      url: request.url,
      status,
      headers,
      html: yield* response.text,
      location: headers.location === undefined ? undefined : new URL(headers.location)
    }
    return page
  })

  return {
    cookies: () => Object.fromEntries(jar),
    clearCookies: () => {
      jar = new Map()
    },
    open: (url: string | URL, headers: Readonly<Record<string, string>> = {}) =>
      execute(HttpClientRequest.get(String(url), { headers })),
    post: (url: string, fields: Fields, headers: Readonly<Record<string, string>> = {}) =>
      execute(HttpClientRequest.post(url, { headers }).pipe(HttpClientRequest.bodyUrlParams(fields))),
    /** Sends the last form of the page with its hidden fields and these. */
    submit: (page: Page, fields: Fields, headers: Readonly<Record<string, string>> = {}) => {
      const action = /<form method="post" action="([^"]*)">/.exec(page.html)?.[1]
      assert.isDefined(action, page.html)
      const form = page.html.slice(page.html.lastIndexOf("<form"))
      const hidden = Object.fromEntries(
        Array.from(
          form.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)">/g),
          ([, name = "", value = ""]) => [textIn(name), textIn(value)]
        )
      )
      return execute(
        HttpClientRequest.post(new URL(action, page.url).href, { headers }).pipe(
          HttpClientRequest.bodyUrlParams({ ...hidden, ...fields })
        )
      )
    }
  }
}
