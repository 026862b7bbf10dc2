// The requests that the page sends, and how they look as a command for a shell.

/** Describes a request, before it is sent. */
export interface Request {
  readonly method: "GET" | "POST"
  /** With the query. */
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly form?: Readonly<Record<string, string>>
  /** What is masked until the reader asks for it. */
  readonly secrets: ReadonlyArray<string>
}

export interface Response {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** Describes a text with secrets: as it is shown at first, and complete. */
export interface Masked {
  readonly masked: string
  readonly full: string
}

const mask = "••••••••"

/** In single quotes only a single quote is special to a POSIX shell. */
const escaped = (word: string): string => word.replaceAll("'", "'\\''")

/** Replaces each secret, also where it is quoted. A token keeps its beginning, so that it can be recognized. */
export const maskIn = (text: string, secrets: ReadonlyArray<string>): Masked => {
  let masked = text
  for (const secret of secrets.filter((secret) => secret !== "")) {
    const shown = secret.startsWith("eyJ") ? `${secret.slice(0, 12)}…` : mask
    for (const form of [secret, escaped(secret), JSON.stringify(secret).slice(1, -1)]) {
      masked = masked.replaceAll(form, shown)
    }
  }
  return { masked, full: text }
}

/** Quotes one word for a POSIX shell. */
export const quote = (word: string): string => (/^[\w./:-]+$/.test(word) ? word : `'${escaped(word)}'`)

/** Returns the command that sends the same request. */
export const curl = (origin: string, { method, path, headers = {}, form = {}, secrets }: Request): Masked => {
  const lines = [
    `curl ${quote(origin + path)}`,
    ...Object.entries(headers).map(([name, value]) => `-H ${quote(`${name}: ${value}`)}`),
    // curl encodes the value as a form does, so that + / = of a secret arrive unchanged.
    ...Object.entries(form).map(([name, value]) => `--data-urlencode ${quote(`${name}=${value}`)}`)
  ]
  if (method === "POST" && Object.keys(form).length === 0) lines.splice(1, 0, "-X POST")
  return maskIn(lines.join(" \\\n  "), secrets)
}

/** Returns a JSON body with indentation, any other body as it is. */
export const pretty = (body: string): string => {
  try {
    return JSON.stringify(JSON.parse(body), undefined, 2)
  } catch {
    return body
  }
}

const shownHeaders = [
  "content-type",
  "cache-control",
  "www-authenticate",
  "retry-after",
  "location",
  "x-correlation-id"
]

/** Returns status, the headers that matter, and the body. */
export const answer = ({ status, headers, body }: Response, secrets: ReadonlyArray<string> = []): Masked =>
  maskIn(
    [
      `HTTP/1.1 ${status}`,
      ...shownHeaders.flatMap((name) => (headers[name] === undefined ? [] : [`${name}: ${headers[name]}`])),
      ...(body === "" ? [] : ["", pretty(body)])
    ].join("\n"),
    secrets
  )
