// Shows what the library makes of a response.
import { h } from "./dom.ts"
import { admin } from "./http.ts"
import type { App } from "./session.ts"
import type { Response } from "./wire.ts"

export interface Explained {
  /** Empty if the response is a success. */
  readonly error: string
  readonly reason: string
  readonly message: string
}

export interface From {
  readonly from: "authorize" | "token" | "api"
  readonly grant?: "client_credentials" | "authorization_code" | "refresh_token"
}

export const explain = (
  app: Pick<App, "clientId">,
  from: From,
  scopes: ReadonlyArray<string>,
  response: Response
): Promise<Explained> =>
  admin<Explained>("POST /__admin/explain", { ...from, clientId: app.clientId, scopes, ...response })

const errorsPage = "https://github.com/effect-itwin/effect-itwin/blob/main/docs/errors.md"

/** Shows the library's message; its end, which names the paragraph, becomes a link. */
export const why = ({ error, reason, message }: Explained): HTMLElement => {
  const [, text = message, paragraph] = /^([\s\S]*) See docs\/errors\.md#([\w-]+)$/.exec(message) ?? []
  return h(
    "div",
    { class: "why" },
    h("h3", {}, "The library's message"),
    h("b", {}, `${error}: ${reason}`),
    h(
      "p",
      {},
      text,
      ...(paragraph === undefined
        ? []
        : [" See ", h("a", { href: `${errorsPage}#${paragraph}`, rel: "noreferrer" }, `docs/errors.md#${paragraph}`)])
    )
  )
}
