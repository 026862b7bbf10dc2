// What the modules of the package load. A test in process pays for no server.
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { rolldown } from "rolldown"

/** The modules that are loaded with a module of the package, without those that it imports later. */
const modulesOf = async (name: string): Promise<ReadonlyArray<string>> => {
  const build = await rolldown({
    input: fileURLToPath(new URL(`../src/${name}.ts`, import.meta.url)),
    platform: "node",
    external: (id) => id.startsWith("node:"),
    treeshake: false
  })
  const { output } = await build.generate({ format: "esm" })
  await build.close()
  const chunks = output.filter((file) => file.type === "chunk")
  const loaded = new Set(chunks.filter(({ isEntry }) => isEntry).map(({ fileName }) => fileName))
  for (const fileName of loaded) {
    for (const imported of chunks.find((chunk) => chunk.fileName === fileName)?.imports ?? []) loaded.add(imported)
  }
  return chunks
    .filter(({ fileName }) => loaded.has(fileName))
    .flatMap(({ imports, moduleIds }) => [...imports, ...moduleIds])
}

const isServer = (id: string): boolean =>
  /\/effect\/[^/]+\/http-api\/|\/internal\/serve\/(?!inProcess\.ts)|^node:(?:http|https|net|tls)$/.test(id)

const isAdmin = (id: string): boolean => /\/effect\/[^/]+\/http-api\/|\/serve\/admin\/app\.ts$/.test(id)

describe("the modules of the package", () => {
  it.each(["FakeIms", "FakeKeyVault", "Fault", "Journal", "Profile"])(
    "%s loads no server and no admin API",
    async (name) => {
      const modules = await modulesOf(name)
      assert.isTrue(modules.some((id) => id.endsWith(`/src/${name}.ts`)))
      assert.deepStrictEqual(modules.filter(isServer), [])
    }
  )

  it.each(["FakeImsServer", "internal/serve/bin"])(
    "%s loads the admin API with the first request to it",
    async (name) => {
      const modules = await modulesOf(name)
      assert.isTrue(modules.some(isServer))
      assert.deepStrictEqual(modules.filter(isAdmin), [])
    }
  )
})
