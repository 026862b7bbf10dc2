// Shows the journal: newest first, filtered, one entry open in full.
import { badge, byId, facts, h } from "./dom.ts"
import { type Entry, kept, type Listener } from "./feed.ts"
import { pretty } from "./wire.ts"

interface Row {
  entry: Entry
  readonly element: HTMLDetailsElement
  readonly summary: HTMLElement
}

const timeOf = (at: number): string => {
  const date = new Date(at)
  return `${date.toTimeString().slice(0, 8)}.${String(date.getMilliseconds()).padStart(3, "0")}`
}

const isFailure = ({ status, outcome }: Entry): boolean => status === undefined || status >= 400 || outcome === "fault"

const list = (record: Readonly<Record<string, string>>): string =>
  Object.entries(record)
    .map(([name, value]) => `${name}: ${value}`)
    .join("\n")

const details = (entry: Entry): HTMLElement => {
  const rows = [
    ["Arrived", new Date(entry.at).toISOString()],
    ["Outcome", entry.outcome],
    ["Why", entry.explanation],
    ["Route", entry.route],
    ["Client", entry.clientId],
    ["Authentication", entry.authentication],
    ["Secret", entry.secretVersion === undefined ? undefined : `number ${entry.secretVersion} of the app`],
    ["Fault", entry.fault],
    ["Correlation id", entry.correlationId],
    ["Concurrency", String(entry.concurrency)]
  ] as const
  const texts = [
    ["Query", list(entry.query)],
    ["Headers", list(entry.headers)],
    ["Form", list(entry.form)],
    ["Body", pretty(entry.body ?? "")]
  ] as const
  return h(
    "div",
    { class: "entry" },
    facts(rows.flatMap(([name, value]) => (value === undefined ? [] : [{ name, value, isProse: name === "Why" }]))),
    ...texts.flatMap(([name, text]) => (text === "" ? [] : [h("h3", {}, name), h("pre", {}, h("code", {}, text))]))
  )
}

const summaryOf = (entry: Entry): ReadonlyArray<HTMLElement> => [
  h("span", { class: "time" }, timeOf(entry.at)),
  h("span", { class: "request" }, h("b", {}, entry.method), " ", entry.path),
  h("span", { class: "outcome" }, entry.outcome === "ok" ? "" : entry.outcome),
  badge(entry.status)
]

const selectById = (id: string): HTMLSelectElement => {
  const found = byId(id)
  if (!(found instanceof HTMLSelectElement)) throw new Error(`${id} is not a select.`)
  return found
}

export const makeJournal = (): Listener => {
  const target = byId("entries")
  const route = selectById("filter-route")
  const outcome = selectById("filter-outcome")
  const count = byId("journal-count")
  const rows = new Map<number, Row>()

  const matches = ({ entry }: Row): boolean =>
    (route.value === "" || entry.route === route.value) &&
    (outcome.value === "" ||
      (outcome.value === "failed" ? isFailure(entry) : !isFailure(entry) && outcome.value === "ok") ||
      entry.outcome === outcome.value)

  const filter = (): void => {
    let shown = 0
    for (const row of rows.values()) {
      row.element.hidden = !matches(row)
      if (!row.element.hidden) shown++
    }
    const all = `${rows.size} ${rows.size === 1 ? "request" : "requests"}`
    count.textContent = shown === rows.size ? all : `${shown} of ${all}`
    byId("journal-empty").hidden = rows.size > 0
    byId("journal-none").hidden = rows.size === 0 || shown > 0
  }

  /** Adds what was not seen before to the choices. */
  const offer = (select: HTMLSelectElement, value: string): void => {
    if (![...select.options].some((option) => option.value === value)) select.append(h("option", { value }, value))
  }

  const show = (entry: Entry): void => {
    offer(route, entry.route)
    if (entry.outcome !== "ok" && entry.outcome !== "unanswered") offer(outcome, entry.outcome)
    const existing = rows.get(entry.number)
    if (existing !== undefined) {
      existing.entry = entry
      existing.summary.replaceChildren(...summaryOf(entry))
      if (existing.element.open) existing.element.lastChild?.replaceWith(details(entry))
      return
    }
    const summary = h("summary", {}, ...summaryOf(entry))
    const element = h("details", { name: "journal-entry" }, summary, h("div"))
    const row: Row = { entry, element, summary }
    element.addEventListener("toggle", () => {
      if (element.open) element.lastChild?.replaceWith(details(row.entry))
    })
    rows.set(entry.number, row)
    target.prepend(element)
  }

  const clear = (): void => {
    rows.clear()
    target.replaceChildren()
  }

  route.addEventListener("change", filter)
  outcome.addEventListener("change", filter)

  return (message) => {
    if (message.type === "clear") clear()
    if (message.type === "entries") {
      for (const entry of [...message.entries].sort((a, b) => a.number - b.number)) show(entry)
      for (const [number, { element }] of rows) {
        if (rows.size <= kept) break
        rows.delete(number)
        element.remove()
      }
    }
    if (message.type === "clear" || message.type === "entries") filter()
  }
}
