// Two generations instead of one list in the order of use, so that a hit writes nothing.

/** Keeps the values that were used recently, by key, at most `size`. */
export interface Recent<A> {
  readonly get: (key: string) => A | undefined
  readonly set: (key: string, value: A) => void
}

export const makeRecent = <A>(size: number): Recent<A> => {
  let young = new Map<string, A>()
  let old = new Map<string, A>()
  const set = (key: string, value: A) => {
    young.set(key, value)
    if (young.size < size / 2) return
    old = young
    young = new Map()
  }
  return {
    get: (key) => {
      const value = young.get(key)
      if (value !== undefined) return value
      const older = old.get(key)
      if (older !== undefined) set(key, older)
      return older
    },
    set
  }
}
