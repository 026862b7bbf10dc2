// Makes bytes for ids, secrets and keys. The same seed and the same order of calls give the same bytes in each run.
import { createHmac } from "node:crypto"

export interface Entropy {
  readonly bytes: (length: number) => Buffer
}

export const fromSeed = (seed: string): Entropy => {
  let counter = 0
  return {
    bytes: (length) => {
      const blocks: Array<Buffer> = []
      for (let size = 0; size < length; size += 32) {
        blocks.push(createHmac("sha256", seed).update(String(counter++)).digest())
      }
      return Buffer.concat(blocks).subarray(0, length)
    }
  }
}

const alphabet = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz0123456789"

export const alphanumeric = (entropy: Entropy, length: number): string =>
  Array.from(entropy.bytes(length), (byte) => alphabet[byte % alphabet.length]).join("")

export const uuid = (entropy: Entropy): string =>
  entropy
    .bytes(16)
    .toString("hex")
    .replace(/^(.{8})(.{4}).(.{3}).(.{3})(.{12})$/, "$1-$2-4$3-8$4-$5")
