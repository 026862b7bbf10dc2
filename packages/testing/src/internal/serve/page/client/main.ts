// Puts the page together.
import { showAccess } from "./access.ts"
import { showCall } from "./call.ts"
import { announce, button, byId, h } from "./dom.ts"
import { showFailures } from "./failures.ts"
import type { Message } from "./feed.ts"
import { follow } from "./follow.ts"
import { admin, Refused } from "./http.ts"
import { makeJournal } from "./journal.ts"
import { setTime } from "./life.ts"
import { initRegister, register, showRegistered } from "./register.ts"
import { type App, save, session } from "./session.ts"
import { continueSignIn, showSignIn } from "./signIn.ts"
import { askAdminToken, messageOf, perform, whenAdminTokenChanges } from "./task.ts"

const later = (text: string): HTMLElement => h("p", { class: "hint" }, text)

const showFailuresOf = (app: App | undefined): void => {
  if (app === undefined) byId("failures").replaceChildren(later("Register an application first."))
  else showFailures(app)
}

const showStep3 = (): void => {
  const { app, tokens } = session
  if (app === undefined || tokens === undefined) {
    byId("step-3").replaceChildren(later("Get an access token first."))
    document.querySelector("#title-3 .number")?.removeAttribute("data-done")
  } else showCall(app, tokens.accessToken)
}

/** Resolves when step 2 of an application with users is on the page. */
let signInShown = Promise.resolve()

const show = (isNew: boolean): void => {
  const { app } = session
  showRegistered(isNew, show)
  byId("title-2-text").textContent = app === undefined || app.type === "service" ? "Get access token" : "Sign in a user"
  if (app === undefined) byId("step-2").replaceChildren(later("Register an application first."))
  else if (app.type === "service") showAccess(app, undefined, showStep3)
  else signInShown = showSignIn(app, showStep3)
  showStep3()
  showFailuresOf(app)
}

/** Continues what another page of the fake sent the browser back with. The address must not be used again. */
const continueAfterReturn = async (): Promise<void> => {
  const { app } = session
  const query = new URLSearchParams(location.search)
  if (!query.has("state")) return
  history.replaceState(undefined, "", "/")
  if (app === undefined || app.type === "service") return
  await signInShown
  byId("title-2").scrollIntoView()
  await continueSignIn(app, query, showStep3).catch((error: unknown) => {
    byId("sign-in-result").append(h("p", { class: "error" }, messageOf(error)))
  })
}

const notice = byId("notice")

const notify = (kind: "info" | "problem", text: string, ...buttons: ReadonlyArray<HTMLElement>): void => {
  notice.dataset.kind = kind
  notice.hidden = false
  notice.replaceChildren(h("p", {}, text), ...buttons)
}

const dismiss = (): void => {
  notice.hidden = true
  notice.replaceChildren()
}

const startAgain = button("Start again", () => {
  save({ app: undefined, tokens: undefined, transaction: undefined })
  show(false)
  dismiss()
  byId("name").focus()
})

/** Says what is left after the fake was restarted or reset. */
const checkApp = async (what: string): Promise<void> => {
  const { app } = session
  if (app === undefined) return dismiss()
  const isKnown = await admin(`GET /__admin/apps/${encodeURIComponent(app.clientId)}`).then(
    () => true,
    (error: unknown) => {
      if (error instanceof Refused && error.status === 404) return false
      throw error
    }
  )
  save({ tokens: undefined })
  show(false)
  if (isKnown) {
    const text = `The fake was ${what}. It still has the application “${app.name}”, but rejects earlier tokens. Get a new one.`
    return notify("info", text, button("Dismiss", dismiss))
  }
  byId("registered").querySelector("h3")?.replaceChildren(`“${app.name}” is no longer registered.`)
  document.querySelector("#title-1 .number")?.removeAttribute("data-done")
  const again: HTMLButtonElement = button(
    "Register it again",
    () =>
      void perform(again, notice, async () => {
        await register(app)
        show(true)
        dismiss()
        announce(`${app.name} is registered again, with a new client id.`)
        byId("registered").scrollIntoView({ block: "nearest" })
      }),
    { class: "primary" }
  )
  notify(
    "problem",
    `The fake was ${what}, and no longer has the application “${app.name}” and its tokens.`,
    again,
    startAgain
  )
}

let instance: string | undefined = sessionStorage.getItem("fake-ims-instance") ?? undefined

const words = {
  connecting: "Connecting",
  open: "Connected",
  closed: "Not connected",
  unauthorized: "Admin token needed"
}

const onMessage = (message: Message): void => {
  if (message.type === "state") {
    const { state } = message
    const connection = byId("connection")
    const before = connection.dataset.state
    connection.dataset.state = state
    connection.replaceChildren(h("span", {}, words[state]))
    if (state === "open" && before === "closed") dismiss()
    if (state === "closed") {
      const address = location.port === "" ? "" : `, for example with fake-ims --port ${location.port}`
      notify(
        "problem",
        `The fake does not answer. Start it again at the same address${address}. This page then continues by itself.`
      )
    }
    if (state === "unauthorized") {
      notify(
        "problem",
        "This fake has an admin token.",
        button("Enter the admin token", () => void askAdminToken().catch(() => {}))
      )
    }
  }
  if (message.type === "time") {
    setTime(message.now)
    if (instance !== undefined && instance !== message.instance) checkApp("restarted").catch(() => {})
    instance = message.instance
    sessionStorage.setItem("fake-ims-instance", instance)
  }
  if (message.type === "clear" && !message.isRestart) void checkAfterClear()
  journal(message)
}

/** A reset clears the journal and forgets the apps; clearing the journal alone does not. */
const checkAfterClear = async (): Promise<void> => {
  const { app } = session
  if (app === undefined) return
  const apps = await admin<ReadonlyArray<{ readonly clientId: string }>>("GET /__admin/apps").catch(() => undefined)
  if (apps?.every(({ clientId }) => clientId !== app.clientId)) await checkApp("reset").catch(() => {})
}

const journal = makeJournal()
const connect = follow(onMessage)

whenAdminTokenChanges(() => {
  dismiss()
  connect(session.adminToken)
})
initRegister(show)
show(false)
connect(session.adminToken)
void continueAfterReturn()
