// Which part of a server's text is shown. `pnpm run check-server-text` measures the same with more secrets.
import { assert, describe, it } from "@effect/vitest"
import { makeServerText } from "../src/internal/shown/serverText.ts"
import { encodings, showsPartOf } from "./serverText/encodings.ts"
import { realTexts } from "./serverText/realTexts.ts"
import { kinds, makeRandom, makeSecret, sentences } from "./serverText/secrets.ts"

const secret = "fake-secret-Ab+Cd/Ef=&g"
const id = "0a1b2c3d-4e5f-4a6b-9c7d-8e9f0a1b2c3d"
const plain = makeServerText([])

describe("the echo of a machine-made secret", () => {
  const random = makeRandom(1)
  const secrets = kinds.flatMap(([kind, lengths]) =>
    lengths.filter((length) => length >= 32).map((length) => makeSecret(kind, length, random))
  )

  it.each(Object.entries(encodings))("hides a machine-made secret when the server writes it in %s", (_name, encode) => {
    for (const secret of secrets) {
      const { show } = makeServerText([secret])
      for (const sentence of sentences) {
        const shown = show(sentence(encode(secret))) ?? ""
        assert.isFalse(showsPartOf(shown, secret, encode(secret)), shown)
      }
    }
  })

  it("finds a machine-made secret when it is shown", () => {
    for (const encode of Object.values(encodings)) {
      for (const secret of secrets) assert.isTrue(showsPartOf(`a ${encode(secret)} b`, secret, encode(secret)))
    }
    assert.isFalse(showsPartOf("Zm Fr …", "ZmFrZS1zZWNyZXQ", "ZmFrZS1zZWNyZXQ"))
  })
})

describe("show", () => {
  it("show returns at least 80 of the real texts unchanged, and parts of the others", () => {
    const texts = Object.values(realTexts).flat()
    assert.isAtLeast(texts.length, 74)
    assert.isAtLeast(texts.filter((text) => makeServerText([secret]).showComplete(text) !== undefined).length, 80)
  })

  it.each([
    ["Invalid client.", "Invalid client."],
    ["AADSTS7000215: see https://example.com/a", "AADSTS7000215: see https://example.com/a"],
    [`Trace ID: ${id}`, `Trace ID: ${id}`],
    [`got ${id}x here`, undefined],
    ["got a=b c%d e&f g#h i*j k\\l m+n here", "got … here"],
    ["a\u0000b\nc\u001b[31m d", "… d"],
    ["say  “hi”\tまた", "say “hi” また"],
    ["ｆｕｌｌ ｗｉｄｔｈ", "full width"],
    ["line 1, position 15", "line 1, position 15"],
    ["1.2.3 is no version", "… is no version"],
    ["a 1 b 2 c 3 d 4", "a 1 b 2 c 3 d 4"],
    ["a 1 b 2 c 3 d 4 e 5", undefined],
    ["12345 is too long", "… is too long"],
    ["ABCdef ABCDEF AbCd aBCDe", "… ABCDEF AbCd …"],
    ["InsufficientPermissions", "InsufficientPermissions"],
    [`${"a".repeat(31)} ${"a".repeat(32)}`, `${"a".repeat(31)} …`],
    ["x9 y8", undefined],
    ["", undefined],
    ["  ", undefined]
  ])("show returns the words of %j: %j", (text, shown) => {
    assert.strictEqual(plain.show(text), shown)
  })

  it("show returns nothing when the text contains 8 letters and digits of a secret, whatever is between them", () => {
    const { show } = makeServerText([secret])
    for (const echo of ["cret-Ab+Cd", "retabcde", "RET ABC DE", "r.e.t.a.b.c.d.e", "ｒｅｔＡｂＣｄＥ", "ecret AbC"]) {
      assert.isUndefined(show(`The secret was ${echo} and no other`), echo)
    }
    assert.strictEqual(show("wrong: et-AbCd"), "wrong: et-AbCd")
  })

  it("show returns nothing when the text contains all of a secret of fewer than 8 characters", () => {
    const { show } = makeServerText(["ab+cd"])
    assert.isUndefined(show("the secret is abcd"))
    assert.strictEqual(show("the secret is abc"), "the secret is abc")
  })

  it("show returns 512 characters at most, without the piece that was cut", () => {
    const text = "word ".repeat(200)
    assert.strictEqual(plain.show(text), `${"word ".repeat(102)}…`)
    assert.isUndefined(plain.show("x".repeat(200_000)))
  })

  it("show takes 10 ms at most when a token of 32 KiB is known", () => {
    const random = makeRandom(2)
    const token = makeSecret("token of three parts", 32 * 1024, random)
    const text = Object.values(realTexts).flat().join(" ").slice(0, 512)
    const run = () => makeServerText([token]).show(text)
    const times = Array.from({ length: 20 }, () => {
      const began = performance.now()
      run()
      return performance.now() - began
    })
    assert.isBelow(Math.min(...times), 10)
  })

  it("show finds every place of a long secret", () => {
    const token = makeSecret("token of three parts", 700, makeRandom(3))
    const { show } = makeServerText([token])
    const letters = token.replace(/[^A-Za-z0-9]/g, "")
    for (let at = 0; at + 8 <= letters.length; at++) {
      assert.isUndefined(show(`a word ${[...letters.slice(at, at + 8)].join("-")} and so on`))
    }
  })
})

describe("showCode", () => {
  it("showCode returns a code completely, or `unknown`", () => {
    const { showCode } = makeServerText([secret])
    for (const code of ["account_locked", "InsufficientPermissions", "iTwinNotFound", "https://login.example.com"]) {
      assert.strictEqual(showCode(code), code)
    }
    for (const code of [secret, "a b9c", "a\nb", "x".repeat(100), "https://a1b2.example", ""]) {
      assert.strictEqual(showCode(code), "unknown")
    }
  })
})

describe("showCorrelationId", () => {
  it("showCorrelationId returns a UUID or 32 hexadecimal digits", () => {
    for (const known of [id, id.toUpperCase(), id.replaceAll("-", "")]) {
      assert.strictEqual(plain.showCorrelationId(known), known)
    }
    for (const other of [undefined, "", "abc-1", `${id}0`, id.slice(1), "z".repeat(32), secret]) {
      assert.isUndefined(plain.showCorrelationId(other))
    }
  })

  it("showCorrelationId returns nothing when the id is a part of a secret", () => {
    assert.isUndefined(makeServerText([`fake-secret-${id}`]).showCorrelationId(id.replaceAll("-", "")))
  })
})

describe("showEach", () => {
  it("showEach returns the texts that may be shown, and none when they are suspect as one text", () => {
    const { showEach } = makeServerText([secret])
    assert.deepStrictEqual(showEach(["itwins:read", "a=b", "x9"]), ["itwins:read"])
    assert.deepStrictEqual(showEach(["itwins:read", "ecret", "Ab", "C"]), [])
    assert.deepStrictEqual(showEach(["a:1", "b:2", "c:3", "d:4", "e:5"]), [])
  })
})
