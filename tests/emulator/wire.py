"""HTTP/1.1 on bare streams: an answer here may be cut, drip, hang or be reset, which no web framework lets it do."""

import asyncio
import contextlib
import http
import json
import socket
import struct
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import h11

_PIECE = 16_384
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with no time to linger: closing sends RST instead of FIN."""


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Names in small letters."""
    body: bytes

    def json(self) -> dict[str, Any]:
        """Raises ValueError or TypeError for anything but an object."""
        value = json.loads(self.body)
        if not isinstance(value, dict):
            raise TypeError("The body is no JSON object.")
        return value


@dataclass(frozen=True, slots=True)
class Answer:
    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    framing: Literal["length", "chunked", "close"] = "length"
    stop: int | None = None
    """Bytes of the body after which `stopped` happens; -1 is before the status line."""
    stopped: Literal["close", "hang", "reset"] = "close"
    piece: int = _PIECE
    pause_s: float = 0.0
    """Between two pieces of `piece` bytes."""


def in_json(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    body = json.dumps(value, ensure_ascii=False).encode()
    return Answer(status, body, {"Content-Type": "application/json", **(headers or {})})


class Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._unread = b""

    async def request(self) -> Request | None:
        """The next one; None where the client has left. Raises h11.RemoteProtocolError."""
        # h11 wants to see each answer as well; ours are often no HTTP, so every request has a parser of its own.
        parser = h11.Connection(h11.SERVER)
        if self._unread:
            parser.receive_data(self._unread)
        head, body = None, bytearray()
        while not isinstance(event := parser.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                parser.receive_data(await self._reader.read(65_536))
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            else:
                return None
        self._unread = parser.trailing_data[0]
        return _request(head, bytes(body)) if head else None

    async def send(self, answer: Answer) -> bool:
        """Whether the connection may carry another request."""
        whole = answer.stop is None
        if answer.stop != -1:
            self._writer.write(_head(answer))
            await self._pieces(answer)
        if whole and answer.framing == "chunked":
            self._writer.write(b"0\r\n\r\n")
        await self._writer.drain()
        if not whole:
            await self._stop(answer)
        return whole and answer.framing != "close"

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()

    async def _pieces(self, answer: Answer) -> None:
        body = answer.body[: answer.stop]
        for start in range(0, len(body), answer.piece):
            piece = body[start : start + answer.piece]
            if start and answer.pause_s:
                await asyncio.sleep(answer.pause_s)
            self._writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if answer.framing == "chunked" else piece)
            await self._writer.drain()

    async def _stop(self, answer: Answer) -> None:
        if answer.stopped == "hang":
            await self._reader.read()  # Until the client has had enough.
        elif answer.stopped == "reset":
            end: socket.socket = self._writer.get_extra_info("socket")
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._writer.transport.abort()


def _request(head: h11.Request, body: bytes) -> Request:
    target = urllib.parse.urlsplit(head.target.decode())
    headers = {name.decode().lower(): value.decode("latin-1") for name, value in head.headers}
    query = dict(urllib.parse.parse_qsl(target.query, keep_blank_values=True))
    return Request(head.method.decode(), urllib.parse.unquote(target.path), query, headers, body)


def _head(answer: Answer) -> bytes:
    framing = {
        "length": f"Content-Length: {len(answer.body)}",
        "chunked": "Transfer-Encoding: chunked",
        "close": "Connection: close",
    }[answer.framing]
    lines = [f"HTTP/1.1 {answer.status} {http.HTTPStatus(answer.status).phrase}", framing]
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
