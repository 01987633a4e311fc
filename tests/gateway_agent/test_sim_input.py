import threading
from pathlib import Path

import pytest

from gateway_agent.inputs import Context, Input, create_input
from gateway_agent.inputs.sim import SimConfig

CONTEXT = Context("green-1", threading.Event())


def sim(mode: str, **settings: object) -> Input:
    source = create_input(SimConfig(type="sim", name="sim", mode=mode, **settings), CONTEXT)
    source.open()
    return source


def test_sine_stays_within_its_amplitude() -> None:
    source = sim("sine", base=20.0, amplitude=5.0, period=0.05, burst=50, units="°C")
    values = [sample.fields["value"] for sample in source.read()]
    assert len(values) == 50
    assert all(15 <= value <= 25 for value in values)
    assert source.sensors()[0].fields[0].units == "°C"


def test_walk_with_a_seed_is_repeatable() -> None:
    walks = [[s.fields["value"] for s in sim("walk", seed=7, burst=20).read()] for _ in range(2)]
    assert walks[0] == walks[1]
    assert len(set(walks[0])) > 10


def test_counter_numbers_its_readings_without_a_gap() -> None:
    source = sim("counter", burst=3)
    numbers = [sample.fields["number"] for _ in range(2) for sample in source.read()]
    assert numbers == [0, 1, 2, 3, 4, 5]
    assert [field.name for field in source.sensors()[0].fields] == ["run", "number"]


def test_limit_ends_the_readings() -> None:
    source = sim("counter", burst=3, limit=4)
    assert [len(list(source.read())) for _ in range(3)] == [3, 1, 0]


def test_replay_repeats_the_rows_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "data.csv"
    file.write_text("timestamp,temp,state\n2010,1.5,on\n2011,,off\n2012,2.5,on,extra\n,,\n")
    source = sim("replay", file=file, burst=4)
    assert [dict(sample.fields) for sample in source.read()] == [
        {"temp": 1.5, "state": "on"},
        {"state": "off"},
        {"temp": 2.5, "state": "on"},
        {"temp": 1.5, "state": "on"},
    ]
    assert [(f.name, f.type) for f in source.sensors()[0].fields] == [
        ("temp", "NUMBER"),
        ("state", "STRING"),
    ]


def test_replay_without_a_usable_file_fails_to_open(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs file"):
        sim("replay")
    with pytest.raises(FileNotFoundError):
        sim("replay", file=tmp_path / "none.csv")
    (tmp_path / "empty.csv").write_text("temp\n")
    with pytest.raises(ValueError, match="no row"):
        sim("replay", file=tmp_path / "empty.csv")
