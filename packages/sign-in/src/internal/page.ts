// The page that says why a sign-in failed, or that a native program has its answer. Readable without scripts, on a phone,
// in light and dark, and by a screen reader.
import * as HttpServerResponse from "effect/http/HttpServerResponse"

export interface Page {
  readonly title: string
  readonly text: string
  /** A code for support. */
  readonly reason?: string | undefined
  readonly links?: ReadonlyArray<{ readonly href: string; readonly text: string }> | undefined
}

const style = `:root{color-scheme:light dark;--bg:#fff;--text:#1b1f24;--muted:#57606a;--surface:#f6f8fa;--border:#d0d7de;--accent:#1f5fbf}
@media(prefers-color-scheme:dark){:root{--bg:#14171a;--text:#e8eaed;--muted:#a3adb8;--surface:#1c2126;--border:#3a4149;--accent:#7fb0ff}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--text);font:1rem/1.5 system-ui,sans-serif}
main{max-width:34rem;margin:3rem auto;padding:1.5rem;background:var(--surface);border:1px solid var(--border);border-radius:8px;overflow-wrap:anywhere}
h1{margin:0 0 .75rem;font-size:1.4rem;line-height:1.25}
p{margin:0 0 1rem}
p:last-child{margin:0}
.muted{color:var(--muted);font-size:.875rem}
a{color:var(--accent);margin-right:1.25rem;display:inline-block;padding:.25rem 0}
@media(max-width:36rem){main{margin:1rem}}`

/** The SHA-256 of `style`; a test compares them. */
const styleHash = "sha256-pW5rYGl5/iy1jRsR+YEduGqbbev7GB74UzmYLBobgGE="

const escaped = (text: string): string => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)

/** What every response of the sign-in has: nobody keeps it, and no address leaves with the next request. */
export const privacyHeaders = { "cache-control": "no-store", "referrer-policy": "no-referrer" }

/** The headers of the page. It loads nothing, sends nothing, and is in no frame. */
export const pageHeaders = {
  ...privacyHeaders,
  "content-security-policy": `default-src 'none'; style-src '${styleHash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
  "x-content-type-options": "nosniff"
}

/** Returns the page as HTML. */
export const renderPage = ({ links = [], reason, text, title }: Page): string =>
  [
    `<!doctype html>`,
    `<html lang="en">`,
    `<head>`,
    `<meta charset="utf-8">`,
    `<meta name="viewport" content="width=device-width, initial-scale=1">`,
    `<title>${escaped(title)}</title>`,
    `<style>${style}</style>`,
    `</head>`,
    `<body>`,
    `<main>`,
    `<h1>${escaped(title)}</h1>`,
    `<p>${escaped(text)}</p>`,
    ...(links.length === 0
      ? []
      : [`<p>${links.map(({ href, text }) => `<a href="${escaped(href)}">${escaped(text)}</a>`).join("")}</p>`]),
    ...(reason === undefined ? [] : [`<p class="muted">Reason: ${escaped(reason)}</p>`]),
    `</main>`,
    `</body>`,
    `</html>`,
    ``
  ].join("\n")

/** Returns the page as a response. */
export const pageResponse = (page: Page, status: number): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.text(renderPage(page), {
    status,
    contentType: "text/html; charset=utf-8",
    headers: pageHeaders
  })
