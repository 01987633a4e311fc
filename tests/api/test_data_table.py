"""Readings as a table of the Google Visualization API, over HTTP."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import gviz_api
import msgspec
import pytest

from tests.api.conftest import running
from wotkit.settings import QuerySettings

if TYPE_CHECKING:
    from tests.api.conftest import Client

FIELDS = [
    {"name": "temperature", "longName": "Temperature", "type": "NUMBER"},
    {"name": "room", "longName": "Room", "type": "STRING"},
]
READINGS = [
    {"timestamp": "2014-06-19T22:45:36.281Z", "temperature": 21.5, "room": "</script><b>"},
    {"timestamp": "2014-06-20T01:00:00.001Z", "temperature": -3, "room": "=1+1"},
    {"timestamp": "2015-06-20T01:00:00.002Z", "room": "kitchen \u2028"},
    {"timestamp": "2015-06-21T01:00:00.500Z", "temperature": 20, "other": True},
]
SCRIPT = re.compile(r"google\.visualization\.Query\.setResponse\((.*)\);", re.DOTALL)
PLAIN = {"X-DataSource-Auth": "a"}


@pytest.fixture(scope="module")
def home(shared_client: Any) -> Client:
    """A client, and Alice's public sensor ``home`` and her private sensor ``safe``."""
    for name, visibility in (("home", "PUBLIC"), ("safe", "PRIVATE")):
        shared_client.make_sensor(name, visibility=visibility, fields=FIELDS)
        answer = shared_client.put(f"sensors/{name}/data", "alice", READINGS)
        assert answer.status_code == 204
    found: Client = shared_client
    return found


