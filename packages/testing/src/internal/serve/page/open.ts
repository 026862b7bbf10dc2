// Opens the page in the browser of the person who started the command.
import { spawn } from "node:child_process"
import * as Effect from "effect/Effect"

/** Returns the program that opens an address on this system, with its arguments. */
export const openerOf = (platform: string, url: string): readonly [string, ...ReadonlyArray<string>] => {
  if (platform === "darwin") return ["open", url]
  // `start` takes its first quoted argument as the title of a window.
  return platform === "win32" ? ["cmd", "/c", "start", '""', url] : ["xdg-open", url]
}

/** How long the opener may take to fail. A browser that it starts may run as long as the person wants. */
const patience = "2 seconds"

/** Opens the address. Returns why that failed, if it did. */
export const openInBrowser = (
  url: string,
  [program, ...args]: readonly [string, ...ReadonlyArray<string>] = openerOf(process.platform, url)
): Effect.Effect<string | undefined> =>
  Effect.callback<string | undefined>((resume) => {
    const child = spawn(program, args, { detached: true, stdio: "ignore" })
    child.once("error", (cause) => {
      const code = "code" in cause ? String(cause.code) : cause.name
      resume(Effect.succeed(code === "ENOENT" ? `${program} is not installed` : `${program} failed with ${code}`))
    })
    child.once("exit", (code) =>
      resume(Effect.succeed(code === 0 ? undefined : `${program} ended with ${code ?? "a signal"}`))
    )
    // The command ends without waiting for the browser.
    child.unref()
  }).pipe(Effect.timeoutOrElse({ duration: patience, orElse: () => Effect.succeed(undefined) }))
