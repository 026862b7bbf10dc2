/** Opens an address in the browser of this machine. */
import { spawn } from "node:child_process"
import { Effect } from "effect"

const commands: Partial<Record<NodeJS.Platform, readonly [string, ...ReadonlyArray<string>]>> = {
  darwin: ["open"],
  // `start` would read the & of the address as the end of the command.
  win32: ["rundll32", "url.dll,FileProtocolHandler"]
}

/** A machine without a browser is no failure: the program prints the address too. */
export const openBrowser = (url: string): Effect.Effect<void> =>
  Effect.callback((resume) => {
    const [command, ...options] = commands[process.platform] ?? ["xdg-open"]
    const child = spawn(command, [...options, url], { detached: true, stdio: "ignore" })
    child.once("error", () => resume(Effect.void))
    child.once("spawn", () => {
      child.unref()
      resume(Effect.void)
    })
  })
