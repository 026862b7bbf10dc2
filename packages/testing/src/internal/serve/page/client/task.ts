// Runs what a button begins: one at a time, with the admin token where one is needed, and with a message if it fails.
import { announce, byId, h } from "./dom.ts"
import { AdminTokenNeeded, admin, Refused, Unreachable } from "./http.ts"
import { save, session } from "./session.ts"

export const inputById = (id: string): HTMLInputElement => {
  const found = byId(id)
  if (!(found instanceof HTMLInputElement)) throw new Error(`${id} is not an input.`)
  return found
}

const dialog = (): HTMLDialogElement => {
  const found = byId("admin-dialog")
  if (!(found instanceof HTMLDialogElement)) throw new Error("admin-dialog is not a dialog.")
  return found
}

let onAdminToken: () => void = () => {}

/** Sets what happens when there is a new admin token. */
export const whenAdminTokenChanges = (listener: () => void): void => {
  onAdminToken = listener
}

let asking: Promise<boolean> | undefined

/** Asks for the admin token until it is the right one. Returns false if the reader cancels. */
export const askAdminToken = (): Promise<boolean> => {
  asking ??= new Promise<boolean>((resolve) => {
    const form = byId("admin-form")
    const error = byId("admin-error")
    const input = inputById("admin-token")
    const previous = session.adminToken
    error.hidden = previous === undefined
    error.textContent = "The fake does not accept this admin token. Enter the one that it was started with."
    input.value = ""
    const done = (accepted: boolean): void => {
      form.removeEventListener("submit", submit)
      dialog().removeEventListener("close", closed)
      dialog().close()
      asking = undefined
      resolve(accepted)
    }
    const closed = (): void => done(false)
    const submit = (event: Event): void => {
      event.preventDefault()
      save({ adminToken: input.value })
      admin("GET /__admin/clock").then(
        () => {
          onAdminToken()
          done(true)
        },
        (failure: unknown) => {
          save({ adminToken: previous })
          error.hidden = false
          if (!(failure instanceof AdminTokenNeeded)) error.textContent = messageOf(failure)
          input.select()
        }
      )
    }
    form.addEventListener("submit", submit)
    dialog().addEventListener("close", closed)
    byId("admin-cancel").addEventListener("click", closed, { once: true })
    dialog().showModal()
    input.focus()
  })
  return asking
}

export const messageOf = (error: unknown): string => {
  if (error instanceof Refused || error instanceof Unreachable || error instanceof AdminTokenNeeded)
    return error.message
  return `The page failed: ${error instanceof Error ? error.message : String(error)}`
}

/** Runs the action; asks for the admin token and runs it again if it needs one. */
export const withAdminToken = async <A>(action: () => Promise<A>): Promise<A> => {
  try {
    return await action()
  } catch (error) {
    if (error instanceof AdminTokenNeeded && (await askAdminToken())) return withAdminToken(action)
    throw error
  }
}

/** Runs the action of a button, which can't be pressed meanwhile. A failure is shown in `target`. */
export const perform = async (
  trigger: HTMLButtonElement,
  target: HTMLElement,
  action: () => Promise<void>
): Promise<void> => {
  if (trigger.getAttribute("aria-disabled") === "true") return
  // Not `disabled`, which would take the focus away.
  trigger.setAttribute("aria-disabled", "true")
  try {
    await withAdminToken(action)
  } catch (error) {
    target.replaceChildren(h("p", { class: "error" }, messageOf(error)))
    announce(messageOf(error))
  } finally {
    trigger.removeAttribute("aria-disabled")
  }
}
