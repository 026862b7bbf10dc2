// Reports that `fake-ims` is ready: as JSON for programs, as lines to paste for a person, as a file for scripts that wait.
import { rename, rm, writeFile } from "node:fs/promises"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type { FakeIms } from "../../FakeIms.ts"
import type { FakeKeyVault } from "../../FakeKeyVault.ts"
import type { Endpoint } from "../../FakeKeyVaultServer.ts"
import type { Settings } from "./settings.ts"

/** Describes what a program needs to use the fake vault. */
export interface VaultFacts {
  readonly url: string
  readonly tenantId: string
  readonly clientId: string
  readonly clientSecret: string
  /** The certificate to trust, as PEM. */
  readonly certificate: string | undefined
}

export interface Facts {
  readonly ready: true
  readonly url: string
  readonly tokenEndpoint: string
  readonly apiBaseUrl: string
  readonly apps: ReadonlyArray<{
    readonly name: string
    readonly clientId: string | undefined
    /** Absent for native and single-page apps. */
    readonly clientSecret: string | undefined
  }>
  /** The e-mails of the users who can sign in. */
  readonly users: ReadonlyArray<string>
  /** Only with `--vault`. */
  readonly vault?: VaultFacts
}

export const vaultFacts = (vault: FakeKeyVault["Service"], endpoint: Endpoint["Service"]): VaultFacts => ({
  url: endpoint.url,
  tenantId: vault.tenantId,
  clientId: vault.clientId,
  clientSecret: Redacted.value(vault.clientSecret),
  certificate: endpoint.certificate
})

export const factsOf = (fake: FakeIms["Service"], settings: Settings, vault: VaultFacts | undefined): Facts => ({
  ready: true,
  url: fake.environment.apiBaseUrl,
  tokenEndpoint: fake.environment.tokenEndpoint,
  apiBaseUrl: fake.environment.apiBaseUrl,
  apps: (settings.apps ?? []).map(({ name, clientId, clientSecret }) => ({ name, clientId, clientSecret })),
  users: (settings.users ?? []).map(({ email }) => email),
  ...(vault === undefined ? {} : { vault })
})

/** Writes a line that a shell takes as it is; in single quotes only a single quote is special. */
const exported = (name: string, value = ""): string => `export ${name}='${value.replaceAll("'", "'\\''")}'`

/** Returns what a terminal shows: lines to paste into another terminal, so that a program there uses this fake. */
export const banner = ({ url, tokenEndpoint, apiBaseUrl, apps: [app, ...others], vault }: Facts): string =>
  [
    `fake-ims listens on ${url} (admin API: ${url}/__admin). Ctrl+C stops it.`,
    `Open ${url}/ in a browser to see step by step how an app gets its token.`,
    "",
    `# Paste into the terminal of your program${app === undefined ? "" : `, which is then the app "${app.name}"`}:`,
    exported("ITWIN_TOKEN_ENDPOINT", tokenEndpoint),
    exported("ITWIN_API_URL", apiBaseUrl),
    ...(app === undefined
      ? []
      : [
          exported("ITWIN_CLIENT_ID", app.clientId),
          ...(app.clientSecret === undefined ? [] : [exported("ITWIN_CLIENT_SECRET", app.clientSecret)])
        ]),
    ...others.flatMap(({ name, clientId, clientSecret }) => [
      "",
      `# The app "${name}":`,
      `# ${clientId} ${clientSecret ?? ""}`.trimEnd()
    ]),
    ...(vault === undefined
      ? []
      : [
          "",
          `# Key Vault at ${vault.url}. Clients must trust its certificate, which --ready-file writes as vault.certificate.`,
          exported("AZURE_TENANT_ID", vault.tenantId),
          exported("AZURE_CLIENT_ID", vault.clientId),
          exported("AZURE_CLIENT_SECRET", vault.clientSecret),
          exported("AZURE_AUTHORITY_HOST", vault.url)
        ])
  ].join("\n")

const remove = (path: string) => Effect.ignore(Effect.tryPromise(() => rm(path, { force: true })))

/** Removes the file that an earlier process may have left, so that it is not mistaken for this one's. */
export const clearReadyFile = remove

const attempt = (run: () => Promise<void>): Effect.Effect<void, unknown> =>
  Effect.tryPromise({ try: run, catch: (cause) => cause })

/** Writes the file, so that a script never reads a part of it, and removes it when the scope is closed. */
export const writeReadyFile = (path: string, facts: Facts): Effect.Effect<void, unknown, Scope.Scope> => {
  const unfinished = `${path}.${process.pid}`
  // In a folder that all users share, another one may have put a link there in advance. `wx` does not follow it.
  const write = attempt(() => writeFile(unfinished, `${JSON.stringify(facts)}\n`, { flag: "wx" }))
  const publish = Effect.andThen(
    write,
    attempt(() => rename(unfinished, path))
  )
  return Effect.acquireRelease(
    Effect.andThen(
      remove(unfinished),
      Effect.tapError(publish, () => remove(unfinished))
    ),
    () => remove(path)
  )
}
