// Serves a fake on Node's own HTTP server: where it listens, and how it stops.
import type { Server } from "node:http"
import type { Socket } from "node:net"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as HttpServerError from "effect/http/HttpServerError"
import type * as Scope from "effect/Scope"
import { FakeError } from "../engine/fakeError.ts"
import { type Handler, makeListener } from "./exchange.ts"

/**
 * Makes a server. An `import` of `node:http` would also load Node's HTTP client with `fetch`, which takes a third of the
 * time that the command needs to start.
 */
const createServer = (tls: ListenOptions["tls"]): Server =>
  tls === undefined
    ? process.getBuiltinModule("node:http").createServer()
    : process.getBuiltinModule("node:https").createServer(tls)

/** Says why a server does not start. */
export const serveError = (message: string): HttpServerError.ServeError =>
  new HttpServerError.ServeError({ cause: new FakeError({ message }) })

export interface ListenOptions {
  /** The address to listen on; both loopback addresses if it is absent or `localhost`. */
  readonly host: string | undefined
  /** 0 takes a free port. */
  readonly port: number
  /** Serves https if it is given. */
  readonly tls: { readonly cert: string; readonly key: string } | undefined
}

export interface Listening {
  /** The port of all its addresses. */
  readonly port: number
  /** Answers requests from now on, those included that have arrived already. Closing the scope stops the server. */
  readonly serve: (handler: Handler) => Effect.Effect<void, never, Scope.Scope>
}

const explanations: Readonly<Record<string, string>> = {
  EADDRINUSE: "another program uses it. Choose another port, or 0 for a free one",
  EACCES: "this user may not use it. Choose a port of 1024 or higher",
  EADDRNOTAVAIL: "this machine does not have the address. Choose one that it has",
  ENOTFOUND: "the name is unknown. Choose an address of this machine"
}

const cannotListen = (host: string, port: number, code: string): HttpServerError.ServeError =>
  serveError(
    `The server can't listen on ${host || "every address"}, port ${port}: ${explanations[code] ?? "the system refuses it"} (${code}).`
  )

/** Starts to listen, and returns the port. Fails with the code of the system's error. */
const bind = (server: Server, host: string, port: number): Effect.Effect<number, string> =>
  Effect.callback((resume) => {
    const failed = (cause: NodeJS.ErrnoException) => resume(Effect.fail(cause.code ?? cause.message))
    server.once("error", failed)
    server.listen({ host, port }, () => {
      server.off("error", failed)
      // A connection that can't be accepted, for example because too many files are open, must not end the process.
      server.on("error", () => {})
      const address = server.address()
      resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : port))
    })
  })

const stop = (server: Server): Effect.Effect<void> =>
  Effect.callback((resume) => {
    server.close(() => resume(Effect.void))
  })

interface Bound {
  readonly port: number
  readonly servers: ReadonlyArray<Server>
}

/** Lists the error codes of a machine without IPv6. */
const lacksIpv6 = new Set(["EADDRNOTAVAIL", "EAFNOSUPPORT"])

/** Limits how many free ports are tried until one is free on both loopback addresses. */
const attempts = 20

/** Listens on both loopback addresses, because programs resolve `localhost` to either. */
const bindLoopback = (
  make: () => Server,
  port: number,
  attempt = 1
): Effect.Effect<Bound, HttpServerError.ServeError> =>
  Effect.gen(function* () {
    const [ipv4, ipv6] = [make(), make()]
    const bound = yield* Effect.mapError(bind(ipv4, "127.0.0.1", port), (code) => cannotListen("127.0.0.1", port, code))
    return yield* Effect.matchEffect(bind(ipv6, "::1", bound), {
      onSuccess: () => Effect.succeed<Bound>({ port: bound, servers: [ipv4, ipv6] }),
      onFailure: (code) => {
        if (lacksIpv6.has(code)) return Effect.succeed<Bound>({ port: bound, servers: [ipv4] })
        return Effect.andThen(
          stop(ipv4),
          code === "EADDRINUSE" && port === 0 && attempt < attempts
            ? bindLoopback(make, port, attempt + 1)
            : Effect.fail(cannotListen("::1", bound, code))
        )
      }
    })
  })

const bindOne = (make: () => Server, host: string, port: number): Effect.Effect<Bound, HttpServerError.ServeError> => {
  const server = make()
  return Effect.mapBoth(bind(server, host, port), {
    onFailure: (code) => cannotListen(host, port, code),
    onSuccess: (port) => ({ port, servers: [server] })
  })
}

/** Tells connections apart. A TLS socket has the same ends as the TCP socket below it. */
const endsOf = ({ remoteAddress, remotePort, localAddress }: Socket): string =>
  `${remoteAddress} ${remotePort} ${localAddress}`

/**
 * The open connections. Node's `closeAllConnections` knows a connection only once it speaks HTTP, and over TLS only
 * once its handshake began.
 */
const makeConnections = () => {
  const open = new Map<Socket, string>()
  const byEnds = new Map<string, Socket>()
  return {
    add: (socket: Socket) => {
      const ends = endsOf(socket)
      open.set(socket, ends)
      byEnds.set(ends, socket)
      socket.once("close", () => {
        open.delete(socket)
        if (byEnds.get(ends) === socket) byEnds.delete(ends)
      })
    },
    /** Returns the TCP socket of a connection. */
    tcpOf: (socket: Socket): Socket => byEnds.get(endsOf(socket)) ?? socket,
    destroyAll: Effect.sync(() => {
      for (const socket of open.keys()) socket.destroy()
    })
  }
}

/** Starts to listen. */
export const listen = Effect.fnUntraced(function* (
  options: ListenOptions
): Effect.fn.Return<Listening, HttpServerError.ServeError, Scope.Scope> {
  const { host, port, tls } = options
  const connections = makeConnections()
  const handler = yield* Deferred.make<Handler>()
  const listener = yield* makeListener(Effect.flatten(Deferred.await(handler)), connections.tcpOf)

  const make = (): Server => {
    const server = createServer(tls)
    // Longer than clients keep idle connections: else a request can meet the server's closing of its connection.
    server.keepAliveTimeout = 65_000
    server.on("connection", connections.add)
    server.on("request", (request, response) => listener(request, response, false))
    server.on("checkContinue", (request, response) => listener(request, response, true))
    return server
  }
  yield* Effect.try({ try: make, catch: (cause) => serveError(`The certificate or its key can't be used: ${cause}`) })

  const bound = host === undefined || host === "localhost" ? bindLoopback(make, port) : bindOne(make, host, port)
  /** Waits for no client: not for kept-alive connections, handshakes, or requests that hang. */
  const stopAll = ({ servers }: Bound) =>
    Effect.all([...servers.map(stop), connections.destroyAll], { concurrency: "unbounded", discard: true })
  const running = yield* Effect.acquireRelease(bound, stopAll)

  return {
    port: running.port,
    // What the handler needs is closed after the server.
    serve: (app) =>
      Effect.andThen(
        Effect.addFinalizer(() => stopAll(running)),
        Deferred.succeed(handler, app)
      )
  }
})
