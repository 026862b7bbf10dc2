// Connects this tab to the journal: over the worker that all tabs share, or by itself where there is none.
import { type Listener, makeFeed } from "./feed.ts"

/** Returns a function that begins to follow, or begins again with another admin token. */
export const follow = (listener: Listener): ((adminToken: string | undefined) => void) => {
  if (typeof SharedWorker === "undefined") {
    const feed = makeFeed()
    return (adminToken) => feed.add(listener, adminToken)
  }
  const { port } = new SharedWorker("/__page/feedWorker.js", { type: "module", name: "journal" })
  let adminToken: string | undefined
  port.addEventListener("message", ({ data }) => listener(data))
  port.start()
  addEventListener("pagehide", () => port.postMessage({ type: "leave" }))
  // A page that the browser kept comes back without being loaded.
  addEventListener("pageshow", ({ persisted }) => {
    if (persisted) port.postMessage({ type: "follow", adminToken })
  })
  return (token) => {
    adminToken = token
    port.postMessage({ type: "follow", adminToken })
  }
}
