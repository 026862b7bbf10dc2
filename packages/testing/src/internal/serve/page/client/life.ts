// Counts down the life of a token on the fake's clock.
import { h } from "./dom.ts"
import { clock, type Decoded, meanings, shown } from "./token.ts"

let offset = 0

/** Sets the fake's time, which may be moved. */
export const setTime = (now: number): void => {
  offset = now - Date.now()
}

/** Returns the fake's time in seconds. */
export const now = (): number => (Date.now() + offset) / 1000

/** Returns the remaining life of the token, which counts down as long as it is on the page. */
export const remaining = ({ claims }: Decoded): HTMLElement | undefined => {
  const { exp, iat } = claims
  if (typeof exp !== "number" || typeof iat !== "number") return undefined
  const text = h("span", { role: "timer" })
  const bar = h("progress", { max: String(Math.max(1, exp - iat)), "aria-label": "Remaining life of the token" })
  const label = h("span", {}, "Expires in")
  const element = h("div", { class: "life" }, h("p", {}, label, text), bar)
  const update = (): void => {
    const left = exp - now()
    bar.value = Math.max(0, left)
    element.toggleAttribute("data-over", left <= 0)
    label.textContent = left > 0 ? "Expires in" : "Expired"
    text.textContent = left > 0 ? clock(left) : `${clock(-left)} ago`
  }
  update()
  const timer = setInterval(() => {
    if (element.isConnected) update()
    else clearInterval(timer)
  }, 1000)
  return element
}

const table = (caption: string, values: Readonly<Record<string, unknown>>): HTMLElement =>
  h(
    "table",
    { class: "claims" },
    h("caption", {}, caption),
    h(
      "tbody",
      {},
      ...Object.entries(values).map(([name, value]) =>
        h(
          "tr",
          {},
          h("th", { scope: "row" }, h("code", {}, name), h("span", {}, meanings[name] ?? "")),
          h("td", {}, shown(name, value))
        )
      )
    )
  )

/** Returns the parts of a token. */
export const parts = ({ header, claims }: Decoded): HTMLElement =>
  h("div", { class: "step" }, table("Header", header), table("Claims", claims))
