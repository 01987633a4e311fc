"""The example web application: a real process, a real server, and a user who decides."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from html import unescape
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree as ET

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples.conftest import ROOT, Server, module, serving
from tests.ports import free_port
from tests.system.server_process import wait_until
from tests.web_user import WebUser

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SVG = re.compile(r"<svg.*?</svg>", re.DOTALL)


class Plotter:
    """The running example, and a browser at it."""

    def __init__(self, server: Server, folder: Path, **attributes: Any) -> None:
        callback = "http://127.0.0.1/callback"
        self.app = server.register("Plotter", "web", redirectUris=[callback], **attributes)
        self.url = f"http://127.0.0.1:{free_port()}"
        self.browser = httpx.Client(base_url=self.url, timeout=20)
        self._server = server
        self._output = folder / "plotter.out"

    def __enter__(self) -> Self:
        secret = {"PLOTTER_CLIENT_SECRET": self.app["clientSecret"]}
        program = [sys.executable, str(ROOT / "scripts/example-app/plotter.py")]
        options = ["--server", self._server.url, "--client-id", self.app["clientId"]]
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [*program, *options, "--port", self.url.rpartition(":")[2]],
                env={**os.environ, **secret},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        wait_until(lambda: f"Plotter at {self.url}/" in self.said, 15, "started")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(10)
        self.browser.close()
        print(self.said)

    @property
    def said(self) -> str:
        return self._output.read_text(encoding="utf-8")

    def begin(self) -> str:
        """Press the button; return where it leads to."""
        answer = self.browser.post("/connect")
        assert answer.status_code == 303, answer.text
        return str(answer.headers["location"])

    def connect(self, user: WebUser) -> str:
        """Connect; return the id that the cookie then has."""
        back = self.browser.get(user.decide(self.begin()))
        assert (back.status_code, back.headers.get("location")) == (303, "/"), back.text
        return str(self.browser.cookies["plotter"])


@pytest.fixture
def plotter(server: Server, tmp_path: Path) -> Iterator[Plotter]:
    with Plotter(server, tmp_path) as found:
        yield found


def test_user_connects_chooses_a_sensor_and_sees_its_line(plotter: Plotter, alice: WebUser) -> None:
    welcome = plotter.browser.get("/")
    assert 'action="/connect"' in welcome.text
    plotter.connect(alice)
    listed = plotter.browser.get("/")
    assert "Connected as alice" in listed.text
    link = re.search(r'<a href="([^"]+)">Greenhouse</a>', listed.text)
    assert link is not None
    shown = plotter.browser.get(unescape(link[1]))
    plot = ET.fromstring(SVG.findall(shown.text)[0])  # it is well-formed
    assert plot.findtext("title") == "Temperature in the last 24 hours"
    assert [each.attrib["class"] for each in plot.iter("path")] == ["line"]
    assert "<dd>24.25 °C</dd>" in shown.text
    assert "<dd>3</dd>" in shown.text


def test_page_asks_for_reading_only_and_for_this_browser(plotter: Plotter) -> None:
    asked = parse_qs(urlsplit(plotter.begin()).query)
    assert asked["scope"] == ["read"]
    assert asked["code_challenge_method"] == ["S256"]
    again = parse_qs(urlsplit(plotter.begin()).query)
    assert again["state"] != asked["state"]
    assert again["code_challenge"] != asked["code_challenge"]


def test_sensor_without_readings_says_so(plotter: Plotter, alice: WebUser) -> None:
    plotter.connect(alice)
    shown = plotter.browser.get("/sensor", params={"name": "alice.cellar1"})
    assert "No readings of Temperature in the last 24 hours" in shown.text
    assert "<svg" not in shown.text


def test_sensor_that_does_not_exist_is_told(plotter: Plotter, alice: WebUser) -> None:
    plotter.connect(alice)
    shown = plotter.browser.get("/sensor", params={"name": "alice.nothing"})
    assert shown.status_code == 404
    assert "There is no such sensor" in shown.text


@pytest.mark.parametrize("name", ["", ".", "..", "../../x", "a/b", "%00", "ü ☃"])
def test_odd_name_is_no_way_to_elsewhere(plotter: Plotter, alice: WebUser, name: str) -> None:
    plotter.connect(alice)
    assert plotter.browser.get("/sensor", params={"name": name}).status_code in {303, 400, 404}


def test_names_are_escaped(plotter: Plotter, alice: WebUser) -> None:
    plotter.connect(alice)
    for page in ("/", "/sensor?name=alice.odd1", '/sensor?name="><script>alert(1)'):
        text = plotter.browser.get(page).text
        assert "<script" not in text
    assert "&lt;script&gt;alert(1)" in plotter.browser.get("/").text


def test_refusal_of_the_user_is_told_and_nothing_is_connected(
    plotter: Plotter, alice: WebUser
) -> None:
    back = plotter.browser.get(alice.decide(plotter.begin(), "deny"))
    assert back.status_code == 200
    assert "You did not allow Plotter" in back.text
    assert "Start again" in back.text
    assert 'action="/connect"' in plotter.browser.get("/").text


def test_answer_of_another_browser_is_refused(
    server: Server, plotter: Plotter, alice: WebUser
) -> None:
    address = alice.decide(plotter.begin())
    before = server.refreshes()
    with httpx.Client(base_url=plotter.url) as other:
        assert other.get(address).status_code == 400  # it has not begun
        other.post("/connect")
        found = other.get(address)  # it has begun, but another round
        assert found.status_code == 400
        assert "another sign-in" in found.text
    assert server.refreshes() == before


def test_answer_of_another_server_is_refused(
    server: Server, plotter: Plotter, alice: WebUser
) -> None:
    address = httpx.URL(alice.decide(plotter.begin()))
    before = server.refreshes()
    wrong = plotter.browser.get(address.copy_set_param("iss", "https://evil.example"))
    assert wrong.status_code == 400
    assert "not from the server that was asked" in wrong.text
    assert plotter.browser.get(address).status_code == 400  # a round is answered once
    assert server.refreshes() == before


def test_code_that_comes_twice_does_not_sign_in_twice(plotter: Plotter, alice: WebUser) -> None:
    address = alice.decide(plotter.begin())
    assert plotter.browser.get(address).status_code == 303
    assert plotter.browser.get(address).status_code == 400
    assert "Connected as alice" in plotter.browser.get("/").text


def test_session_changes_at_sign_in_and_is_kept_from_scripts(
    plotter: Plotter, alice: WebUser
) -> None:
    answer = plotter.browser.post("/connect")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    before = plotter.browser.cookies["plotter"]
    address = alice.decide(answer.headers["location"])
    assert plotter.browser.get(address).status_code == 303
    assert plotter.browser.cookies["plotter"] != before
    with httpx.Client(base_url=plotter.url, cookies={"plotter": before}) as other:
        assert 'action="/connect"' in other.get("/").text


def test_revocation_holds_at_the_next_page_and_connecting_again_works(
    server: Server, plotter: Plotter, alice: WebUser
) -> None:
    plotter.connect(alice)
    assert plotter.browser.get("/").status_code == 200
    server.revoke(plotter.app["clientId"])
    refused = plotter.browser.get("/sensor", params={"name": "alice.greenhouse1"})
    assert refused.status_code == 403
    assert "Connect again" in refused.text
    assert 'action="/connect"' in plotter.browser.get("/").text
    plotter.connect(alice)
    assert "Greenhouse" in plotter.browser.get("/").text


def test_expired_token_is_refreshed_also_for_requests_at_once(
    server: Server, alice: WebUser, tmp_path: Path
) -> None:
    with Plotter(server, tmp_path, accessSeconds=60) as plotter:
        plotter.connect(alice)  # a minute is less than what is kept in reserve: expired already
        before = server.refreshes()
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda _: plotter.browser.get("/"), range(8)))
        assert [answer.status_code for answer in answers] == [200] * 8
        assert server.refreshes() == before + 8
        assert plotter.browser.get("/sensor?name=alice.greenhouse1").status_code == 200


def test_token_that_ended_before_its_time_is_refreshed(server: Server, alice: WebUser) -> None:
    connection = module("example-app", "connection")
    callback = "http://127.0.0.1/callback"
    app = server.register("Plotter", "web", redirectUris=[callback])
    platform = connection.Platform(server.url, app["clientId"], app["clientSecret"], callback)
    pending = platform.begin()
    back = parse_qs(urlsplit(alice.decide(pending.address)).query)
    made = platform.finish(pending, {name: values[0] for name, values in back.items()})
    made._session.token = {**made._session.token, "access_token": "ended"}
    before = server.refreshes()
    assert made.get("sensors", scope="contributed")
    assert server.refreshes() == before + 1
    server.revoke(app["clientId"])
    with pytest.raises(connection.NotConnected):
        list(made.readings("alice.greenhouse1"))


def test_disconnecting_ends_the_permission_at_the_server(
    server: Server, plotter: Plotter, alice: WebUser
) -> None:
    browser_id = plotter.connect(alice)
    answer = plotter.browser.post("/disconnect")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert plotter.app["clientId"] not in {grant["clientId"] for grant in server.grants()}
    with httpx.Client(base_url=plotter.url, cookies={"plotter": browser_id}) as old:
        assert 'action="/connect"' in old.get("/").text


def test_server_that_is_away_is_told_and_ends_nothing(tmp_path: Path) -> None:
    with serving(tmp_path) as server, Plotter(server, tmp_path) as plotter:
        with WebUser(server.url) as alice:
            plotter.connect(alice)
        server.stop()
        away = plotter.browser.get("/")
        assert away.status_code == 502
        assert "The server cannot be reached" in away.text
        server.start()
        assert "Greenhouse" in plotter.browser.get("/").text


def test_wrong_secret_is_told_without_a_trace(
    server: Server, alice: WebUser, tmp_path: Path
) -> None:
    plotter = Plotter(server, tmp_path)
    plotter.app["clientSecret"] = "wrong"
    with plotter:
        back = plotter.browser.get(alice.decide(plotter.begin()))
        assert back.status_code == 502
        assert "invalid_client" in back.text
        assert "Traceback" not in plotter.said


def test_no_secret_reaches_the_browser_or_the_log(plotter: Plotter, alice: WebUser) -> None:
    address = alice.decide(plotter.begin())
    code = parse_qs(urlsplit(address).query)["code"][0]
    answers = [plotter.browser.get(address), plotter.browser.get("/")]
    for answer in answers:
        assert plotter.app["clientSecret"] not in str(answer.headers) + answer.text
        assert answer.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "GET /callback 303" in plotter.said
    assert code not in plotter.said


def test_unknown_address_and_method_are_told(plotter: Plotter) -> None:
    assert plotter.browser.get("/nothing").status_code == 404
    assert plotter.browser.get("/disconnect").status_code == 405
    assert plotter.browser.get("/style.css").headers["content-type"].startswith("text/css")


def test_tokens_never_travel_in_clear_to_another_machine() -> None:
    connection = module("example-app", "connection")
    for address in ("http://wotkit.example", "ftp://127.0.0.1", "wotkit.example"):
        with pytest.raises(ValueError, match="https"):
            connection.Platform(address, "id", "secret", "http://127.0.0.1/callback")


# the plot


@contextmanager
def drawn(values: list[float], spacing: float) -> Iterator[tuple[Any, ET.Element]]:
    plot = module("example-app", "plot")
    now = 1_800_000_000.0
    begin = now - spacing * (len(values) - 1)
    readings = [
        {"timestamp": str(int((begin + number * spacing) * 1000)), "x": value}
        for number, value in enumerate(values)
    ]
    shown = plot.series(readings, "x", now)
    yield shown, ET.fromstring(plot.svg(shown, "A < B"))


def test_line_breaks_where_readings_are_missing() -> None:
    with drawn([1, 2, 3], 3 * 3600) as (_, svg):
        assert len(list(svg.iter("path"))) == 3
    with drawn([1, 2, 3], 3600) as (_, svg):
        assert len(list(svg.iter("path"))) == 1


def test_many_readings_become_their_means() -> None:
    with drawn([float(number % 2) for number in range(5000)], 10) as (shown, _):
        assert len(shown.points) < 290
        assert shown.readings == 5000
        assert (shown.lowest, shown.highest, shown.latest) == (0, 1, 1)
        assert shown.points[5][1] == pytest.approx(0.5, abs=0.1)


def test_only_numbers_of_the_last_day_count() -> None:
    plot = module("example-app", "plot")
    now = 1_800_000_000.0
    texts = [
        {"timestamp": str(int(now * 1000)), "x": value}
        for value in ("1", True, None, [1], {}, 10**400)
    ]
    old = {"timestamp": str(int((now - 25 * 3600) * 1000)), "x": 1}
    late = {"timestamp": str(int((now + 3600) * 1000)), "x": 1}
    assert plot.series([*texts, old, late], "x", now) is None


@given(st.lists(st.floats(-1e100, 1e100), min_size=1, max_size=30))
def test_line_stays_inside_the_picture(values: list[float]) -> None:
    with drawn(values, 1800) as (_, svg):
        _, _, width, height = map(float, svg.attrib["viewBox"].split())
        for path in svg.iter("path"):
            numbers = [float(each) for each in re.findall(r"[-\d.]+", path.attrib["d"])]
            pairs = list(zip(numbers[::2], numbers[1::2], strict=False))
            assert all(0 <= x <= width and 0 <= y <= height for x, y in pairs)
        assert 3 <= len(list(svg.iter("line"))) <= 6
