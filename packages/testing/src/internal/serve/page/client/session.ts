// What this tab knows. It survives a reload and the way through the sign-in page, and ends with the tab.

export type AppType = "service" | "web" | "native" | "spa"

export interface App {
  readonly type: AppType
  readonly name: string
  readonly clientId: string
  /** Absent for native and single-page apps. */
  readonly clientSecret: string | undefined
  readonly clientEmail: string | undefined
  readonly scopes: ReadonlyArray<string>
  readonly redirectUris: ReadonlyArray<string>
}

export interface Tokens {
  readonly accessToken: string
  readonly refreshToken: string | undefined
  readonly idToken: string | undefined
  /** The scopes that were requested. */
  readonly scopes: ReadonlyArray<string>
}

/** A sign-in that has begun. */
export interface Transaction {
  readonly clientId: string
  readonly state: string
  readonly nonce: string
  readonly verifier: string
  readonly redirectUri: string
}

export interface Session {
  app: App | undefined
  tokens: Tokens | undefined
  transaction: Transaction | undefined
  adminToken: string | undefined
}

const key = "fake-ims"

const empty = (): Session => ({ app: undefined, tokens: undefined, transaction: undefined, adminToken: undefined })

const load = (): Session => {
  try {
    return { ...empty(), ...JSON.parse(sessionStorage.getItem(key) ?? "{}") }
  } catch {
    return empty()
  }
}

export const session: Session = load()

export const save = (changes: Partial<Session>): void => {
  Object.assign(session, changes)
  sessionStorage.setItem(key, JSON.stringify(session))
}
