// Keeps what a user's sign-in to an app leads to: its code, its refresh tokens, and whether it has ended. All tokens of
// one sign-in are a family that ends together.
import { createHash } from "node:crypto"
import type { Entropy } from "../engine/entropy.ts"
import type { Application } from "./clients.ts"
import { type ExpiringMap, makeExpiringMap } from "./expiringMap.ts"
import { type Ims, now } from "./state.ts"
import { findUser, type User } from "./users.ts"

/** Describes a user who signed in to an app. */
export interface SignIn {
  readonly user: User
  readonly clientId: string
  readonly scopes: ReadonlySet<string>
  /** When the user signed in, in epoch seconds. */
  readonly authTime: number
  /** The user's `generation` at that time. */
  readonly generation: number
  /** Why it ended, if something ended it alone. */
  ended: string | undefined
}

/** Describes an authorization code (RFC 6749 §4.1.2), and what it is bound to. */
export interface Code {
  readonly signIn: SignIn
  readonly redirectUri: string
  /** The S256 challenge (RFC 7636 §4.2). */
  readonly codeChallenge: string | undefined
  readonly nonce: string | undefined
  /** In epoch milliseconds. */
  readonly validUntil: number
  isUsed: boolean
}

export interface RefreshToken {
  readonly signIn: SignIn
  /** In epoch milliseconds. */
  readonly validUntil: number
  /** When a newer one replaced it, in epoch milliseconds. */
  replacedAt: number | undefined
}

/** Describes a browser whose user is signed in at IMS. */
export interface Session {
  readonly user: User
  readonly generation: number
  /** In epoch seconds. */
  readonly authTime: number
}

export interface SignIns {
  readonly codes: ExpiringMap<Code>
  readonly refreshTokens: ExpiringMap<RefreshToken>
  readonly sessions: ExpiringMap<Session>
}

export const makeSignIns = (clock: Ims["clock"]): SignIns => ({
  codes: makeExpiringMap(clock),
  refreshTokens: makeExpiringMap(clock),
  sessions: makeExpiringMap(clock)
})

const day = 24 * 60 * 60_000

/** Returns 256 bits as text whose beginning says what it is. */
const makeValue = (entropy: Entropy, what: "code" | "refresh" | "session"): string =>
  `fake-${what}-${entropy.bytes(32).toString("base64url")}`

/** Returns why the sign-in has ended, if it has. */
export const whyEnded = (ims: Ims, { ended, generation, user }: SignIn): string | undefined => {
  if (ended !== undefined) return ended
  if (findUser(ims, user.email) !== user) return `The user ${user.email} was deleted.`
  return generation === user.generation ? undefined : `All sign-ins of ${user.email} were revoked.`
}

/** Ends the sign-in with all its tokens. */
export const endSignIn = (signIn: SignIn, why: string): void => {
  signIn.ended ??= why
}

/** Signs the user in to the app and returns the code. */
export const issueCode = (
  ims: Ims,
  app: Application,
  session: Session,
  granted: Pick<Code, "redirectUri" | "codeChallenge" | "nonce"> & { readonly scopes: ReadonlySet<string> }
): string => {
  const { scopes, ...bound } = granted
  const { authTime, generation, user } = session
  const value = makeValue(ims.entropy, "code")
  const validUntil = now(ims) + ims.profile.codeLifeSeconds * 1000
  const signIn: SignIn = { user, clientId: app.clientId, scopes, authTime, generation, ended: undefined }
  // Kept longer than it is valid, so that a late replay still ends the sign-in.
  ims.signIns.codes.add(value, { ...bound, signIn, validUntil, isUsed: false }, validUntil + day)
  return value
}

export const issueRefreshToken = (ims: Ims, signIn: SignIn): string => {
  const value = makeValue(ims.entropy, "refresh")
  const validUntil = now(ims) + ims.profile.refreshTokenLifeSeconds * 1000
  ims.signIns.refreshTokens.add(value, { signIn, validUntil, replacedAt: undefined }, validUntil)
  return value
}

/** Signs the user in at IMS and returns what the browser's cookie holds. */
export const openSession = (ims: Ims, user: User): { readonly id: string; readonly session: Session } => {
  const id = makeValue(ims.entropy, "session")
  const session = { user, generation: user.generation, authTime: Math.floor(now(ims) / 1000) }
  ims.signIns.sessions.add(id, session, now(ims) + day)
  return { id, session }
}

/** Returns the session, unless it or its user's sign-ins ended. */
export const findSession = (ims: Ims, id: string): Session | undefined => {
  const session = ims.signIns.sessions.get(id)
  if (session === undefined) return undefined
  const { generation, user } = session
  return findUser(ims, user.email) === user && user.generation === generation ? session : undefined
}

/** Returns the S256 challenge of a verifier (RFC 7636 §4.2). */
export const challengeOf = (codeVerifier: string): string =>
  createHash("sha256").update(codeVerifier).digest("base64url")
