import { execFileSync } from "node:child_process"
import { assert, it } from "@effect/vitest"
import { banner } from "../src/internal/serve/facts.ts"

it("prints lines with which a shell exports the variables, whatever the secret contains", () => {
  const variables = {
    ITWIN_TOKEN_ENDPOINT: "http://127.0.0.1:1234/connect/token",
    ITWIN_API_URL: "http://127.0.0.1:1234",
    ITWIN_CLIENT_ID: "service-abc",
    ITWIN_CLIENT_SECRET: "fake-secret-it's $HOME `x` + / = \"\\"
  }
  const printed = banner({
    ready: true,
    url: variables.ITWIN_API_URL,
    tokenEndpoint: variables.ITWIN_TOKEN_ENDPOINT,
    apiBaseUrl: variables.ITWIN_API_URL,
    apps: [{ name: "Test", clientId: variables.ITWIN_CLIENT_ID, clientSecret: variables.ITWIN_CLIENT_SECRET }],
    users: ["user@example.com"]
  })
  const script = `${printed.split("\n").slice(2).join("\n")}\nenv -0`
  const seen = execFileSync("/bin/sh", ["-c", script], { encoding: "utf8", env: {} }).split("\0")
  for (const [name, value] of Object.entries(variables)) assert.include(seen, `${name}=${value}`)
})
