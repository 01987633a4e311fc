"""Authlib's clients complete their flows, from what the server says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata

from tests.clients.conftest import CALLBACK

if TYPE_CHECKING:
    from tests.clients.conftest import Platform
    from tests.web_user import WebUser

VERIFIER = "a-verifier-of-more-than-forty-three-characters-0123456789"


def discovered(platform: Platform) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(
        f"{platform.url}/.well-known/oauth-authorization-server"
    ).json()
    return found


def client_of(app: dict[str, Any], **more: Any) -> OAuth2Session:
    return OAuth2Session(
        client_id=app["client_id"],
        client_secret=app["client_secret"],
        redirect_uri=CALLBACK,
        scope="read",
        code_challenge_method="S256",
        **more,
    )


def authorized(platform: Platform, alice: WebUser, client: OAuth2Session) -> dict[str, Any]:
    about = discovered(platform)
    address, state = client.create_authorization_url(
        about["authorization_endpoint"], code_verifier=VERIFIER
    )
    token: dict[str, Any] = client.fetch_token(
        about["token_endpoint"],
        authorization_response=alice.decide(address),
        state=state,
        code_verifier=VERIFIER,
    )
    return token


def status(platform: Platform, client: OAuth2Session) -> int:
    answer = client.get(f"{platform.url}/api/v2/sensors/alice.greenhouse/data")
    return int(answer.status_code)


def test_metadata_is_valid_but_for_tls(platform: Platform) -> None:
    about = discovered(platform)
    assert about["issuer"] == platform.url
    secure = {
        name: value.replace("http://", "https://") if isinstance(value, str) else value
        for name, value in about.items()
    }
    AuthorizationServerMetadata(secure).validate()


@pytest.mark.parametrize("how", ["client_secret_basic", "client_secret_post"])
def test_code_refresh_and_revoke(platform: Platform, alice: WebUser, how: str) -> None:
    about = discovered(platform)
    app = platform.register(f"authlib {how}")
    with client_of(app, token_endpoint_auth_method=how) as client:
        first = authorized(platform, alice, client)
        assert status(platform, client) == 200
        second = client.refresh_token(about["token_endpoint"])
        assert second["refresh_token"] != first["refresh_token"]
        assert status(platform, client) == 200
        known = client.introspect_token(
            about["introspection_endpoint"], token=second["access_token"]
        ).json()
        assert (known["active"], known["scope"]) == (True, "read")
        answer = client.revoke_token(about["revocation_endpoint"], token=second["refresh_token"])
        assert answer.status_code == 200
        assert status(platform, client) == 401


def test_public_client_needs_its_verifier(platform: Platform, alice: WebUser) -> None:
    app = platform.register("authlib public", kind="desktop")
    about = discovered(platform)
    with client_of(app, token_endpoint_auth_method="none") as client:
        address, state = client.create_authorization_url(
            about["authorization_endpoint"], code_verifier=VERIFIER
        )
        back = alice.decide(address)
        with pytest.raises(OAuthError, match="invalid_grant"):
            client.fetch_token(
                about["token_endpoint"],
                authorization_response=back,
                state=state,
                code_verifier=VERIFIER[::-1],
            )
        assert authorized(platform, alice, client)["scope"] == "read"
        assert status(platform, client) == 200


def test_wrong_secret_is_an_invalid_client(platform: Platform, alice: WebUser) -> None:
    app = platform.register("authlib wrong")
    client = client_of(app | {"client_secret": "wrong"})
    with client, pytest.raises(OAuthError, match="invalid_client"):
        authorized(platform, alice, client)


def test_machine_acts_by_itself(platform: Platform) -> None:
    app = platform.register("authlib machine", "--allow", "client-credentials")
    with client_of(app) as client:
        client.fetch_token(discovered(platform)["token_endpoint"], grant_type="client_credentials")
        assert status(platform, client) == 200
