// Holds what the fake platform knows in addition to IMS: the iTwins, with their roles and members.
import type { Ims } from "../ims/state.ts"

export interface Role {
  readonly id: string
  readonly displayName: string
  readonly description: string
  readonly permissions: ReadonlyArray<string>
}

export interface Member {
  readonly email: string
  readonly roleIds: Set<string>
  /** Whether the member was removed. A removed member stays in lists, without e-mail and roles. */
  isRemoved: boolean
}

export interface ITwin {
  readonly id: string
  readonly displayName: string
  readonly class: string
  readonly subClass: string
  readonly type: string | null
  readonly number: string | null
  /** By id. */
  readonly roles: Map<string, Role>
  /** By e-mail. */
  readonly members: Map<string, Member>
}

export interface Platform {
  readonly ims: Ims
  readonly apiBaseUrl: string
  /** By id. */
  readonly iTwins: Map<string, ITwin>
}

/** Returns the member, if it was not removed. */
export const findMember = ({ members }: ITwin, email: string): Member | undefined => {
  const member = members.get(email)
  return member?.isRemoved === false ? member : undefined
}

/** Adds the member, or roles to the member. */
export const addMember = (iTwin: ITwin, email: string, roleIds: ReadonlyArray<string>): void => {
  const roles = findMember(iTwin, email)?.roleIds ?? []
  iTwin.members.set(email, { email, roleIds: new Set([...roles, ...roleIds]), isRemoved: false })
}
