// Messages of identity servers, gateways and proxies for failed token requests and API calls, quoted or rephrased. Ids and
// hosts are invented.

const trace = "6f1a2b3c-4d5e-4f60-8a7b-9c0d1e2f3a4b"
const correlation = "0a1b2c3d-4e5f-4a6b-9c7d-8e9f0a1b2c3d"

/** The servers, and their messages. */
export const realTexts: Readonly<Record<string, ReadonlyArray<string>>> = {
  IMS: [
    "Invalid client or client credentials.",
    "Client authentication failed.",
    "The client is not authorized to request a token using this method.",
    "The requested scope is invalid, unknown, or malformed.",
    "Invalid scope: itwin-platform",
    "The grant type is not supported by the authorization server.",
    "The service is down for maintenance. Please try again later."
  ],
  "iTwin Platform": [
    "Access denied due to invalid access_token. Make sure to provide a valid token for this API endpoint.",
    "Header Authorization was not found in the request. Access denied.",
    "The user has insufficient permissions for the requested operation.",
    "Requested iTwin is not available.",
    "The client sent more requests than allowed by this API for the current tier of the client.",
    "Invalid JWT.",
    "Request body is invalid: 'displayName' is required.",
    "Unsupported media type. Check the Accept header."
  ],
  IdentityServer: [
    "invalid_client",
    "unauthorized_client",
    "invalid_scope",
    "unsupported_grant_type",
    "No client with id 'service-app' found.",
    "Invalid client secret",
    "Client secret validation failed for client: backend.",
    "Requested scope not allowed: users:read"
  ],
  Entra: [
    "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID.",
    `AADSTS700016: Application with identifier '${correlation}' was not found in the directory 'Contoso'.`,
    `AADSTS7000222: The provided client secret keys for app '${correlation}' are expired.`,
    "AADSTS90002: Tenant 'contoso.onmicrosoft.com' not found. Check to make sure you have the correct tenant ID.",
    `AADSTS50196: The server terminated an operation because it encountered a client request loop. Trace ID: ${trace} Correlation ID: ${correlation} Timestamp: 2026-01-15 12:34:56Z`,
    "AADSTS70011: The provided value for the input parameter 'scope' is not valid.",
    "AADSTS53003: Access has been blocked by Conditional Access policies. The access policy does not allow token issuance."
  ],
  Keycloak: [
    "Invalid client or Invalid client credentials",
    "Client not enabled to retrieve service account",
    "Invalid scopes: itwins:read",
    "Missing parameter: grant_type",
    "Realm does not exist",
    "HTTPS required"
  ],
  Auth0: [
    "Unauthorized",
    "Service not enabled within domain: https://api.example.com/",
    "Grant type 'client_credentials' not allowed for the client.",
    'Client is not authorized to access "https://api.example.com". You need to create a "client-grant" associated to this API.',
    "Global limit has been reached",
    "Non-global clients are not allowed access to APIv1"
  ],
  Okta: [
    "The client secret supplied for a confidential client is invalid.",
    "One or more scopes are not configured for the authorization server resource.",
    "Invalid value for 'client_id' parameter.",
    "API call exceeded rate limit due to too many requests.",
    "E0000011: Invalid token provided"
  ],
  Google: [
    "Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim.",
    "The OAuth client was not found.",
    "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential."
  ],
  "API Management": [
    "Access denied due to missing subscription key. Make sure to include subscription key when making requests to an API.",
    "Rate limit is exceeded. Try again in 42 seconds.",
    "Unable to match incoming request to an operation.",
    "Out of call volume quota. Quota will be replenished in 01:23:45.",
    "JWT Validation Failed: Claim value mismatch: aud."
  ],
  nginx: [
    "502 Bad Gateway",
    "503 Service Temporarily Unavailable",
    "504 Gateway Time-out",
    "413 Request Entity Too Large",
    "no live upstreams while connecting to upstream"
  ],
  Cloudflare: [
    "Error 1020: Access denied. The owner of this website has banned your access.",
    "error code: 521",
    "Sorry, you have been blocked. You are unable to access this site.",
    "Ray ID: 7d1f2a3b4c5d6e7f"
  ],
  "Envoy, AWS, Akamai": [
    "upstream connect error or disconnect/reset before headers. reset reason: connection failure",
    "The request signature we calculated does not match the signature you provided.",
    "Missing Authentication Token",
    "Reference #18.2d3e1702.1768473296.1a2b3c4d"
  ],
  "corporate proxies": [
    "Proxy authentication required. Contact your help desk at ext. 4711.",
    "This page was blocked by the security policy of your organization (category: uncategorized).",
    "The certificate of the server has expired on 2026-01-15."
  ],
  German: [
    "Der geheime Clientschlüssel ist ungültig.",
    "Zugriff verweigert: Die Anwendung ist für diesen Mandanten nicht registriert.",
    "Zu viele Anfragen. Bitte versuchen Sie es in 30 Sekunden erneut.",
    "Der Dienst ist wegen Wartungsarbeiten vorübergehend nicht verfügbar."
  ],
  French: [
    "Le secret client n'est pas valide.",
    "L'étendue demandée n'est pas autorisée pour cette application.",
    "Accès refusé : l'application n'a pas l'autorisation nécessaire."
  ],
  Japanese: [
    "クライアント認証に失敗しました。",
    "要求されたスコープは無効です。",
    "現在メンテナンス中です。しばらくしてから再度お試しください。"
  ],
  "other languages": [
    "El cliente no está autorizado para solicitar un token.",
    "Неверный секрет клиента.",
    "客户端密钥无效。",
    "클라이언트 인증에 실패했습니다.",
    "क्लाइंट प्रमाणीकरण विफल रहा।"
  ],
  JSON: [
    "Unexpected token < in JSON at position 0",
    "The JSON value could not be converted to System.Guid. Path: $.iTwinId | LineNumber: 0 | BytePositionInLine: 42.",
    "Input string '3.14abc' is not a valid integer. Path 'size', line 1, position 15."
  ]
}
