// Core's own code, minified and gzipped, with Effect left out. Bytes.
import { join } from "node:path"
import { gzipSync } from "node:zlib"
import { rolldown } from "rolldown"
import { print } from "./print.ts"

const bundle = await rolldown({
  input: join(import.meta.dirname, "../../packages/core/dist/index.js"),
  external: /^effect(\/|$)/
})
const { output } = await bundle.generate({ format: "esm", minify: true })
print({ ours: [gzipSync(output[0].code, { level: 9 }).byteLength], minified: [Buffer.byteLength(output[0].code)] })
