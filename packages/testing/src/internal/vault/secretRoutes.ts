// Serves the vault's secrets: read, list, set, update, delete, recover and purge.
//
// One operation of the REST API is one route, named by its shortest path: `GET /secrets/:name` reads the newest version
// and a given one.
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type { Call, Host, Response, Route } from "../engine/handler.ts"
import { ok, vaultError } from "./answers.ts"
import { authenticate } from "./bearer.ts"
import { readSet, readUpdate } from "./bodies.ts"
import { bundle, deletedBundle, deletedItem, secretItem, versionItem } from "./bundles.ts"
import { pageOf } from "./paging.ts"
import { isSecretName, newestOf } from "./secrets.ts"
import type { Denial, Vault } from "./vault.ts"

/** Names what a caller must be allowed to do, as access policies and as roles name it. */
interface Permission {
  readonly policy: string
  readonly action: string
}

const permissions = {
  get: { policy: "get", action: "getSecret/action" },
  list: { policy: "list", action: "readMetadata/action" },
  set: { policy: "set", action: "setSecret/action" },
  update: { policy: "set", action: "update/action" },
  delete: { policy: "delete", action: "delete" },
  getDeleted: { policy: "get", action: "readMetadata/action" },
  recover: { policy: "recover", action: "recover/action" },
  purge: { policy: "purge", action: "purge/action" }
} satisfies Record<string, Permission>

const denied = (denial: Denial, { policy, action }: Permission): string => {
  switch (denial) {
    case "ForbiddenByRbac":
      return `Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or role definitions were changed recently, please observe propagation time.\r\nAction: 'Microsoft.KeyVault/vaults/secrets/${action}'`
    case "ForbiddenByPolicy":
      return `The user, group or application does not have secrets ${policy} permission on key vault.`
    case "ForbiddenByFirewall":
      return "Client address is not authorized and caller is not a trusted service."
  }
}

const badParameter = ({ entry }: Call, message: string): Response =>
  vaultError(entry, { status: 400, code: "BadParameter", message })

/** Checks what every operation checks of a caller whose token is accepted. */
const refuse = (vault: Vault, call: Call, permission: Permission): Response | undefined => {
  const { entry, params, query } = call
  if (vault.denial !== undefined) {
    return vaultError(entry, {
      status: 403,
      code: "Forbidden",
      message: denied(vault.denial, permission),
      inner: vault.denial
    })
  }
  // The SDK percent-encodes the name of the parameter.
  if (!query.get("api-version")) return badParameter(call, "The parameter api-version is required.")
  return params.name === undefined || isSecretName(params.name)
    ? undefined
    : badParameter(call, "The request URI contains an invalid name.")
}

const nameOf = ({ params }: Call): string => params.name ?? ""

const notFound = (vault: Vault, call: Call): Response => {
  const name = nameOf(call)
  const { version } = call.params
  const isDeleted = vault.secrets.deleted(name) !== undefined
  return vaultError(call.entry, {
    status: 404,
    code: "SecretNotFound",
    message: `A secret with (name/id) ${name}${version === undefined ? "" : `/${version}`} was not found in this key vault. If you recently deleted this secret you may be able to recover it using the correct recovery command.`,
    ...(isDeleted
      ? { explanation: "The secret is deleted, and can be recovered." }
      : vault.secrets.versions(name) === undefined
        ? {}
        : { explanation: "The secret has no such version." })
  })
}

const deletedNotFound = (vault: Vault, call: Call): Response =>
  vaultError(call.entry, {
    status: 404,
    code: "SecretNotFound",
    message: `Deleted Secret not found: ${nameOf(call)}`,
    ...(vault.secrets.versions(nameOf(call)) === undefined ? {} : { explanation: "The secret is not deleted." })
  })

const get = (vault: Vault) => (call: Call) => {
  const version = vault.secrets.find(nameOf(call), call.params.version)
  if (version === undefined) return notFound(vault, call)
  // The times `nbf` and `exp` do not count: the vault only stores them.
  return version.enabled
    ? ok(call.entry, bundle(vault.url, nameOf(call), version))
    : vaultError(call.entry, {
        status: 403,
        code: "Forbidden",
        message: "Operation get is not allowed on a disabled secret.",
        inner: "SecretDisabled"
      })
}

