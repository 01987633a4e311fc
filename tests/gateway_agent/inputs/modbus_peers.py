"""Modbus devices without hardware: the library's simulator over TCP, and over a cable of ptys."""

import asyncio
import os
import select
import threading
import time
import tty
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Self

from pymodbus.constants import ExcCodes
from pymodbus.pdu import ModbusPDU
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice


def holding(address: int, *values: int) -> SimData:
    return SimData(address, values=list(values), datatype=DataType.REGISTERS)


class Simulator:
    """Runs the library's server, with a log of what was asked for: (unit, address, count)."""

    def __init__(self, blocks: dict[int, Any], port: Path | None = None) -> None:
        self.requests: list[tuple[int, int, int]] = []
        self.hung: set[int] = set()
        self._devices = [
            SimDevice(id=unit, simdata=data, action=self._action(unit))
            for unit, data in blocks.items()
        ]
        self._serial = port
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.port = 0
        self._server: ModbusTcpServer | ModbusSerialServer

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *exception: object) -> None:
        asyncio.run_coroutine_threadsafe(self._server.shutdown(), self._loop).result(10)
        self._thread.join(10)

    def asked(self, unit: int) -> list[tuple[int, int]]:
        return [(address, count) for who, address, count in self.requests if who == unit]

    def _action(self, unit: int) -> Callable[..., Awaitable[ExcCodes | None]]:
        async def hang(*_: object) -> None:
            if unit in self.hung:
                await asyncio.sleep(3600)

        return hang

    def _note(self, sending: bool, pdu: ModbusPDU) -> ModbusPDU:
        if not sending:
            self.requests.append((pdu.dev_id, pdu.address, pdu.count))
        return pdu

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    async def _serve(self) -> None:
        if self._serial is None:
            self._server = ModbusTcpServer(
                self._devices, address=("127.0.0.1", 0), trace_pdu=self._note
            )
        else:
            self._server = ModbusSerialServer(
                self._devices, port=str(self._serial), baudrate=115200
            )
        await self._server.serve_forever(background=True)
        if self._serial is None:
            self.port = self._server.transport.sockets[0].getsockname()[1]
        self._ready.set()
        await self._server.serving


class Cable:
    """Two serial ports joined by a cable: what is written to one can be read from the other."""

    def __init__(self, folder: Path) -> None:
        self.near, self.far = folder / "ttyNear", folder / "ttyFar"
        self._masters = []
        for end in (self.near, self.far):
            master, slave = os.openpty()
            tty.setraw(slave)
            end.symlink_to(os.ttyname(slave))
            self._masters.append((master, slave))
        self._thread = threading.Thread(target=self._carry)
        self._cut = threading.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._cut.set()
        self._thread.join(10)
        for master, slave in self._masters:
            os.close(master)
            os.close(slave)

    def _carry(self) -> None:
        (one, _), (other, _) = self._masters
        across = {one: other, other: one}
        while not self._cut.is_set():
            for master in select.select([one, other], [], [], 0.05)[0]:
                os.write(across[master], os.read(master, 4096))
            time.sleep(0)
