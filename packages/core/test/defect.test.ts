import { assert, describe, it } from "@effect/vitest"
import { Cause } from "effect"
import { codeOf } from "../src/internal/http/transport.ts"
import { defectOf } from "../src/internal/shown/defect.ts"

const secret = "q7Zk9XwT4bRmY2LpD8sV"

const withStack = (stack: string, message = "x") => Object.assign(new TypeError(message), { stack })

describe("a defect", () => {
  it("shows the class and the frames of a defect, without its message", () => {
    const { errorName, frames } = defectOf(Cause.die(new TypeError(`${secret}\n    at ${secret} (file:///x.js:1:2)`)))
    assert.strictEqual(errorName, "TypeError")
    assert.isNotEmpty(frames)
    assert.notInclude(frames.join("\n"), secret)
  })

  it.each([
    [`TypeError: x\n    at Object.${secret} (file:///app/x.js:1:2)`, ["file:///app/x.js:1:2"]],
    [`TypeError: x\n    at async Pool.run (file:///app/x.js:1:2)`, ["async Pool.run (file:///app/x.js:1:2)"]],
    [`TypeError: x\n    at https://id:${secret}@ims.bentley.com/connect/token:1:1`, []],
    [`TypeError: x\n    at eval (data:text/javascript,${secret}:1:1)`, []],
    [`TypeError: another message\n    at run (file:///app/${secret}.js:1:2)`, []]
  ])("shows only those frames of the stack %j that look like code", (stack, frames) => {
    const message = stack.includes("another") ? "not in the stack" : "x"
    assert.deepStrictEqual(defectOf(Cause.die(withStack(stack, message))).frames, frames)
  })

  it("shows the type of a thrown value that is not an error", () => {
    assert.deepStrictEqual(defectOf(Cause.die(secret)), { errorName: "string", frames: [] })
    assert.deepStrictEqual(defectOf(Cause.die(null)), { errorName: "null", frames: [] })
  })
})

describe("the code of a failed connection", () => {
  it.each(["ECONNRESET", "UND_ERR_SOCKET", "ERR_TLS_CERT_ALTNAME_INVALID", "ConnectionRefused", "EAI_AGAIN"])(
    "shows the code of a failed connection when it is %s",
    (code) => assert.strictEqual(codeOf(new Error("x", { cause: { code } })), code)
  )

  it("hides the code of a failed connection when it may be a secret", () => {
    for (const code of [secret, "aGVsbG8Xc2VjcmV0", "fakeSECRETfakeSECRET"]) assert.isUndefined(codeOf({ code }))
  })
})
