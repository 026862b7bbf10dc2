// The same by @itwin/service-authorization.
import { ServiceAuthorizationClient } from "@itwin/service-authorization"

const client = new ServiceAuthorizationClient({
  clientId: process.env.ITWIN_CLIENT_ID,
  clientSecret: process.env.ITWIN_CLIENT_SECRET,
  scope: "itwin-platform",
  authority: process.env.ITWIN_API_URL
})
console.log((await client.getAccessToken()).slice("Bearer ".length))
