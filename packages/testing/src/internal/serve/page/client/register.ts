// Step 1: registers an application at the fake.
import { announce, button, byId, codeBlock, facts, h, tabs } from "./dom.ts"
import { admin, Refused } from "./http.ts"
import { type App, type AppType, save, session } from "./session.ts"
import * as snippets from "./snippets.ts"
import { inputById, messageOf, perform, withAdminToken } from "./task.ts"

const hints: Readonly<Record<AppType, string>> = {
  service: "A backend without users. The application signs in as itself.",
  web: "A web server with users. It has a secret, and signs users in with a code and PKCE.",
  native: "A desktop or mobile program with users. It has no secret, and signs users in with a code and PKCE.",
  spa: "A program in the browser with users. It has no secret, and signs users in with a code and PKCE."
}

const types: ReadonlyArray<AppType> = ["service", "web", "native", "spa"]

/** The address to which a sign-in returns. */
export const pageAddress = `${location.origin}/`

interface Registered {
  readonly name: string
  readonly clientId: string
  readonly clientSecret?: string
  readonly clientEmail?: string
  readonly scopes: ReadonlyArray<string>
}

const fields = ["name", "scopes", "redirects"] as const

const textarea = (): HTMLTextAreaElement => {
  const found = byId("redirects")
  if (!(found instanceof HTMLTextAreaElement)) throw new Error("redirects is not a textarea.")
  return found
}

const inputOf = (field: (typeof fields)[number]): HTMLInputElement | HTMLTextAreaElement =>
  field === "redirects" ? textarea() : inputById(field)

const words = (text: string): ReadonlyArray<string> => text.split(/\s+/).filter((word) => word !== "")

const chosenType = (): AppType =>
  types.find((type) => document.querySelector<HTMLInputElement>(`input[name="type"][value="${type}"]`)?.checked) ??
  "service"

/** The platform gives no refresh token to single-page apps. */
const usualScopes: Readonly<Record<AppType, string>> = {
  service: "itwin-platform",
  web: "openid profile email offline_access itwin-platform",
  native: "openid profile email offline_access itwin-platform",
  spa: "openid profile email itwin-platform"
}

const showType = (): void => {
  const type = chosenType()
  byId("type-hint").textContent = hints[type]
  byId("field-redirects").hidden = type === "service"
  // What the reader wrote stays.
  const scopes = inputById("scopes")
  if (Object.values(usualScopes).includes(scopes.value)) scopes.value = usualScopes[type]
}

/** Shows each problem at its field. The fake's message begins with the name of the field. */
const showProblems = (message: string): void => {
  const places = new Map([
    ["name", "name"],
    ["scopes", "scopes"],
    ["redirectUris", "redirects"]
  ])
  const others: Array<string> = []
  const problems = new Map<string, string>()
  for (const line of message.split("\n")) {
    const [, place = "", text = ""] = /^(name|scopes|redirectUris)(?:\[\d+\])?: (.*)$/.exec(line) ?? []
    const field = places.get(place)
    if (field === undefined) others.push(line)
    else problems.set(field, text)
  }
  let first: HTMLElement | undefined
  for (const field of fields) {
    const problem = problems.get(field)
    const input = inputOf(field)
    const error = byId(`${field}-error`)
    error.hidden = problem === undefined
    error.textContent = problem ?? ""
    if (problem === undefined) input.removeAttribute("aria-invalid")
    else {
      input.setAttribute("aria-invalid", "true")
      first ??= input
    }
  }
  const form = byId("form-error")
  form.hidden = others.length === 0 || message === ""
  form.textContent = others.join("\n")
  first?.focus()
  if (problems.size > 0) announce([...problems.values()].join(" "))
}

export const register = async (app: Pick<App, "type" | "name" | "scopes" | "redirectUris">): Promise<void> => {
  const { type, name, scopes, redirectUris } = app
  const made = await admin<Registered>("POST /__admin/apps", {
    name,
    scopes,
    ...(type === "service" ? {} : { type, redirectUris, postLogoutRedirectUris: redirectUris })
  })
  save({
    app: {
      type,
      name: made.name,
      clientId: made.clientId,
      clientSecret: made.clientSecret,
      clientEmail: made.clientEmail,
      scopes: made.scopes,
      redirectUris
    },
    tokens: undefined,
    transaction: undefined
  })
}

