import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"

const vault = [
  "packages/provider-azure-keyvault/test/**/*.test.ts",
  "packages/testing/test/FakeKeyVault*.test.ts",
  "packages/cli/test/vault.test.ts"
]

// `unit` runs in virtual time without a socket; `integration` opens sockets on 127.0.0.1 and starts child processes;
// `vault` is either, with the Azure SDK; `docs` runs the tests that READMEs and guides show
// (scripts/extract-examples.ts writes them out).
export default defineConfig({
  test: {
    // By default vitest would use one of two cores.
    maxWorkers: "100%",
    // The files share one copy of the modules, which saves a third of the time. No test leaves state in a module.
    isolate: false,
    // No test measures real time. This only ends a test that hangs, also on a slow machine.
    testTimeout: 60_000,
    // The programs that tests start as child processes are compiled once, not each time.
    env: { NODE_COMPILE_CACHE: fileURLToPath(new URL("./node_modules/.cache/compiled", import.meta.url)) },
    reporters: process.env.CI ? ["default", ["json", { outputFile: "test-results/report.json" }]] : ["default"],
    projects: [
      {
        test: {
          name: "unit",
          include: ["packages/*/test/**/*.test.ts"],
          exclude: ["packages/*/test/**/*.integration.test.ts", ...vault]
        }
      },
      {
        test: {
          name: "integration",
          include: ["packages/*/test/**/*.integration.test.ts", "examples/test/**/*.test.ts"],
          exclude: vault
        }
      },
      // MSAL keeps tokens in its module.
      { test: { name: "vault", include: vault, isolate: true } },
      { test: { name: "docs", include: ["examples/.generated/*.test.ts"] } }
    ]
  }
})