def plain(client: Client, tq: str = "", tqx: str = "", **params: Any) -> dict[str, Any]:
    """Return the answer as plain JSON."""
    answer = client.call(
        "GET",
        "sensors/alice.home/dataTable",
        params={"tq": tq, "tqx": tqx, **params},
        headers=PLAIN,
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    found: dict[str, Any] = answer.json()
    assert found["version"] == "0.6"
    return found


def rows(client: Client, tq: str = "", **params: Any) -> list[list[Any]]:
    """Return the values of a table."""
    found = plain(client, tq, **params)
    assert found["status"] == "ok", found
    return [[cell["v"] for cell in row["c"]] for row in found["table"]["rows"]]


def wrong(client: Client, tq: str = "", tqx: str = "", **params: Any) -> dict[str, str]:
    """Return the one error that an answer tells."""
    found = plain(client, tq, tqx, **params)
    assert found["status"] == "error"
    assert "table" not in found
    (error,) = found["errors"]
    assert isinstance(error, dict)
    return error


@pytest.mark.parametrize("base", ["/api", "/api/v1", "/api/v2"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_script_calls_the_handler_with_the_whole_table(home: Client, base: str, slash: str) -> None:
    answer = home.get(f"{base}/sensors/alice.home/dataTable{slash}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    match = SCRIPT.fullmatch(answer.text)
    assert match is not None, answer.text
    assert "new Date(2014,5,19,22,45,36,281)" in match[1]
    found = json.loads(re.sub(r"new (Date\([\d,]+\))", r'"\1"', match[1]))
    assert {name: found[name] for name in ("version", "reqId", "status")} == {
        "version": "0.6",
        "reqId": "0",
        "status": "ok",
    }
    assert found["table"] == plain(home)["table"]


def test_plain_table_is_what_the_reference_library_writes(home: Client) -> None:
    sensor = home.get("sensors/alice.home").json()["id"]
    description = [
        ("sensor_id", "number"),
        ("sensor_name", "string"),
        ("timestamp", "datetime"),
        ("temperature", "number"),
        ("room", "string"),
    ]
    expected = gviz_api.DataTable(description)
    expected.LoadData(
        [
            sensor,
            "alice.home",
            datetime.fromisoformat(each["timestamp"]).astimezone(UTC),
            each.get("temperature"),
            each.get("room"),
        ]
        for each in READINGS
    )
    response = json.loads(SCRIPT.fullmatch(expected.ToJSonResponse(req_id=7))[1])
    for row in response["table"]["rows"]:  # both are the null of a cell (protocol: v is optional)
        row["c"] = [cell or {"v": None} for cell in row["c"]]
    found = plain(home, tqx="reqId:7")
    assert found.pop("sig")
    assert found == response


def test_script_is_safe_within_a_page(home: Client) -> None:
    text = home.get("sensors/alice.home/dataTable").text
    assert "<" not in text
    assert "\u2028" not in text


def test_query_selects_filters_groups_pivots_and_orders(home: Client) -> None:
    year = {"start": "2014-01-01T00:00:00Z"}
    assert rows(home, "select temperature where temperature > 0 order by temperature") == [
        [20],
        [21.5],
    ]
    assert rows(home, "select count(room), avg(temperature), min(timestamp)", **year) == [
        [3, pytest.approx(38.5 / 3), "Date(2014,5,19,22,45,36,281)"]
    ]
    assert rows(
        home,
        "select year(timestamp), sum(temperature) group by year(timestamp) "
        "order by year(timestamp) desc",
    ) == [[2015, 20], [2014, 18.5]]
    pivoted = plain(home, "select max(temperature) pivot year(timestamp)")["table"]
    assert [column["id"] for column in pivoted["cols"]] == [
        "2014 max-temperature",
        "2015 max-temperature",
    ]
    assert [cell["v"] for cell in pivoted["rows"][0]["c"]] == [21.5, 20]
    assert rows(home, "select sensor_name, temperature limit 1 offset 1") == [["alice.home", -3]]


def test_labels_and_formats_are_shown(home: Client) -> None:
    table = plain(
        home,
        "select timestamp, temperature limit 1 label timestamp 'Time', temperature 'T' "
        "format timestamp 'd MMM yyyy HH:mm', temperature '0.00'",
    )["table"]
    assert [(column["label"], column["pattern"]) for column in table["cols"]] == [
        ("Time", "d MMM yyyy HH:mm"),
        ("T", "0.00"),
    ]
    assert table["rows"][0]["c"] == [
        {"v": "Date(2014,5,19,22,45,36,281)", "f": "19 Jun 2014 22:45"},
        {"v": 21.5, "f": "21.50"},
    ]


@pytest.mark.parametrize(
    ("params", "count"),
    [
        ({"beforeE": "2"}, 2),
        ({"start": "2014-06-19T22:45:36.281Z", "end": "2015-06-20T01:00:00.002Z"}, 2),
        ({"start": "1403218800000", "after": "3600000"}, 0),
        ({"start": "0", "afterE": "3"}, 3),
        ({"start": "0", "reverse": "true", "limit": "1"}, 1),
        ({"limit": "2"}, 2),
        ({"limit": "0"}, 0),
    ],
)
def test_range_parameters_choose_the_readings(
    home: Client, params: dict[str, str], count: int
) -> None:
    of_data = home.get("sensors/alice.home/data", **params).json()
    expected = [reading.get("temperature") for reading in of_data]
    assert len(expected) == count
    assert [row[3] for row in rows(home, **params)] == expected
    assert rows(home, "select count(sensor_id)", **params) == [[count]]


def test_sig_tells_a_table_that_did_not_change(home: Client) -> None:
    sig = plain(home)["sig"]
    assert plain(home)["sig"] == sig
    assert plain(home, "select room")["sig"] != sig
    assert wrong(home, tqx=f"sig:{sig}") == {
        "reason": "not_modified",
        "message": "Data not modified",
    }
    assert plain(home, tqx="sig:other")["status"] == "ok"


def test_handler_and_request_id_come_back(home: Client) -> None:
    answer = home.get("sensors/alice.home/dataTable", tqx="reqId:3;responseHandler:my.$fn_1")
    assert answer.text.startswith('my.$fn_1({"version":"0.6","reqId":"3","status":"ok"')


@pytest.mark.parametrize("handler", ["alert(1)//", "a b", "a..b", "</script>", "", "a" * 200])
def test_handler_that_is_no_name_is_refused_and_never_repeated(home: Client, handler: str) -> None:
    answer = home.get("sensors/alice.home/dataTable", tqx=f"responseHandler:{handler}")
    match = SCRIPT.fullmatch(answer.text)
    assert match is not None
    assert json.loads(match[1])["errors"] == [
        {
            "reason": "invalid_request",
            "message": "Invalid request",
            "detailed_message": "responseHandler in tqx is not the name of a function",
        }
    ]


@pytest.mark.parametrize(
    ("tqx", "words"),
    [
        ("out:xml", "out in tqx is none of json, html, csv, tsv-excel"),
        ("reqId:one", "reqId in tqx is not a number"),
        ("reqId", "'reqId' in tqx has not the form name:value"),
    ],
)
def test_request_that_makes_no_sense_is_told(home: Client, tqx: str, words: str) -> None:
    error = wrong(home, tqx=tqx)
    assert error["reason"] == "invalid_request"
    assert error["detailed_message"] == words


def test_unknown_names_in_tqx_are_ignored(home: Client) -> None:
    assert plain(home, tqx=";version:0.6; color:blue;")["status"] == "ok"


@pytest.mark.parametrize(
    ("tq", "words"),
    [
        ("select nothing", "there is no column 'nothing'"),
        ("select", "the end of the query at position 7"),
        ("select temperature where room > 5", "string cannot be compared with number"),
        ("select room matches '('", "'matches' at position 13"),
        ("where room matches '('", "is not a regular expression"),
        ("select room format room '#'", "a string has no pattern"),
    ],
)
def test_query_that_makes_no_sense_is_told(home: Client, tq: str, words: str) -> None:
    error = wrong(home, tq)
    assert error["reason"] == "invalid_query"
    assert error["message"] == "Invalid query"
    assert words in error["detailed_message"]


def test_csv_is_a_file_that_a_spreadsheet_does_not_execute(home: Client) -> None:
    answer = home.get(
        "sensors/alice.home/dataTable",
        tqx='out:csv;outFileName:../my "file".csv',
        tq="select timestamp, temperature, room label room '@sum'",
    )
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="_my _file_.csv"'
    assert answer.text.split("\r\n")[:3] == [
        "timestamp,temperature,'@sum",
        "2014-06-19T22:45:36.281Z,21.5,</script><b>",
        "2014-06-20T01:00:00.001Z,-3,'=1+1",
    ]


def test_tsv_for_excel_is_utf_16(home: Client) -> None:
    answer = home.get(
        "sensors/alice.home/dataTable", tqx="out:tsv-excel", tq="select temperature, room limit 1"
    )
    assert answer.headers["content-type"] == "text/tab-separated-values; charset=utf-16le"
    assert answer.content.decode("utf-16") == "temperature\troom\r\n21.5\t</script><b>\r\n"


def test_html_escapes_what_it_shows(home: Client) -> None:
    answer = home.get(
        "sensors/alice.home/dataTable", tqx="out:html", tq="select room label room '<i>'"
    )
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "<th>&lt;i&gt;</th>" in answer.text
    assert "<td>&lt;/script&gt;&lt;b&gt;</td>" in answer.text


@pytest.mark.parametrize("out", ["csv", "html", "tsv-excel"])
def test_errors_have_the_form_that_was_asked_for(home: Client, out: str) -> None:
    answer = home.get("sensors/alice.home/dataTable", tqx=f"out:{out}", tq="select `<b>`")
    assert answer.status_code == 200
    text = answer.content.decode("utf-16" if out == "tsv-excel" else "utf-8")
    assert "Invalid query" in text
    assert "<b>" not in text or out != "html"


def refusal(home: Client, answer: Any, status: int) -> tuple[dict[str, Any], str]:
    """Return the error in the API's form, and its reason in the protocol's."""
    (error,) = answer.json()["errors"]
    assert answer.json()["status"] == "error"
    assert answer.json()["version"] == "0.6"
    return home.error(answer, status), error["reason"]


@pytest.mark.parametrize("caller", [None, "charlie"])
def test_private_sensor_is_hidden_from_strangers_as_if_it_did_not_exist(
    home: Client, caller: str | None
) -> None:
    for name in ("alice.safe", "alice.nothing"):
        error, reason = refusal(home, home.get(f"sensors/{name}/dataTable", caller), 404)
        assert error["message"] == "Could not locate this resource."
        assert error["developerMessage"] == [name]
        assert reason == "invalid_request"


def test_owner_and_only_she_sees_a_private_table(home: Client) -> None:
    assert "setResponse" in home.get("sensors/safe/dataTable", "alice").text


def test_wrong_credentials_are_refused(home: Client) -> None:
    answer = home.get("sensors/alice.home/dataTable", ("alice", "wrong password"))
    _, reason = refusal(home, answer, 401)
    assert answer.headers["www-authenticate"].startswith("Basic")
    assert reason == "user_not_authenticated"


def test_key_without_the_scope_is_refused(client: Any, people: Any, make_key: Any) -> None:
    client.make_sensor("home", fields=FIELDS)
    answer = client.get("sensors/home/dataTable", make_key(people.alice, scopes=["write"]))
    assert refusal(client, answer, 403)[1] == "access_denied"


def test_key_limited_to_sensors_sees_no_other(client: Any, people: Any, make_key: Any) -> None:
    for name in ("home", "shed"):
        client.make_sensor(name, fields=FIELDS)
    key = make_key(people.alice, sensors=["home"])
    assert client.get("sensors/alice.home/dataTable", key).status_code == 200
    assert client.get("sensors/alice.shed/dataTable", key).status_code == 404


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"after": "5"}, "after without start makes no sense"),
        ({"start": "0", "before": "5", "after": "5"}, "do not go together"),
        ({"start": "noon"}, "neither ISO 8601 nor milliseconds"),
    ],
)
def test_range_that_makes_no_sense_is_a_400(
    home: Client, params: dict[str, str], words: str
) -> None:
    error, reason = refusal(home, home.get("sensors/alice.home/dataTable", **params), 400)
    assert words in error["developerMessage"][0]
    assert reason == "invalid_request"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_other_methods_are_not_allowed(home: Client, method: str) -> None:
    answer = home.call(method, "sensors/alice.home/dataTable", "alice")
    home.error(answer, 405)
    assert "GET" in answer.headers["allow"]


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_page_of_another_site_cannot_use_the_credentials_of_the_browser(
    home: Client, site: str
) -> None:
    headers = {"Sec-Fetch-Dest": "script", "Sec-Fetch-Site": site}
    path = "sensors/alice.safe/dataTable"
    text = home.call("GET", path, "alice", headers=headers).text
    assert '"reason":"access_denied"' in text
    assert "kitchen" not in text
    public = home.call("GET", "sensors/alice.home/dataTable", headers=headers)
    assert '"status":"ok"' in public.text
    own = home.call("GET", path, "alice", headers=headers | {"Sec-Fetch-Site": "same-origin"})
    assert '"status":"ok"' in own.text


