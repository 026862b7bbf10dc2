import { existsSync, globSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { ITwinApiError, SecretProviderError, TokenError } from "@effect-itwin/core"
import { VerificationError } from "@effect-itwin/verify"

const root = join(import.meta.dirname, "../..")
const read = (file: string) => readFileSync(join(root, file), "utf8")
const pages = globSync(["*.md", "docs/*.md", "packages/*/README.md"], { cwd: root }).sort()

/** The text without its code. */
const proseOf = (page: string) => read(page).replace(/^```[\s\S]*?^```$/gm, "")

/** The anchors of a page, as GitHub makes them from its headings. */
const anchorsOf = (page: string) =>
  [...proseOf(page).matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, "")
      .replaceAll(" ", "-")
  )

describe("the guides", () => {
  it.each(pages)("finds the target of each link in %s", (page) => {
    for (const [, target = ""] of proseOf(page).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue
      const [path = "", anchor] = target.split("#")
      const file = path === "" ? page : join(dirname(page), path)
      assert.isTrue(existsSync(join(root, file)), target)
      if (anchor !== undefined) assert.include(anchorsOf(file), anchor, target)
    }
  })

  it("lists all guides in the index and in the README", () => {
    for (const page of pages.filter((page) => /^docs\/(?!README)/.test(page))) {
      assert.include(read("docs/README.md"), `(${page.slice("docs/".length)})`)
      assert.include(read("README.md"), `(${page})`)
    }
  })

  it.each([
    ["token", TokenError.TokenErrorReason],
    ["secret", SecretProviderError.SecretProviderErrorReason],
    ["api", ITwinApiError.ITwinApiErrorReason],
    ["verification", VerificationError.VerificationErrorReason]
  ] as const)("has a paragraph in docs/errors.md for every reason of a %s error", (prefix, union) => {
    const anchors = anchorsOf("docs/errors.md")
    for (const reason of union.members) assert.include(anchors, `${prefix}-${reason.name.toLowerCase()}`)
  })

  it("has the paragraph in docs/errors.md to which the message of an error links", () => {
    const endpoint = "https://ims.example/connect/token"
    const secret = new SecretProviderError.SecretProviderError({
      reason: new SecretProviderError.Disabled({ provider: "Vault", secretName: "itwin" })
    })
    for (const error of [
      new TokenError.TokenError({ reason: new TokenError.Closed({}), endpoint }),
      new TokenError.TokenError({ reason: new TokenError.SecretUnavailable({ error: secret }), endpoint }),
      new VerificationError.VerificationError({ reason: new VerificationError.Missing({}) }),
      secret,
      new ITwinApiError.ITwinApiError({
        reason: new ITwinApiError.Forbidden({}),
        method: "GET",
        url: "https://api.bentley.com/users/me",
        status: 403
      })
    ]) {
      const [, anchor = ""] = / See docs\/errors\.md#(\S+)$/.exec(error.message) ?? []
      assert.include(anchorsOf("docs/errors.md"), anchor, error.message)
    }
  })
})
