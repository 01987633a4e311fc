import base64
import gzip
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from input_bench import Workbench

Bench = Callable[..., Workbench]
Answer = tuple[int, dict[str, str], bytes]


class Site:
    """A web site that answers as it is told, and keeps the requests' headers."""

    def __init__(self) -> None:
        self.answer: Callable[[dict[str, str]], Answer] = lambda _: (200, {}, b"{}")
        self.requests: list[dict[str, str]] = []
        self.trickle = False
        self.release = threading.Event()
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                site.requests.append({**headers, "path": self.path})
                status, more, body = site.answer(headers)
                self.send_response(status)
                for name, value in more.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if site.trickle:
                    for byte in body:
                        if site.release.wait(0.02):
                            return
                        self.wfile.write(bytes([byte]))
                else:
                    self.wfile.write(body)

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base's name
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def says(self, value: object, **headers: str) -> None:
        body = json.dumps(value).encode()
        self.answer = lambda _: (200, headers, body)

    def close(self) -> None:
        self.release.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.close()


def section(site: Site, *lines: str, user: str = "", query: str = "") -> str:
    url = f"http://{user}127.0.0.1:{site.port}/status{query}"
    head = ["[[input]]", 'type = "http"', f'url = "{url}"', 'interval = "50ms"']
    return "\n".join([*head, *lines, ""])


def test_values_are_taken_from_the_page_by_their_paths(bench: Bench, site: Site) -> None:
    site.says({"main": {"temp": 294.65}, "wind": [{"speed": 3}], "name": "Bern"})
    points = """
[[input.point]]
key = "main.temp"
field = "temperature"
units = "°C"
offset = -273.15
[[input.point]]
key = "$.wind[0].speed"
[[input.point]]
key = "rain.1h"
"""
    one = bench(section(site) + points)
    samples, failures = one.read_once()
    assert failures == []
    assert [(s.sensor, s.fields) for s in samples] == [
        ("green-http", {"temperature": 21.5, "wind_0_speed": 3})
    ]


def test_user_password_headers_and_token_are_sent(
    bench: Bench, site: Site, tmp_path_factory: pytest.TempPathFactory
) -> None:
    site.says({"t": 1})
    token = tmp_path_factory.mktemp("token") / "token"
    token.write_text("abc\n")
    bench(section(site, 'headers = {X-Key = "k1"}', user="joe:s%20cret@")).read_once()
    bench(section(site, f'bearer_file = "{token}"')).read_once()
    first, second = site.requests
    assert base64.b64decode(first["authorization"].split()[1]) == b"joe:s cret"
    assert first["x-key"] == "k1"
    assert "joe" not in first["path"]
    assert second["authorization"] == "Bearer abc"


def test_page_that_has_not_changed_is_not_sent_again(bench: Bench, site: Site) -> None:
    def answer(headers: dict[str, str]) -> Answer:
        if headers.get("if-none-match") == '"v1"':
            return 304, {}, b""
        return 200, {"ETag": '"v1"', "Last-Modified": "Sat, 21 Nov 2026 08:00:00 GMT"}, b'{"t": 1}'

    site.answer = answer
    with bench(section(site)) as running:
        running.wait_for(lambda: len(site.requests) >= 4)
        assert running.values() == [{"t": 1}]
        assert site.requests[1]["if-modified-since"] == "Sat, 21 Nov 2026 08:00:00 GMT"
        site.says({"t": 2}, ETag='"v2"')
        assert running.wait_for_values(2)[1] == {"t": 2}


def test_list_of_records_with_times_is_sent_once(bench: Bench, site: Site) -> None:
    records = [{"at": f"2026-11-21T08:00:0{n}Z", "t": n} for n in range(3)]
    site.says({"list": records})
    one = bench(section(site, 'records = "list"', 'time = "at"'))
    assert [s.fields for s in one.read_once()[0]] == [{"t": 0}, {"t": 1}, {"t": 2}]
    site.says({"list": [*records, {"at": "2026-11-21T08:00:03Z", "t": 3}]})
    assert [s.fields for s in one.read_once()[0]] == [{"t": 3}]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((404, {}, b"no"), "the answer is 404 Not Found"),
        ((302, {"Location": "http://127.0.0.1/login"}, b""), "the answer is 302 Found"),
        ((200, {}, b"<html>"), "is not JSON"),
        ((200, {}, b"[" * 100_000), "nested too deeply"),
        ((200, {}, b'{"a": {}}'), "nothing that was looked for"),
        ((200, {"Content-Encoding": "gzip"}, gzip.compress(b" " * 20_000_000)), "more than"),
    ],
)
def test_wrong_answer_is_told_and_nothing_sent(
    bench: Bench, site: Site, answer: Answer, told: str
) -> None:
    site.answer = lambda _: answer
    samples, failures = bench(section(site)).read_once()
    assert samples == []
    assert told in failures[0]


def test_busy_server_is_left_alone_as_long_as_it_says(bench: Bench, site: Site) -> None:
    site.answer = lambda _: (429, {"Retry-After": "3600"}, b"")
    with bench(section(site)) as running:
        running.wait_for(lambda: running.figures.errors == 1)
        time.sleep(0.3)
        assert len(site.requests) == 1


def test_server_that_trickles_its_answer_is_given_up(bench: Bench, site: Site) -> None:
    site.says({"t": "x" * 10_000})
    site.trickle = True
    began = time.monotonic()
    _, failures = bench(section(site, 'timeout = "300ms"')).read_once()
    assert failures == ["no answer within 0.3 s"]
    assert time.monotonic() - began < 5


def test_server_that_is_away_is_told_without_secrets(
    bench: Bench, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    text = section(site, user="joe:secret@", query="?appid=0123456789&q=Bern")
    text = text.replace(str(site.port), "9")
    with bench(text) as running:
        running.wait_for(lambda: running.figures.errors >= 1)
        told = caplog.text + str(running.figures.last_error)
    assert "ConnectError" in told
    assert "secret" not in told
    assert "0123456789" not in told


def test_wrong_settings_are_told_with_their_lines(mistakes: Callable[[str], list[str]]) -> None:
    head = '[[input]]\ntype = "http"\n'
    (line,) = mistakes(head + 'url = "ftp://joe:secret@h/?key=k"\n')
    assert line.startswith("3: input.url: expected an address that starts with http:// or https://")
    assert line.endswith("not 'ftp://***@h/?key=***'")
    assert mistakes(head + 'url = "http://h"\nheaders = {a = 1, b = "secret"}\n') == [
        "4: input.headers: expected a table of texts"
    ]
    assert mistakes(head + 'url = "http://h"\n[[input.point]]\nkey = "a["\n') == [
        '5: input.point.key: expected a path such as "main.temp" or "list[0].value", not \'a[\''
    ]


def test_busy_server_is_left_alone_by_its_own_clock(bench: Bench, site: Site) -> None:
    page = bench(section(site)).input
    told = {"retry-after": "Thu, 01 Jan 2026 00:01:00 GMT", "date": "Thu, 01 Jan 2026 00:00:00 GMT"}
    page._wait_as_told(told)
    assert page._asks_again_at - time.monotonic() == pytest.approx(60, abs=5)
