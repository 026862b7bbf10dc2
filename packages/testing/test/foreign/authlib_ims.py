"""authlib against the command fake-ims: a token in both ways of authentication, introspection, discovery and keys.

Arguments: the URL of the fake, the client id. The client secret is in the variable FAKE_CLIENT_SECRET.
"""

import os
import sys
from urllib.parse import quote_plus

import authlib
import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.jose import JsonWebKey, jwt

url, client_id = sys.argv[1:]
client_secret = os.environ["FAKE_CLIENT_SECRET"]
scope = "itwin-platform"

discovery = requests.get(f"{url}/.well-known/openid-configuration", timeout=10).json()
keys = JsonWebKey.import_key_set(requests.get(discovery["jwks_uri"], timeout=10).json())


def session(method, password):
    return OAuth2Session(
        client_id,
        password,
        scope=scope,
        token_endpoint_auth_method=method,
        # For introspection too.
        revocation_endpoint_auth_method=method,
    )


def fetch(client):
    return client.fetch_token(discovery["token_endpoint"], grant_type="client_credentials")


for method, password in (
    ("client_secret_post", client_secret),
    # authlib sends the secret as it is. RFC 6749 section 2.3.1 asks for the form-encoded one.
    ("client_secret_basic", quote_plus(client_secret)),
):
    client = session(method, password)
    token = fetch(client)
    assert token["token_type"] == "Bearer", method
    claims = jwt.decode(
        token["access_token"],
        keys,
        claims_options={"iss": {"essential": True, "value": discovery["issuer"]}},
    )
    claims.validate()
    assert claims["client_id"] == client_id, method
    me = client.get(f"{url}/users/me", timeout=10)
    assert me.status_code == 200, (method, me.text)
    active = client.introspect_token(discovery["introspection_endpoint"], token=token["access_token"])
    assert active.status_code == 200, (method, active.text)
    assert active.json()["active"] is True, method
    assert active.json()["client_id"] == client_id, method
    inactive = client.introspect_token(discovery["introspection_endpoint"], token="fake-secret-not-a-token")
    assert inactive.json() == {"active": False}, method

    try:
        fetch(session(method, "fake-secret-wrong"))
    except OAuthError as error:
        assert error.error == "invalid_client", (method, error)
    else:
        raise AssertionError(f"{method}: a wrong secret was accepted")

print(f"authlib {authlib.__version__}: tokens by post and basic, introspection, discovery and keys")