/** Shows the registered app. Only right after the registration the secret is shown, as on the platform. */
export const showRegistered = (isNew: boolean, onChange: (isNew: boolean) => void): void => {
  const target = byId("registered")
  const { app } = session
  byId("register").hidden = app !== undefined
  document.querySelector("#title-1 .number")?.toggleAttribute("data-done", app !== undefined)
  target.replaceChildren()
  if (app === undefined) return
  const { clientEmail, clientId, clientSecret, name, redirectUris, scopes, type } = app
  const problem = h("div")
  const regenerate: HTMLButtonElement = button(
    "Generate a new one",
    () =>
      void perform(regenerate, problem, async () => {
        const { clientSecret } = await admin<Registered>(`POST /__admin/apps/${clientId}/secret`, {})
        save({ app: { ...app, clientSecret } })
        onChange(true)
        announce("The application has a new secret. The earlier one is not valid any more.")
      }),
    { class: "small" }
  )
  const secret =
    clientSecret === undefined
      ? []
      : isNew
        ? [
            {
              name: "Client secret",
              value: clientSecret,
              copied: clientSecret,
              note: "The secret is shown once. Copy it now."
            }
          ]
        : [
            {
              name: "Client secret",
              value: h("span", {}, "•••••••• "),
              note: "The secret was shown at the registration."
            }
          ]
  const list = facts([
    { name: "Name", value: name },
    { name: "Client id", value: clientId, copied: clientId },
    ...secret,
    { name: "Scopes", value: scopes.join(" ") },
    ...(type === "service" ? [] : [{ name: "Redirect addresses", value: redirectUris.join(" ") }]),
    ...(clientEmail === undefined || type !== "service"
      ? []
      : [
          {
            name: "E-mail",
            value: clientEmail,
            copied: clientEmail,
            note: "An iTwin invites the application by this e-mail."
          }
        ])
  ])
  if (clientSecret !== undefined && !isNew) list.querySelector("div:nth-child(3) dd .value")?.after(regenerate)
  const heading = h("h3", { tabindex: "-1", class: "done" }, `“${name}” is registered.`)
  const another = button("Register another application", () => {
    save({ app: undefined, tokens: undefined, transaction: undefined })
    onChange(false)
    byId("name").focus()
  })
  target.replaceChildren(
    heading,
    list,
    problem,
    h(
      "details",
      { class: "parts" },
      h("summary", {}, "The same in code"),
      tabs("The same in code", {
        "In a test": codeBlock({ title: "register.ts", language: "ts", text: snippets.register(app) }),
        ...(type === "service"
          ? {
              "In a shell": codeBlock({
                title: "Variables for a program",
                language: "shell",
                text: snippets.variables(location.origin, app)
              })
            }
          : {})
      })
    ),
    h("div", { class: "buttons" }, another)
  )
  if (isNew) heading.focus()
}

export const initRegister = (onChange: (isNew: boolean) => void): void => {
  const form = byId("register")
  const submit = form.querySelector<HTMLButtonElement>("button[type=submit]")
  textarea().value = pageAddress
  for (const type of types) {
    document.querySelector(`input[name="type"][value="${type}"]`)?.addEventListener("change", showType)
  }
  showType()
  form.addEventListener("submit", (event) => {
    event.preventDefault()
    if (submit === null || submit.getAttribute("aria-disabled") === "true") return
    submit.setAttribute("aria-disabled", "true")
    const type = chosenType()
    const app = {
      type,
      name: inputById("name").value,
      scopes: words(inputById("scopes").value),
      redirectUris: type === "service" ? [] : words(textarea().value)
    }
    withAdminToken(() => register(app))
      .then(
        () => {
          showProblems("")
          onChange(true)
          announce(`${app.name} is registered. The client id follows.`)
        },
        (error: unknown) => showProblems(error instanceof Refused ? error.message : messageOf(error))
      )
      .finally(() => submit.removeAttribute("aria-disabled"))
  })
}
