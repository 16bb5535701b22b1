"""Clearing a shelf away: the least recently used first, nothing young, nothing of anybody else's."""

import json
import math
import os
import re
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks.speech import BadInput
from blocks.storage.folder import Folder
from deployments.shelf_terminal import shelf as command
from deployments.sizes import told_size
from tasks.shelf import Shelf
from tasks.shelf_facts import CLAIMS, FACTS, FORMAT, MARKER, PIECES, key_of, name_of
from tasks.shelf_prune import YOUNG_S, Item, Stock, bytes_of, clear, outdated, prune, stock_of
from tests.shelves import VOICE, put

NOW = 1_800_000_000.0
HOUR, DAY = 3600.0, 86_400.0


@st.composite
def stocks(draw: st.DrawFn) -> Stock:
    """Of any ages, some from the future."""
    ages = draw(st.lists(st.floats(-30 * DAY, 90 * DAY), max_size=30))
    items = []
    for number, age in enumerate(ages):
        orphan = draw(st.booleans())
        names = (f"{number}.json",) if orphan else (f"{number}.json", f"{number}.wav")
        items.append(Item(names, draw(st.integers(0, 10**7)), NOW - age, orphan=orphan))
    return Stock(tuple(items))


@settings(deadline=None)
@given(stock=stocks(), older=st.floats(0, 60 * DAY) | st.just(math.inf), larger=st.floats(0, 10**8) | st.just(math.inf))
def test_what_goes(stock: Stock, older: float, larger: float) -> None:
    """Never what is young; always orphans and what is too old; then the least recently used, and no more than must."""
    gone = outdated(stock, NOW, older, larger)
    left = [item for item in stock.items if item not in gone]
    ripe = [item for item in left if item.age_s(NOW) > YOUNG_S]
    assert len(set(gone)) == len(gone)
    assert all(item.age_s(NOW) > YOUNG_S for item in gone)
    assert not any(item.orphan or item.age_s(NOW) > older for item in ripe)
    size = sum(item.bytes for item in left)
    assert size <= larger or not ripe
    by_size = [item for item in gone if not item.orphan and item.age_s(NOW) <= older]
    if by_size:
        last = max(by_size, key=lambda item: item.used)
        assert all(last.used <= item.used for item in ripe)
        assert size + last.bytes > larger


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SPEECH_HOME", str(tmp_path))
    return tmp_path


def aged(shelf: Shelf, text: str, days: float, take: int = 1) -> str:
    """A clip that was not used for so long; its key."""
    put(shelf, text, take)
    key = key_of(text, VOICE)
    for path in shelf.root.glob(f"*/{key}.*"):
        os.utime(path, (time.time() - days * DAY,) * 2)
    return key


def standing(shelf: Shelf) -> set[str]:
    return {path.name.split(".")[0] for path in shelf.root.glob("*/*.json")}


def test_by_age_and_size(tmp_path: Path) -> None:
    """On a real shelf, by either bound; what stays is found, and what went is not."""
    shelf = Shelf(tmp_path / "shelf")
    keys = [aged(shelf, f"Text {days}.", days) for days in (40, 20, 10, 0)]
    prune([shelf.storage], 30 * DAY, math.inf)
    assert standing(shelf) == set(keys[1:])
    clip = stock_of(shelf.storage).clips[0]
    prune([shelf.storage], math.inf, 2.5 * clip.bytes)
    assert standing(shelf) == set(keys[2:])
    prune([shelf.storage], 0, 0)
    assert standing(shelf) == set(keys[3:])  # it is young
    assert shelf.find("Text 0.", VOICE)
    assert shelf.find("Text 10.", VOICE) is None


def test_what_no_text_leads_to(tmp_path: Path) -> None:
    """Earlier takes, halves of clips, marks of dead runs and unfinished files go in any case; current clips do not."""
    shelf, old = Shelf(tmp_path / "shelf"), time.time() - 2 * DAY
    keys = [aged(shelf, f"Text {number}.", 2) for number in range(4)]
    put(shelf, "Text 0.", take=2)
    [facts] = shelf.root.glob(f"*/{keys[1]}{FACTS}")
    facts.unlink()
    [sound] = shelf.root.glob(f"*/{keys[2]}.*.wav")
    sound.unlink()
    pieces = name_of(key_of("Text 5.", VOICE), PIECES)
    left = [f"{CLAIMS}{keys[0]}.{'0' * 32}", f"{keys[0][:2]}/.{'a' * 32}.tmp", pieces]
    for name in left:
        Folder(shelf.root).write(name, b"[]")
        os.utime(shelf.root / name, (old, old))
    aged(shelf, "Text 3.", 2)
    os.utime(shelf.root / name_of(keys[0], FACTS), (old, old))
    young = f"{CLAIMS}{keys[0]}.{'1' * 32}"
    shelf.storage.write(young, b"{}")
    os.utime(shelf.root / young, (time.time() - 2 * HOUR,) * 2)  # of a machine whose clock is wrong
    prune([shelf.storage], math.inf, math.inf)
    assert standing(shelf) == {keys[0], keys[3]}
    assert shelf.find("Text 0.", VOICE)
    names = {str(path.relative_to(shelf.root)) for path in shelf.root.rglob("*") if path.is_file()}
    assert {young, pieces} < names
    assert len(names) == 2 * 2 + 2
    prune([shelf.storage], HOUR, math.inf)
    assert pieces not in {entry.name for entry in shelf.storage.entries()}


