"""A vendor played by one function: the adapter's own code runs, down to httpx's transport."""

import json
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import httpx
import numpy as np

KEY = "sk-secret-0123456789abcdef"


def pcm(seconds: float = 0.5, rate: int = 24_000) -> bytes:
    """A tone, 16 bits, mono."""
    return (8000 * np.sin(np.arange(round(seconds * rate)) * 0.05)).astype("<i2").tobytes()


def wav(samples: bytes, rate: int = 24_000, stated: int | None = None) -> bytes:
    """A WAV file whose head states `stated` bytes of sound."""
    size = len(samples) if stated is None else stated
    riff = (
        b"RIFF",
        min(size + 36, 0xFFFFFFFF),
        b"WAVE",
        b"fmt ",
        16,
        1,
        1,
        rate,
        2 * rate % 2**32,
        2,
        16,
        b"data",
        size,
    )
    return struct.pack("<4sI4s4sIHHIIHH4sI", *riff) + samples


Answered = httpx.Response | Exception


def _dashed(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def sound(body: bytes, kind: str = "audio/wav", **headers: str) -> httpx.Response:
    return httpx.Response(200, content=body, headers={"content-type": kind, **_dashed(headers)})


def refusal(status: int, body: object, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.Response(status, content=content, headers=_dashed(headers))


@dataclass
class Vendor:
    """Answers listings by path, and paid calls (POST) in order, the last for ever; keeps every request.

    A POST without a text has nothing to speak: it tells for free whether there is such a place.
    """

    listings: dict[str, object] = field(default_factory=dict)
    answers: list[Answered] = field(default_factory=list)
    requests: list[httpx.Request] = field(default_factory=list)
    places: set[str] | None = None
    """Where it speaks; None stands for everywhere."""

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if request.method == "GET":
            found = self.listings.get(request.url.path, refusal(404, b"<h1>Not Found</h1>"))
            return found if isinstance(found, httpx.Response) else httpx.Response(200, json=found)
        if request.content == b"{}":
            return refusal(422 if self.places is None or request.url.path in self.places else 404, {})
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self)

    @property
    def paid(self) -> list[httpx.Request]:
        return [request for request in self.requests if request.method == "POST" and request.content != b"{}"]

    @property
    def body(self) -> dict[str, object]:
        """Of the last paid call."""
        return json.loads(self.paid[-1].content)


async def raised(call: Callable[[], object]) -> BaseException:
    try:
        await call()
    except Exception as error:  # noqa: BLE001 - which one it is, is the question
        return error
    raise AssertionError("nothing was raised")


def told_by(error: BaseException) -> Iterable[str]:
    """Everything that an error and its causes would print."""
    while error is not None:
        yield f"{error!r} {error} {getattr(error, '__dict__', '')}"
        error = error.__cause__ or error.__context__
