// Builds elements. Texts are never parsed as HTML.
import type { Masked } from "./wire.ts"

type Child = Node | string | undefined

export const h = <K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Readonly<Record<string, string | boolean | undefined>> = {},
  ...children: ReadonlyArray<Child>
): HTMLElementTagNameMap[K] => {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "")
    else if (typeof value === "string") element.setAttribute(name, value)
  }
  element.append(...children.filter((child) => child !== undefined))
  return element
}

export const byId = (id: string): HTMLElement => {
  const found = document.getElementById(id)
  if (found === null) throw new Error(`The page has no element ${id}.`)
  return found
}

export const button = (label: string, onClick: () => void, attributes: Readonly<Record<string, string>> = {}) => {
  const element = h("button", { type: "button", ...attributes }, label)
  element.addEventListener("click", onClick)
  return element
}

/** Tells a screen reader what changed elsewhere on the page. */
export const announce = (text: string): void => {
  byId("announcer").textContent = text
}

/** Browsers give a page the clipboard only on https and loopback; selecting the text works everywhere. */
const copy = async (text: string): Promise<boolean> => {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    const area = h("textarea", { class: "hidden", "aria-hidden": "true" })
    area.value = text
    document.body.append(area)
    area.select()
    const done = document.execCommand("copy")
    area.remove()
    return done
  }
}

export const copyButton = (what: string, text: () => string): HTMLButtonElement => {
  const label = h("span", {}, "Copy")
  const element = h(
    "button",
    { type: "button", class: "small copy" },
    label,
    h("span", { class: "hidden" }, ` ${what}`)
  )
  element.addEventListener("click", () => {
    void copy(text()).then((done) => {
      label.textContent = done ? "Copied" : "Failed"
      announce(done ? `Copied ${what}.` : `The browser does not allow copying. Select the text instead.`)
      setTimeout(() => {
        label.textContent = "Copy"
      }, 1500)
    })
  })
  return element
}

export type Language = "shell" | "ts" | "json" | "text"

const patterns: Readonly<Record<Language, RegExp>> = {
  shell: /(?<comment>^#.*$)|(?<string>'(?:[^'\\]|\\.)*')|(?<key>^curl|^export|^node|(?<=\s)-{1,2}[A-Za-z-]+)/gm,
  ts: /(?<comment>\/\/.*$)|(?<string>"(?:[^"\\\n]|\\.)*")|\b(?<key>import|from|const|yield|await|return|function|new|type)\b/gm,
  json: /(?<key>^HTTP\/1\.1 .*$|^[a-z-]+(?=: )|"(?:[^"\\]|\\.)*"(?=:))/gm,
  text: /(?<key>^GET|(?<=^\s*[?&] )\w+(?==)|^\w+(?==))/gm
}

/** Returns the text with colors for strings, comments and names. */
const highlighted = (language: Language, text: string): ReadonlyArray<Node | string> => {
  const pattern = patterns[language]
  const nodes: Array<Node | string> = []
  let at = 0
  for (const match of text.matchAll(pattern)) {
    const [kind] = Object.entries(match.groups ?? {}).find(([, value]) => value !== undefined) ?? []
    nodes.push(text.slice(at, match.index), h("span", { class: `hl-${kind}` }, match[0]))
    at = match.index + match[0].length
  }
  return [...nodes, text.slice(at)]
}

export interface Block {
  readonly title: string
  readonly language: Language
  readonly text: Masked | string
  /** What is copied, if that is another text. */
  readonly copied?: string
  /** What a button shows: "secret". */
  readonly secret?: string
  readonly status?: number
}

/** Returns a text with a title, a button that copies it, and one that shows its secrets. */
export const codeBlock = ({ title, language, text, copied, secret = "secret", status }: Block): HTMLElement => {
  const { masked, full } = typeof text === "string" ? { masked: text, full: text } : text
  const code = h("code", {}, ...highlighted(language, masked))
  const buttons = h("span", { class: "buttons" })
  if (masked !== full) {
    const toggle: HTMLButtonElement = button(
      `Show ${secret}`,
      () => {
        const shown = toggle.getAttribute("aria-pressed") !== "true"
        toggle.setAttribute("aria-pressed", String(shown))
        code.replaceChildren(...highlighted(language, shown ? full : masked))
      },
      { class: "small", "aria-pressed": "false" }
    )
    buttons.append(toggle)
  }
  buttons.append(copyButton(title, () => copied ?? full))
  return h("figure", { class: "block" }, h("figcaption", {}, statusTitle(title, status), buttons), h("pre", {}, code))
}

export const badge = (status: number | undefined): HTMLElement =>
  h("span", { class: `badge ${status === undefined || status >= 400 ? "bad" : "good"}` }, String(status ?? "…"))

const statusTitle = (title: string, status: number | undefined): HTMLElement =>
  status === undefined ? h("span", {}, title) : h("span", {}, title, " ", badge(status))

let tabLists = 0

/** Returns panels of which one is shown. Arrow keys move between the tabs. */
export const tabs = (label: string, panels: Readonly<Record<string, HTMLElement>>): HTMLElement => {
  const [only, ...others] = Object.values(panels)
  if (only !== undefined && others.length === 0) return only
  const prefix = `tabs${++tabLists}`
  const list = h("div", { role: "tablist", "aria-label": label, class: "tabs" })
  const entries = Object.entries(panels).map(([name, content], index) => {
    const tab = h("button", { type: "button", role: "tab", id: `${prefix}-${index}` }, name)
    tab.setAttribute("aria-controls", `${prefix}-panel-${index}`)
    const panel = h("div", { role: "tabpanel", id: `${prefix}-panel-${index}`, "aria-labelledby": tab.id }, content)
    return { tab, panel }
  })
  const select = (index: number, focus = false): void => {
    for (const [other, { tab, panel }] of entries.entries()) {
      tab.setAttribute("aria-selected", String(other === index))
      tab.tabIndex = other === index ? 0 : -1
      panel.hidden = other !== index
      if (focus && other === index) tab.focus()
    }
  }
  for (const [index, { tab }] of entries.entries()) {
    tab.addEventListener("click", () => select(index))
    tab.addEventListener("keydown", ({ key }) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[key]
      if (step !== undefined) select((index + step + entries.length) % entries.length, true)
    })
    list.append(tab)
  }
  select(0)
  return h("div", {}, list, ...entries.map(({ panel }) => panel))
}

/** Returns names with values, each with a button that copies it where `copied` says so. */
export const facts = (
  rows: ReadonlyArray<{
    readonly name: string
    readonly value: Child
    readonly copied?: string
    readonly note?: string
    /** Whether the value is a sentence. */
    readonly isProse?: boolean
  }>
): HTMLElement =>
  h(
    "dl",
    { class: "facts" },
    ...rows.map(({ name, value, copied, note, isProse }) =>
      h(
        "div",
        {},
        h("dt", {}, name),
        h(
          "dd",
          {},
          h("span", { class: isProse === true ? "prose" : "value" }, value),
          copied === undefined ? undefined : copyButton(name, () => copied),
          note === undefined ? undefined : h("span", { class: "note" }, note)
        )
      )
    )
  )
