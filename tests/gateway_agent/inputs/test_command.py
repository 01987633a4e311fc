import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from input_bench import Workbench

Bench = Callable[..., Workbench]


def section(code: str, *lines: str) -> str:
    """An input that runs some Python."""
    command = f"[{sys.executable!r}, '-c', '''{code}''']"
    return "\n".join(["[[input]]", 'type = "command"', f"command = {command}", *lines, ""])


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("printed", "settings", "expected"),
    [
        ('{"temp": 21.5, "ok": true}', ["format = 'json'"], {"temp": 21.5, "ok": 1}),
        ("temp=42.8 C", ["format = 'regex'", r"pattern = 'temp=(?P<cpu>[\d.]+)'"], {"cpu": 42.8}),
        ("7;north;1.5", ["format='csv'", "columns=['n','-','v']", "delimiter=';'"],
         {"n": 7, "v": 1.5}),
        (" 0.25", ["format = 'number'"], {"value": 0.25}),
    ],
)  # fmt: skip
def test_output_is_read_in_every_format(
    bench: Bench, printed: str, settings: list[str], expected: dict[str, object]
) -> None:
    samples, failures = bench(
        section(f"print(r'{printed}')".replace("'''", ""), *settings)
    ).read_once()
    assert failures == []
    assert [(s.sensor, s.fields) for s in samples] == [("green-command", expected)]


def test_points_name_scale_and_direct_values(bench: Bench) -> None:
    code = 'print("""{"a": {"t": 215}, "b": [{"h": "40"}]}""")'
    text = section(code, 'name = "probe"') + (
        '[[input.point]]\nkey = "a.t"\nfield = "temperature"\nunits = "°C"\nscale = 0.1\n'
        '[[input.point]]\nkey = "b[0].h"\nsensor = "cellar"\ndatatype = "number"\n'
    )
    one = bench(text)
    samples, _ = one.read_once()
    assert [(s.sensor, s.fields) for s in samples] == [
        ("green-probe", {"temperature": 21.5}),
        ("cellar", {"b_0_h": 40}),
    ]
    assert [spec.name for spec in one.input.sensors()] == ["green-probe", "cellar"]


def test_failing_program_is_told_with_its_last_words(bench: Bench) -> None:
    code = 'import sys; sys.exit("no bus\\nat all")'
    assert bench(section(code)).read_once() == (
        [],
        ["the program failed with exit code 1: no bus at all"],
    )


def test_missing_program_is_told(bench: Bench) -> None:
    text = '[[input]]\ntype = "command"\ncommand = "/no/such/program"\n'
    assert "No such file" in bench(text).read_once()[1][0]


def test_hung_program_is_ended_with_all_it_started(bench: Bench, tmp_path: Path) -> None:
    code = (
        "import os, signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        'child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])\n'
        'open("pids", "w").write(f"{os.getpid()} {child.pid}")\n'
        "time.sleep(60)"
    )
    one = bench(section(code, 'timeout = "1s"', 'folder = "."'))
    began = time.monotonic()
    assert one.read_once() == ([], ["the program takes longer than 1 s"])
    assert time.monotonic() - began < 10
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 2
    one_second_later = time.monotonic() + 1
    while any(map(is_alive, pids)) and time.monotonic() < one_second_later:
        time.sleep(0.01)
    assert not any(map(is_alive, pids))


def test_endless_output_is_cut_off(bench: Bench) -> None:
    code = 'import sys\nwhile True: sys.stdout.write("x" * 65536)'
    assert bench(section(code)).read_once() == ([], ["the program writes more than 1048576 bytes"])


def test_program_does_not_get_the_platform_key(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_AGENT_CREDENTIALS", "id:secret")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials")
    monkeypatch.setenv("ORDINARY", "1")
    code = (
        "import os\n"
        'print(len([k for k in os.environ if "CREDENTIALS" in k]), os.environ["ORDINARY"])'
    )
    samples, _ = bench(
        section(code, "format = 'csv'", "delimiter = ' '", "columns = ['secrets', 'others']")
    ).read_once()
    assert [s.fields for s in samples] == [{"secrets": 0, "others": 1}]


def test_record_with_a_time_seen_before_is_not_sent_again(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "out").write_text('{"at": "2026-11-21T08:00:00Z", "t": 1}')
    one = bench(section('print(open("out").read())', 'time = "at"', 'folder = "."'))
    samples, _ = one.read_once()
    assert [s.fields for s in samples] == [{"t": 1}]
    assert samples[0].stamp is not None
    assert samples[0].stamp.wall_us == 1_795_248_000_000_000
    assert one.read_once() == ([], [])
    (tmp_path / "out").write_text('{"at": "2026-11-21T08:00:10Z", "t": 1}')
    assert len(one.read_once()[0]) == 1


def test_running_program_is_read_line_by_line_and_started_again(
    bench: Bench, tmp_path: Path
) -> None:
    code = (
        "import time\n"
        'with open("starts", "a") as f: f.write("x")\n'
        'for n in range(3): print(f"{{\\"n\\": {n}}}", flush=True); time.sleep(0.02)\n'
        'print("not json", flush=True)'
    )
    with bench(section(code, 'mode = "stream"', 'folder = "."', 'interval = "0s"')) as running:
        values = running.wait_for_values(6)
        assert [value["n"] for value in values[:6]] == [0, 1, 2, 0, 1, 2]
        assert running.figures.errors >= 2
    assert len((tmp_path / "starts").read_text()) >= 2


def test_running_program_is_ended_when_the_agent_stops(bench: Bench, tmp_path: Path) -> None:
    code = (
        'import os, time\nopen("pid", "w").write(str(os.getpid()))\nprint(1, flush=True)\n'
        "time.sleep(60)"
    )
    with bench(section(code, 'mode = "stream"', 'folder = "."', "format = 'number'")) as running:
        running.wait_for_values(1)
    assert not is_alive(int((tmp_path / "pid").read_text()))


def test_wrong_settings_are_told_with_their_lines(mistakes: Callable[[str], list[str]]) -> None:
    assert mistakes(section("pass", 'format = "regex"')) == [
        '4: input.format: format "regex" needs a pattern'
    ]
    assert mistakes(section("pass", 'format = "regex"', 'pattern = "("'))[0].startswith(
        "5: input.pattern: is not a regular expression"
    )
    assert mistakes(
        section("pass", 'format = "csv"', 'columns = ["a"]', "[[input.point]]", 'key="b"')
    ) == ["7: input.point.key: 'b' is not one of columns"]
    assert mistakes(section("pass", 'patern = "a"')) == [
        "4: input.patern: unknown key, did you mean pattern?"
    ]
    assert mistakes('[[input]]\ntype = "command"\n') == ["1: input.command: is required"]
