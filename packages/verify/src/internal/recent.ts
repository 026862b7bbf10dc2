/** Keeps values by key, at most `size`: the one that was used least recently goes first. */
export interface Recent<A> {
  readonly get: (key: string) => A | undefined
  readonly set: (key: string, value: A) => void
}

export const makeRecent = <A>(size: number): Recent<A> => {
  const values = new Map<string, A>()
  return {
    get: (key) => {
      const value = values.get(key)
      if (value === undefined) return undefined
      values.delete(key)
      values.set(key, value)
      return value
    },
    set: (key, value) => {
      values.delete(key)
      values.set(key, value)
      if (values.size <= size) return
      for (const oldest of values.keys()) return void values.delete(oldest)
    }
  }
}
