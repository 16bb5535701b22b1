"""A proxy on loopback before an S3 server: it counts the requests, and plays the faults that a network has."""

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import Literal
from urllib.parse import urlsplit

from blocks.storage import Access

BLOCK = 1 << 16
STARTED_WITHIN_S = 10


@dataclass
class Fault:
    """What becomes of the requests that fit: of `times` of them, after the first `after`."""

    action: Literal["refuse", "hang", "reset", "cut answer", "cut body", "garble", "lose answer", "date"]
    """
    refuse: answer with `status` and `code`, unasked; hang: never answer; reset: hang up when the request has come.
    cut answer: half of it, then hang up; cut body: pass half of the request's on, then hang up on both sides.
    garble: the first byte of the request's body is another when it arrives.
    lose answer: the server does it, and nobody hears of it; date: the server's clock is two hours ahead.
    """
    method: str = ""
    target: str = ""
    """Part of the path and query."""
    after: int = 0
    times: int = 1_000_000
    status: int = 503
    code: str = "SlowDown"

    def fits(self, method: str, target: str) -> bool:
        if (self.method and self.method != method) or self.target not in target:
            return False
        self.after -= 1
        self.times -= self.after < 0
        return self.after < 0 <= self.times


@dataclass
class Proxy:
    access: Access
    """Of the server, through the proxy."""
    seen: list[tuple[str, str]] = field(default_factory=list)
    """Method, and path with query, of every request in the order in which they came."""
    faults: list[Fault] = field(default_factory=list)
    """The first that fits is played."""

    def count(self) -> Counter[str]:
        """Requests by method."""
        return Counter(method for method, _ in self.seen)

    def clear(self) -> None:
        self.seen.clear()
        self.faults.clear()


@contextlib.contextmanager
def proxied(access: Access) -> Iterator[Proxy]:
    """The server of this access behind a proxy, which lives in a thread."""
    proxy = Proxy(access)
    ready, loop = threading.Event(), asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        tasks: set[asyncio.Task[None]] = set()

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            if task:
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await _relay(proxy, urlsplit(access.endpoint_url).port or 0, reader, writer)
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0, limit=1 << 20)
        proxy.access = replace(access, endpoint_url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        ready.set()
        await stop.wait()
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    try:
        if not ready.wait(STARTED_WITHIN_S):
            raise TimeoutError("the proxy did not start")
        yield proxy
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(STARTED_WITHIN_S)
        loop.close()


async def _relay(proxy: Proxy, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One request a connection."""
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").rstrip().split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if "expect" in headers:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    proxy.seen.append((method, target))
    fault = next((fault for fault in proxy.faults if fault.fits(method, target)), None)
    action = fault.action if fault else ""
    if action == "hang":
        await reader.read()
    if fault and action == "refuse":
        writer.write(_refusal(fault))
        await writer.drain()
        return
    if action in {"hang", "reset"}:
        writer.transport.abort()
        return
    kept = [line for line in lines if not line.lower().startswith(("expect:", "connection:"))]
    sent = "\r\n".join([first, *kept, "Connection: close", "", ""]).encode("latin-1")
    async with _opened(port) as (upstream, down):
        if action == "garble":
            body = bytes([body[0] ^ 1]) + body[1:]
        down.write(sent + (body[: len(body) // 2] if action == "cut body" else body))
        await down.drain()
        if action == "cut body":
            writer.transport.abort()
            return
        answer = bytearray()
        while block := await upstream.read(BLOCK):
            answer += block
    if action == "lose answer":
        writer.transport.abort()
        return
    if action == "date":
        answer = _later(answer)
    ends = answer.index(b"\r\n\r\n") + 4
    writer.write(answer[: ends + (len(answer) - ends) // 2] if action == "cut answer" else answer)
    await writer.drain()
    if action == "cut answer":
        await asyncio.sleep(0.05)  # what is sent shall be read before the end is
        writer.transport.abort()


@contextlib.asynccontextmanager
async def _opened(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()


def _refusal(fault: Fault) -> bytes:
    body = f"<?xml version='1.0'?><Error><Code>{fault.code}</Code><Message>By the proxy.</Message></Error>".encode()
    head = f"HTTP/1.1 {fault.status} No\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + body


def _later(answer: bytearray) -> bytearray:
    head, _, body = bytes(answer).partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    dated = [f"Date: {_shifted(line)}" if line.lower().startswith("date:") else line for line in lines]
    return bytearray("\r\n".join([*dated, "", ""]).encode("latin-1") + body)


def _shifted(line: str) -> str:
    then: datetime = parsedate_to_datetime(line.partition(":")[2].strip())
    return format_datetime(then + timedelta(hours=2), usegmt=True)
