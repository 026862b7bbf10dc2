/** The version of this package, for `User-Agent`; a test compares it with package.json. */
export const version = "0.0.0"
