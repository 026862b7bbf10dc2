// The paths that the server keeps for itself: no route of the fakes has them, and requests to them are not journaled.

export const isAdminPath = (path: string): boolean => path === "/health" || /^\/__admin(?:\/|$)/.test(path)

/** The page, and the files that it loads. */
export const isPagePath = (path: string): boolean => path === "/" || /^\/__page(?:\/|$)/.test(path)

export const isOwnPath = (path: string): boolean => isAdminPath(path) || isPagePath(path)
