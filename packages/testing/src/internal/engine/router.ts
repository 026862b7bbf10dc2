// Finds the route of a request. A path matches exactly: case and slashes count, as they do for the platform's gateway.

export type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE"

export type Path = `/${string}`

export type Params = Readonly<Record<string, string>>

/** Describes a method and its paths; `:name` in a path is a parameter of one segment. */
export interface Pattern {
  readonly method: Method
  readonly paths: readonly [Path, ...ReadonlyArray<Path>]
}

/** Returns the name of a route in scripts, counts and the journal: `GET /users/me`. */
export const nameOf = ({ method, paths }: Pattern): string => `${method} ${paths[0]}`

export type Match<Route> =
  | { readonly _tag: "Found"; readonly route: Route; readonly params: Params }
  /** The path exists, but not for this method. */
  | { readonly _tag: "WrongMethod"; readonly route: Route; readonly allow: ReadonlyArray<string> }
  | { readonly _tag: "Unknown" }

const decodeSegment = (segment: string): string | undefined => {
  try {
    return decodeURIComponent(segment)
  } catch {
    return undefined
  }
}

/** Returns the parameters of the path, if the path matches the pattern. */
const matchPath = (pattern: Path, path: string): Params | undefined => {
  const expected = pattern.split("/")
  const segments = path.split("/")
  if (segments.length !== expected.length) return undefined
  const params: Record<string, string> = {}
  for (const [index, segment] of segments.entries()) {
    const name = expected[index] ?? ""
    if (!name.startsWith(":")) {
      if (segment !== name) return undefined
      continue
    }
    const value = decodeSegment(segment)
    if (value === undefined || value === "") return undefined
    params[name.slice(1)] = value
  }
  return params
}

/** Sorts a fixed segment before a parameter, so that `/secrets/:name/versions` goes before `/secrets/:name/:version`. */
const rank = (pattern: Path): string => pattern.replaceAll(/:[^/]+/g, "\uffff")

export interface Router<Route extends Pattern> {
  /** Adds a route. One of the same name is replaced, and returned. */
  readonly add: (route: Route) => Route | undefined
  readonly remove: (name: string) => void
  readonly match: (method: string, path: string, among: (route: Route) => boolean) => Match<Route>
  readonly routes: () => ReadonlyArray<Route>
}

export const makeRouter = <Route extends Pattern>(): Router<Route> => {
  const byName = new Map<string, Route>()
  let sorted: ReadonlyArray<{ readonly path: Path; readonly route: Route }> = []
  const sort = () => {
    sorted = [...byName.values()]
      .flatMap((route) => route.paths.map((path) => ({ path, route, rank: rank(path) })))
      .sort((a, b) => (a.rank < b.rank ? -1 : a.rank > b.rank ? 1 : 0))
  }
  return {
    add: (route) => {
      const replaced = byName.get(nameOf(route))
      byName.set(nameOf(route), route)
      sort()
      return replaced
    },
    remove: (name) => {
      byName.delete(name)
      sort()
    },
    match: (method, path, among) => {
      // RFC 9110 §9.3.2: HEAD is GET without the content.
      const wanted = method === "HEAD" ? "GET" : method
      const others: Array<Route> = []
      for (const { path: pattern, route } of sorted) {
        if (!among(route)) continue
        const params = matchPath(pattern, path)
        if (params === undefined) continue
        if (route.method === wanted) return { _tag: "Found", route, params }
        others.push(route)
      }
      const [route] = others
      if (route === undefined) return { _tag: "Unknown" }
      const allow = new Set(others.flatMap(({ method }) => (method === "GET" ? ["GET", "HEAD"] : [method])))
      return { _tag: "WrongMethod", route, allow: [...allow] }
    },
    routes: () => [...byName.values()]
  }
}
