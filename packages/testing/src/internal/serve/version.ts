// Returns the version of the package: written into the bundled command when it is built, read from package.json otherwise.
import { readFileSync } from "node:fs"

declare const FAKE_IMS_VERSION: string | undefined

const read = (): string => {
  const manifest: unknown = JSON.parse(readFileSync(new URL("../../../package.json", import.meta.url), "utf8"))
  return typeof manifest === "object" && manifest !== null && "version" in manifest ? String(manifest.version) : ""
}

export const version: string = typeof FAKE_IMS_VERSION === "string" ? FAKE_IMS_VERSION : read()
