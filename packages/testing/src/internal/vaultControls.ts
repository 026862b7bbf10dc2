// The test's hands on the fake Key Vault.
import type * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { FakeKeyVault } from "../FakeKeyVault.ts"
import { issueToken } from "./entra.ts"
import type { PipelineClient } from "./pipeline.ts"
import { addVersion, findVersion, isSecretName, nowSeconds, type Vault } from "./vault.ts"

const seconds = (time: DateTime.DateTime | undefined): number | undefined =>
  time === undefined ? undefined : Math.floor(time.epochMilliseconds / 1000)

const setEnabled = (vault: Vault, enabled: boolean) => (name: string, id?: string) =>
  Effect.suspend(() => {
    const version = findVersion(vault, name, id)
    if (version === undefined) return Effect.die(new Error(`The fake vault has no ${id ?? "version"} of "${name}".`))
    version.enabled = enabled
    version.updated = nowSeconds(vault)
    return Effect.void
  })

export const makeControls = (vault: Vault, httpClient: PipelineClient): Omit<FakeKeyVault["Service"], "verify"> => ({
  vaultUrl: vault.url,
  httpClient,
  tenantId: vault.tenantId,
  clientId: vault.clientId,
  clientSecret: Redacted.make(vault.clientSecret),
  setSecret: (name, value, options) =>
    Effect.suspend(() =>
      isSecretName(name)
        ? Effect.succeed(
            addVersion(vault, name, {
              value: typeof value === "string" ? value : Redacted.value(value),
              contentType: options?.contentType,
              expires: seconds(options?.expiresAt),
              notBefore: seconds(options?.notBefore),
              tags: options?.tags ?? {},
              enabled: options?.enabled ?? true
            }).id
          )
        : Effect.die(new Error(`"${name}" is no name of a secret: 1 to 127 of 0-9, a-z, A-Z and -.`))
    ),
  disableVersion: setEnabled(vault, false),
  enableVersion: setEnabled(vault, true),
  deleteSecret: (name) =>
    Effect.suspend(() =>
      vault.secrets.delete(name) ? Effect.void : Effect.die(new Error(`The fake vault has no secret "${name}".`))
    ),
  deny: (inner) =>
    Effect.sync(() => {
      vault.denial = inner
    }),
  allow: Effect.sync(() => {
    vault.denial = undefined
  }),
  revokeTokens: Effect.sync(() => {
    for (const jti of vault.known) vault.revoked.add(jti)
  }),
  setChallenge: (challenge) =>
    Effect.sync(() => {
      vault.challenge = { ...vault.challenge, ...challenge }
    }),
  issueToken: (options) =>
    Effect.sync(() =>
      Redacted.make(
        issueToken(vault, {
          audience: options?.audience ?? vault.resource,
          tenantId: options?.tenantId ?? vault.tenantId,
          clientId: vault.clientId
        })
      )
    ),
  script: (steps, route = "secret") => Effect.sync(() => vault.scripts[route].add(steps)),
  journal: Effect.sync(() => vault.reads.map((read) => ({ ...read }))),
  tokenRequests: Effect.sync(() => vault.tokenRequests.map((request) => ({ ...request }))),
  awaitRequests: (count) =>
    Effect.callback((resume) => {
      if (vault.reads.length >= count) return resume(Effect.void)
      const waiter = { count, resume }
      vault.waiting.add(waiter)
      return Effect.sync(() => vault.waiting.delete(waiter))
    })
})