def test_other_files_stay(tmp_path: Path) -> None:
    """A folder that holds more than a shelf loses nothing else, whatever it is called and however old."""
    shelf = Shelf(tmp_path / "shelf")
    aged(shelf, "Text.", 40)
    others = ["book.txt", MARKER, "ab/notes.json", f"ab/{'c' * 64}", f"claims/{'d' * 64}", "ab/.mine.tmp", "x/y/z.wav"]
    for name in others:
        path = shelf.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
        os.utime(path, (0, 0))
    prune([shelf.storage], 0, 0)
    assert {str(path.relative_to(shelf.root)) for path in shelf.root.rglob("*") if path.is_file()} == set(others)


@pytest.mark.parametrize("server", ["moto", "rclone"])
def test_a_bucket(server: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a bucket, too: clips and takes are told apart, and what is named goes."""
    from blocks.storage.places import storage_at
    from tasks import shelf_prune
    from tasks.shared_shelf import SharedShelf

    running = request.getfixturevalue(server)
    remote = storage_at(f"{running.bucket_address('prune-' + server)}/{tmp_path.name.lower()}", running.access)
    shelf = SharedShelf(remote, tmp_path / "mirror")
    for number in range(5):
        put(shelf, f"Text {number}.")
    put(shelf, "Text 0.", take=2)
    stock = stock_of(remote)
    assert (len(stock.clips), len(stock.items)) == (5, 6)
    assert prune([remote], 0, 0) == [[]]  # all of it is young
    monkeypatch.setattr(shelf_prune, "YOUNG_S", -HOUR)
    [gone] = prune([remote], math.inf, math.inf, only_look=True)
    assert [item.orphan for item in gone] == [True]
    clear(remote, [stock.clips[0], *gone])
    assert len(stock_of(remote).items) == 4


def test_the_command(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`speech shelf` tells what there is; `prune` what it freed, or would free; both for programs, too."""
    shelf = Shelf(home / "shelf")
    for days in (0.9, 1.5, 40):
        aged(shelf, f"Text {days}.", days)

    def run(*line: str) -> str:
        command(line, result_action="return_value")
        return capsys.readouterr().out

    assert re.search(r"3 clips, .* kB, the oldest last used 40 days", run())
    told = json.loads(run("--json"))
    assert (told["shelf"], told["clips"], told["orphan_bytes"]) == (str(shelf.root), 3, 0)
    assert "would free" in run("prune", "--older-than", "30d", "--dry-run")
    assert len(standing(shelf)) == 3
    assert json.loads(run("prune", "--older-than", "30d", "--json"))["clips"] == 1
    assert "freed 0 bytes" in run("prune", "--older-than", "30d")
    told = run("prune", "--larger-than", "0MB", "--shelf", str(shelf.root))
    assert ": 1 clips, 2 files; what was used in the last 24 h stays" in told
    assert re.search(r"1 clips, .* last used 21:36:0\d ago", run())
    assert Shelf(home / "shelf").find("Text 0.9.", VOICE)


def test_no_shelf_is_told_from_an_empty_one(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong --shelf is refused; the own shelf of a machine that has not spoken yet is empty."""
    (home / "book.txt").write_text("a book")
    for wrong in (home / "book.txt", home / "nowhere"):
        for line in ([], ["prune", "--older-than", "30d"]):
            with pytest.raises(BadInput, match=f"no shelf stands at {wrong}"):
                command([*line, "--shelf", str(wrong)], result_action="return_value")
    assert not (home / "nowhere").exists()
    command([], result_action="return_value")
    assert capsys.readouterr().out == f"{home / 'shelf'}: empty\n"


def test_what_a_long_run_has_spoken_stays(tmp_path: Path) -> None:
    """A clip that a run found 23 hours ago is still there when it merges, however small the shelf is to be."""
    shelf = Shelf(tmp_path / "shelf")
    early, stale = aged(shelf, "The first chapter.", 23 / 24), aged(shelf, "Another book.", 25 / 24)
    [gone] = prune([shelf.storage], HOUR, 0)
    assert [item.names[0] for item in gone] == [name_of(stale, FACTS)]
    assert standing(shelf) == {early}


@pytest.mark.parametrize(
    ("count", "told"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (1_234_567, "1.2 MB"), (5e9, "5.0 GB"), (2e15, "2000.0 TB")],
)
def test_sizes_are_told(count: float, told: str) -> None:
    """In the unit that people would take."""
    assert told_size(count) == told


def test_a_newer_shelf_is_not_pruned(home: Path) -> None:
    """What this version may misread it does not delete."""
    shelf = Shelf(home / "shelf")
    aged(shelf, "Text.", 40)
    shelf.storage.write(MARKER, json.dumps({"format": FORMAT + 1}).encode())
    with pytest.raises(BadInput, match="newer"):
        command(["prune", "--older-than", "1d"], result_action="return_value")
    assert standing(shelf)


@pytest.mark.parametrize(
    ("text", "count"),
    [("5GB", 5e9), ("500 mb", 5e8), ("1.5T", 1.5e12), ("0", 0), ("7k", 7e3), ("12b", 12), ("", math.inf)],
)
def test_sizes(text: str, count: float) -> None:
    """As people write them."""
    assert bytes_of(text) == count


@pytest.mark.parametrize("text", ["five", "5GiB", "-1GB", "1 2", "GB", "nan", "1e9"])
def test_sizes_that_are_none(text: str) -> None:
    """Nothing is guessed where something is deleted by it."""
    with pytest.raises(BadInput, match="no size"):
        bytes_of(text)