def test_query_over_a_range_sees_all_of_it_and_no_range_the_latest_thousand(client: Any) -> None:
    client.make_sensor("busy", fields=FIELDS)
    readings = [{"timestamp": number, "temperature": number} for number in range(1, 1501)]
    assert client.put("sensors/busy/data", "alice", readings).status_code == 204

    def values(tq: str, **params: str) -> list[Any]:
        answer = client.call(
            "GET",
            "sensors/busy/dataTable",
            "alice",
            params={"tq": tq, **params},
            headers=PLAIN,
        )
        return [row["c"][0]["v"] for row in answer.json()["table"]["rows"]]

    assert values("select count(temperature)", start="0") == [1500]
    assert values("select sum(temperature) where temperature <= 1000", start="0") == [500_500]
    assert len(values("select temperature", start="0")) == 1500
    assert len(values("", start="0")) == 1000
    assert values("select count(temperature)") == [1000]
    assert values("select min(temperature)") == [501]
    assert values("select count(temperature)", start="0", limit="10") == [10]


def test_more_readings_than_a_table_may_have_are_an_error_and_never_a_wrong_answer(
    settings: Any, people: Any
) -> None:
    limited = msgspec.structs.replace(settings, query=QuerySettings(max_table_readings=3))
    with running(limited) as client:
        client.make_sensor("home", visibility="PUBLIC", fields=FIELDS)
        client.put("sensors/home/data", "alice", READINGS)
        error = wrong(client, "select temperature", start="0")
        assert error["reason"] == "other"
        assert "query.max_table_readings" in error["detailed_message"]
        assert rows(client, "select count(timestamp)", start="0") == [[4]]
        assert len(rows(client, "select temperature limit 2", start="0")) == 2


def test_page_elsewhere_may_ask_for_plain_json(home: Client) -> None:
    asked = {
        "Origin": "https://charts.example",
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "x-datasource-auth",
    }
    answer = home.call("OPTIONS", "sensors/alice.home/dataTable", headers=asked)
    assert answer.status_code == 204
    assert "X-DataSource-Auth" in answer.headers["access-control-allow-headers"]
