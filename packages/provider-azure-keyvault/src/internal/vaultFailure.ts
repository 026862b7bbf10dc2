// Tells why the vault did not return the secret, or why its response is not the requested secret.
import type { KeyVaultSecret } from "@azure/keyvault-secrets"
import * as SecretProviderError from "@effect-itwin/core/SecretProviderError"
import { wrongTenant } from "./credentialFailure.ts"
import { type Exchange, isOutage } from "./exchange.ts"
import { chainOf, codeOf, connectionCode, field, isParseError, messageOf, statusIn, tlsCode } from "./sdkError.ts"
import { nameOf, provider, type Subject } from "./settings.ts"

type Reason = SecretProviderError.SecretProviderErrorReason

const role = (host: string): string =>
  `Assign the role "Key Vault Secrets User" on ${host} to the identity of this program; it takes effect after a few minutes.`

const disabled = ({ host, named }: Pick<Subject, "host" | "named">): Reason =>
  new SecretProviderError.Disabled({
    provider,
    secretName: nameOf(named),
    advice:
      named.version === undefined
        ? `Its newest version is disabled, and ${host} does not return an older one. Enable it, or store a new version.`
        : `This version is disabled in ${host}. Enable it, or name another version.`
  })

const forbidden = (subject: Subject, error: unknown): Reason => {
  const { host, named } = subject
  const about = { provider, secretName: nameOf(named) }
  switch (field(field(field(field(error, "details"), "error"), "innerError"), "code")) {
    case "SecretDisabled":
      return disabled(subject)
    case "ForbiddenByRbac":
      return new SecretProviderError.AccessDenied({ ...about, advice: `${role(host)} (ForbiddenByRbac)` })
    case "ForbiddenByPolicy":
      return new SecretProviderError.AccessDenied({
        ...about,
        advice: `${host} uses access policies, and none grants this identity "Get" on secrets. Add one, or switch the vault to Azure RBAC. (ForbiddenByPolicy)`
      })
    case "ForbiddenByFirewall":
      return new SecretProviderError.AccessDenied({
        ...about,
        advice: `The firewall of ${host} blocks the address of this program. Allow it under Networking, or use a private endpoint. (ForbiddenByFirewall)`
      })
    default:
      return new SecretProviderError.AccessDenied({
        ...about,
        advice: `${role(host)} If it has this role, check the firewall of the vault.`
      })
  }
}

const unauthorized = (subject: Subject, error: unknown): Reason => {
  const about = { provider, secretName: nameOf(subject.named) }
  const code = codeOf(/\bAKV\d{5}\b/, messageOf(error))
  switch (code) {
    case "AKV10032":
      return new SecretProviderError.AccessDenied({ ...about, advice: `${wrongTenant} (AKV10032)` })
    case "AKV10022":
      return new SecretProviderError.AccessDenied({
        ...about,
        advice:
          "The token of the credential is for another service than Key Vault, or for another cloud. Correct the credential. (AKV10022)"
      })
    default:
      return new SecretProviderError.AccessDenied({
        ...about,
        advice: `${subject.host} rejected the token of this identity (401${code === undefined ? "" : `, ${code}`}). Check the tenant of the vault.`
      })
  }
}

const noSecret = (host: string) => `The response of ${host} is not a secret. Check for a proxy in between.`

export const vaultFailure = (subject: Subject, error: unknown, exchange: Exchange | undefined): Reason => {
  const { host, named } = subject
  const about = { provider, secretName: nameOf(named) }
  const chain = chainOf(error)
  const unavailable = (advice: string) => new SecretProviderError.Unavailable({ ...about, advice })
  const misconfigured = (advice: string) =>
    new SecretProviderError.Misconfigured({ provider, secretName: "vaultUrl", advice })
  if (isParseError(chain))
    return unavailable(`The response of ${host} is incomplete. Check for a proxy in between. (PARSE_ERROR)`)
  // The SDK's check of the challenge throws before a token is sent.
  if (/^The (challenge|request URL)\b/.test(messageOf(error))) {
    return misconfigured(
      `${host} asks for a token that is not for its own domain, so none was sent. Check that vaultUrl is the URL of a Key Vault.`
    )
  }
  const status = exchange === undefined ? statusIn(chain) : exchange.status
  if (status === undefined) {
    const insecure = tlsCode(chain)
    if (insecure !== undefined) {
      return unavailable(`The certificate of ${host} is not trusted. Check for a proxy in between. (${insecure})`)
    }
    const code = connectionCode(chain)
    return unavailable(
      code === "ENOTFOUND"
        ? `The name ${host} can't be resolved. Check that the vault exists, and that this program can see its private DNS zone. (ENOTFOUND)`
        : `The connection to ${host} failed. Check that this program can reach port 443.${code === undefined ? "" : ` (${code})`}`
    )
  }
  if (status === 429) {
    return new SecretProviderError.Throttled({
      ...about,
      ...(exchange?.retryAfter === undefined ? {} : { retryAfter: exchange.retryAfter })
    })
  }
  if (isOutage(status)) return unavailable(`${host} returned ${status}.`)
  if (status === 401) return unauthorized(subject, error)
  if (status === 403) return forbidden(subject, error)
  if (status === 404 && field(error, "code") === "SecretNotFound") {
    return new SecretProviderError.NotFound({
      ...about,
      advice: `${host} has no such ${named.version === undefined ? "secret" : "version"}. Correct the name, or create it. A deleted secret can be recovered under "Manage deleted secrets".`
    })
  }
  if (status < 300) return unavailable(noSecret(host))
  if (status < 400)
    return misconfigured(
      `${host} redirects (${status}), which a Key Vault never does. Check that vaultUrl is the URL of a Key Vault.`
    )
  return misconfigured(
    `${host} returned ${status}, which a Key Vault never does for a read. Check that vaultUrl is the URL of a Key Vault.`
  )
}

/** Returns why the response is not the requested secret; undefined if it is. The SDK does not check the response. */
export const answerProblem = (
  { host, named }: Subject,
  { name, value, properties }: { readonly [K in keyof KeyVaultSecret]?: unknown }
): Reason | undefined => {
  const about = { provider, secretName: nameOf(named) }
  const version = field(properties, "version")
  // Names and versions are compared without case.
  const isSame = (given: unknown, asked: string) => String(given).toLowerCase() === asked.toLowerCase()
  if (!isSame(name, named.secret) || (named.version !== undefined && !isSame(version, named.version))) {
    return new SecretProviderError.InvalidSecret({
      ...about,
      advice: `${host} returned another secret, or another version, than the requested one. Check that vaultUrl is the URL of a Key Vault.`
    })
  }
  if (field(properties, "enabled") === false) return disabled({ host, named })
  return typeof value === "string"
    ? undefined
    : new SecretProviderError.Unavailable({ ...about, advice: `${noSecret(host)} (no value)` })
}
