"""Describes a responder for the API's reference, with the same types that validate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable

    from wotkit.errors import WotkitError

Responder = TypeVar("Responder", bound="Callable[..., Any]")
Privacy = Literal["public", "public or private", "private", "admin"]

ATTRIBUTE: Final = "wotkit_operation"


class Returns(Struct, frozen=True):
    """One successful answer: what it means and the type of its body, None for no body."""

    meaning: str
    body: Any = None
    media: str = "application/json"
    also: tuple[str, ...] = ()
    """Other media types that carry the same, as the client asks."""
    headers: dict[str, str] = {}
    """Headers of this answer that mean something, and what."""


class Operation(Struct, frozen=True, kw_only=True):
    """What the reference says about one method of one path."""

    summary: str
    privacy: Privacy
    returns: dict[int, Returns]
    scope: str | None = None
    user_only: bool = False
    """Whether a key, which acts for a user, is refused."""
    description: str = ""
    query: Any = None
    """A Struct whose fields are the query parameters, or several of them."""
    body: Any = None
    """The type of the JSON body; a form may carry the same when ``form`` is set."""
    body_optional: bool = False
    example: Any = None
    """A body that works, for the reference and its curl line."""
    form: bool = False
    form_only: bool = False
    """Whether the body is a form and nothing else."""
    oauth: bool = False
    """Whether the body is a form and nothing else, and ``returns`` has every refusal too."""
    headers: dict[str, str] = {}
    """Request headers that mean something here, and what."""
    errors: tuple[type[WotkitError], ...] = ()
    tag: str = ""


def operation(**described: Any) -> Callable[[Responder], Responder]:
    """Attach an :class:`Operation` to a responder; nothing is wrapped, so nothing gets slower."""

    def attach(responder: Responder) -> Responder:
        setattr(responder, ATTRIBUTE, Operation(**described))
        return responder

    return attach
