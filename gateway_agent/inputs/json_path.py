"""Paths into JSON documents: `main.temp`, `sensors[0].value`, `["a.b"].c`."""

import re
from typing import Final

Steps = tuple[str | int, ...]

_STEP: Final = re.compile(r"""\[(-?\d+)\]|\["([^"]*)"\]|\['([^']*)'\]|\.?([^.\[\]"']+)""")


class NotThere(LookupError):
    """The document has nothing at a path."""


def parse_path(text: str) -> Steps:
    """The names and indexes of a path; a leading `$` is allowed. Raises ValueError."""
    rest = text.removeprefix("$")
    steps: list[str | int] = []
    position = 0
    while position < len(rest):
        step = _STEP.match(rest, position)
        if step is None or (step[0][0] == "." and position == 0 and rest == text):
            raise ValueError(
                f'expected a path such as "main.temp" or "list[0].value", not {text!r}'
            )
        index, double, single, name = step.groups()
        steps.append(
            int(index) if index is not None else next(filter(_given, (double, single, name)))
        )
        position = step.end()
    return tuple(steps)


def _given(name: str | None) -> bool:
    return name is not None


def find(document: object, steps: Steps) -> object:
    """What stands at a path. Raises NotThere.

    A name that is a whole number also finds the element of a list.
    """
    here = document
    for step in steps:
        if isinstance(here, dict) and str(step) in here:
            here = here[str(step)]
        elif isinstance(here, list) and (isinstance(step, int) or step.isdecimal()):
            index = int(step)
            if not -len(here) <= index < len(here):
                raise NotThere(f"no element {index}")
            here = here[index]
        else:
            raise NotThere(f"nothing at {step!r}")
    return here
