// Follows the journal for all tabs of this origin.
import { type Listener, makeFeed } from "./feed.ts"

const feed = makeFeed()

globalThis.addEventListener("connect", (event) => {
  if (!(event instanceof MessageEvent)) return
  const [port] = event.ports
  if (port === undefined) return
  const listener: Listener = (message) => port.postMessage(message)
  port.addEventListener("message", ({ data }) => {
    if (data.type === "follow") feed.add(listener, data.adminToken)
    if (data.type === "leave") feed.remove(listener)
  })
  port.start()
})
