// The page docs/performance.md, with the figures of one run and the machine that it ran on.
import { readFileSync, writeFileSync } from "node:fs"
import { availableParallelism, cpus, totalmem } from "node:os"
import { join } from "node:path"
import { markdownTable } from "./table.ts"

const versionOf = (name: string): string => {
  const path = join(import.meta.dirname, "node_modules", name, "package.json")
  const { version } = JSON.parse(readFileSync(path, "utf8")) as { readonly version: string }
  return `\`${name}\` ${version}`
}

const peers = [
  "effect",
  "@itwin/service-authorization",
  "openid-client",
  "oauth2-mock-server",
  "jose",
  "aws-jwt-verify"
]

const page = (rows: ReadonlyArray<ReadonlyArray<string>>, runs: number): string => `# Performance

\`npx -y pnpm@12 bench\` measures this library next to its peers, and writes this page.

${markdownTable([
  ["measured", ""],
  ["on", new Date().toISOString().slice(0, 10)],
  ["CPU", `${cpus()[0]?.model.trim() ?? "unknown"}, ${availableParallelism()} cores`],
  ["memory", `${(totalmem() / 1024 ** 3).toFixed(0)} GiB`],
  ["runtime", `Node ${process.versions.node}, ${process.platform} ${process.arch}`],
  ["next to", peers.map(versionOf).join(", ")],
  [
    "runs",
    `${runs} for each case${runs < defaultRuns ? ": a short run, so the times are rough, and a limit may not hold" : ""}`
  ]
])}
${markdownTable(rows)}
- Each case runs in fresh processes. A figure is the median of the runs.
- **Ratio** is the first figure over the second, so it depends less on the machine than a time. In the rows "the same
  by …" it is that client over Effect's \`HttpClient\`. **Limit** is what the bench requires; a row without one is for
  information.
- A **cached get** is \`TokenCache.get\` with a token in memory. The comparison is the same loop over \`Effect.sync\`.
- A **cached getAccessToken** is that of \`ServiceAuthorizationClient\`, with a token in memory. Each call is awaited.
- A **warm token request** goes to a server on 127.0.0.1, over a connection that is open. The comparison sends the same
  form by Effect's \`HttpClient\` and decodes the JSON, without limits, retries and checks.
- **Token requests of first gets** counts how many requests IMS receives when many callers need a token at the same time
  and none is in memory.
- **Start to first token** is the time from the start of a process to its first token. Both servers make an RSA key.
- A **test case with a fresh fake** gets a token and calls an API by this library. \`FakeIms.layerTest\` runs in process;
  oauth2-mock-server is started and stopped for each case. Both sign with Ed25519.
- **Process start to the token** is the time from the start of a process until it has printed a token. \`itwin-auth\` is
  the published file, and Node has kept its compiled code from an earlier run. The scripts print a token and do nothing
  else.
- A **verification** checks the RS256 signature of a new token with a key that is known, and the claims. The comparison is
  \`jwtVerify\` of jose with issuer and audience. \`IntrospectionClient\` of @itwin/service-authorization checks neither
  issuer nor audience. aws-jwt-verify gets tokens whose scope is a text, because it rejects the list that IMS writes; it
  verifies on the main thread, the others on another thread.
- What a **bundle** for browsers weighs has limits in \`scripts/sizes.ts\`, which CI checks.
`

/** Runs of each case that has no number of its own. */
export const defaultRuns = 5

/** Writes the page. */
export const writeReport = (rows: ReadonlyArray<ReadonlyArray<string>>, runs: number): void =>
  writeFileSync(join(import.meta.dirname, "../docs/performance.md"), page(rows, runs))
