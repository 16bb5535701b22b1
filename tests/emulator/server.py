"""The process: reads requests, and brings each to a provider's desk or to the control desk."""

import asyncio
import contextlib
import os
import signal
import stat
import sys
from dataclasses import replace

import h11

from tests.emulator import control, desk
from tests.emulator.state import State
from tests.emulator.vendor import Call
from tests.emulator.vendors import VENDORS
from tests.emulator.wire import Connection, Request, in_json


async def run(state: State, host: str, port: int) -> None:
    """Serves until SIGTERM, SIGINT, or the end of the pipe that is our stdin; the first line says where."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    if stat.S_ISFIFO(os.fstat(0).st_mode):  # A parent that was killed closes its end, and no signal comes.
        loop.add_reader(0, _on_stdin, ended)
    connections: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = loop.create_task(_serve(state, Connection(reader, writer)))
        connections.add(task)
        task.add_done_callback(connections.discard)

    server = await asyncio.start_server(accept, host, port, backlog=512)
    port = server.sockets[0].getsockname()[1]
    sys.stdout.write(f"http://{host}:{port}\n")
    sys.stdout.flush()
    await ended.wait()
    server.close()
    for task in connections:
        task.cancel()
    await asyncio.gather(*connections, return_exceptions=True)
    await state.speaker.close()


def _on_stdin(ended: asyncio.Event) -> None:
    if not os.read(0, 1024):
        ended.set()


async def _serve(state: State, connection: Connection) -> None:
    state.connections += 1
    try:
        with contextlib.suppress(ConnectionError, h11.RemoteProtocolError):
            while (request := await connection.request()) and await _exchange(state, request, connection):
                pass
    finally:
        await connection.close()


async def _exchange(state: State, request: Request, connection: Connection) -> bool:
    _, name, *rest = request.path.split("/", 2)
    if name in {"", "_"}:
        return await connection.send(control.answer(state, request))
    if not (vendor := VENDORS.get(name)):
        return await connection.send(in_json({"error": f"There is no provider {name!r}: {', '.join(VENDORS)}."}, 404))
    call = Call(replace(request, path="/" + "".join(rest)), plan=state.plan_names[name])
    if not vendor.speaks(call.request):
        return await connection.send(desk.free(state, vendor, call))
    async with desk.paid(state, vendor, call) as answer:
        return await connection.send(answer)
