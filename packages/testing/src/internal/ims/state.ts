// Holds what the fake IMS knows. Endpoints read and change it; the controls show it to the test.

import type { Environment } from "@effect-itwin/core/Environment"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import type { Profile } from "../../Profile.ts"
import type { Entropy } from "../engine/entropy.ts"
import { type Algorithm, makeKey, type SigningKey } from "../engine/jwt.ts"
import { redactText } from "../engine/redact.ts"
import type { Path } from "../engine/router.ts"
import type { Application } from "./clients.ts"
import { type ExpiringMap, makeExpiringMap } from "./expiringMap.ts"
import { makeSignIns, type SignIn, type SignIns } from "./signIns.ts"
import type { User } from "./users.ts"

export interface IssuedToken {
  readonly clientId: string
  /** The sign-in that it belongs to; absent if it is the app's own. */
  readonly signIn: SignIn | undefined
  isRevoked: boolean
}

export interface Ims {
  readonly clock: Clock.Clock
  readonly entropy: Entropy
  /** The issuer, and the URLs of the endpoints. */
  readonly environment: Environment
  profile: Profile
  readonly algorithm: Algorithm
  /** Newest first: the first one signs, all are published. */
  readonly keys: Array<SigningKey>
  /** By client id. */
  readonly apps: Map<string, Application>
  /** By e-mail in lower case. */
  readonly users: Map<string, User>
  /** By `jti`. */
  readonly issued: ExpiringMap<IssuedToken>
  readonly signIns: SignIns
  /** Returns the text without secrets and tokens. */
  readonly redact: (text: string) => string
}

/** Returns the secret as it is, as it is in JSON, and as it is in a URL. */
const formsOf = (secret: string) => [secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret)]

export const makeIms = (options: Pick<Ims, "clock" | "entropy" | "environment" | "profile" | "algorithm">): Ims => {
  const apps: Ims["apps"] = new Map()
  return {
    ...options,
    keys: [makeKey(options.algorithm, options.entropy)],
    apps,
    users: new Map(),
    issued: makeExpiringMap(options.clock),
    signIns: makeSignIns(options.clock),
    redact: (text) => {
      // All secrets of the fake begin so. Other texts are not compared with each secret of each app.
      const secrets = text.includes("fake-secret-")
        ? [...apps.values()].flatMap((app) => app.secrets.flatMap(({ value }) => formsOf(value)))
        : []
      return redactText(text, secrets)
    }
  }
}

/** Returns the paths of an endpoint: the platform's, and that of the environment. */
export const pathsOf = (own: Path, url: string): readonly [Path, Path] => [own, `/${new URL(url).pathname.slice(1)}`]

/** Forgets apps, users, and all that was issued to them. */
export const clear = ({ apps, issued, signIns, users }: Ims): void => {
  for (const forgotten of [apps, users, issued, ...Object.values(signIns)]) forgotten.clear()
}

/** Returns the time of the fake's clock, in epoch milliseconds. */
export const now = ({ clock }: Pick<Ims, "clock">): number => clock.currentTimeMillisUnsafe()

/** Returns the duration in seconds, rounded down because tokens have no shorter unit. */
export const wholeSeconds = (input: Duration.Input): number =>
  Math.floor(Duration.toSeconds(Duration.fromInputUnsafe(input)))
