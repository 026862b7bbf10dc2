// The types of the public API: errors, requirements and results. `tsc -b` checks them. At run time, these tests only
// show that the exports exist.
import {
  AccessControl,
  type AccessToken,
  AuthorizationCode,
  type ClientCredentials,
  Environment,
  ITwin,
  ITwinApiError,
  ITwinHttpClient,
  ITwins,
  RetryPolicy,
  Scopes,
  SecretProvider,
  type SecretProviderError,
  ServiceAuthorizationClient,
  type SignInError,
  TokenCache,
  TokenError,
  TokenRequest,
  Users
} from "@effect-itwin/core"
import type {
  Config,
  Context,
  DateTime,
  Duration,
  Effect,
  Layer,
  Option,
  Redacted,
  Result,
  Schedule,
  Schema,
  Scope,
  Stream
} from "effect"
import type { HttpClient, HttpClientError, HttpClientRequest } from "effect/http"
import { describe, expectTypeOf, it } from "vitest"

type Needed = SecretProvider.SecretProvider | HttpClient.HttpClient

describe("types of core", () => {
  it("ITwin.layer and layerWith provide cache and client, and need a provider and an HttpClient", () => {
    type Expected = Layer.Layer<TokenCache.TokenCache | ITwinHttpClient.ITwinHttpClient, Config.ConfigError, Needed>
    expectTypeOf(ITwin.layer).toEqualTypeOf<Expected>()
    expectTypeOf(ITwin.layerWith).returns.toEqualTypeOf<Expected>()
    expectTypeOf(ITwin.layerWith).parameter(0).toExtend<TokenCache.Options>()
    expectTypeOf(ITwin.layerWith).parameter(0).toExtend<ITwinHttpClient.Options>()
    expectTypeOf<{ renewal: "sometimes" }>().not.toExtend<Parameters<typeof ITwin.layerWith>[0]>()
    expectTypeOf<{ scopes: string }>().not.toExtend<Parameters<typeof ITwin.layerWith>[0]>()
  })

  it("TokenCache's methods fail with a TokenError or not at all, and need nothing", () => {
    type Service = TokenCache.TokenCache["Service"]
    type Token = Effect.Effect<AccessToken.AccessToken, TokenError.TokenError>
    expectTypeOf<Service["get"]>().toEqualTypeOf<(scopes?: Scopes.Scopes) => Token>()
    expectTypeOf<Service["refresh"]>().toEqualTypeOf<(scopes?: Scopes.Scopes) => Token>()
    expectTypeOf<Service["invalidate"]>().toEqualTypeOf<(token: AccessToken.AccessToken) => Effect.Effect<void>>()
    expectTypeOf<Service["replace"]>().toEqualTypeOf<
      (token: AccessToken.AccessToken) => Effect.Effect<Option.Option<AccessToken.AccessToken>>
    >()
    expectTypeOf<Service["peekUnsafe"]>().returns.toEqualTypeOf<AccessToken.AccessToken | undefined>()
    expectTypeOf<Service["status"]>().toEqualTypeOf<Effect.Effect<ReadonlyArray<TokenCache.Status>>>()
    expectTypeOf<Service["isReady"]>().toEqualTypeOf<Effect.Effect<boolean>>()
    expectTypeOf<Service["environment"]>().toEqualTypeOf<Environment.Environment>()
    expectTypeOf<TokenCache.Status["state"]>().toEqualTypeOf<"fresh" | "due" | "late" | "none">()
  })

  it("TokenCache.layer, layerWith and make fail with a ConfigError", () => {
    type Expected = Layer.Layer<TokenCache.TokenCache, Config.ConfigError, Needed>
    expectTypeOf(TokenCache.layer).toEqualTypeOf<Expected>()
    expectTypeOf(TokenCache.layerWith).returns.toEqualTypeOf<Expected>()
    expectTypeOf(TokenCache.make).returns.toEqualTypeOf<
      Effect.Effect<TokenCache.TokenCache["Service"], Config.ConfigError, Needed | Scope.Scope>
    >()
  })

  it("TokenRequest.send fails with a TokenError and needs an HttpClient only", () => {
    expectTypeOf(TokenRequest.send).toEqualTypeOf<
      (
        options: TokenRequest.Options
      ) => Effect.Effect<AccessToken.AccessToken, TokenError.TokenError, HttpClient.HttpClient>
    >()
    expectTypeOf(TokenRequest.encode).returns.toEqualTypeOf<HttpClientRequest.HttpClientRequest>()
    expectTypeOf(TokenRequest.decode).returns.toEqualTypeOf<
      Result.Result<AccessToken.AccessToken, TokenError.TokenError>
    >()
    expectTypeOf<TokenRequest.ClientAuthentication>().toEqualTypeOf<"client_secret_post" | "client_secret_basic">()
  })

  it("TokenRequest.exchange takes any client and grant, and needs an HttpClient only", () => {
    expectTypeOf(TokenRequest.exchange).toEqualTypeOf<
      (
        options: TokenRequest.Exchange
      ) => Effect.Effect<TokenRequest.Granted, TokenError.TokenError, HttpClient.HttpClient>
    >()
    expectTypeOf<TokenRequest.Exchange["credentials"]>().toEqualTypeOf<
      ClientCredentials.ClientCredentials | ClientCredentials.PublicClient
    >()
    expectTypeOf<TokenRequest.Grant["_tag"]>().toEqualTypeOf<
      "ClientCredentials" | "AuthorizationCode" | "RefreshToken"
    >()
    // A service has a secret.
    expectTypeOf<ClientCredentials.PublicClient>().not.toExtend<TokenRequest.Options["credentials"]>()
    expectTypeOf<{ _tag: "RefreshToken"; refreshToken: string }>().not.toExtend<TokenRequest.Grant>()
  })

  it("AuthorizationCode keeps secrets redacted and names both errors", () => {
    expectTypeOf(AuthorizationCode.start).returns.toEqualTypeOf<
      Effect.Effect<{ readonly url: Redacted.Redacted; readonly transaction: AuthorizationCode.Transaction }>
    >()
    expectTypeOf(AuthorizationCode.decode).toEqualTypeOf<
      (
        query: Iterable<readonly [name: string, value: string]>,
        transaction: AuthorizationCode.Transaction,
        issuer: string,
        now: DateTime.Utc
      ) => Result.Result<Redacted.Redacted, SignInError.SignInError>
    >()
    expectTypeOf(AuthorizationCode.redeem).returns.toEqualTypeOf<
      Effect.Effect<AuthorizationCode.SignedIn, SignInError.SignInError | TokenError.TokenError, HttpClient.HttpClient>
    >()
    expectTypeOf<AuthorizationCode.Transaction["state"]>().toEqualTypeOf<Redacted.Redacted>()
    expectTypeOf<URLSearchParams>().toExtend<Parameters<typeof AuthorizationCode.redeem>[0]>()
    expectTypeOf(AuthorizationCode.endSessionUrl).returns.toEqualTypeOf<Redacted.Redacted>()
    expectTypeOf<{ state: string }>().not.toExtend<AuthorizationCode.Transaction>()
    expectTypeOf<SignInError.SignInErrorReason["_tag"]>().toEqualTypeOf<
      "Denied" | "Refused" | "UnknownState" | "InvalidAnswer" | "NoAnswer"
    >()
  })

  it("ITwinHttpClient is an HttpClient that can also fail with a TokenError", () => {
    expectTypeOf<ITwinHttpClient.ITwinHttpClient["Service"]>().toEqualTypeOf<
      HttpClient.HttpClient.With<HttpClientError.HttpClientError | TokenError.TokenError>
    >()
    type Expected = Layer.Layer<ITwinHttpClient.ITwinHttpClient, never, TokenCache.TokenCache | HttpClient.HttpClient>
    expectTypeOf(ITwinHttpClient.layer).toEqualTypeOf<Expected>()
    expectTypeOf(ITwinHttpClient.layerWith).returns.toEqualTypeOf<Expected>()
    // A program that expects the plain HttpClient would not see the TokenError.
    expectTypeOf<ITwinHttpClient.ITwinHttpClient["Service"]>().not.toExtend<HttpClient.HttpClient>()
  })

  it("Users.me fails with one of three errors and needs the client only", () => {
    expectTypeOf(Users.me).toEqualTypeOf<
      Effect.Effect<
        Users.User,
        ITwinApiError.ITwinApiError | TokenError.TokenError | HttpClientError.HttpClientError,
        ITwinHttpClient.ITwinHttpClient
      >
    >()
    expectTypeOf<Users.User["id"]>().toEqualTypeOf<string>()
    expectTypeOf<Users.User["email"]>().toEqualTypeOf<string | undefined>()
  })

  it("the functions of AccessControl and ITwins fail with one of three errors and need the client only", () => {
    type Failure = ITwinApiError.ITwinApiError | TokenError.TokenError | HttpClientError.HttpClientError
    type Call<A> = Effect.Effect<A, Failure, ITwinHttpClient.ITwinHttpClient>
    expectTypeOf(AccessControl.permissions).returns.toEqualTypeOf<Call<ReadonlyArray<string>>>()
    expectTypeOf(AccessControl.roles).returns.toEqualTypeOf<Call<ReadonlyArray<AccessControl.Role>>>()
    expectTypeOf(AccessControl.addMember).returns.toEqualTypeOf<Call<AccessControl.Added>>()
    expectTypeOf(AccessControl.members).returns.toEqualTypeOf<
      Stream.Stream<AccessControl.Member, Failure, ITwinHttpClient.ITwinHttpClient>
    >()
    expectTypeOf(ITwins.list).returns.toEqualTypeOf<
      Stream.Stream<ITwins.ITwin, Failure, ITwinHttpClient.ITwinHttpClient>
    >()
    expectTypeOf<ITwins.ITwin["displayName"]>().toEqualTypeOf<string | undefined>()
    expectTypeOf<AccessControl.Member["email"]>().toEqualTypeOf<string | undefined>()
  })

  it("filterStatusOk adds two errors to a client, version none, and layerHttpClient hides the TokenError", () => {
    type Client<E> = HttpClient.HttpClient.With<E>
    const filtered = () => ITwinApiError.filterStatusOk(null as unknown as Client<"other">)
    expectTypeOf(filtered).returns.toEqualTypeOf<
      Client<"other" | ITwinApiError.ITwinApiError | HttpClientError.HttpClientError>
    >()
    const versioned = () => ITwinHttpClient.version(1)(null as unknown as Client<"other">)
    expectTypeOf(versioned).returns.toEqualTypeOf<Client<"other">>()
    expectTypeOf(ITwinHttpClient.layerHttpClient).toEqualTypeOf<
      Layer.Layer<HttpClient.HttpClient, never, ITwinHttpClient.ITwinHttpClient>
    >()
    expectTypeOf(TokenError.fromHttpClientError).toEqualTypeOf<
      (error: HttpClientError.HttpClientError) => Option.Option<TokenError.TokenError>
    >()
    expectTypeOf<{ retry: { times: 3 } }>().not.toExtend<Parameters<typeof ITwin.layerWith>[0]>()
  })

  it("SecretProvider.layerOrElse joins the errors and requirements of both layers", () => {
    const first = null as unknown as Layer.Layer<SecretProvider.SecretProvider, "first", Users.User>
    const second = null as unknown as Layer.Layer<SecretProvider.SecretProvider, "second", Scope.Scope>
    const both = () => SecretProvider.layerOrElse(second)(first)
    expectTypeOf(both).returns.toEqualTypeOf<
      Layer.Layer<SecretProvider.SecretProvider, "first" | "second", Users.User | Scope.Scope>
    >()
    expectTypeOf(SecretProvider.layerOrElse).parameter(1).exclude<undefined>().toEqualTypeOf<{
      readonly when?: ((reason: SecretProviderError.SecretProviderErrorReason) => boolean) | undefined
    }>()
    expectTypeOf(SecretProvider.layerStatic).toEqualTypeOf<
      (credentials: ClientCredentials.ClientCredentials) => Layer.Layer<SecretProvider.SecretProvider>
    >()
    expectTypeOf<SecretProvider.SecretProvider["Service"]["credentials"]>().toEqualTypeOf<
      Effect.Effect<ClientCredentials.ClientCredentials, SecretProviderError.SecretProviderError>
    >()
  })

  it("Environment is a reference with a default, and only reading variables can fail", () => {
    expectTypeOf(Environment.Environment).toEqualTypeOf<Context.Reference<Environment.Environment>>()
    expectTypeOf(Environment.production).toEqualTypeOf<Environment.Environment>()
    expectTypeOf(Environment.qa).toEqualTypeOf<Environment.Environment>()
    expectTypeOf(Environment.custom).returns.toEqualTypeOf<Environment.Environment>()
    expectTypeOf(Environment.layer).returns.toEqualTypeOf<Layer.Layer<never>>()
    expectTypeOf(Environment.current).toEqualTypeOf<Effect.Effect<Environment.Environment>>()
    expectTypeOf(Environment.configured).toEqualTypeOf<Effect.Effect<Environment.Environment, Config.ConfigError>>()
    expectTypeOf(Environment.config).toEqualTypeOf<Config.Config<Environment.Environment>>()
    expectTypeOf(Environment.layerConfig).toEqualTypeOf<Layer.Layer<never, Config.ConfigError>>()
    // Plain http is permitted by a symbol, which no JSON has.
    expectTypeOf<{ tokenEndpoint: string; apiBaseUrl: string; allowInsecureHttp: true }>().not.toEqualTypeOf<
      Parameters<typeof Environment.custom>[0]
    >()
  })

  it("RetryPolicy.make takes durations as Effect takes them, and returns durations", () => {
    expectTypeOf(RetryPolicy.make).parameter(0).toEqualTypeOf<RetryPolicy.Options>()
    expectTypeOf<RetryPolicy.Options["attemptTimeout"]>().toEqualTypeOf<Duration.Input | undefined>()
    expectTypeOf(RetryPolicy.make).returns.toEqualTypeOf<RetryPolicy.RetryPolicy>()
    expectTypeOf<RetryPolicy.RetryPolicy["attemptTimeout"]>().toEqualTypeOf<Duration.Duration>()
    expectTypeOf(RetryPolicy.none).toEqualTypeOf<RetryPolicy.RetryPolicy>()
    expectTypeOf(RetryPolicy.schedule).returns.toEqualTypeOf<
      Schedule.Schedule<Duration.Duration, RetryPolicy.Failure>
    >()
    expectTypeOf(RetryPolicy.layer).returns.toEqualTypeOf<Layer.Layer<never>>()
  })

  it("ServiceAuthorizationClient has the methods that iTwin.js and the iModels clients ask for", () => {
    type Client = ServiceAuthorizationClient.ServiceAuthorizationClient
    // `AuthorizationClient` of @itwin/core-common, and `AuthorizationCallback` of @itwin/imodels-client-management. The
    // proof with iTwin.js (scripts/itwin-js) compiles against the real types.
    expectTypeOf<Client>().toExtend<{ getAccessToken(): Promise<string> }>()
    expectTypeOf<Client["authorization"]>().toExtend<() => Promise<{ scheme: string; token: string }>>()
    expectTypeOf<Client["replace"]>().toEqualTypeOf<(header: string) => Promise<string | undefined>>()
    expectTypeOf<keyof Client>().toEqualTypeOf<"getAccessToken" | "authorization" | "replace">()
  })

  it("ServiceAuthorizationClient.make needs the cache and does not fail", () => {
    expectTypeOf(ServiceAuthorizationClient.make).toEqualTypeOf<
      (
        options?: ServiceAuthorizationClient.Options
      ) => Effect.Effect<ServiceAuthorizationClient.ServiceAuthorizationClient, never, TokenCache.TokenCache>
    >()
    expectTypeOf<NonNullable<ServiceAuthorizationClient.Options["onError"]>>().toEqualTypeOf<
      (error: TokenError.TokenError) => void
    >()
  })

  it("ServiceAuthorizationClient.fromLayer takes a layer that needs nothing, and tells its error to onError", () => {
    const layer = null as unknown as Layer.Layer<TokenCache.TokenCache | ITwinHttpClient.ITwinHttpClient, "failed">
    const make = () =>
      ServiceAuthorizationClient.fromLayer(layer, {
        onError: (error) => expectTypeOf(error).toEqualTypeOf<TokenError.TokenError | "failed">()
      })
    expectTypeOf(make).returns.toEqualTypeOf<ServiceAuthorizationClient.DisposableClient>()
    expectTypeOf<ServiceAuthorizationClient.DisposableClient>().toExtend<AsyncDisposable>()
    expectTypeOf(ITwin.layer).not.toExtend<Parameters<typeof ServiceAuthorizationClient.fromLayer>[0]>()
  })

  it("Scopes are branded: a plain string is not a scope set", () => {
    expectTypeOf<string>().not.toExtend<Scopes.Scopes>()
    expectTypeOf<Scopes.Scopes>().toExtend<string>()
    expectTypeOf(Scopes.make).toEqualTypeOf<(input: string) => Scopes.Scopes>()
    expectTypeOf(Scopes.parse).returns.toEqualTypeOf<Result.Result<Scopes.Scopes, Schema.SchemaError>>()
  })

  it("AccessToken hides its value and its header", () => {
    expectTypeOf<AccessToken.AccessToken["value"]>().not.toExtend<string>()
    expectTypeOf<AccessToken.AccessToken["authorizationHeader"]>().not.toExtend<string>()
  })

  it("errors tell their cases apart by the tag of their reason", () => {
    expectTypeOf<TokenError.TokenErrorReason["_tag"]>().extract<"InvalidClient">().toEqualTypeOf<"InvalidClient">()
    expectTypeOf<TokenError.TokenError["isRetryable"]>().toEqualTypeOf<boolean>()
    expectTypeOf<TokenError.TokenError["retryAfter"]>().toEqualTypeOf<Duration.Duration | undefined>()
    expectTypeOf<TokenError.TokenError["_tag"]>().toEqualTypeOf<"TokenError">()
    expectTypeOf<SecretProviderError.SecretProviderError["_tag"]>().toEqualTypeOf<"SecretProviderError">()
    expectTypeOf<ITwinApiError.ITwinApiError["_tag"]>().toEqualTypeOf<"ITwinApiError">()
  })
})
