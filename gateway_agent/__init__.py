"""The gateway agent: reads sensors, keeps every reading, sends it until it is stored."""

from typing import Final

__version__: Final = "0.1.0"
