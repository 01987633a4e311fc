"""What the running agent tells about itself, in a small file beside its spool."""

import json
import os
import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from gateway_agent import __version__
from gateway_agent.config import Config
from gateway_agent.inputs.runner import InputFigures
from gateway_agent.outputs.sender import SenderFigures
from gateway_agent.spool import SpoolFigures, SpoolLock

if TYPE_CHECKING:
    from gateway_agent.commands.runner import ActuatorFigures

_DROPPED: Final = "dropped_"
_PUBLISHED_EVERY: Final = 5.0
_STALE_AFTER: Final = 4 * _PUBLISHED_EVERY

Document = dict[str, Any]


class StatusFile:
    """Writes the status so that a reader finds either the old one or the new one, whole."""

    def __init__(self, config: Config) -> None:
        self._file = _status_path(config)
        self._gateway_id = config.gateway.id
        self._began = time.monotonic()

    def publish(
        self,
        spool: SpoolFigures,
        sender: SenderFigures,
        inputs: Sequence[InputFigures],
        actuators: "Sequence[ActuatorFigures]" = (),
        *,
        synced: bool = True,
        stuck: str | None = None,
    ) -> Document:
        """Replace the status, and return it. Raises OSError, for instance when the disk is full."""
        document = self.document(spool, sender, inputs, actuators, synced=synced, stuck=stuck)
        fresh = self._file.with_suffix(".json-new")
        fresh.write_text(json.dumps(document), encoding="utf-8")
        fresh.replace(self._file)
        return document

    def document(
        self,
        spool: SpoolFigures,
        sender: SenderFigures,
        inputs: Sequence[InputFigures],
        actuators: "Sequence[ActuatorFigures]" = (),
        *,
        synced: bool,
        stuck: str | None,
    ) -> Document:
        """How the agent is at this moment; `stuck` names a part of it that makes no progress."""
        now = time.time()
        document = {
            "gateway": self._gateway_id,
            "version": __version__,
            "pid": os.getpid(),
            # By the clock of now, which may have been set since then: so the difference is true.
            "started": now - (time.monotonic() - self._began),
            "updated": now,
            "output": asdict(sender),
            "spool": spool_document(spool, now),
            "inputs": [asdict(figures) for figures in inputs],
            "actuators": [asdict(figures) for figures in actuators],
            "synced": synced,
            "stuck": stuck,
        }
        document["problems"] = list(_problems(document))
        return document


def spool_document(figures: SpoolFigures, now: float) -> Document:
    """The spool's figures as they are shown: ages in seconds, drops by reason."""
    counters = figures.counters
    age = None if figures.oldest_us is None else max(0.0, round(now - figures.oldest_us / 1e6, 1))
    return {
        "stream": figures.stream,
        "depth": figures.depth,
        "queued": figures.queued,
        "oldest_age": age,
        "last_seq": figures.last_seq,
        "dead_letters": figures.dead_letters,
        "committed": counters.get("committed", 0),
        "acknowledged": counters.get("acknowledged", 0),
        "respooled": counters.get("respooled", 0),
        "corrupt_files": counters.get("corrupt_files", 0),
        "dropped": {
            name.removeprefix(_DROPPED): count
            for name, count in counters.items()
            if name.startswith(_DROPPED)
        },
        "disk_full": figures.disk_full,
        "trouble": figures.trouble,
        "held": figures.held,
    }


def read_status(config: Config) -> Document:
    """The agent's last word about itself, with `running` and what is wrong, if anything.

    `state` is running, degraded, or not running. When the agent does not run, the spool's figures
    are read from the spool itself.
    """
    try:
        document: Document = json.loads(_status_path(config).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        document = {"gateway": config.gateway.id}
    running = SpoolLock(config.spool.path).is_held()
    document["running"] = running
    if not running:
        document["spool"] = spool_document(_spool_at_rest(config.spool.path), time.time())
        document["problems"] = []
        document["state"] = "not running"
        return document
    document["problems"] = list(_problems(document))
    document["state"] = "degraded" if document["problems"] else "running"
    return document


def _status_path(config: Config) -> Path:
    return config.spool.path.with_name(config.spool.path.name + ".status.json")


def _problems(document: Mapping[str, Any]) -> Sequence[str]:
    if "output" not in document:
        return ["the agent has not said anything yet"]
    problems = []
    if time.time() - document["updated"] > _STALE_AFTER:
        problems.append("the agent has not said anything for a while")
    output, spool = document["output"], document["spool"]
    if document.get("stuck"):
        problems.append(document["stuck"])
    if output["state"] != "ok":
        problems.append(f"delivery {output['state']}: {output['last_error']}")
    if spool["trouble"]:
        problems.append(f"spool: {spool['trouble']}")
    if spool["disk_full"]:
        problems.append("the disk is full")
    problems += [
        f"input {figures['name']}: {figures['last_error']}"
        for figures in document["inputs"]
        if figures["last_error"] and (figures["hangs_for"] or not figures["open"])
    ]
    problems += [
        f"actuator {figures['sensor']}: {figures['last_error']}"
        for figures in document.get("actuators", [])
        if figures["last_error"] and figures["value"] is None and figures["safe_state"] is not None
    ]
    return problems


def _spool_at_rest(path: Path) -> SpoolFigures:
    """Read a spool that nobody writes; empty figures when that is not possible."""
    if not path.exists():
        return SpoolFigures()
    try:
        db = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=2)
    except sqlite3.Error as error:
        return SpoolFigures(trouble=str(error))
    try:
        depth, oldest = db.execute("SELECT count(*), min(wall_us) FROM reading").fetchone()
        last = db.execute("SELECT max(seq) FROM sqlite_sequence WHERE name = 'reading'").fetchone()
        dead = db.execute("SELECT count(*) FROM dead_letter").fetchone()
        counters = dict(db.execute("SELECT name, value FROM counter"))
    except sqlite3.Error as error:
        return SpoolFigures(trouble=str(error))
    finally:
        db.close()
    return SpoolFigures(
        depth=depth,
        oldest_us=oldest,
        last_seq=last[0] or 0,
        dead_letters=dead[0],
        counters=counters,
    )
