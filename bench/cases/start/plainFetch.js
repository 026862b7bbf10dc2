// The shortest program that prints a token.
const { ITWIN_CLIENT_ID, ITWIN_CLIENT_SECRET, ITWIN_TOKEN_ENDPOINT } = process.env
const response = await fetch(ITWIN_TOKEN_ENDPOINT, {
  method: "POST",
  body: new URLSearchParams({
    grant_type: "client_credentials",
    client_id: ITWIN_CLIENT_ID,
    client_secret: ITWIN_CLIENT_SECRET,
    scope: "itwin-platform"
  })
})
console.log((await response.json()).access_token)