const set = (vault: Vault) => (call: Call) => {
  const { secrets, url } = vault
  const name = nameOf(call)
  if (secrets.deleted(name) !== undefined) {
    return vaultError(call.entry, {
      status: 409,
      code: "Conflict",
      message: `Secret ${name} is currently in a deleted but recoverable state, and its name cannot be reused; in this state, the secret can only be recovered or purged.`,
      inner: "ObjectIsDeletedButRecoverable"
    })
  }
  const sent = readSet(call.body)
  if ("_tag" in sent) return badParameter(call, sent.why)
  const { contentType, enabled = true, expires, notBefore, tags = {} } = sent.changes
  const version = secrets.add(name, { value: sent.value, contentType, enabled, expires, notBefore, tags })
  return ok(call.entry, bundle(url, name, version))
}

const update = (vault: Vault) => (call: Call) => {
  const name = nameOf(call)
  const version = vault.secrets.find(name, call.params.version)
  if (version === undefined) return notFound(vault, call)
  const changes = readUpdate(call.body)
  if ("_tag" in changes) return badParameter(call, changes.why)
  vault.secrets.change(version, changes)
  return ok(call.entry, versionItem(vault.url, name, version))
}

const page = (vault: Vault, call: Call, items: Parameters<typeof pageOf>[2]): Response => {
  const found = pageOf(vault.url, call, items)
  return typeof found === "string" ? badParameter(call, found) : ok(call.entry, found)
}

const list = (vault: Vault) => (call: Call) =>
  page(
    vault,
    call,
    vault.secrets.all().map(([name, versions]) => [name, secretItem(vault.url, name, versions)])
  )

const listVersions = (vault: Vault) => (call: Call) => {
  const versions = vault.secrets.versions(nameOf(call))
  if (versions === undefined) return notFound(vault, call)
  const keyOf = (index: number) => String(index).padStart(8, "0")
  return page(
    vault,
    call,
    versions.map((version, index) => [keyOf(index), versionItem(vault.url, nameOf(call), version)])
  )
}

const remove = (vault: Vault) => (call: Call) => {
  const deleted = vault.secrets.remove(nameOf(call))
  return deleted === undefined ? notFound(vault, call) : ok(call.entry, deletedBundle(vault.url, nameOf(call), deleted))
}

const listDeleted = (vault: Vault) => (call: Call) =>
  page(
    vault,
    call,
    vault.secrets.allDeleted().map(([name, deleted]) => [name, deletedItem(vault.url, name, deleted)])
  )

const getDeleted = (vault: Vault) => (call: Call) => {
  const deleted = vault.secrets.deleted(nameOf(call))
  return deleted === undefined
    ? deletedNotFound(vault, call)
    : ok(call.entry, deletedBundle(vault.url, nameOf(call), deleted))
}

const recover = (vault: Vault) => (call: Call) => {
  const versions = vault.secrets.recover(nameOf(call))
  return versions === undefined
    ? deletedNotFound(vault, call)
    : ok(call.entry, versionItem(vault.url, nameOf(call), newestOf(versions)))
}

const purge = (vault: Vault) => (call: Call) => {
  if (!vault.secrets.purge(nameOf(call))) return deletedNotFound(vault, call)
  call.entry.outcome = "ok"
  return HttpServerResponse.empty({ status: 204 })
}

export const secretRoutes = (vault: Vault, host: Host): ReadonlyArray<Route> => {
  const route = (
    method: Route["method"],
    paths: Route["paths"],
    permission: Permission,
    serve: (vault: Vault) => (call: Call) => Response
  ): Route => ({
    host,
    method,
    paths,
    gate: (call) => authenticate(vault, call),
    serve: (call) => refuse(vault, call, permission) ?? serve(vault)(call)
  })
  return [
    route("GET", ["/secrets/:name", "/secrets/:name/", "/secrets/:name/:version"], permissions.get, get),
    route("PUT", ["/secrets/:name"], permissions.set, set),
    route("PATCH", ["/secrets/:name/:version", "/secrets/:name/", "/secrets/:name"], permissions.update, update),
    route("DELETE", ["/secrets/:name"], permissions.delete, remove),
    route("GET", ["/secrets"], permissions.list, list),
    route("GET", ["/secrets/:name/versions"], permissions.list, listVersions),
    route("GET", ["/deletedsecrets"], permissions.list, listDeleted),
    route("GET", ["/deletedsecrets/:name"], permissions.getDeleted, getDeleted),
    route("POST", ["/deletedsecrets/:name/recover"], permissions.recover, recover),
    route("DELETE", ["/deletedsecrets/:name"], permissions.purge, purge)
  ]
}
