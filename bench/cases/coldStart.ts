// Measures the time from the start of a process to its first token: the bundled `fake-ims`, and oauth2-mock-server.
// Both make an RSA key and listen on a free port of 127.0.0.1. Prints milliseconds.
import { spawn } from "node:child_process"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { print } from "./print.ts"

const rounds = 7

interface Peer {
  readonly name: string
  readonly args: ReadonlyArray<string>
  /** The token endpoint and credentials, from a line on stdout; `undefined` if they are not in it. */
  readonly read: (line: string) => { readonly url: string; readonly id: string; readonly secret: string } | undefined
}

const peers: ReadonlyArray<Peer> = [
  {
    name: "ours",
    args: [join(import.meta.dirname, "../../packages/testing/dist/bin.js")],
    read: (line) => {
      const { tokenEndpoint, apps } = JSON.parse(line)
      return { url: tokenEndpoint, id: apps[0].clientId, secret: apps[0].clientSecret }
    }
  },
  {
    name: "oauth2-mock-server",
    args: [
      fileURLToPath(new URL("oauth2-mock-server.mjs", import.meta.resolve("oauth2-mock-server"))),
      ...["-a", "127.0.0.1", "-p", "0"]
    ],
    read: (line) => {
      const issuer = /^OAuth 2 issuer is (\S+)/.exec(line)?.[1]
      return issuer === undefined ? undefined : { url: `${issuer}/token`, id: "a", secret: "b" }
    }
  }
]

const measure = async ({ name, args, read }: Peer): Promise<number> => {
  const started = performance.now()
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] })
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()))
  try {
    let text = ""
    const found = await new Promise<NonNullable<ReturnType<Peer["read"]>>>((resolve, reject) => {
      child.once("exit", (code) => reject(new Error(`${name} ended with ${code}`)))
      child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk
        for (const line of text.split("\n").slice(0, -1)) {
          const facts = read(line)
          if (facts !== undefined) resolve(facts)
        }
      })
    })
    const { id, secret } = found
    const body = new URLSearchParams({ grant_type: "client_credentials", client_id: id, client_secret: secret })
    const response = await fetch(found.url, { method: "POST", body })
    const { access_token } = (await response.json()) as { readonly access_token?: string }
    if (access_token === undefined) throw new Error(`${name} gave no token: ${response.status}`)
    return performance.now() - started
  } finally {
    child.kill()
    await ended
  }
}

const series: Readonly<Record<string, Array<number>>> = Object.fromEntries(peers.map(({ name }) => [name, []]))
// The first round is not counted: it brings the files into memory and writes Node's cache of compiled code.
for (let round = 0; round <= rounds; round++) {
  for (const peer of peers) {
    const time = await measure(peer)
    if (round > 0) series[peer.name]?.push(time)
  }
}
print(series)
