from pathlib import Path

import pytest

from gateway_agent.inputs.hwmon import find_thermometers, processor_thermometer


def chip(sysfs: Path, number: int, name: str, files: dict[str, str]) -> Path:
    folder = sysfs / "class" / "hwmon" / f"hwmon{number}"
    folder.mkdir(parents=True)
    (folder / "name").write_text(name + "\n")
    for file, text in files.items():
        (folder / file).write_text(text + "\n")
    return folder


def test_labelled_temperatures_of_a_chip_are_found(tmp_path: Path) -> None:
    files = {
        "temp1_input": "45000",
        "temp1_label": "Package id 0",
        "temp2_input": "43500",
        "temp2_label": "Core 0",
    }
    chip(tmp_path, 0, "coretemp", files)
    package, core = find_thermometers(tmp_path)
    assert (package.name, package.celsius()) == ("temp_coretemp_package_id_0", 45.0)
    assert (core.name, core.label, core.celsius()) == (
        "temp_coretemp_core_0",
        "coretemp Core 0",
        43.5,
    )


def test_processor_is_preferred_over_the_disk(tmp_path: Path) -> None:
    chip(tmp_path, 0, "nvme", {"temp1_input": "38000"})
    chip(tmp_path, 1, "k10temp", {"temp1_input": "61000"})
    processor = processor_thermometer(find_thermometers(tmp_path))
    assert processor is not None
    assert processor.celsius() == 61.0


def test_two_equal_chips_have_names_of_their_own(tmp_path: Path) -> None:
    chip(tmp_path, 0, "nvme", {"temp1_input": "38000"})
    chip(tmp_path, 1, "nvme", {"temp1_input": "39000"})
    assert [found.name for found in find_thermometers(tmp_path)] == ["temp_nvme", "temp_nvme_2"]


def test_tenth_chip_comes_after_the_second(tmp_path: Path) -> None:
    chip(tmp_path, 10, "late", {"temp1_input": "1000"})
    chip(tmp_path, 2, "early", {"temp1_input": "1000", "temp2_input": "2000"})
    names = [found.name for found in find_thermometers(tmp_path)]
    assert names == ["temp_early", "temp_early_2", "temp_late"]


@pytest.mark.parametrize("text", ["", "nonsense", "500000", "-100000"])
def test_unreadable_or_absurd_value_is_no_temperature(tmp_path: Path, text: str) -> None:
    chip(tmp_path, 0, "coretemp", {"temp1_input": text})
    assert find_thermometers(tmp_path)[0].celsius() is None


def test_chip_that_is_unplugged_is_no_temperature(tmp_path: Path) -> None:
    folder = chip(tmp_path, 0, "coretemp", {"temp1_input": "45000"})
    (thermometer,) = find_thermometers(tmp_path)
    (folder / "temp1_input").unlink()
    assert thermometer.celsius() is None


def test_thermal_zone_counts_where_there_is_no_chip(tmp_path: Path) -> None:
    zone = tmp_path / "class" / "thermal" / "thermal_zone0"
    zone.mkdir(parents=True)
    (zone / "type").write_text("cpu-thermal\n")
    (zone / "temp").write_text("51234\n")
    (thermometer,) = find_thermometers(tmp_path)
    assert (thermometer.name, thermometer.celsius()) == ("temp_cpu_thermal", 51.234)


def test_industrial_io_temperature_is_scaled(tmp_path: Path) -> None:
    device = tmp_path / "bus" / "iio" / "devices" / "iio:device0"
    device.mkdir(parents=True)
    (device / "name").write_text("sht3x\n")
    (device / "in_temp_raw").write_text("26000\n")
    (device / "in_temp_offset").write_text("-16852\n")
    (device / "in_temp_scale").write_text("2.67\n")
    second = tmp_path / "bus" / "iio" / "devices" / "iio:device1"
    second.mkdir()
    (second / "in_temp_input").write_text("21500\n")
    raw, finished = find_thermometers(tmp_path)
    assert raw.celsius() == pytest.approx(24.425, abs=0.001)
    assert finished.celsius() == 21.5


def test_machine_without_thermometers_has_none(tmp_path: Path) -> None:
    assert find_thermometers(tmp_path) == []
    assert processor_thermometer([]) is None
