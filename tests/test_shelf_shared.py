"""A shelf that machines share: what it costs to ask it, and what becomes of paid speech while it is away."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks.storage import Entry, StorageFailed
from blocks.storage.folder import Folder
from blocks.storage.places import storage_at
from tasks import shared_shelf, shelf_index
from tasks.clips import Clip
from tasks.document import Boundary, Chunk
from tasks.shared_shelf import FEW, SharedShelf, mirror_of, shelf_at
from tasks.shelf import Shelf
from tasks.shelf_facts import FACTS, key_of, name_of
from tasks.shelf_index import INDEX, Index
from tests.s3_servers import S3Server
from tests.shelves import VOICE, put, said, texts

MANY = texts(2 * FEW + 20)


class Counting(Folder):
    """Counts what a bucket would be asked for."""

    def __init__(self, address: Path) -> None:
        super().__init__(address)
        self.gets = self.puts = self.lists = 0
        self._lock = Lock()

    def read(self, name: str) -> bytes:
        with self._lock:
            self.gets += 1
        return super().read(name)

    def read_many(self, names: Iterable[str]) -> Mapping[str, bytes]:
        return super().read_many(names)  # by `read`, one for each

    def write(self, name: str, data: bytes) -> None:
        with self._lock:
            self.puts += 1
        super().write(name, data)

    def entries(self, prefix: str = "") -> Iterator[Entry]:
        with self._lock:
            self.lists += 1
        return super().entries(prefix)

    def counted(self) -> tuple[int, int, int]:
        """Since it was last asked: gets, puts, lists."""
        told, self.gets, self.puts, self.lists = (self.gets, self.puts, self.lists), 0, 0, 0
        return told


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_shelf, "PAUSES_S", (0.01, 0.01))


@pytest.fixture
def remote(tmp_path: Path) -> Counting:
    return Counting(tmp_path / "remote")


def is_whole(shelf: Shelf, clip: Clip) -> bool:
    return hashlib.sha256(shelf.read(clip)).hexdigest() == clip.sha256


def test_a_warm_mirror_costs_no_request_a_clip(remote: Counting, tmp_path: Path) -> None:
    """Finished speech of this machine is checked by listing; nothing is fetched or sent."""
    shelf = SharedShelf(remote, tmp_path / "one")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda text: put(shelf, text), MANY))
    shelf.close()
    remote.counted()
    assert len(shelf.find_all(MANY, VOICE)) == len(MANY)
    folders = {key_of(text, VOICE)[:2] for text in MANY}  # 256 at most, however many clips there are
    assert remote.counted() == (0, 0, len(folders))


def filled(remote: Counting, place: Path) -> None:
    """With MANY, by a machine that was killed before it wrote an index."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda text: put(SharedShelf(remote, place), text), MANY))
    remote.counted()


def test_a_fresh_machine_fetches_each_clip_once(remote: Counting, tmp_path: Path) -> None:
    """Facts and sound, once, then it has them itself; and the next one takes the facts from its index."""
    filled(remote, tmp_path / "one")
    fresh = SharedShelf(remote, tmp_path / "fresh")
    found = fresh.find_all(MANY, VOICE)
    assert len(found) == len(MANY)
    assert remote.counted()[:2] == (2 * len(MANY), 1)
    assert all(is_whole(fresh, clip) for clip in found.values())
    assert fresh.find_all(MANY, VOICE) == found
    assert remote.counted()[:2] == (0, 0)
    assert SharedShelf(remote, tmp_path / "next").find_all(MANY, VOICE) == found
    assert remote.counted()[:2] == (len(MANY) + 1, 0)


