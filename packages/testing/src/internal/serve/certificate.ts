// Makes a self-signed certificate (X.509, RFC 5280) when it is needed: the Azure SDK talks to a vault over https only,
// and a key does not belong in a repository.
import { generateKeyPairSync, randomBytes, sign } from "node:crypto"
import { isIPv4, isIPv6 } from "node:net"

const der = (tag: number, ...parts: ReadonlyArray<Buffer>): Buffer => {
  const content = Buffer.concat(parts)
  const { length } = content
  const size =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, Math.floor(length / 256), length % 256]
  return Buffer.concat([Buffer.from([tag, ...size]), content])
}

const sequence = (...parts: ReadonlyArray<Buffer>) => der(0x30, ...parts)
const objectId = (hex: string) => der(0x06, Buffer.from(hex, "hex"))
const time = (text: string) => der(0x18, Buffer.from(text))

const ecdsaWithSha256 = sequence(objectId("2a8648ce3d040302"))
const name = sequence(der(0x31, sequence(objectId("550403"), der(0x0c, Buffer.from("effect-itwin fake Key Vault")))))

/** Returns the eight words of an IPv6 address in network order. `URL` normalizes the address first. */
const ipv6Bytes = (host: string): Buffer => {
  const [front = "", back] = new URL(`http://[${host}]`).hostname.slice(1, -1).split("::")
  const [head, tail] = [front, back ?? ""].map((words) => (words === "" ? [] : words.split(":")))
  const given = [...(head ?? []), ...(tail ?? [])]
  const words = [...(head ?? []), ...Array.from({ length: 8 - given.length }, () => "0"), ...(tail ?? [])]
  return Buffer.from(words.map((word) => word.padStart(4, "0")).join(""), "hex")
}

/** Encodes an IP address (tag 7), or a DNS name (tag 2). */
const alternativeName = (host: string): Buffer => {
  if (isIPv4(host)) return der(0x87, Buffer.from(host.split(".").map(Number)))
  return isIPv6(host) ? der(0x87, ipv6Bytes(host)) : der(0x82, Buffer.from(host))
}

/** Encodes `subjectAltName`, the only place where clients look for the host. */
const alternativeNames = (hosts: Iterable<string>): Buffer =>
  sequence(objectId("551d11"), der(0x04, sequence(...Array.from(new Set(hosts), alternativeName))))

/** Returns an ECDSA P-256 key and its certificate for these hosts, both as PEM. The certificate does not expire. */
export const selfSigned = (hosts: Iterable<string>): { readonly key: string; readonly cert: string } => {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" })
  const body = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    // The first bit of a serial number must be 0, the first byte not.
    der(0x02, Buffer.concat([Buffer.from([0x01]), randomBytes(8)])),
    ecdsaWithSha256,
    name,
    sequence(time("20200101000000Z"), time("99991231235959Z")),
    name,
    publicKey.export({ type: "spki", format: "der" }),
    der(0xa3, sequence(alternativeNames(hosts)))
  )
  const signature = der(0x03, Buffer.from([0]), sign("sha256", body, privateKey))
  const lines =
    sequence(body, ecdsaWithSha256, signature)
      .toString("base64")
      .match(/.{1,64}/g) ?? []
  return {
    key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    cert: `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`
  }
}
