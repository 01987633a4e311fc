"""The usual way: a thread for each request, and in it a commit of its own (synchronous=FULL)."""

from __future__ import annotations

import hmac
import sqlite3
import sys
import threading
import time
from typing import Any, Final

import falcon
import msgspec
from gunicorn.app.base import BaseApplication

THREADS: Final = 16


class _Readings:
    def __init__(self, path: str, authorization: str) -> None:
        self._authorization = authorization
        self._lock = threading.Lock()
        # one connection, and a lock that wakes the next thread at once: SQLite's own waiting sleeps
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute(
            "CREATE TABLE reading (id INTEGER PRIMARY KEY, sensor TEXT, ts INTEGER, data BLOB)"
        )

    def on_post(self, req: falcon.Request, resp: falcon.Response, sensor: str) -> None:
        """Store a reading; the answer comes after its commit."""
        given = req.get_header("authorization") or ""
        if not hmac.compare_digest(given, self._authorization):
            raise falcon.HTTPUnauthorized
        values = msgspec.json.decode(req.bounded_stream.read())
        row = (sensor, time.time_ns() // 1000, msgspec.json.encode(values))
        with self._lock:
            self._connection.execute("INSERT INTO reading (sensor, ts, data) VALUES (?, ?, ?)", row)
        resp.status = falcon.HTTP_201


class _Application(BaseApplication):  # type: ignore[misc]  # shipped without types
    def load_config(self) -> None:
        """Take the options of gunicorn's threaded worker."""
        options = {
            "bind": f"127.0.0.1:{sys.argv[1]}",
            "worker_class": "gthread",
            "threads": THREADS,
            "keepalive": 75,
            "loglevel": "warning",
            "control_socket_disable": True,
            "when_ready": self._ready,
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """Return the application, in the worker."""
        app = falcon.App()
        app.add_route("/api/v1/sensors/{sensor}/data", _Readings(sys.argv[2], sys.argv[3]))
        return app

    @staticmethod
    def _ready(arbiter: Any) -> None:
        port = arbiter.LISTENERS[0].sock.getsockname()[1]
        print(f"threads at http://127.0.0.1:{port},", flush=True)


if __name__ == "__main__":
    _Application().run()
