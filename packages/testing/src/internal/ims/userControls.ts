// Builds the controls of the fake IMS that concern users: who they are, and what they do on its pages.
import * as Effect from "effect/Effect"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as Redacted from "effect/Redacted"
import type { FakeIms, User as UserView } from "../../FakeIms.ts"
import { FakeError } from "../engine/fakeError.ts"
import type { Handler } from "../engine/handler.ts"
import { Observed, type Seen } from "../engine/observed.ts"
import { formPath } from "./pages/signInPages.ts"
import type { Ims } from "./state.ts"
import * as users from "./users.ts"

const viewOf = ({
  consents: _consents,
  createdAt: _createdAt,
  generation: _generation,
  ...facts
}: users.User): UserView => facts

const find = (ims: Ims, email: string): users.User => {
  const user = users.findUser(ims, email)
  if (user === undefined) throw new FakeError({ message: `The fake has no user ${email}.` })
  return user
}

type Controls = Pick<FakeIms["Service"], "users" | "addUser" | "deleteUser" | "revokeSignIns" | "signIn">

interface Served {
  readonly ims: Ims
  /** Serves IMS. */
  readonly onIms: Handler
}

const failure = (message: string): Effect.Effect<never, FakeError> => Effect.fail(new FakeError({ message }))

/** Sends the form that the pages send, and returns where the answer leads. */
const sendForm = ({ onIms }: Served, form: Readonly<Record<string, string>>): Effect.Effect<URL, FakeError> =>
  Effect.suspend(() => {
    const request = HttpClientRequest.post(formPath).pipe(HttpClientRequest.bodyUrlParams(form))
    const observed: { entry: Seen | undefined } = { entry: undefined }
    return onIms.pipe(
      Effect.provideService(HttpServerRequest.HttpServerRequest, HttpServerRequest.fromClientRequest(request)),
      Effect.provideService(Observed, observed),
      Effect.catchTag("ConnectionBroken", () => failure("The fake reset the connection.")),
      Effect.flatMap(({ headers, status }) => {
        const location = headers.location === undefined ? null : URL.parse(headers.location)
        return location === null
          ? failure(`The sign-in failed. ${observed.entry?.explanation ?? `The fake returned ${status}.`}`)
          : Effect.succeed(location)
      })
    )
  })

export const makeUserControls = (served: Served): Controls => {
  const { ims } = served
  return {
    users: Effect.sync(() => [...ims.users.values()].map(viewOf)),
    addUser: (user) => Effect.sync(() => viewOf(users.addUser(ims, user))),
    deleteUser: (email) => Effect.sync(() => users.deleteUser(ims, find(ims, email))),
    revokeSignIns: (email) => Effect.sync(() => users.revokeSignIns(find(ims, email))),
    signIn: (url, { deny = false, email } = {}) =>
      Effect.suspend(() => {
        const { authorizationEndpoint } = ims.environment
        const at = URL.parse(String(Redacted.isRedacted(url) ? Redacted.value(url) : url))
        const endpoint = at === null ? "This URL" : `${at.origin}${at.pathname}`
        if (at === null || endpoint !== authorizationEndpoint) {
          return failure(`${endpoint} is not the authorization endpoint of the fake: ${authorizationEndpoint}.`)
        }
        const [first] = ims.users.values()
        const chosen = email ?? first?.email
        if (chosen === undefined) return failure("The fake has no user. Add one with addUser.")
        const decision = deny ? "deny" : "allow"
        return sendForm(served, { request: at.search.slice(1), email: chosen, decision })
      })
  }
}
