"""What the guide to MQTT gives to copy."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "wotkit" / "web" / "docs" / "mqtt.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def examples(language: str) -> list[str]:
    """All of a language."""
    return [text for name, text in BLOCK.findall(PAGE.read_text()) if name == language]


def example(language: str, having: str) -> str:
    """The one with these words."""
    (found,) = [text for text in examples(language) if having in text]
    return found
