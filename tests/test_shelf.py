"""What every shelf keeps, be it a folder or a bucket that machines share."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks.speech import BadInput, RunFailed
from blocks.storage import Storage, StorageFailed
from blocks.storage.folder import Folder
from blocks.storage.places import storage_at
from tasks.document import Boundary, Chunk
from tasks.shared_shelf import FEW, SharedShelf
from tasks.shelf import Shelf
from tasks.shelf_facts import FACTS, FORMAT, MARKER, PIECES, key_of, name_of
from tests.shelves import VOICE, put, said, texts

TEXT = "Hello there. You."
PIECES_OF_TEXT = [Chunk("Hello there.", 0, Boundary.SENTENCE), Chunk("You.", 0, Boundary.PARAGRAPH)]
SHELVES = ["folder", "shared", "moto", "rclone"]

Machines = Callable[[str], Shelf]
"""By the name of a machine, what it sees of the one shelf."""


def sound_name(text: str = TEXT, take: int = 1) -> str:
    return name_of(key_of(text, VOICE), f".{said(text, take)[1].sha256[:8]}.wav")


def facts_name(text: str = TEXT) -> str:
    return name_of(key_of(text, VOICE), FACTS)


@pytest.fixture(params=SHELVES)
def machines(request: pytest.FixtureRequest, tmp_path: Path) -> Machines:
    if request.param == "folder":
        return lambda _: Shelf(tmp_path / "shelf")
    if request.param == "shared":
        remote: Storage = Folder(tmp_path / "remote")
    else:
        server = request.getfixturevalue(request.param)
        address = server.bucket_address("shelf-" + hashlib.sha256(str(tmp_path).encode()).hexdigest()[:20])
        remote = storage_at(f"{address}/clips", server.access)
    return lambda name: SharedShelf(remote, tmp_path / name)


def test_put_here_and_found_there(machines: Machines) -> None:
    """What one machine puts another finds, free of charge, and reads byte for byte."""
    placed = put(machines("one"), TEXT)
    there = machines("other")
    found = there.find(TEXT, VOICE)
    assert found == replace(placed, reused=True, attempts=0, latency_s=0.0)
    assert there.read(found) == machines("one").read(placed) == said(TEXT)[0].data
    assert found.uri == there.storage.place(sound_name())


@pytest.mark.parametrize("count", [3, FEW + 10])
def test_many_are_found_at_once(machines: Machines, count: int) -> None:
    """Few or many, what is there is found, by any machine, and what is not is not."""
    for text in texts(count)[1:]:
        put(machines("one"), text)
    for name in ("one", "other", "other"):
        shelf = machines(name)
        found = shelf.find_all(texts(count), VOICE)
        assert sorted(found) == sorted(texts(count)[1:])
        assert all(shelf.read(clip) == said(text)[0].data for text, clip in found.items())
    assert machines("third").find_all(texts(3), replace(VOICE, speed=2.0)) == {}


@pytest.mark.parametrize("spoilt", ["cut", "flipped", "empty", "gone"])
def test_a_spoilt_sound_is_not_there_and_is_replaced(machines: Machines, spoilt: str) -> None:
    """A sound that was cut or changed on the shelf counts as missing; said again, it is good for all."""
    put(machines("one"), TEXT)
    data = said(TEXT)[0].data
    storage = machines("one").storage
    if spoilt == "gone":
        storage.delete([sound_name()])
    else:
        wrong = {"cut": data[:-1], "flipped": data[:-1] + bytes([data[-1] ^ 1]), "empty": b""}[spoilt]
        storage.write(sound_name(), wrong)
    assert machines("other").find(TEXT, VOICE) is None
    assert machines("third").find_all([TEXT, *texts(FEW)], VOICE) == {}
    put(machines("other"), TEXT)
    assert machines("fourth").find(TEXT, VOICE)


@pytest.mark.parametrize("facts", [b"", b"{", b"[]", b"null", b'{"file": "../../x.wav", "clip": {}}', b"\xff"])
def test_spoilt_facts_are_none(machines: Machines, facts: bytes) -> None:
    """Facts that are no facts never raise, and lead nowhere."""
    put(machines("one"), TEXT)
    machines("one").storage.write(facts_name(), facts)
    assert machines("other").find(TEXT, VOICE) is None
    put(machines("other"), TEXT)
    assert machines("third").find(TEXT, VOICE)


def test_facts_lead_only_to_their_own_sound(machines: Machines) -> None:
    """Facts that name another file of the shelf, or one outside, are not believed."""
    put(machines("one"), TEXT)
    storage = machines("one").storage
    for file in (facts_name("Other."), f"../{sound_name()}", "other.wav", "/etc/passwd"):
        told = {**json.loads(storage.read(facts_name())), "file": file}
        storage.write(facts_name(), json.dumps(told).encode())
        assert machines("other").find(TEXT, VOICE) is None


def test_another_take_is_kept(machines: Machines) -> None:
    """The last take that was put counts for all, also on a machine that has the first; so does a flag that is added."""
    first = put(machines("one"), TEXT)
    others = [TEXT, *texts(FEW)]
    assert machines("other").find(TEXT, VOICE)
    second = put(machines("one"), TEXT, take=2)
    for name, wanted in (("other", [TEXT]), ("third", others)):
        found = machines(name).find_all(wanted, VOICE)[TEXT]
        assert found.sha256 == second.sha256 != first.sha256
    machines("one").keep(TEXT, VOICE, replace(first, flags=("odd",)))
    for name, wanted in (("other", others), ("third", [TEXT])):
        found = machines(name).find_all(wanted, VOICE)[TEXT]
        assert (found.sha256, found.flags) == (first.sha256, ("odd",))
        assert machines(name).read(found) == said(TEXT)[0].data


def test_pieces_are_remembered_everywhere(machines: Machines) -> None:
    """What could be said only in pieces is known to be so on every machine; pieces that are not the text are not."""
    shelf = machines("one")
    assert shelf.pieces(TEXT, VOICE) is None
    shelf.put_pieces(TEXT, VOICE, PIECES_OF_TEXT)
    known = [(piece.text, piece.boundary) for piece in PIECES_OF_TEXT]
    assert machines("one").pieces(TEXT, VOICE) == machines("other").pieces(TEXT, VOICE) == known
    assert machines("third").pieces_of([TEXT, *texts(FEW)], VOICE) == {TEXT: known}
    for wrong in (b"", b"[]", b'[["Hello.", "sentence"]]', b'[["Hello there. You.", "no boundary"]]', b"7"):
        shelf.storage.write(name_of(key_of(TEXT, VOICE), PIECES), wrong)
        assert machines(f"after {wrong!r}").pieces(TEXT, VOICE) is None


def test_the_marker(machines: Machines) -> None:
    """The preflight makes the marker once; a shelf of a newer version is refused with a word on what to do."""
    machines("one").check()
    machines("other").check()
    storage = machines("one").storage
    assert json.loads(storage.read(MARKER)) == {"format": FORMAT}
    storage.write(MARKER, json.dumps({"format": FORMAT + 1}).encode())
    with pytest.raises(BadInput, match=r"newer speech-flows.*another --shelf"):
        machines("third").check()
    storage.write(MARKER, b"no marker")
    with pytest.raises(BadInput, match=MARKER):
        machines("third").check()


def test_old_shelves_need_no_marker(machines: Machines) -> None:
    """A shelf that was filled before there were markers keeps its clips."""
    put(machines("one"), TEXT)
    machines("other").check()
    assert machines("other").find(TEXT, VOICE)


@settings(deadline=None)
@given(cut=st.integers(0, 400), junk=st.binary(max_size=20))
def test_cut_facts_are_not_there(tmp_path_factory: pytest.TempPathFactory, cut: int, junk: bytes) -> None:
    """Facts that are cut or overwritten anywhere never raise, on a shared shelf either."""
    folder = tmp_path_factory.mktemp("shelf")
    remote = Folder(folder / "remote")
    put(SharedShelf(remote, folder / "one"), TEXT)
    facts = remote.read(facts_name())
    remote.write(facts_name(), facts[:cut] + junk)
    found = SharedShelf(remote, folder / "other").find(TEXT, VOICE)
    assert (found is None) == (facts[:cut] + junk != facts)


def test_what_cannot_be_read_is_no_miss(tmp_path: Path) -> None:
    """A clip that stands there and cannot be read ends the run: it was paid, and would be bought again."""
    shelf = Shelf(tmp_path / "shelf")
    put(shelf, TEXT)
    for name in (sound_name(), facts_name()):
        (shelf.root / name).rename(tmp_path / "aside")
        (shelf.root / name).mkdir()
        with pytest.raises(StorageFailed, match=r"cannot read .*run the same command again"):
            shelf.find(TEXT, VOICE)
        (shelf.root / name).rmdir()
        (tmp_path / "aside").rename(shelf.root / name)
    assert shelf.find(TEXT, VOICE)


def test_a_hit_counts_as_used(tmp_path: Path) -> None:
    """What is found is marked as used now: pruning by age spares what is needed."""
    import os
    import time

    shelf = Shelf(tmp_path / "shelf")
    put(shelf, TEXT)
    shelf.put_pieces("Hello there. You.", replace(VOICE, speed=2.0), PIECES_OF_TEXT)
    pieces = name_of(key_of(TEXT, replace(VOICE, speed=2.0)), PIECES)
    for name in (facts_name(), pieces):
        os.utime(shelf.root / name, (0, 0))
    assert shelf.find(TEXT, VOICE)
    assert shelf.pieces(TEXT, replace(VOICE, speed=2.0))
    for name in (facts_name(), pieces):
        assert time.time() - (shelf.root / name).stat().st_mtime < 60


def test_a_file_in_the_way(tmp_path: Path) -> None:
    """A shelf that cannot be is told before anything is spoken, in one line."""
    (tmp_path / "shelf").write_text("in the way")
    with pytest.raises(BadInput, match="cannot write into"):
        Shelf(tmp_path / "shelf").check()
    with pytest.raises(RunFailed, match="shelf"):
        put(Shelf(tmp_path / "shelf"), TEXT)


def test_a_disk_that_is_nearly_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the disk has hardly any room left, no call is made whose answer it might not hold."""
    shelf = Shelf(tmp_path)
    shelf.check_room()
    monkeypatch.setattr("tasks.shelf.ROOM", 1 << 60)
    with pytest.raises(StorageFailed, match="make room"):
        shelf.check_room()
