"""Where a source is: a path of this machine, which `file://` names in other words, or the URL of something else."""

import re
from pathlib import Path, PurePath, PurePosixPath
from urllib.parse import urlsplit
from urllib.request import url2pathname

from blocks.storage import is_remote

_LOCAL = "file://"


def is_elsewhere(source: str) -> bool:
    return is_remote(source) and not source.startswith(_LOCAL)


def path_of(source: str) -> Path:
    """Of a source of this machine; `~` is the home folder."""
    return Path(url2pathname(urlsplit(source).path)) if source.startswith(_LOCAL) else Path(source).expanduser()


def name_of(source: str) -> PurePath:
    """The path that tells a source's name and suffix: of a URL without its query, host or fragment."""
    if not is_remote(source):
        return Path(source)
    if not is_elsewhere(source):
        return path_of(source)
    protocol, _, name = source.partition("://")
    return PurePosixPath(name if protocol == "s3" else re.split("[?#]", name)[0])  # on S3 these are signs as any other


def address_of(source: str) -> str:
    """Where a source is, whatever folder a command is given in; a name that is not UTF-8, as a file can hold it."""
    whole = source if is_elsewhere(source) else str(path_of(source).absolute())
    return whole.encode(errors="replace").decode()
