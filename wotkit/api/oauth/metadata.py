"""What clients can find out about this server by themselves (RFC 8414)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from wotkit.api.operation import Returns, operation
from wotkit.api.responses import answer_json
from wotkit.catalog.identity import SCOPES

if TYPE_CHECKING:
    import falcon.asgi

    from wotkit.settings import Settings

TAG: Final = "OAuth2"
_METHODS: Final = ["client_secret_basic", "client_secret_post"]


def issuer_of(req: falcon.asgi.Request, settings: Settings) -> str:
    """Return the address under which clients know this server, without a slash at its end."""
    return (settings.server.public_url or f"{req.scheme}://{req.netloc}").rstrip("/")


def metadata(issuer: str) -> dict[str, Any]:
    """Return the metadata of RFC 8414 section 2."""
    base = f"{issuer}/api/oauth"
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{base}/authorize",
        "token_endpoint": f"{base}/token",
        "revocation_endpoint": f"{base}/revoke",
        "introspection_endpoint": f"{base}/introspect",
        "device_authorization_endpoint": f"{base}/device_authorization",
        "scopes_supported": sorted(SCOPES),
        "response_types_supported": ["code", "token", "code token"],
        "response_modes_supported": ["query", "fragment"],
        "grant_types_supported": [
            "authorization_code",
            "refresh_token",
            "implicit",
            "password",
            "client_credentials",
            "urn:ietf:params:oauth:grant-type:device_code",
        ],
        "token_endpoint_auth_methods_supported": [*_METHODS, "none"],
        "revocation_endpoint_auth_methods_supported": [*_METHODS, "none"],
        "introspection_endpoint_auth_methods_supported": _METHODS,
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
        "service_documentation": f"{issuer}/docs",
    }


class MetadataResource:
    """The addresses and abilities of this authorization server."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @operation(
        tag=TAG,
        summary="Addresses and abilities for OAuth2 clients",
        description="Client libraries set themselves up with it (RFC 8414).",
        privacy="public",
        returns={200: Returns("The metadata.", dict[str, Any])},
    )
    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Answer the metadata."""
        answer_json(resp, metadata(issuer_of(req, self._settings)))
