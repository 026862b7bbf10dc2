import { connect as connectTcp, type Socket } from "node:net"
import { connect as connectTls } from "node:tls"
import { assert, it } from "@effect/vitest"
import { FakeIms, FakeImsServer, FakeKeyVaultServer } from "@effect-itwin/testing"
import { Context, Effect, Exit, Layer, Scope } from "effect"
import { selfSigned } from "../src/internal/serve/certificate.ts"

const ims = (options?: FakeImsServer.Options) =>
  Effect.map(Layer.build(FakeImsServer.layer(options)), (context) => {
    return Context.get(context, FakeIms.FakeIms).environment.apiBaseUrl
  })

const vault = (options?: FakeKeyVaultServer.Options) =>
  Effect.map(Layer.build(FakeKeyVaultServer.layer(options)), (context) => {
    return Context.get(context, FakeKeyVaultServer.Endpoint).url
  })

/** Waits for the first of these events of the socket. */
const comes = (socket: Socket, ...events: ReadonlyArray<"connect" | "data" | "close">) =>
  new Promise<string>((resolve) => {
    // A connection that is destroyed may end with a reset.
    socket.on("error", () => {})
    for (const event of events) socket.once(event, () => resolve(event))
  })

it.live.each([
  ["FakeImsServer over http", ims()],
  ["FakeImsServer over https", ims({ tls: selfSigned(["127.0.0.1"]) })],
  ["FakeKeyVaultServer over http", vault({ tls: false })],
  ["FakeKeyVaultServer over https", vault()]
] as const)("%s ends the connections that its clients keep open when it is closed", ([, server]) =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    const { protocol, host, hostname, port } = new URL(yield* Scope.provide(server, scope))
    const at = { host: hostname, port: Number(port) }
    const silent = connectTcp(at)
    yield* Effect.promise(() => comes(silent, "connect"))
    const kept = protocol === "https:" ? connectTls({ ...at, rejectUnauthorized: false }) : connectTcp(at)
    kept.write(`GET /nothing HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
    // Its answer also shows that the server has accepted the silent connection, which came first.
    assert.strictEqual(yield* Effect.promise(() => comes(kept, "data", "close")), "data")
    const ended = Promise.all([comes(silent, "close"), comes(kept, "close")])
    yield* Scope.close(scope, Exit.void)
    assert.deepStrictEqual(yield* Effect.promise(() => ended), ["close", "close"])
  })
)
