// What a browser does in a sign-in: follows redirects, keeps cookies, and sends forms.
import { Effect } from "effect"

export interface Page {
  readonly url: string
  readonly html: string
}

/** Visits pages of `origin`. A redirect to elsewhere ends a visit: its URL is the result, and it is not requested. */
export const makeBrowser = (origin: string) => {
  const cookies = new Map<string, string>()

  const keep = (headers: Headers) => {
    for (const cookie of headers.getSetCookie()) {
      const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(cookie) ?? []
      if (value === "" || /expires=Thu, 01 Jan 1970/i.test(cookie)) cookies.delete(name)
      else cookies.set(name, value)
    }
  }

  const visit = async (url: string, form?: Record<string, string>, redirects = 0): Promise<Page> => {
    if (redirects > 10) throw new Error(`more than 10 redirects, the last to ${url}`)
    if (new URL(url).origin !== origin) return { url, html: "" }
    const response = await fetch(url, {
      redirect: "manual",
      headers: { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join("; ") },
      ...(form === undefined ? {} : { method: "POST", body: new URLSearchParams(form) })
    })
    keep(response.headers)
    const html = await response.text()
    const location = response.headers.get("location")
    return location === null ? { url, html } : visit(new URL(location, url).href, undefined, redirects + 1)
  }

  const attribute = (html: string, pattern: RegExp): string => {
    const found = pattern.exec(html)?.[1]
    if (found === undefined) throw new Error(`the page has no ${pattern}: ${html.slice(0, 2000)}`)
    return found.replaceAll("&amp;", "&")
  }

  /** Sends the form of the page with its hidden fields and the given ones. */
  const submit = ({ html, url }: Page, fields: Record<string, string>): Promise<Page> => {
    const hidden = [...html.matchAll(/<input[^>]*type="hidden"[^>]*name="([^"]+)"[^>]*value="([^"]*)"/g)]
    return visit(new URL(attribute(html, /<form[^>]*action="([^"]+)"/), url).href, {
      ...Object.fromEntries(hidden.map(([, name = "", value = ""]) => [name, value])),
      ...fields
    })
  }

  return {
    visit: (url: string) => Effect.promise(() => visit(url)),
    submit: (page: Page, fields: Record<string, string>) => Effect.promise(() => submit(page, fields)),
    /** Follows the first link whose address matches. */
    follow: (page: Page, pattern: RegExp) =>
      Effect.promise(() => visit(new URL(attribute(page.html, pattern), page.url).href))
  }
}
