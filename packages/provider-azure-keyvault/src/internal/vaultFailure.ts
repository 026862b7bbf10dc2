// Why the vault did not give the secret, and what in its answer is not the secret that was asked for.
import type { KeyVaultSecret } from "@azure/keyvault-secrets"
import * as SecretProviderError from "@effect-itwin/core/SecretProviderError"
import { wrongTenant } from "./credentialFailure.ts"
import { type Exchange, isOutage } from "./exchange.ts"
import { chainOf, codeOf, connectionCode, field, isParseError, messageOf, statusIn, tlsCode } from "./sdkError.ts"
import { nameOf, provider, type Subject } from "./settings.ts"

type Reason = SecretProviderError.SecretProviderErrorReason

const role = (host: string): string =>
  `Assign the role "Key Vault Secrets User" on ${host} to the identity of this program; it takes some minutes to work.`

const disabled = ({ host, named }: Pick<Subject, "host" | "named">): Reason =>
  new SecretProviderError.Disabled({
    provider,
    secretName: nameOf(named),
    advice:
      named.version === undefined
        ? `Its newest version is disabled, and ${host} falls back to no older one. Enable it, or store a new version.`
        : `This version is disabled in ${host}. Enable it, or name another one.`
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
        advice: `${host} uses access policies, and none gives this identity "Get" on secrets. Add one, or turn the vault to Azure RBAC. (ForbiddenByPolicy)`
      })
    case "ForbiddenByFirewall":
      return new SecretProviderError.AccessDenied({
        ...about,
        advice: `The firewall of ${host} does not let this address in. Allow it under Networking, or use a private endpoint. (ForbiddenByFirewall)`
      })
    default:
      return new SecretProviderError.AccessDenied({ ...about, advice: `${role(host)} If it has it, see the firewall.` })
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
        advice: "The credential gave a token for another service than Key Vault, or of another cloud. (AKV10022)"
      })
    default:
      return new SecretProviderError.AccessDenied({
        ...about,
        advice: `${subject.host} does not accept the token of this identity (401${code === undefined ? "" : `, ${code}`}).`
      })
  }
}

const noSecret = (host: string) => `What ${host} returned is not a secret: is there a proxy in between?`

export const vaultFailure = (subject: Subject, error: unknown, exchange: Exchange | undefined): Reason => {
  const { host, named } = subject
  const about = { provider, secretName: nameOf(named) }
  const chain = chainOf(error)
  const unavailable = (advice: string) => new SecretProviderError.Unavailable({ ...about, advice })
  const misconfigured = (advice: string) =>
    new SecretProviderError.Misconfigured({ provider, secretName: "vaultUrl", advice })
  if (isParseError(chain)) return unavailable(`The response of ${host} was cut short. (PARSE_ERROR)`)
  // Thrown before a token is sent, by the SDK's check of the challenge.
  if (/^The (challenge|request URL)\b/.test(messageOf(error))) {
    return misconfigured(
      `${host} asks for a token that is not for its own domain, so none was sent. Check that vaultUrl is the URL of a Key Vault.`
    )
  }
  const status = exchange === undefined ? statusIn(chain) : exchange.status
  if (status === undefined) {
    const insecure = tlsCode(chain)
    if (insecure !== undefined) {
      return unavailable(`The certificate of ${host} is not trusted: is there a proxy in between? (${insecure})`)
    }
    const code = connectionCode(chain)
    return unavailable(
      code === "ENOTFOUND"
        ? `The name ${host} can't be resolved. Does the vault exist, and does its private DNS zone reach this program? (ENOTFOUND)`
        : `The connection to ${host} failed${code === undefined ? "" : ` (${code})`}: is port 443 open to this program?`
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
      advice: `${host} has no such ${named.version === undefined ? "secret" : "version"}. Correct the name, or create it; one that was deleted can be recovered ("Manage deleted secrets").`
    })
  }
  if (status < 300) return unavailable(noSecret(host))
  if (status < 400) return misconfigured(`${host} redirects (${status}), which a Key Vault never does.`)
  return misconfigured(
    `${host} returned ${status}, which a Key Vault never does for a read. Check that vaultUrl is the URL of a Key Vault.`
  )
}

/** Why an answer is not the secret that was asked for; nothing if it is. The SDK does not check what the vault sends. */
export const answerProblem = (
  { host, named }: Subject,
  { name, value, properties }: { readonly [K in keyof KeyVaultSecret]?: unknown }
): Reason | undefined => {
  const about = { provider, secretName: nameOf(named) }
  const version = field(properties, "version")
  // Names are the same in upper and lower case; versions are hexadecimal.
  const isSame = (given: unknown, asked: string) => String(given).toLowerCase() === asked.toLowerCase()
  if (!isSame(name, named.secret) || (named.version !== undefined && !isSame(version, named.version))) {
    return new SecretProviderError.InvalidSecret({
      ...about,
      advice: `${host} returned another secret, or another version, than the one asked for. Check what answers at vaultUrl.`
    })
  }
  if (field(properties, "enabled") === false) return disabled({ host, named })
  return typeof value === "string"
    ? undefined
    : new SecretProviderError.Unavailable({ ...about, advice: `${noSecret(host)} The response holds no value.` })
}
