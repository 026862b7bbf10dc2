// The files of the page: in the bundled command they are a part of it, otherwise they are in the package.
import { readFile } from "node:fs/promises"
import { stripTypeScriptTypes } from "node:module"
import * as Effect from "effect/Effect"

/** JSON of what each file contains. Written by build.ts. */
declare const FAKE_IMS_PAGE: string | undefined

const embedded: Readonly<Record<string, string>> | undefined =
  typeof FAKE_IMS_PAGE === "string" ? JSON.parse(FAKE_IMS_PAGE) : undefined

const types = {
  html: "text/html; charset=utf-8",
  css: "text/css; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  svg: "image/svg+xml"
}

const isType = (ending: string): ending is keyof typeof types => ending in types

export interface File {
  readonly type: string
  readonly text: string
}

const sources = new URL("../../../../src/internal/serve/page/client/", import.meta.url)
const isSource = import.meta.url.endsWith(".ts")

/** Returns a module as a browser runs it. The published package has it compiled; the types in the sources are removed. */
const readModule = async (name: string): Promise<string> => {
  if (!isSource) return readFile(new URL(`./client/${name}`, import.meta.url), "utf8")
  const source = await readFile(new URL(name.replace(/\.js$/, ".ts"), sources), "utf8")
  return stripTypeScriptTypes(source).replaceAll(/(from |import\()"(\.\/\w+)\.ts"/g, '$1"$2.js"')
}

const read = (name: string, ending: string): Promise<string> =>
  ending === "js" ? readModule(name) : readFile(new URL(name, sources), "utf8")

/** Returns the file with this path, if the page has it. */
export const fileAt = (path: string): Effect.Effect<File | undefined> => {
  const name = path === "/" ? "page.html" : path.slice("/__page/".length)
  const ending = /^\w+\.([a-z]+)$/.exec(name)?.[1] ?? ""
  if (!isType(ending)) return Effect.succeed(undefined)
  const type = types[ending]
  if (embedded !== undefined) {
    const text = embedded[name]
    return Effect.succeed(text === undefined ? undefined : { type, text })
  }
  return Effect.promise(() =>
    read(name, ending).then(
      (text) => ({ type, text }),
      () => undefined
    )
  )
}
