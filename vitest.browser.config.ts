import { defineConfig } from "vitest/config"

// The tests that need Chromium. They are not part of `pnpm test`, which needs nothing but git, Node and npm.
export default defineConfig({
  test: {
    include: ["packages/*/test/**/*.browser.ts", "examples/test/**/*.browser.ts"],
    testTimeout: 60_000,
    hookTimeout: 30_000
  }
})
