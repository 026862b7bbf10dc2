/** The pages of the web app: HTML without scripts, in light and dark, from a phone to a wide window. */
import type { Users } from "@effect-itwin/core"
import { HttpServerResponse } from "effect/http"

export const style = `:root {
  color-scheme: light dark;
  --bg: #ffffff; --surface: #f6f8fa; --text: #1b1f24; --muted: #57606a;
  --border: #d0d7de; --accent: #1f5fbf; --on-accent: #ffffff; --danger: #b42318;
}
@media (prefers-color-scheme: dark) {
  :root {
    --bg: #14171a; --surface: #1c2126; --text: #e8eaed; --muted: #a3adb8;
    --border: #3a4149; --accent: #7fb0ff; --on-accent: #14171a; --danger: #ff8a80;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--bg); color: var(--text); font: 1rem/1.5 system-ui, sans-serif; }
header, main { max-width: 40rem; margin: 0 auto; padding: 1rem; }
header { display: flex; flex-wrap: wrap; gap: 0.5rem 1rem; align-items: center; justify-content: space-between; }
header a { color: var(--text); font-weight: 600; text-decoration: none; }
main { overflow-wrap: anywhere; }
h1 { margin: 1rem 0; font-size: 1.5rem; line-height: 1.25; }
.card { padding: 1rem; background: var(--surface); border: 1px solid var(--border); border-radius: 8px; }
dl { display: grid; grid-template-columns: minmax(6rem, max-content) 1fr; gap: 0.5rem 1rem; margin: 0; }
dt { color: var(--muted); }
dd { margin: 0; }
.button {
  display: inline-block; min-height: 2.75rem; padding: 0.5rem 1rem; border: 1px solid var(--accent); border-radius: 8px;
  background: var(--accent); color: var(--on-accent); font: inherit; line-height: 1.6; text-decoration: none; cursor: pointer;
}
.quiet { background: transparent; border-color: var(--border); color: var(--text); }
.problem { color: var(--danger); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
@media (max-width: 26rem) { dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: 0.5rem; } }
`

/**
 * Chromium keeps the page that was left, although it has `no-store`, and would show it again after the sign-out. So the
 * page hides itself when it is left, and loads itself again when the browser brings it back.
 */
export const script = `addEventListener("pagehide", () => { document.body.hidden = true })
addEventListener("pageshow", ({ persisted }) => { if (persisted) location.reload() })
`

/** Text of others, such as the name of a user, is never HTML. */
const escaped = (text: string): string => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)

const signOutButton = `<form method="post" action="/sign-out"><button class="button quiet">Sign out</button></form>`

interface Page {
  readonly title: string
  readonly body: string
  readonly isSignedIn: boolean
  readonly status?: number
}

const page = ({ body, isSignedIn, status = 200, title }: Page) =>
  HttpServerResponse.text(
    `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(title)}</title>
<link rel="stylesheet" href="/style.css">
${isSignedIn ? '<script src="/page.js"></script>' : ""}
</head>
<body>
<header><a href="/">iTwin example</a>${isSignedIn ? signOutButton : ""}</header>
<main>
<h1>${escaped(title)}</h1>
${body}
</main>
</body>
</html>
`,
    { status, contentType: "text/html; charset=utf-8" }
  )

export const welcome = page({
  title: "Welcome",
  isSignedIn: false,
  body: `<p>Sign in with your Bentley account to see what the iTwin Platform knows about you.</p>
<p><a class="button" href="/sign-in?returnTo=/me">Sign in</a></p>`
})

export const welcomeBack = (name: string) =>
  page({
    title: `Welcome back, ${name}`,
    isSignedIn: true,
    body: `<p><a class="button" href="/me">Show my profile</a></p>`
  })

export const profile = (user: Users.User, signedInUntil: string) => {
  const rows = [
    ["Name", user.displayName],
    ["E-mail", user.email],
    ["Organization", user.organizationName],
    ["Country", user.country],
    ["Signed in until", signedInUntil]
  ].map(([label, value]) => `<dt>${label}</dt><dd>${escaped(value || "not given")}</dd>`)
  return page({
    title: "Your profile",
    isSignedIn: true,
    body: `<section class="card" aria-label="Profile"><dl>${rows.join("")}</dl></section>`
  })
}

export const unavailable = page({
  title: "The iTwin Platform does not respond",
  isSignedIn: true,
  status: 503,
  body: `<p class="problem" role="alert">Your profile could not be loaded. You are still signed in.</p>
<p><a class="button" href="/me">Try again</a></p>`
})
