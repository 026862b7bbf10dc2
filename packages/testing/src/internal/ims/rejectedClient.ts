// Explains to the test why IMS rejected credentials. The answer does not contain the explanation, and the explanation does
// not contain the secret.
import { isPublic, nameOf as typeName } from "./appTypes.ts"
import type { Application } from "./clients.ts"
import type { Ims } from "./state.ts"

/** Undoes application/x-www-form-urlencoded of one value (RFC 6749 appendix B). */
export const formDecode = (value: string): string =>
  new URLSearchParams(`v=${value.replaceAll("&", "%26")}`).get("v") ?? ""

/** Describes id and secret as the profile reads them, and as they were before decoding. */
export interface Presented {
  readonly method: "client_secret_post" | "client_secret_basic"
  readonly clientId: string
  readonly clientSecret: string
  readonly raw: { readonly clientId: string; readonly clientSecret: string }
  /** Whether `clientId` and `clientSecret` are the raw values, form-decoded. */
  readonly isDecoded: boolean
}

const encoding = "Form-encode id and secret exactly once (RFC 6749 §2.3.1)."

/** Lists how a value can differ from the right one, the most likely way first. */
const findMistake = (
  { isDecoded }: Presented,
  value: string,
  raw: string,
  isRight: (value: string) => boolean
): string | undefined => {
  if (isDecoded && raw !== value && isRight(raw)) return `matches only when it is not form-decoded. ${encoding}`
  if (isRight(formDecode(value))) {
    return isDecoded
      ? `matches only when it is form-decoded twice. ${encoding}`
      : "matches only when it is form-decoded. This profile reads HTTP Basic without form-decoding."
  }
  if (isRight(value.trim())) return "matches only without the white space around it."
  return undefined
}

const explainClientId = ({ apps }: Ims, presented: Presented): string => {
  const { clientId, raw } = presented
  if (clientId === "") return "The client id is empty."
  const mistake = findMistake(presented, clientId, raw.clientId, (id) => apps.has(id))
  if (mistake !== undefined) return `The client id ${mistake}`
  return [...apps.values()].some((app) => app.secrets.some(({ value }) => value === clientId))
    ? "The client id is a secret. Are id and secret swapped?"
    : "The client id is not registered."
}

const nameOf = ({ clientId, name }: Application): string => `${name} (${clientId})`

/** Returns why these credentials are not accepted. */
export const explainRejection = (ims: Ims, presented: Presented): string => {
  const { clientId, clientSecret, raw } = presented
  const app = ims.apps.get(clientId)
  if (app === undefined) return explainClientId(ims, presented)
  if (!app.isEnabled) return "The app is disabled."
  if (isPublic(app.type)) return `A ${typeName[app.type]} has no secret. Send only client_id, in the form.`
  if (clientSecret === "") return "The client secret is empty."
  const own = app.secrets.find(({ value }) => value === clientSecret)
  if (own !== undefined) {
    return own.isRevoked ? "The secret was revoked." : "The secret expired, because a newer one replaced it."
  }
  const owner = [...ims.apps.values()].find((other) => other.secrets.some(({ value }) => value === clientSecret))
  if (owner !== undefined) return `The secret belongs to another app: ${nameOf(owner)}.`
  const isRight = (secret: string) => app.secrets.some(({ value }) => value === secret)
  const mistake = findMistake(presented, clientSecret, raw.clientSecret, isRight)
  if (mistake !== undefined) return `The secret ${mistake}`
  return clientSecret.length >= 16 && app.secrets.some(({ value }) => value.startsWith(clientSecret))
    ? "The secret is incomplete: its end is missing."
    : "The secret is not one of this app."
}
