"""Where sources, clips, results and recordings are kept: a folder, or a bucket that speaks S3.

One face over both. A file appears under its name whole or not at all, and what stood there stays until then. All of it
blocks: call it from a thread where an event loop runs.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

import platformdirs

from blocks.speech import BadInput, RunFailed


class StorageFailed(RunFailed):
    """The disk is full, or the store does not answer: the run stops, and goes on when that is mended."""

    reason = ""
    """What a bucket's server answered, in a few words."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file that stands in a storage."""

    name: str
    """Relative to the storage's address, with `/`."""
    bytes: int
    modified: float
    """By the clock of the storage, seconds since 1970."""
    tag: str
    """Another one for other content, or for the same written again."""


@dataclass(frozen=True, slots=True)
class Access:
    """How a bucket is reached, as far as the usual AWS environment shall not tell."""

    endpoint_url: str = ""
    region: str = ""
    key_id: str = ""
    secret: str = ""

    def __repr__(self) -> str:
        place = "an endpoint" if self.endpoint_url else "the usual endpoint"  # whose URL may hold a login
        return f"Access({place}, {'own' if self.secret else 'no'} credentials)"


class Storage(Protocol):
    """Files by name under one address. Names are relative, with `/`; one that leads outside raises BadInput.

    What the store itself fails at raises StorageFailed.
    """

    @property
    def address(self) -> str:
        """An absolute path, or `s3://bucket/prefix`; without a slash at its end."""

    def place(self, name: str) -> str:
        """The path or URI of a file, whether it stands there or not."""

    def read(self, name: str) -> bytes:
        """Raises FileNotFoundError."""

    def read_many(self, names: Iterable[str]) -> Mapping[str, bytes]:
        """Those that are there, many at one time where that is faster."""

    def write(self, name: str, data: bytes) -> None:
        """Put the data under this name, and make it last."""

    def put(self, name: str, data: bytes) -> None:
        """As `write` and sooner, but a power cut may spoil it: for what is proved before use, and can be made again."""

    def create(self, name: str, data: bytes) -> bool:
        """Put it there if nothing stands there; whether it did. A mark that need not survive a power cut.

        What stands there with the same bytes may count as one's own: let it name its creator. A server that knows no
        conditional writes overwrites: nobody's safety may hang on it alone.
        """

    def upload(self, name: str, path: Path) -> None:
        """Put a finished file of this machine under this name; nothing of it is seen before all of it."""

    def entries(self, prefix: str = "") -> Iterator[Entry]:
        """The files whose names begin so, in any order, with no request for each."""

    def delete(self, names: Iterable[str]) -> None:
        """What is not there is no error."""

    def check(self) -> None:
        """Write, read back, list and delete a small file. Raises BadInput that says what to do about it."""


def home() -> Path:
    """Where this application keeps its state between runs: `SPEECH_HOME`, or a per-user data folder."""
    named = os.environ.get("SPEECH_HOME")
    return Path(named).expanduser().absolute() if named else platformdirs.user_data_path("speech-flows")


def is_remote(address: str) -> bool:
    return "://" in address


def parts_of(name: str, address: str) -> tuple[str, ...]:
    """The steps of a name from its address on. Raises BadInput for a name that leads outside, read by either slash."""
    parts = PurePosixPath(name).parts
    if not parts or name.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", name) or "\0" in name:
        raise BadInput(f"{name!r} leads out of {address}: name a file in it")
    return parts
