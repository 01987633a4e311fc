import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asyncua import Server, ua
from input_bench import Workbench

from tests.ports import free_port

Bench = Callable[..., Workbench]


class Plc:
    """An OPC UA server in a thread of its own, with a few variables in namespace 2."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.port = free_port()
        self.nodes: dict[str, Any] = {}
        self.run(self._start())

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def write(
        self, name: str, value: object, *, status: int = 0, at: datetime | None = None
    ) -> None:
        data = ua.DataValue(
            ua.Variant(value) if value is not None else None,
            StatusCode=ua.StatusCode(status),
            SourceTimestamp=at or datetime.now(UTC),
        )
        self.run(self.nodes[name].write_value(data))

    def stop_listening(self) -> None:
        self.run(self._server.bserver.stop())

    def listen_again(self) -> None:
        self.run(self._server.bserver.start())

    def close(self) -> None:
        self.run(self._server.stop())
        self.run(self._cancel_the_rest())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _cancel_the_rest(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _start(self) -> None:
        self._server = server = Server()
        await server.init()
        server.set_endpoint(f"opc.tcp://127.0.0.1:{self.port}/")
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        index = await server.register_namespace("urn:test")
        assert index == 2
        for name, value in VALUES.items():
            node = ua.NodeId(name, index)
            self.nodes[name] = await server.nodes.objects.add_variable(node, name, value)
        await server.start()


VALUES: dict[str, Any] = {"Flow": 21.5, "Pump": True, "Mode": "auto", "List": [1, 2, 3]}


@pytest.fixture(scope="module")
def server() -> Iterator[Plc]:
    plc = Plc()
    yield plc
    plc.close()


@pytest.fixture
def plc(server: Plc) -> Plc:
    for name, value in VALUES.items():
        server.write(name, value)
    return server


def section(plc: Plc, *lines: str, points: str = "") -> str:
    head = ["[[input]]", 'type = "opcua"', f'url = "opc.tcp://127.0.0.1:{plc.port}/"']
    return "\n".join([*head, 'interval = "50ms"', 'timeout = "2s"', *lines, points, ""])


FLOW = '[[input.point]]\nnode = "ns=2;s=Flow"\nfield = "flow"\n'
ALL = FLOW + (
    '[[input.point]]\nnode = "ns=2;s=Pump"\nfield = "pump"\n'
    '[[input.point]]\nnode = "ns=2;s=Mode"\nfield = "mode"\ndatatype = "text"\n'
    '[[input.point]]\nnode = "ns=2;s=List"\nfield = "second"\nindex = 1\nscale = 0.5\n'
)


def test_variables_are_polled_together(bench: Bench, plc: Plc) -> None:
    one = bench(section(plc, 'timestamps = "gateway"', points=ALL))
    samples, failures = one.read_once()
    assert failures == []
    assert [(s.sensor, s.fields) for s in samples] == [
        ("green-opcua", {"flow": 21.5, "pump": 1, "mode": "auto", "second": 1.0})
    ]
    assert [f.numeric for f in one.input.sensors()[0].fields] == [True, True, False, True]


def test_value_with_the_same_time_as_before_is_not_sent_again(bench: Bench, plc: Plc) -> None:
    measured = datetime(2026, 11, 21, 8, 0, 0, 500_000, tzinfo=UTC)
    plc.write("Flow", 22.5, at=measured)
    with bench(section(plc, points=FLOW)) as running:
        running.wait_for_values(1)
        time.sleep(0.3)
        assert running.values() == [{"flow": 22.5}]
        assert running.shelf.readings[0].stamp.wall_us == 1_795_248_000_500_000
        plc.write("Flow", 22.5, at=measured + timedelta(seconds=1))
        assert running.wait_for_values(2) == [{"flow": 22.5}] * 2


def test_bad_value_and_missing_node_are_told_and_the_others_sent(bench: Bench, plc: Plc) -> None:
    plc.write("Pump", False, status=ua.StatusCodes.BadSensorFailure)
    points = ALL + '[[input.point]]\nnode = "ns=2;s=None"\nfield = "none"\n'
    samples, failures = bench(section(plc, 'timestamps = "gateway"', points=points)).read_once()
    assert [s.fields for s in samples] == [{"flow": 21.5, "mode": "auto", "second": 1.0}]
    assert failures == ["ns=2;s=Pump: BadSensorFailure", "ns=2;s=None: BadNodeIdUnknown"]


def test_subscription_tells_of_changes(bench: Bench, plc: Plc) -> None:
    points = FLOW + '[[input.point]]\nnode = "ns=2;s=None"\nfield = "none"\n'
    with bench(section(plc, 'mode = "subscribe"', points=points)) as running:
        assert running.wait_for_values(1) == [{"flow": 21.5}]
        plc.write("Flow", 23.0)
        running.wait_for_values(2)
        plc.write("Flow", 24.0)
        assert running.wait_for_values(3)[1:] == [{"flow": 23.0}, {"flow": 24.0}]
        assert running.figures.last_error == "ns=2;s=None: BadNodeIdUnknown"


@pytest.mark.parametrize("mode", ["poll", "subscribe"])
def test_server_that_was_restarted_is_found_again(bench: Bench, plc: Plc, mode: str) -> None:
    text = section(plc, f'mode = "{mode}"', points=FLOW).replace('"2s"', '"500ms"')
    with bench(text) as running:
        running.wait_for_values(1)
        plc.stop_listening()
        running.wait_for(lambda: not running.figures.open)
        count = len(running.values())
        plc.listen_again()
        plc.write("Flow", 25.0)
        running.wait_for(lambda: {"flow": 25.0} in running.values()[count:])


def test_server_that_is_away_is_told_without_the_password(
    bench: Bench, plc: Plc, caplog: pytest.LogCaptureFixture
) -> None:
    text = section(plc, points=FLOW).replace(f"127.0.0.1:{plc.port}", "joe:secret@127.0.0.1:9")
    with bench(text) as running:
        running.wait_for(lambda: running.figures.errors >= 1)
        told = caplog.text + str(running.figures.last_error)
    assert "Connect" in told
    assert "secret" not in told


def test_stop_leaves_no_thread_behind(bench: Bench, plc: Plc) -> None:
    with bench(section(plc, points=FLOW)) as running:
        running.wait_for_values(1)
    deadline = time.monotonic() + 5
    while any(thread.name == "opcua" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_wrong_node_is_told_with_its_line(mistakes: Callable[[str], list[str]]) -> None:
    text = '[[input]]\ntype = "opcua"\nurl = "opc.tcp://h"\n[[input.point]]\nnode = "Flow"\n'
    assert mistakes(text) == ["5: input.point.node: is not a node id: 'Flow'"]
