"""Readings of one sensor, version 2."""

from __future__ import annotations

from wotkit.api.v1 import readings as v1


class ReadingsResource(v1.ReadingsResource):
    """As version 1, but a PUT replaces only readings of exactly the times it names."""

    exactly = True
