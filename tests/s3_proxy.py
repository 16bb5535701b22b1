"""A proxy on loopback before an S3 server: it counts the requests, and plays the faults that a network has."""

import asyncio
import contextlib
import re
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from blocks.storage import Access

STARTED_WITHIN_S = 10


@dataclass
class Fault:
    """What becomes of the requests that fit: of `times` of them, after the first `after`."""

    action: Literal["refuse", "hang", "reset", "cut answer", "cut body", "garble", "lose answer", "date"]
    """
    refuse: answer with `status` and `code`, unasked; hang: never answer; reset: hang up when the request has come.
    cut answer: half of it, then hang up; cut body: pass half of the request's on, then hang up on both sides.
    garble: the first byte of the request's body is another when it arrives.
    lose answer: the server does it, and nobody hears of it; date: the server's clock tells this `date`.
    """
    method: str = ""
    target: str = ""
    """Part of the path and query."""
    after: int = 0
    times: int = 1_000_000
    status: int = 503
    code: str = "SlowDown"
    date: str = ""
    """As HTTP writes it."""

    def fits(self, method: str, target: str) -> bool:
        if (self.method and self.method != method) or self.target not in target:
            return False
        self.after -= 1
        self.times -= self.after < 0
        return self.after < 0 <= self.times


class Request(NamedTuple):
    method: str
    target: str
    """Path and query, as they were sent."""
    headers: dict[str, str]
    """By their names in small letters."""
    body: bytes


@dataclass
class Proxy:
    access: Access
    """Of the server, through the proxy."""
    seen: list[Request] = field(default_factory=list)
    """In the order in which they came."""
    faults: list[Fault] = field(default_factory=list)
    """The first that fits is played."""

    def count(self) -> Counter[str]:
        """Requests by method."""
        return Counter(request.method for request in self.seen)

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
    request = await _received(reader, writer)
    proxy.seen.append(request)
    fault = next((fault for fault in proxy.faults if fault.fits(request.method, request.target)), None)
    if fault and fault.action in {"refuse", "hang", "reset"}:
        await _unasked(fault, request, reader, writer)
        return
    answer = await _answer(port, request, fault.action if fault else "")
    if fault and fault.action in {"lose answer", "cut body"}:
        writer.transport.abort()
        return
    if fault and fault.action == "date":
        answer = re.sub(rb"(?i)\r\nDate:[^\r]*", b"\r\nDate: " + fault.date.encode(), answer, count=1)
    cut = fault and fault.action == "cut answer"
    ends = answer.index(b"\r\n\r\n") + 4
    writer.write(answer[: ends + (len(answer) - ends) // 2] if cut else answer)
    await writer.drain()
    if cut:
        await asyncio.sleep(0.05)  # what is sent shall be read before the end is
        writer.transport.abort()


async def _received(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Request:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").rstrip().split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if headers.pop("expect", ""):
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    return Request(method, target, headers, await reader.readexactly(int(headers.get("content-length", 0))))


async def _unasked(fault: Fault, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    if fault.action == "hang":
        await reader.read()
    if fault.action != "refuse":
        writer.transport.abort()
        return
    body = f"<?xml version='1.0'?><Error><Code>{fault.code}</Code><Message>By the proxy.</Message></Error>".encode()
    head = f"HTTP/1.1 {fault.status} No\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n"
    writer.write(f"{head}Connection: close\r\n\r\n".encode() + (b"" if request.method == "HEAD" else body))
    await writer.drain()


async def _answer(port: int, request: Request, action: str) -> bytes:
    """The server's, whole; of half a request there is none."""
    lines = [f"{name}: {value}" for name, value in request.headers.items() if name != "connection"]
    head = [f"{request.method} {request.target} HTTP/1.1", *lines, "Connection: close", "", ""]
    body = request.body
    if action == "garble":
        body = bytes([body[0] ^ 1]) + body[1:]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write("\r\n".join(head).encode("latin-1") + (body[: len(body) // 2] if action == "cut body" else body))
        await writer.drain()
        return b"" if action == "cut body" else await reader.read()
    finally:
        writer.close()
