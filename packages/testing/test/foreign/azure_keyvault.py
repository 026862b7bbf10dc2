"""All operations of azure-keyvault-secrets on the fake Key Vault, with the credentials of an app, over https.

Arguments: the URL of the fake, the file with its certificate, the tenant, the client id. The client secret is in the
variable FAKE_CLIENT_SECRET.
"""

import logging
import os
import sys
from datetime import datetime, timedelta, timezone

import requests
from authlib.jose import JsonWebKey, jwt
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
)
from azure.identity import ClientSecretCredential
from azure.keyvault.secrets import SecretClient
from azure.keyvault.secrets._version import VERSION

# The client logs the failures that are expected below.
logging.disable(logging.ERROR)

url, certificate, tenant, client_id = sys.argv[1:]
client_secret = os.environ["FAKE_CLIENT_SECRET"]
secret = "fake-secret-a+b/c="
rotated = "fake-secret-d+e/f="


def make_credential(password):
    return ClientSecretCredential(
        tenant,
        client_id,
        password,
        authority=url,
        connection_verify=certificate,
        # The option had the first name before azure-identity 1.13.0.
        instance_discovery=False,
        disable_instance_discovery=True,
    )


def make_client(credential):
    return SecretClient(url, credential, connection_verify=certificate, verify_challenge_resource=False)


def fails(expected, call):
    try:
        call()
    except expected as error:
        return error
    raise AssertionError(f"expected {expected.__name__}")


credential = make_credential(client_secret)
client = make_client(credential)

# Set and get.
expires_on = datetime(2031, 2, 3, 4, 5, 6, tzinfo=timezone.utc)
first = client.set_secret("itwin", secret, content_type="text/plain", tags={"app": "a"}, expires_on=expires_on)
assert first.value == secret
assert first.id == f"{url}/secrets/itwin/{first.properties.version}"
assert first.properties.expires_on == expires_on
assert first.properties.tags == {"app": "a"}
assert first.properties.recoverable_days == 90
second = client.set_secret("itwin", rotated)
assert client.get_secret("itwin").value == rotated
assert client.get_secret("itwin", first.properties.version).value == secret

# List, in more than one page.
for number in range(30):
    client.set_secret(f"other-{number:02}", secret)
names = [properties.name for properties in client.list_properties_of_secrets(max_page_size=7)]
assert names == ["itwin"] + [f"other-{number:02}" for number in range(30)], names
versions = [properties.version for properties in client.list_properties_of_secret_versions("itwin")]
assert versions == [first.properties.version, second.properties.version]

# Update: a given version, and the newest one.
updated = client.update_secret_properties("itwin", first.properties.version, enabled=False, tags={"app": "b"})
assert (updated.enabled, updated.tags, updated.content_type) == (False, {"app": "b"}, "text/plain")
error = fails(HttpResponseError, lambda: client.get_secret("itwin", first.properties.version))
assert error.status_code == 403 and error.error.innererror["code"] == "SecretDisabled"
assert client.update_secret_properties("itwin", content_type="application/json").version == second.properties.version

# Delete, recover, delete and purge.
poller = client.begin_delete_secret("itwin", _polling_interval=0)
poller.wait()
deleted = poller.result()
assert deleted.recovery_id == f"{url}/deletedsecrets/itwin"
assert deleted.scheduled_purge_date - deleted.deleted_date == timedelta(days=90)
fails(ResourceNotFoundError, lambda: client.get_secret("itwin"))
error = fails(ResourceExistsError, lambda: client.set_secret("itwin", secret))
assert error.error.innererror["code"] == "ObjectIsDeletedButRecoverable"
assert client.get_deleted_secret("itwin").name == "itwin"
assert [item.name for item in client.list_deleted_secrets()] == ["itwin"]
poller = client.begin_recover_deleted_secret("itwin", _polling_interval=0)
poller.wait()
assert poller.result().version == second.properties.version
assert client.get_secret("itwin").value == rotated
client.begin_delete_secret("itwin", _polling_interval=0).wait()
client.purge_deleted_secret("itwin")
fails(ResourceNotFoundError, lambda: client.get_deleted_secret("itwin"))
assert client.set_secret("itwin", secret).value == secret

# A wrong client secret.
wrong = make_client(make_credential("fake-secret-wrong+/="))
error = fails(ClientAuthenticationError, lambda: wrong.get_secret("itwin"))
assert "AADSTS7000215" in error.message

# The keys that discovery names verify the token.
discovery = requests.get(f"{url}/{tenant}/v2.0/.well-known/openid-configuration", verify=certificate, timeout=10).json()
keys = JsonWebKey.import_key_set(requests.get(discovery["jwks_uri"], verify=certificate, timeout=10).json())
token = credential.get_token("https://vault.azure.net/.default").token
claims = jwt.decode(
    token,
    keys,
    claims_options={
        "iss": {"essential": True, "value": f"https://sts.windows.net/{tenant}/"},
        "aud": {"essential": True, "value": "https://vault.azure.net"},
    },
)
claims.validate()
assert claims["appid"] == client_id

print(f"azure-keyvault-secrets {VERSION}: every operation on secrets does what the client expects")
