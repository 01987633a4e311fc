"""What a group is made of, and what its attributes must be like."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from wotkit.catalog import sensor_checks

NAME: Final = re.compile(r"[a-z][a-z0-9_-]{3,49}")
LONG_NAME: Final = range(4, 101)
"""How many characters a longName may have."""

_Tags = Annotated[list[str], Meta(description="Any texts.")]
_Metadata = Annotated[
    dict[str, Any], Meta(description="Names, each with a text, a number or a truth value.")
]
_ImageUrl = Annotated[str | None, Meta(description="Address of a picture; null is none.")]
_Visibility = Annotated[str, Meta(description="`PUBLIC` or `PRIVATE`.")]
_Latitude = Annotated[float, Meta(description="Degrees north (WGS 84).")]
_Longitude = Annotated[float, Meta(description="Degrees east (WGS 84).")]


class NewGroup(Struct, kw_only=True, rename="camel"):
    """A group to be created."""

    name: Annotated[
        str,
        Meta(
            description="4 to 50 characters of a-z, 0-9, _ and -, a letter first; unique among "
            "the owner's groups; it never changes."
        ),
    ]
    long_name: Annotated[str, Meta(description="What people call it; 4 to 100 characters.")]
    description: str | UnsetType = UNSET
    owner: (
        Annotated[str, Meta(description="The caller, or an organization it is a member of.")]
        | UnsetType
    ) = UNSET
    latitude: _Latitude = 0.0
    longitude: _Longitude = 0.0
    visibility: _Visibility = "PRIVATE"
    image_url: _ImageUrl = None
    tags: _Tags = []
    metadata: _Metadata = {}


class GroupChange(Struct, kw_only=True, rename="camel"):
    """What of a group is to change; what is absent stays as it is."""

    id: Annotated[int, Meta(description="Never changes.")] | UnsetType = UNSET
    name: Annotated[str, Meta(description="Never changes.")] | UnsetType = UNSET
    owner: Annotated[str, Meta(description="Never changes.")] | UnsetType = UNSET
    long_name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    latitude: _Latitude | UnsetType = UNSET
    longitude: _Longitude | UnsetType = UNSET
    visibility: _Visibility | UnsetType = UNSET
    image_url: _ImageUrl | UnsetType = UNSET
    tags: _Tags | UnsetType = UNSET
    metadata: _Metadata | UnsetType = UNSET


def problems(group: NewGroup | GroupChange) -> dict[str, str]:
    """Return what is wrong with a group, by attribute."""
    found = sensor_checks.problems(group)
    if group.description == "":  # UNSET is false too
        del found["description"]
    if isinstance(group, NewGroup) and not NAME.fullmatch(group.name):
        found["name"] = "is invalid: 4 to 50 characters of a-z, 0-9, _ and -, a letter first"
    if group.long_name is not UNSET and len(group.long_name) not in LONG_NAME:
        found["longName"] = f"is invalid: {LONG_NAME.start} to {LONG_NAME.stop - 1} characters"
    return found
