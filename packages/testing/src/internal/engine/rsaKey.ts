// Makes the RSA keys of the tokens. That takes 30 to 150 ms, so a program can start it on another thread while it loads.
import { generateKeyPair, generateKeyPairSync, type KeyObject } from "node:crypto"

const options = { modulusLength: 2048 }

let ahead: KeyObject | undefined
let started: Promise<void> = Promise.resolve()

/** Starts to make a key on another thread. */
export const startRsaKey = (): void => {
  started = new Promise((resolve) => {
    generateKeyPair("rsa", options, (_error, _publicKey, privateKey: KeyObject | undefined) => {
      ahead = privateKey
      resolve()
    })
  })
}

/** Waits for the key that was started, if one was. */
export const startedRsaKey = (): Promise<void> => started

/** Returns the key that was started, if it is ready and not used yet; otherwise makes one. */
export const makeRsaKey = (): KeyObject => {
  const key = ahead ?? generateKeyPairSync("rsa", options).privateKey
  ahead = undefined
  return key
}
