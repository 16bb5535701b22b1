"""What the emulator wants of a file in `vendors/`, and what it gives it."""

import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from tests.emulator.sound import Format, Sound
from tests.emulator.wire import Answer, Request


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a vendor's error table."""

    status: int
    code: str
    message: str
    kind: str = ""
    """The vendor's second word for it, where it has one: a type, a legacy status, a quota id."""
    headers: Mapping[str, str] = field(default_factory=dict)


NONSENSE = (KeyError, TypeError, ValueError, AttributeError, IndexError)
"""What reading a decoded body of the wrong shape raises."""


class Refuse(Exception):
    """The request deserves this row of the vendor's table."""

    def __init__(self, row: str, message: str = "", seconds: float = 1.0) -> None:
        super().__init__(row)
        self.row = row
        self.message = message
        """Instead of the row's own."""
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Ask:
    """A request that the vendor would speak."""

    text: str
    format: Format
    language: str = ""
    """Empty: to be guessed."""
    timbre: str = "f2"
    speed: float = 1.0
    model: str = ""
    pool: str = ""
    """The calls that share a limit, where an account has several."""
    share: int = 1
    """How many times the plan's calls in flight this pool has."""
    prompt: int = 0
    """Tokens of the text, where they are billed beside those of the sound."""
    shape: str = ""
    """The shape that the request itself brings about."""
    streamed: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """One call on its way."""

    request: Request
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    plan: str = ""
    in_flight: int = 0
    most: int | None = None
    """Calls in flight that the plan allows here."""
    seconds: float = 1.0
    """What the answer asks to wait."""
    units: int = 0
    """What the whole speech is billed, whatever of it the answer holds."""
    envelope: str = ""
    """`old` or `list`, for vendors that have worn several."""


Shape = Callable[[Call, Ask, Sound, bytes], Answer]
"""Call, request, speech, encoded speech → an answer that only this vendor can give."""


class Vendor(Protocol):
    name: str
    """Also its place: /{name}."""
    keyed: bool
    rows: Mapping[str, Row]
    limits: Mapping[str, str]
    """The rows for `key`, `no_key`, `in_flight`, `minute`, `day`, `credits`, and for `nonsense` in the body."""
    shapes: Mapping[str, Shape]
    unbilled: Collection[str]
    """Shapes that cost nothing."""

    def key(self, request: Request, /) -> str: ...

    def speaks(self, request: Request, /) -> bool:
        """Whether this is the paid call."""
        ...

    def read(self, call: Call, /) -> Ask:
        """Raises Refuse, and any of `NONSENSE` for a body that has no sense."""
        ...

    def answer(self, call: Call, ask: Ask, sound: Sound, data: bytes, /) -> Answer: ...

    def refuse(self, call: Call, row: Row, /) -> Answer: ...

    def listing(self, request: Request, /) -> Any:
        """The JSON of a free call; None where there is nothing."""
        ...

    def units(self, ask: Ask, sound: Sound, /) -> int:
        """What a whole speech is billed."""
        ...


def bearer(request: Request) -> str:
    return request.headers.get("authorization", "").removeprefix("Bearer ").strip()


def number(value: object, name: str, least: float, most: float, row: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value <= most:
        raise Refuse(row, f"{name} must be between {least} and {most}.")
    return float(value)
