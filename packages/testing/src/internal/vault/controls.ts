// Builds the controls of the fake Key Vault: what a test sets up, and what it reads afterwards.
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { FakeKeyVault } from "../../FakeKeyVault.ts"
import { makeEngineControls } from "../engine/controls.ts"
import type { PipelineClient } from "./pipeline.ts"
import { isSecretName, type Version } from "./secrets.ts"
import { firstChallenge, nowSeconds, tokenRoutes, type Vault } from "./vault.ts"

const seconds = (time: DateTime.DateTime | undefined): number | undefined =>
  time === undefined ? undefined : Math.floor(time.epochMilliseconds / 1000)

const timeOf = (seconds: number | undefined): DateTime.Utc | undefined =>
  seconds === undefined ? undefined : DateTime.makeUnsafe(seconds * 1000)

const versionView = ({ contentType, created, enabled, expires, id, notBefore, tags }: Version) => ({
  id,
  enabled,
  createdAt: DateTime.makeUnsafe(created * 1000),
  contentType,
  expiresAt: timeOf(expires),
  notBefore: timeOf(notBefore),
  tags
})

/** Runs `change`. If there is nothing to change, the test has a mistake. */
const mustChange = (what: string, change: () => unknown): Effect.Effect<void> =>
  Effect.suspend(() => (change() ? Effect.void : Effect.die(new RangeError(`The fake vault has no ${what}.`))))

const quoted = (name: string): string => JSON.stringify(name)

export const makeControls = (vault: Vault, httpClient: PipelineClient): FakeKeyVault["Service"] => {
  const { engine, secrets, tokens } = vault
  const { assertRequests: _, entries, ...common } = makeEngineControls(engine)

  const setEnabled = (enabled: boolean) => (name: string, id?: string) =>
    mustChange(id === undefined ? `secret ${quoted(name)}` : `version ${id} of the secret ${quoted(name)}`, () => {
      const version = secrets.find(name, id)
      if (version !== undefined) secrets.change(version, { enabled })
      return version !== undefined
    })

  return {
    vaultUrl: vault.url,
    httpClient,
    tenantId: vault.tenantId,
    clientId: vault.clientId,
    clientSecret: Redacted.make(vault.clientSecret),

    setSecret: (name, value, options) =>
      Effect.sync(() => {
        if (!isSecretName(name)) {
          throw new RangeError(`${quoted(name)} is not a name of a secret. Use 1 to 127 of 0-9, a-z, A-Z and -.`)
        }
        if (secrets.deleted(name) !== undefined) {
          throw new RangeError(`The secret ${quoted(name)} is deleted. Recover or purge it before you set it again.`)
        }
        return secrets.add(name, {
          value: typeof value === "string" ? value : Redacted.value(value),
          contentType: options?.contentType,
          expires: seconds(options?.expiresAt),
          notBefore: seconds(options?.notBefore),
          tags: options?.tags ?? {},
          enabled: options?.enabled ?? true
        }).id
      }),
    secretNames: Effect.sync(() => secrets.all().map(([name]) => name)),
    versions: (name) =>
      Effect.sync(() => {
        const versions = secrets.versions(name)
        if (versions === undefined) throw new RangeError(`The fake vault has no secret ${quoted(name)}.`)
        return versions.map(versionView)
      }),
    disableVersion: setEnabled(false),
    enableVersion: setEnabled(true),
    deleteSecret: (name) => mustChange(`secret ${quoted(name)}`, () => secrets.remove(name)),
    recoverSecret: (name) => mustChange(`deleted secret ${quoted(name)}`, () => secrets.recover(name)),
    purgeSecret: (name) => mustChange(`deleted secret ${quoted(name)}`, () => secrets.purge(name)),

    deny: (inner) =>
      Effect.sync(() => {
        vault.denial = inner
      }),
    allow: Effect.sync(() => {
      vault.denial = undefined
    }),
    revokeTokens: Effect.sync(tokens.revokeAll),
    setChallenge: (challenge) =>
      Effect.sync(() => {
        vault.challenge = { ...vault.challenge, ...challenge }
      }),
    issueToken: (options) =>
      Effect.sync(() =>
        Redacted.make(
          tokens.issue({
            audience: options?.audience ?? vault.resource,
            tenantId: options?.tenantId ?? vault.tenantId,
            clientId: vault.clientId,
            now: nowSeconds(vault),
            claims: options?.claims
          })
        )
      ),

    ...common,
    tokenRequests: Effect.map(entries({}), (all) => all.filter(({ route }) => tokenRoutes.includes(route))),
    reset: Effect.sync(() => {
      engine.reset()
      secrets.clear()
      tokens.reset()
      vault.denial = undefined
      vault.challenge = firstChallenge(vault)
    })
  }
}
