"""A batch as the platform takes it, and its answer, whichever way they go."""

from collections.abc import Mapping
from typing import Any, Final

from gateway_agent.clock import iso_time
from gateway_agent.outputs.base import RejectedItem, Stored
from gateway_agent.spool import Batch

_DOUBTFUL: Final = '"time_quality":"unsynced",'


def encode_batch(batch: Batch) -> bytes:
    """The body of an ingest request. The fields are JSON already, and are only joined."""
    readings = ",".join(
        f'{{"seq":{row.seq},"sensor":"{row.sensor}","timestamp":"{iso_time(row.wall_us)}",'
        f"{'' if row.synced else _DOUBTFUL}{row.fields[1:]}"
        for row in batch.rows
    )
    return f'{{"stream":"{batch.stream}","readings":[{readings}]}}'.encode("ascii")


def acknowledgement(body: Any, batch: Batch) -> Stored | None:
    """The platform's answer to a batch; None when it is not one."""
    if not isinstance(body, dict):
        return None
    through = body.get("acked_through")
    if isinstance(through, bool) or not isinstance(through, int):
        return None
    if through < batch.rows[0].seq:
        return None
    items = body.get("rejected")
    rejected = [_rejected(item) for item in items] if isinstance(items, list) else []
    return Stored(through, tuple(item for item in rejected if item is not None))


def _rejected(item: Any) -> RejectedItem | None:
    if not isinstance(item, Mapping) or not isinstance(item.get("seq"), int):
        return None
    return RejectedItem(item["seq"], str(item.get("code", "")), str(item.get("message", "")))
