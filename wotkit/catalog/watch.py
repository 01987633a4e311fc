"""Whether what a process remembers of the catalog is still true."""

from __future__ import annotations

import asyncio
from typing import Protocol


class Watch(Protocol):
    """Tells the catalog's revision: a number that every change to a cached table raises."""

    @property
    def seen(self) -> int:
        """The revision when it was last asked for."""
        ...

    def revision(self) -> int:
        """Return the revision."""
        ...

    def close(self) -> None:
        """Stop watching."""
        ...


class TurnWatch:
    """Asks another watch once in a turn of the event loop, for all requests of that turn.

    A request's task is queued after its bytes were read, and the end of this turn before the tasks
    of what is read next: so the answer is newer than every request that goes by it, and a
    revocation still holds from the next request on.
    """

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._asked = False

    @property
    def seen(self) -> int:
        """The revision when it was last asked for."""
        return self._watch.seen

    def revision(self) -> int:
        """Return the revision as of this turn."""
        if not self._asked:
            self._asked = True
            asyncio.get_running_loop().call_soon(self._end_turn)
            return self._watch.revision()
        return self._watch.seen

    def close(self) -> None:
        """Stop watching."""
        self._watch.close()

    def _end_turn(self) -> None:
        self._asked = False
