// Measures bundles of the built core, minified and gzipped, in bytes: of `Scopes` only and of a minimal program, each
// divided into core's own code and the Effect modules that it uses.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { gzipSync } from "node:zlib"
import { rolldown } from "rolldown"
import { print } from "./print.ts"

const dist = join(import.meta.dirname, "../../packages/core/dist")

const programs = {
  Scopes: `export { parse } from "${dist}/Scopes.js"`,
  program: `
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Layer from "effect/Layer"
import * as ITwin from "${dist}/ITwin.js"
import * as SecretProvider from "${dist}/SecretProvider.js"
import * as Users from "${dist}/Users.js"
export const run = (credentials) => Effect.runPromise(Effect.provide(Users.me, ITwin.layer.pipe(
  Layer.provide([FetchHttpClient.layer, SecretProvider.layerStatic(credentials)])
)))`
}

// In the workspace, so that `effect` is found.
const folder = mkdtempSync(join(import.meta.dirname, "../node_modules/size-"))
const sizeOf = async (code: string) => {
  const entry = join(folder, "entry.js")
  writeFileSync(entry, code)
  const bundle = await rolldown({ input: entry, platform: "browser" })
  const { output } = await bundle.generate({
    format: "esm",
    minify: true,
    codeSplitting: { groups: [{ name: "effect", test: /[\\/]effect[\\/]dist[\\/]/ }] }
  })
  const sum = (isEffect: boolean) => {
    const chunks = output.filter((chunk) => chunk.type === "chunk" && (chunk.name === "effect") === isEffect)
    const text = chunks.map((chunk) => (chunk.type === "chunk" ? chunk.code : "")).join("\n")
    return { minified: Buffer.byteLength(text), gzipped: gzipSync(text, { level: 9 }).byteLength }
  }
  return { ours: sum(false), effect: sum(true) }
}

try {
  const scopes = await sizeOf(programs.Scopes)
  const program = await sizeOf(programs.program)
  print({
    "Scopes minified": [scopes.ours.minified + scopes.effect.minified],
    "Scopes gzipped": [scopes.ours.gzipped + scopes.effect.gzipped],
    "program, ours": [program.ours.gzipped],
    "program, Effect": [program.effect.gzipped]
  })
} finally {
  rmSync(folder, { recursive: true, force: true })
}
