"""Where a source is: a path of this machine, which `file://` names in other words, or the URL of something else."""

import re
from pathlib import Path, PurePath, PurePosixPath
from urllib.parse import unquote

from blocks.speech import BadInput
from blocks.storage import is_remote

_LOCAL = "file://"


def is_elsewhere(source: str) -> bool:
    return is_remote(source) and not source.startswith(_LOCAL)


def path_of(source: str) -> Path:
    """Of a source of this machine; `~` is the home folder, but in a URL. Raises BadInput."""
    if not source.startswith(_LOCAL):
        return Path(source).expanduser()
    host, slash, path = source.removeprefix(_LOCAL).partition("/")
    if not slash or host not in {"", "localhost"}:
        raise BadInput(f"{source} names no file of this machine: write file:///folder/file, or the path alone")
    return Path(unquote(f"/{path}", errors="surrogateescape"))


def name_of(source: str) -> PurePath:
    """The path that tells a source's name and suffix: of a URL without its query, host or fragment. Raises BadInput."""
    if not is_remote(source):
        return Path(source)
    if not is_elsewhere(source):
        return path_of(source)
    protocol, _, name = source.partition("://")
    return PurePosixPath(name if protocol == "s3" else re.split("[?#]", name)[0])  # on S3 these are signs as any other


def address_of(source: str) -> str:
    """Where a source is, whatever folder a command is given in; a name that is not UTF-8, as a file can hold it.

    Raises BadInput.
    """
    whole = source if is_elsewhere(source) else str(path_of(source).absolute())
    return whole.encode(errors="replace").decode()
