"""What applications look like in requests and answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from wotkit import times
from wotkit.catalog.apps import AppChange

if TYPE_CHECKING:
    from wotkit.catalog.apps import AppRow
    from wotkit.catalog.grants import GrantRow

LONGEST_OVERLAP_HOURS: Final = 8760.0

Kind = Literal["web", "desktop", "browser"]


class AppAttributes(Struct, rename="camel", kw_only=True):
    """What of an application may be changed; an attribute that is absent stays as it is."""

    name: Annotated[str, Meta(description="Shown to users who are asked.")] | UnsetType = UNSET
    description: (
        Annotated[str, Meta(description="What it does, shown to users who are asked.")] | UnsetType
    ) = UNSET
    website: Annotated[str, Meta(description="An http(s) address.")] | UnsetType = UNSET
    icon: Annotated[str, Meta(description="An https address; may be empty.")] | UnsetType = UNSET
    redirect_uris: (
        Annotated[
            list[str],
            Meta(
                description="Where users may be sent back to, compared exactly; only the port of "
                "a loopback address may differ. `urn:ietf:wg:oauth:2.0:oob` shows the code."
            ),
        ]
        | UnsetType
    ) = UNSET
    scopes: (
        Annotated[list[str], Meta(description="What it gets when it asks for no scope.")]
        | UnsetType
    ) = UNSET
    allow_password: (
        Annotated[bool, Meta(description="Users may type their password into it.")] | UnsetType
    ) = UNSET
    allow_implicit: (
        Annotated[bool, Meta(description="Tokens may be handed over in an address.")] | UnsetType
    ) = UNSET
    allow_client_credentials: (
        Annotated[bool, Meta(description="It may act for its owner by itself.")] | UnsetType
    ) = UNSET
    allow_frob: (
        Annotated[bool, Meta(description="It may use the handshake with a frob.")] | UnsetType
    ) = UNSET
    access_seconds: (
        Annotated[int | None, Meta(description="Life of access tokens; null is the server's.")]
        | UnsetType
    ) = UNSET
    refresh_seconds: (
        Annotated[int | None, Meta(description="Life of refresh tokens; null is the server's.")]
        | UnsetType
    ) = UNSET
    grace_seconds: (
        Annotated[
            int, Meta(description="For which a refresh token may come back after it was used.")
        ]
        | UnsetType
    ) = UNSET


class NewApp(AppAttributes, rename="camel", kw_only=True):
    """An application to be registered."""

    name: Annotated[str, Meta(description="Shown to users who are asked.")]
    website: Annotated[str, Meta(description="An http(s) address.")]
    kind: Annotated[
        Kind, Meta(description="`web` has a secret; `desktop` and `browser` cannot keep one.")
    ] = "web"


class PublicApp(Struct, rename="camel", kw_only=True):
    """An application as everybody sees it."""

    name: str
    description: str
    website: str
    icon: str
    owner: str


class AppAnswer(PublicApp, rename="camel", kw_only=True):
    """An application as its owner sees it, without its secret."""

    client_id: str
    kind: str
    redirect_uris: list[str]
    scopes: list[str]
    allow_password: bool
    allow_implicit: bool
    allow_client_credentials: bool
    allow_frob: bool
    access_seconds: int | None
    refresh_seconds: int | None
    grace_seconds: int
    created: Annotated[str, Meta(description="ISO 8601.")]
    old_secret_until: Annotated[
        str | None,
        Meta(description="Until when the secret before the last rotation is good; ISO 8601."),
    ]


class AppWithSecret(AppAnswer, rename="camel", kw_only=True):
    """An application and its new secret, which is shown this once; null where it has none."""

    client_secret: str | None


class SecretRotation(Struct, rename="camel", kw_only=True):
    """How to give an application another secret."""

    overlap_hours: (
        Annotated[
            float,
            Meta(
                ge=0,
                le=LONGEST_OVERLAP_HOURS,
                description="Hours for which the old secret stays good too; 0 ends it at once. "
                "Absent: the setting `auth.rotation_overlap_hours`, 24 by default.",
            ),
        ]
        | UnsetType
    ) = UNSET


class SigningSecret(Struct, rename="camel", kw_only=True):
    """A signing secret, which is shown this once."""

    client_id: str
    signing_secret: str


class TokenWanted(Struct, rename="camel", kw_only=True):
    """What a developer token is to allow."""

    scopes: (
        Annotated[list[str], Meta(description="Absent: those the application is registered with.")]
        | UnsetType
    ) = UNSET


class TokenAnswer(Struct, rename="camel", kw_only=True):
    """A developer token, which is shown this once."""

    access_token: str
    scopes: list[str]
    expires: Annotated[str, Meta(description="ISO 8601.")]


class GrantAnswer(Struct, rename="camel", kw_only=True):
    """What a user lets an application do."""

    id: int
    client_id: str
    app: Annotated[str, Meta(description="The name of the application.")]
    website: str
    owner: Annotated[str, Meta(description="Who registered it.")]
    user: Annotated[str, Meta(description="Whom it acts for.")]
    kind: Annotated[
        str,
        Meta(
            description="How it came about: `consent`, `device`, `password`, `client`, "
            "`developer` or `frob`."
        ),
    ]
    scopes: list[str]
    created: Annotated[str, Meta(description="ISO 8601.")]
    last_used: Annotated[str | None, Meta(description="ISO 8601; null is not yet.")]
    last_address: str | None


def change_of(body: AppAttributes) -> AppChange:
    """Return what the verbs understand."""
    return AppChange(**{name: getattr(body, name) for name in AppChange.__struct_fields__})


def public(row: AppRow) -> PublicApp:
    """Return an application as everybody sees it."""
    return PublicApp(**{name: getattr(row, name) for name in PublicApp.__struct_fields__})


def attributes(row: AppRow) -> dict[str, Any]:
    """Return the attributes of an application as its owner sees it."""
    same = {name: getattr(row, name) for name in AppAnswer.__struct_fields__}
    return same | {
        "redirect_uris": list(row.redirect_uris),
        "scopes": list(row.scopes),
        "created": times.to_iso(row.created),
        "old_secret_until": iso(row.old_secret_until),
    }


def grant_answer(row: GrantRow) -> GrantAnswer:
    """Return a grant as it is answered."""
    same = {name: getattr(row, name) for name in GrantAnswer.__struct_fields__}
    return GrantAnswer(
        **same
        | {
            "scopes": list(row.scopes),
            "created": times.to_iso(row.created),
            "last_used": iso(row.last_used),
        }
    )


def iso(micros: int | None) -> str | None:
    """Return a time as ISO 8601, if there is one."""
    return None if micros is None else times.to_iso(micros)
