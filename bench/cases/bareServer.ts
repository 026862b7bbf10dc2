import { createServer } from "node:http"

const body = JSON.stringify({
  access_token: "x".repeat(1200),
  token_type: "Bearer",
  expires_in: 3600,
  scope: "itwin-platform"
})
const server = createServer((request, response) => {
  request.resume().on("end", () => {
    response.writeHead(200, { "content-type": "application/json", "content-length": body.length }).end(body)
  })
})
server.listen(0, "127.0.0.1", () => {
  const address = server.address()
  const port = typeof address === "object" && address !== null ? address.port : 0
  console.log(JSON.stringify({ url: `http://127.0.0.1:${port}` }))
})
