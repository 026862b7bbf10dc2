// Keeps the users who can sign in.
import type { User as Described } from "../../FakeIms.ts"
import { uuid } from "../engine/entropy.ts"
import type { Claims } from "../engine/jwt.ts"
import { type Ims, now } from "./state.ts"

export interface User extends Described {
  /** In epoch milliseconds. */
  readonly createdAt: number
  /** The scopes that the user consented to, by client id. */
  readonly consents: Map<string, Set<string>>
  /** Counts how often all sign-ins of the user were revoked. Those of an earlier number have ended. */
  generation: number
}

export type NewUser = Pick<User, "email"> & {
  readonly [Field in Exclude<keyof User, "email" | "createdAt" | "consents" | "generation">]?: User[Field] | undefined
}

/** E-mails are compared without regard to case. */
const keyOf = (email: string): string => email.trim().toLowerCase()

export const findUser = ({ users }: Pick<Ims, "users">, email: string): User | undefined => users.get(keyOf(email))

/** Adds the user. One that has the same e-mail is replaced: everything that belonged to that user ends. */
export const addUser = (ims: Ims, given: NewUser): User => {
  const { email, givenName = email.split("@")[0] ?? "", surname = "" } = given
  const user: User = {
    id: given.id ?? uuid(ims.entropy),
    email,
    givenName,
    surname,
    displayName: given.displayName ?? [givenName, surname].filter((name) => name !== "").join(" "),
    alternateEmail: given.alternateEmail ?? null,
    phone: given.phone ?? null,
    organizationName: given.organizationName ?? "",
    city: given.city ?? null,
    country: given.country ?? null,
    language: given.language ?? "en",
    createdAt: now(ims),
    consents: new Map(),
    generation: 0
  }
  ims.users.set(keyOf(email), user)
  return user
}

export const deleteUser = (ims: Ims, user: User): void => void ims.users.delete(keyOf(user.email))

/** Ends all that the user signed in to, in all apps and browsers. The user is asked for consent again. */
export const revokeSignIns = (user: User): void => {
  user.generation++
  user.consents.clear()
}

/** Returns the user's claims that the scopes allow (OpenID Connect Core 1.0 §5.4). */
export const claimsOf = (user: User, scopes: ReadonlySet<string>): Claims => ({
  sub: user.id,
  ...(scopes.has("email") ? { email: user.email, email_verified: true } : {}),
  ...(scopes.has("profile")
    ? {
        name: user.displayName,
        given_name: user.givenName,
        family_name: user.surname,
        preferred_username: user.email,
        locale: user.language
      }
    : {}),
  ...(scopes.has("organization") ? { organization: user.organizationName } : {})
})
