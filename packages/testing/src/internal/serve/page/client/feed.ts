// Follows the journal over one connection, for any number of readers: a browser allows six connections to one origin.

export interface Entry {
  readonly number: number
  readonly at: number
  readonly route: string
  readonly method: string
  readonly path: string
  readonly query: Readonly<Record<string, string>>
  readonly headers: Readonly<Record<string, string>>
  readonly form: Readonly<Record<string, string>>
  readonly body?: string
  readonly correlationId: string
  readonly concurrency: number
  readonly clientId?: string
  readonly authentication?: string
  readonly secretVersion?: number
  readonly fault?: string
  readonly status?: number
  readonly outcome: string
  readonly explanation?: string
}

export type Message =
  /** Whether the fake answers; `unauthorized` if it requires another admin token. */
  | { readonly type: "state"; readonly state: "connecting" | "open" | "closed" | "unauthorized" }
  /** The process that answers, and its time. Another process has another `instance`. */
  | { readonly type: "time"; readonly instance: string; readonly now: number }
  /** The entries are gone: because the journal was cleared, or because another process answers. */
  | { readonly type: "clear"; readonly isRestart: boolean }
  | { readonly type: "entries"; readonly entries: ReadonlyArray<Entry> }

export type Listener = (message: Message) => void

/** How many entries are kept for readers that come later. */
export const kept = 300

/** Longer than the fake is ever silent. */
const longestSilence = 8_000

const pauses = [300, 700, 1500, 3000]

export const makeFeed = () => {
  const listeners = new Set<Listener>()
  const entries = new Map<number, Entry>()
  let state: Extract<Message, { type: "state" }> = { type: "state", state: "connecting" }
  let time: Extract<Message, { type: "time" }> | undefined
  let lastId: string | undefined
  let token: string | undefined
  let running: AbortController | undefined

  const post = (message: Message): void => {
    for (const listener of listeners) listener(message)
  }

  const change = (next: typeof state.state): void => {
    if (state.state === next) return
    state = { type: "state", state: next }
    post(state)
  }

  const clear = (isRestart: boolean): void => {
    entries.clear()
    post({ type: "clear", isRestart })
  }

  /** Handles the events that arrived together. */
  const receive = (events: ReadonlyArray<string>): void => {
    const arrived = new Map<number, Entry>()
    for (const event of events) {
      const fields = new Map(
        event.split("\n").map((line) => [line.split(": ", 1)[0], line.slice(line.indexOf(": ") + 2)])
      )
      const name = fields.get("event")
      if (name === undefined) continue
      const data = JSON.parse(fields.get("data") ?? "{}")
      if (name === "entry") arrived.set(data.number, data)
      if (name === "clear") {
        arrived.clear()
        clear(false)
      }
      if (name === "start" && time !== undefined && time.instance !== data.instance) clear(true)
      if (name === "start" || name === "time") {
        time = { type: "time", instance: data.instance, now: data.now }
        post(time)
      }
      lastId = fields.get("id") ?? lastId
    }
    if (arrived.size === 0) return
    for (const [number, entry] of arrived) entries.set(number, entry)
    for (const number of entries.keys()) {
      if (entries.size <= kept) break
      entries.delete(number)
    }
    post({ type: "entries", entries: [...arrived.values()] })
  }

  /** Reads one connection to its end. */
  const read = async (controller: AbortController): Promise<void> => {
    let watchdog = setTimeout(() => controller.abort(), longestSilence)
    try {
      const response = await fetch("/__admin/journal/events?limit=200", {
        cache: "no-store",
        credentials: "omit",
        signal: controller.signal,
        headers: {
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...(lastId === undefined ? {} : { "last-event-id": lastId })
        }
      })
      if (response.status === 401) return change("unauthorized")
      if (!response.ok || response.body === null) return change("closed")
      change("open")
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
      let text = ""
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        clearTimeout(watchdog)
        watchdog = setTimeout(() => controller.abort(), longestSilence)
        const events = (text + part.value).split("\n\n")
        text = events.pop() ?? ""
        receive(events)
      }
    } finally {
      clearTimeout(watchdog)
    }
  }

  const run = async (): Promise<void> => {
    const controller = new AbortController()
    running?.abort()
    running = controller
    for (let failures = 0; running === controller; failures++) {
      const attempt = new AbortController()
      controller.signal.addEventListener("abort", () => attempt.abort())
      await read(attempt).catch(() => {})
      if (running !== controller || state.state === "unauthorized") return
      if (state.state === "open") failures = 0
      change("closed")
      await new Promise((resolve) => setTimeout(resolve, pauses[Math.min(failures, pauses.length - 1)]))
    }
  }

  return {
    /** Begins to send messages to the listener: first what is known. */
    add: (listener: Listener, adminToken: string | undefined): void => {
      // The fake accepts the other token, so it does not accept this one. The other tabs go on.
      if (state.state === "open" && token !== adminToken) {
        listener({ type: "state", state: "unauthorized" })
        return
      }
      listeners.add(listener)
      const isNew = running === undefined || token !== adminToken || state.state === "unauthorized"
      token = adminToken
      if (isNew) {
        state = { type: "state", state: "connecting" }
        void run()
      }
      listener(state)
      if (time !== undefined) listener(time)
      if (entries.size > 0) listener({ type: "entries", entries: [...entries.values()] })
    },
    remove: (listener: Listener): void => {
      listeners.delete(listener)
    }
  }
}
