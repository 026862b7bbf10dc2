// One connection to Redis, opened when a step needs it and closed when it is idle, because a Redis server accepts 10,000
// clients by default and a replica needs its store for a moment in each half-hour.
//
// - Connecting belongs to the layer, and has its own limit: a step that can't wait for it is interrupted, and the next
//   step finds the connection ready.
// - A command is sent only while its caller waits. So a claim whose caller has gone does not take the lease later.
// - An interrupted command was not answered in time: its connection is not used again.
import type { RedisClient, RedisFunctions, RedisModules, RedisScripts, TypeMapping } from "@redis/client"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberHandle from "effect/FiberHandle"
import { constVoid } from "effect/Function"
import * as Redis from "effect/persistence/Redis"
import type { Address } from "./address.ts"

// The base class: it sends any command. `createClient` adds a method for each command that Redis knows, in 40 ms.
type Client = RedisClient<RedisModules, RedisFunctions, RedisScripts, 2, TypeMapping>

interface Connection {
  readonly client: Client
  readonly ready: Deferred.Deferred<void, Redis.RedisError>
  commands: number
}

interface Options {
  readonly address: Address
  readonly idle: Duration.Duration
  /** The time limit of a command. */
  readonly timeout: Duration.Duration
}

/** A process that starts on a busy machine needs more time than a command does. */
export const connectMillis = 2_000

const closed = new Redis.RedisError({ cause: new Error("The store is closed") })

const failed = (cause: unknown) => new Redis.RedisError({ cause })

export const makeConnection = Effect.fnUntraced(function* ({ address, idle, timeout }: Options) {
  // Takes a quarter of a second, which is not part of a step's limit.
  const { ConnectionTimeoutError, RedisClient, SocketTimeoutError } = yield* Effect.promise(
    () => import("@redis/client")
  )
  const scope = yield* Effect.scope
  const idling = yield* FiberHandle.make<void>()
  let current: Connection | undefined
  let isClosed = false

  const newClient = (): Client => {
    const { database, host, isTls, password, port, username } = address
    // Each client gets its own options, because it changes them.
    const client: Client = new RedisClient({
      RESP: 2,
      socket: { host, port, ...(isTls ? { tls: true } : {}), connectTimeout: connectMillis, reconnectStrategy: false },
      database,
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password }),
      // Otherwise a command that is sent while the socket is lost would run later.
      disableOfflineQueue: true,
      disableClientInfo: true
    })
    // Without a listener the event would end the process. Each command fails with the error too.
    client.on("error", constVoid)
    return client
  }

  const forget = (connection: Connection) => {
    if (current === connection) current = undefined
  }

  /** Waits for the commands of other steps. */
  const close = ({ client }: Connection) =>
    Effect.suspend(() => (client.isOpen ? Effect.promise(() => client.close()) : Effect.void)).pipe(
      Effect.timeoutOption(timeout),
      Effect.ignoreCause,
      Effect.ensuring(Effect.sync(() => client.destroy()))
    )

  const closeWhenIdle = (connection: Connection) =>
    FiberHandle.run(
      idling,
      Effect.delay(
        Effect.suspend(() => {
          if (current !== connection || connection.commands > 0) return Effect.void
          forget(connection)
          return close(connection)
        }),
        idle
      )
    )

  const connect = (connection: Connection) => {
    const { client, ready } = connection
    return Effect.tryPromise({
      // A client that was destroyed while it connected keeps the socket that it gets then.
      try: () =>
        client.connect().then(() => {
          if (!client.isOpen) client.destroy()
        }),
      catch: failed
    }).pipe(
      Effect.timeoutOrElse({
        duration: connectMillis,
        orElse: () => Effect.fail(failed(new ConnectionTimeoutError()))
      }),
      Effect.onError(() => Effect.sync(() => client.destroy())),
      // The step that needed it may have gone.
      Effect.andThen(closeWhenIdle(connection)),
      (connecting) => Deferred.into(Effect.asVoid(connecting), ready)
    )
  }

  const open = Effect.suspend(() => {
    const connection: Connection = { client: newClient(), ready: Deferred.makeUnsafe(), commands: 0 }
    current = connection
    return Effect.as(Effect.forkIn(connect(connection), scope, { startImmediately: true }), connection)
  })

  const opened = Effect.suspend(() => {
    if (isClosed) return Effect.fail(closed)
    return current?.client.isOpen === true ? Effect.succeed(current) : open
  })

  const send = <A = unknown>(command: string, ...args: ReadonlyArray<string>): Effect.Effect<A, Redis.RedisError> =>
    Effect.gen(function* () {
      const connection = yield* opened
      yield* Deferred.await(connection.ready)
      connection.commands++
      return yield* Effect.tryPromise({
        try: () => connection.client.sendCommand<A>([command, ...args]),
        catch: failed
      }).pipe(
        Effect.onExit((exit) => {
          connection.commands--
          if (Exit.hasInterrupts(exit)) {
            forget(connection)
            return Effect.asVoid(Effect.forkIn(close(connection), scope, { startImmediately: true }))
          }
          return isClosed ? Effect.void : Effect.asVoid(closeWhenIdle(connection))
        }),
        Effect.timeoutOrElse({
          duration: timeout,
          orElse: () => Effect.fail(failed(new SocketTimeoutError(Duration.toMillis(timeout))))
        })
      )
    })

  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      isClosed = true
      return current === undefined ? Effect.void : close(current)
    })
  )

  return yield* Redis.make({
    send,
    // The store needs neither.
    subscribe: () => Effect.fail(closed),
    connect: Effect.fail(closed)
  })
})
