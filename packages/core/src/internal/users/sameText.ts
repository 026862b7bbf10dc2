/** Compares two texts in a time that depends on their lengths only, so that a guess can't be improved bit by bit. */
export const isSameText = (self: string, that: string): boolean => {
  if (self.length !== that.length) return false
  let difference = 0
  for (let at = 0; at < self.length; at++) difference |= self.charCodeAt(at) ^ that.charCodeAt(at)
  return difference === 0
}
