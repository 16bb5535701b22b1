"""A source of this machine is a path, however it is named; what is elsewhere is left to whoever reads it."""

import os
from pathlib import Path, PurePosixPath

import pytest

from blocks.speech import BadInput
from blocks.storage.folder import Folder
from tasks.cell_output import CellOutput
from tasks.manifest import check_source_stays
from tasks.source import read_bytes
from tasks.source_place import address_of, is_elsewhere, name_of, path_of

NAMES = ["tale.txt", "two words.txt", "Märchen.txt", "100%.txt", "a#b?c.txt", "海.txt", os.fsdecode(b"\xff.txt")]


@pytest.mark.parametrize("name", NAMES)
def test_a_url_is_a_path(name: str, tmp_path: Path) -> None:
    """Every file is found by its URL, also where that is written without escapes, and has the name of its path."""
    (tmp_path / name).write_bytes(b"The sea.")
    url = (tmp_path / name).as_uri()
    assert (path_of(url), name_of(url).name) == (tmp_path / name, name)
    assert address_of(url) == address_of(str(tmp_path / name))
    assert read_bytes(url) == b"The sea."
    if "%" not in name:
        assert path_of(f"file://{tmp_path}/{name}") == tmp_path / name
    assert path_of(url.replace("file://", "file://localhost")) == tmp_path / name


@pytest.mark.parametrize(
    "url", ["file://words.csv", "file://data/words.csv", "file://[x/words.csv", "file://", "file://~/w"]
)
def test_other_machines(url: str) -> None:
    """What reads as the name of another machine is refused, with how it is written."""
    with pytest.raises(BadInput, match=r"names no file of this machine: write file:///"):
        read_bytes(url)


def test_what_is_elsewhere() -> None:
    """URLs of servers and buckets stay as they are; a bucket's signs are its own."""
    for source in ("https://host/a%20b.txt?c#d", "s3://bucket/a?b#c.csv", "memory://a.txt"):
        assert is_elsewhere(source)
        assert address_of(source) == source
    assert name_of("https://host/a/b.txt?c#d") == PurePosixPath("host/a/b.txt")
    assert name_of("s3://bucket/a?b#c.csv") == PurePosixPath("bucket/a?b#c.csv")


def test_a_source_is_not_overwritten(tmp_path: Path) -> None:
    """Nor what is made of another table, whether they are named by paths or by URLs."""
    for source in (str(tmp_path / "tale.srt"), (tmp_path / "tale.srt").as_uri()):
        with pytest.raises(BadInput, match="would be overwritten"):
            check_source_stays(source, tmp_path / "tale.mp3")
    tables = [tmp_path / folder / "words.csv" for folder in "ab"]
    output = Folder(tmp_path)
    paths, urls = (
        [CellOutput(output, name, "mp3", -19).owner for name in names]
        for names in (
            [str(table) for table in tables],
            [table.as_uri() for table in tables],
        )
    )
    assert paths == urls == ["a/words.csv", "b/words.csv"]
