// Reads a token as far as its parts are readable. The platform's clients treat a token as opaque; a person may look.

export interface Decoded {
  readonly header: Readonly<Record<string, unknown>>
  readonly claims: Readonly<Record<string, unknown>>
}

const part = (text: string): Readonly<Record<string, unknown>> => {
  const bytes = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (char) => char.charCodeAt(0))
  const value: unknown = JSON.parse(new TextDecoder().decode(bytes))
  return typeof value === "object" && value !== null ? { ...value } : {}
}

/** Returns header and claims of a JWT; `undefined` if the token is not one. */
export const decode = (token: string): Decoded | undefined => {
  const [header, claims, signature] = token.split(".")
  if (header === undefined || claims === undefined || signature === undefined) return undefined
  try {
    return { header: part(header), claims: part(claims) }
  } catch {
    return undefined
  }
}

const twoDigits = (value: number): string => String(value).padStart(2, "0")

/** Returns a duration as `1:02:03` or `02:03`. */
export const clock = (seconds: number): string => {
  const whole = Math.max(0, Math.ceil(seconds))
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60]
  return `${hours > 0 ? `${hours}:` : ""}${twoDigits(minutes)}:${twoDigits(whole % 60)}`
}

/** Explains the claims that the platform's tokens have. */
export const meanings: Readonly<Record<string, string>> = {
  iss: "who issued it",
  aud: "for whom it is",
  sub: "whom it is about",
  client_id: "the app",
  scope: "what it allows",
  iat: "issued at",
  nbf: "valid from",
  exp: "expires at",
  jti: "its own id",
  alg: "signature algorithm",
  kid: "the key, listed in JWKS",
  typ: "type",
  auth_time: "signed in at",
  sid: "the session"
}

/** Returns a claim as text: times as ISO 8601. */
export const shown = (name: string, value: unknown): string => {
  if (["iat", "nbf", "exp", "auth_time"].includes(name) && typeof value === "number") {
    return `${value} (${new Date(value * 1000).toISOString().replace(".000Z", "Z")})`
  }
  return typeof value === "string" ? value : JSON.stringify(value)
}
