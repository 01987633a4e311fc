"""What SQLite keeps in step by triggers: the full-text index of sensors and the uses of tags.

Part of the engine switch (:mod:`wotkit.catalog.engine`). Triggers, so that a row that goes by a
cascade, or that another program changes, is followed too. PostgreSQL has the same with functions
of its own, and a trigram index (pg_trgm) for the texts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from peewee import Database

SHORTEST: Final = 3
"""Characters of a word that the index can find: it holds every three in a row."""

_TEXT_TABLE: Final = (
    "CREATE VIRTUAL TABLE IF NOT EXISTS sensor_text USING fts5(name, long_name, description, "
    "content='sensor', content_rowid='id', tokenize='trigram')"
)
_REMOVE_TEXT: Final = (
    "INSERT INTO sensor_text (sensor_text, rowid, name, long_name, description) "
    "VALUES ('delete', OLD.id, OLD.name, OLD.long_name, OLD.description);"
)
_ADD_TEXT: Final = (
    "INSERT INTO sensor_text (rowid, name, long_name, description) "
    "VALUES (NEW.id, NEW.name, NEW.long_name, NEW.description);"
)

_SCOPE: Final = "CASE visibility WHEN 'PUBLIC' THEN 0 ELSE owner_id END"
_OLD_SCOPE: Final = "CASE OLD.visibility WHEN 'PUBLIC' THEN 0 ELSE OLD.owner_id END"
_NEW_SCOPE: Final = "CASE NEW.visibility WHEN 'PUBLIC' THEN 0 ELSE NEW.owner_id END"

_COUNT_TAGS: Final = (
    "INSERT INTO tag_use (scope, folded, uses, newest) "  # noqa: S608  # constants of this module
    f"SELECT {_SCOPE} AS scope, folded, count(*), max(sensor_id) FROM tag "
    "JOIN sensor ON sensor.id = sensor_id "
)
_ADDING: Final = (
    " ON CONFLICT (scope, folded) DO UPDATE SET uses = uses + excluded.uses, "
    "newest = max(newest, excluded.newest);"
)


def _subtract(scope: str, sensor_id: str, folded: str) -> str:
    """Return the statements that take a sensor from the uses of its tags."""
    newest = (
        "(SELECT tag.sensor_id FROM tag JOIN sensor ON sensor.id = tag.sensor_id "  # noqa: S608  # as above
        f"WHERE tag.folded = tag_use.folded AND tag.sensor_id <> {sensor_id} "
        f"AND {_SCOPE} = tag_use.scope ORDER BY tag.sensor_id DESC LIMIT 1)"
    )
    which = f"scope = {scope} AND folded {folded}"
    return (
        f"DELETE FROM tag_use WHERE {which} AND uses = 1;"  # noqa: S608  # as above
        f"UPDATE tag_use SET uses = uses - 1, newest = CASE newest WHEN {sensor_id} THEN {newest} "
        f"ELSE newest END WHERE {which};"
    )


_SUBTRACT_TAG: Final = _subtract(
    f"(SELECT {_SCOPE} FROM sensor WHERE id = OLD.sensor_id)",  # noqa: S608  # as above
    "OLD.sensor_id",
    "= OLD.folded",
)
_SUBTRACT_ALL: Final = _subtract(
    _OLD_SCOPE, "OLD.id", "IN (SELECT folded FROM tag WHERE sensor_id = OLD.id)"
)

_TRIGGERS: Final = {
    "text_insert": f"AFTER INSERT ON sensor BEGIN {_ADD_TEXT} END",
    "text_delete": f"AFTER DELETE ON sensor BEGIN {_REMOVE_TEXT} END",
    "text_update": (
        "AFTER UPDATE OF name, long_name, description ON sensor "
        f"BEGIN {_REMOVE_TEXT} {_ADD_TEXT} END"
    ),
    "tags_insert": (
        f"AFTER INSERT ON tag BEGIN {_COUNT_TAGS} "
        "WHERE sensor_id = NEW.sensor_id AND folded = NEW.folded GROUP BY 1, 2"
        f"{_ADDING} END"
    ),
    "tags_delete": f"AFTER DELETE ON tag BEGIN {_SUBTRACT_TAG} END",
    # before the sensor goes, so that its tags still know whose they were
    "tags_of_deleted": (
        "BEFORE DELETE ON sensor BEGIN DELETE FROM tag WHERE sensor_id = OLD.id; END"
    ),
    "tags_of_moved": (
        f"AFTER UPDATE OF visibility, owner_id ON sensor WHEN {_OLD_SCOPE} <> {_NEW_SCOPE} "
        f"BEGIN {_SUBTRACT_ALL} {_COUNT_TAGS} WHERE sensor_id = NEW.id GROUP BY 1, 2{_ADDING} END"
    ),
}


def keep(database: Database) -> None:
    """Make the triggers; when one was missing, derive everything again.

    To be called in a writing transaction, at every start: a migration that rebuilds a table takes
    its triggers away.
    """
    found = database.execute_sql("SELECT name FROM sqlite_master WHERE type = 'trigger'")
    if {f"derive_{name}" for name in _TRIGGERS} <= {name for (name,) in found.fetchall()}:
        return
    database.execute_sql(_TEXT_TABLE)
    for name, body in _TRIGGERS.items():
        database.execute_sql(f"CREATE TRIGGER IF NOT EXISTS derive_{name} {body}")
    database.execute_sql("INSERT INTO sensor_text (sensor_text) VALUES ('rebuild')")
    database.execute_sql("DELETE FROM tag_use")
    database.execute_sql(f"{_COUNT_TAGS} WHERE true GROUP BY 1, 2{_ADDING}")