def test_a_run_that_ends_leaves_an_index(remote: Counting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a run has said is in the index: most of it while it speaks, the rest at its end."""
    monkeypatch.setattr(shelf_index, "SEGMENT", 50)
    monkeypatch.setattr(shelf_index, "LEAST", 5)
    shelf = SharedShelf(remote, tmp_path / "one")
    for text in MANY[:110]:
        put(shelf, text)
        assert shelf.find(text, VOICE)
    assert len(list(remote.entries(INDEX))) == 2
    shelf.close()
    remote.counted()
    assert len(SharedShelf(remote, tmp_path / "other").find_all(MANY, VOICE)) == 110
    assert remote.counted()[0] == 110 + 3


@pytest.mark.parametrize("damage", ["rubbish", "cut", "no object", "other facts"])
def test_an_index_is_not_believed(remote: Counting, tmp_path: Path, damage: str) -> None:
    """An index that is damaged, or tells of what has changed since, costs requests and nothing else."""
    filled(remote, tmp_path / "one")
    found = SharedShelf(remote, tmp_path / "other").find_all(MANY, VOICE)
    [entry] = remote.entries(INDEX)
    data = remote.read(entry.name)
    wrong = {"rubbish": b"\xff", "cut": data[:-9], "no object": b"[7]", "other facts": data.replace(b"sha256", b"sha")}
    remote.write(entry.name, wrong[damage])
    assert SharedShelf(remote, tmp_path / "third").find_all(MANY, VOICE) == found
    put(SharedShelf(remote, tmp_path / "one"), MANY[0], take=2)
    remote.write(entry.name, data)
    newer = SharedShelf(remote, tmp_path / "fourth").find_all(MANY, VOICE)
    assert newer[MANY[0]].sha256 == said(MANY[0], take=2)[1].sha256
    assert len(newer) == len(MANY)


def test_an_index_stays_small(remote: Counting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many files of an index become one, and nothing of it is lost; one that is too long is left alone."""
    monkeypatch.setattr(shelf_index, "SEGMENT", 5)
    shelf = SharedShelf(remote, tmp_path / "one")
    for text in MANY:
        put(shelf, text)
    assert len(list(remote.entries(INDEX))) == len(MANY) // 5
    known = Index(remote).read(VOICE, len(MANY))
    assert len(known) == len(MANY)
    assert len(list(remote.entries(INDEX))) == 1
    assert Index(remote).read(VOICE, len(MANY)) == known
    assert Index(remote).read(VOICE, 1) == {}


def test_what_is_nowhere_costs_no_request_a_text(remote: Counting, tmp_path: Path) -> None:
    """A first run of a long text asks for no clip and no pieces one by one."""
    shelf = SharedShelf(remote, tmp_path / "one")
    assert shelf.find_all(MANY, VOICE) == shelf.pieces_of(MANY, VOICE) == {}
    assert remote.counted()[:2] == (0, 0)


@pytest.mark.parametrize("wanted", [MANY[:1], MANY], ids=["few", "many"])
def test_paid_speech_outlives_an_outage(remote: Counting, tmp_path: Path, wanted: list[str]) -> None:
    """A put while the bucket is away fails, and the clip is kept; the next run that looks for it sends it."""
    remote.root.write_text("no folder")
    shelf = SharedShelf(remote, tmp_path / "one")
    with pytest.raises(StorageFailed, match="finished speech is kept"):
        put(shelf, MANY[0])
    assert remote.puts == len(shared_shelf.PAUSES_S) + 1
    with pytest.raises(StorageFailed):
        shelf.put_pieces(MANY[1], VOICE, [Chunk(MANY[1], 0, Boundary.PARAGRAPH)])
    remote.root.unlink()
    again = SharedShelf(remote, tmp_path / "one")
    assert list(again.find_all(wanted, VOICE)) == MANY[:1]
    other = SharedShelf(remote, tmp_path / "other")
    clip = other.find(MANY[0], VOICE)
    assert clip
    assert is_whole(other, clip)
    assert again.pieces_of([*wanted, MANY[1]], VOICE)
    assert SharedShelf(remote, tmp_path / "third").pieces(MANY[1], VOICE)


def test_a_server_that_is_killed(rclone: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said while a real server is down is kept, and sent when it is back; and nothing counts as missing."""
    monkeypatch.setattr(shared_shelf, "PAUSES_S", ())
    shelf = SharedShelf(storage_at(rclone.bucket_address("killed"), rclone.access), tmp_path / "one")
    kept = put(shelf, MANY[0])
    rclone.kill()
    try:
        with pytest.raises(StorageFailed, match="finished speech is kept"):
            put(shelf, MANY[1])
        for wanted in (MANY, MANY[:1]):
            with pytest.raises(StorageFailed):
                shelf.find_all(wanted, VOICE)
        assert is_whole(shelf, kept)  # the merge needs no server
    finally:
        rclone.restart()
    assert len(shelf.find_all(MANY, VOICE)) == 2
    assert SharedShelf(shelf.storage, tmp_path / "other").find(MANY[1], VOICE)


def test_a_bucket_that_is_away_ends_the_search(remote: Counting, tmp_path: Path) -> None:
    """A shelf that cannot be listed is no empty one: else everything would be bought again."""
    shelf = SharedShelf(remote, tmp_path / "one")
    put(shelf, MANY[0])
    (tmp_path / "remote").rename(tmp_path / "aside")
    remote.root.write_text("no folder")
    with pytest.raises(StorageFailed):
        shelf.find_all(MANY, VOICE)


def test_a_moment_of_outage_is_borne(remote: Counting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket that comes back within the pauses has the clip, and the run goes on."""
    remote.root.write_text("no folder")
    monkeypatch.setattr(shared_shelf.time, "sleep", lambda _: remote.root.unlink(missing_ok=True))
    placed = put(SharedShelf(remote, tmp_path / "one"), MANY[0])
    assert SharedShelf(remote, tmp_path / "other").find(MANY[0], VOICE)
    assert placed.uri == remote.place(placed.uri.removeprefix(f"{remote.address}/"))


def test_a_mirror_mends_the_shelf(remote: Counting, tmp_path: Path) -> None:
    """A sound that was cut or lost in the bucket is sent anew by a machine that has it whole."""
    shelf = SharedShelf(remote, tmp_path / "one")
    for number in range(3):
        put(shelf, MANY[number])
    sounds = [entry.name for entry in remote.entries() if not entry.name.endswith(FACTS)]
    remote.write(sounds[0], b"RIFF")
    remote.delete(sounds[1:2])
    assert len(shelf.find_all(MANY, VOICE)) == 3
    assert len(SharedShelf(remote, tmp_path / "other").find_all(MANY, VOICE)) == 3


def test_the_shelf_mends_a_mirror(remote: Counting, tmp_path: Path) -> None:
    """What is damaged or pruned on this machine is fetched again, by search or at the merge."""
    shelf = SharedShelf(remote, tmp_path / "one")
    placed = put(shelf, MANY[0])
    [sound] = (tmp_path / "one").glob("*/*.wav")
    for spoil in (lambda: sound.write_bytes(b"RIFF"), sound.unlink):
        spoil()
        assert is_whole(shelf, placed)
        assert sound.read_bytes() == said(MANY[0])[0].data
    sound.write_bytes(b"RIFF")
    assert shelf.find(MANY[0], VOICE)
    assert sound.read_bytes() == said(MANY[0])[0].data
    remote.delete([placed.uri.removeprefix(f"{remote.address}/")])
    sound.unlink()
    with pytest.raises(FileNotFoundError):
        shelf.read(placed)


def test_a_full_disk_is_told(remote: Counting, tmp_path: Path) -> None:
    """A mirror that cannot be written is told in one line that says what to do."""
    put(SharedShelf(remote, tmp_path / "one"), MANY[0])
    (tmp_path / "other").write_text("in the way")
    with pytest.raises(StorageFailed, match="SPEECH_HOME"):
        SharedShelf(remote, tmp_path / "other").find(MANY[0], VOICE)


def test_each_shelf_has_its_mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two buckets never mix on a machine; a folder needs no mirror."""
    monkeypatch.setenv("SPEECH_HOME", str(tmp_path))
    assert mirror_of("s3://one/shelf") != mirror_of("s3://other/shelf")
    assert mirror_of("s3://one/shelf").is_relative_to(tmp_path)
    assert type(shelf_at(Folder(tmp_path / "shelf"))) is Shelf


ACTS = ["put", "cut remote", "cut mirror", "lose remote", "lose mirror", "lose facts", "find", "find all"]


@settings(deadline=None, max_examples=60)
@given(acts=st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 1), st.integers(0, 1), st.integers(1, 2))))
def test_whatever_happens(tmp_path_factory: pytest.TempPathFactory, acts: list[tuple[str, int, int, int]]) -> None:
    """Through any damage: what is found is whole, and what this machine holds whole is found, and then by the other."""
    folder = tmp_path_factory.mktemp("shelf")
    remote = Folder(folder / "remote")
    shelves = [SharedShelf(remote, folder / name) for name in ("one", "other")]
    for act, machine, text, take in acts:
        shelf, said_text = shelves[machine], MANY[text]
        mirror = Folder(shelf.root)
        facts = name_of(key_of(said_text, VOICE), FACTS)
        sounds = sorted(entry.name for entry in remote.entries(facts.removesuffix(FACTS)) if entry.name != facts)
        if act == "put":
            put(shelf, said_text, take)
        elif act == "lose facts":
            remote.delete([facts])
        elif act.startswith("find"):
            held = Shelf(shelf.root).find(said_text, VOICE)
            found = shelf.find_all(MANY if act == "find all" else [said_text], VOICE)
            assert all(is_whole(shelf, clip) for clip in found.values())
            assert not held or said_text in found
            if held and act == "find all":
                fresh = SharedShelf(remote, folder / "fresh").find(said_text, VOICE)
                assert fresh
                assert fresh.sha256 == found[said_text].sha256
        elif sounds:
            place, sound = (remote if act.endswith("remote") else mirror), sounds[take % len(sounds)]
            place.write(sound, b"RIFF") if act.startswith("cut") else place.delete([sound])
