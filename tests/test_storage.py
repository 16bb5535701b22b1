"""What a storage promises, whoever keeps the files: a folder, S3 as moto has it, and S3 as rclone has it."""

import errno
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from blocks.speech import BadInput
from blocks.storage import Access, Storage, StorageFailed, folder
from blocks.storage.folder import Folder
from blocks.storage.places import storage_at
from blocks.storage.s3 import S3

ESCAPES = ["../x", "a/../../x", "a/..", "/x", "//x", "..", "\\x", "..\\x", "a\\..\\..\\x", "a\0b", "", "."]


@pytest.fixture(params=["folder", "moto", "rclone"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """An empty one."""
    if request.param == "folder":
        return Folder(tmp_path / "store")
    server = request.getfixturevalue(request.param)
    return S3(f"{server.bucket_address('contract')}/{uuid4().hex}", server.access)


def names(store: Storage, prefix: str = "") -> set[str]:
    return {entry.name for entry in store.entries(prefix)}


def test_what_is_written_is_read_and_listed(store: Storage):
    """A file has the bytes that were written, and is listed with its size and its time."""
    store.write("a/b é ü 字 100%+&.wav", b"one")
    store.write("c", b"")
    assert store.read("a/b é ü 字 100%+&.wav") == b"one"
    assert store.read("c") == b""
    assert {entry.name: entry.bytes for entry in store.entries()} == {"a/b é ü 字 100%+&.wav": 3, "c": 0}
    assert all(entry.modified > 1_700_000_000 for entry in store.entries())


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(name=st.text(max_size=40), data=st.binary(max_size=200))
def test_any_name_is_kept_or_refused(store: Storage, name: str, data: bytes):
    """A name is refused as bad input, or it is read, listed and deleted as it is."""
    name = f"{uuid4().hex}/{name}x"
    try:
        store.write(name, data)
    except BadInput:
        with pytest.raises(BadInput):
            store.place(name)
        return
    listed = store.place(name).removeprefix(f"{store.address}/")
    assert store.read(name) == data
    assert names(store, listed[:33]) == {listed}
    store.delete([name])
    assert not names(store, listed[:33])


def test_a_missing_file(store: Storage):
    """Reading what is not there says so; reading many gives those that are there."""
    store.write("there", b"1")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        store.read("nowhere")
    with pytest.raises(FileNotFoundError):
        store.read("there/below")
    assert store.read_many(["there", "nowhere"]) == {"there": b"1"}
    assert store.read_many([]) == {}


def test_many_are_read_at_once(store: Storage):
    """100 files come back, each with its own bytes."""
    wanted = {f"{number:03}": str(number).encode() for number in range(100)}
    with ThreadPoolExecutor(32) as pool:
        list(pool.map(store.write, wanted, wanted.values()))
    assert store.read_many(wanted) == wanted
    assert names(store) == set(wanted)


def test_a_prefix_is_the_beginning_of_a_name(store: Storage):
    """Listing knows beginnings, whether they end at a slash or not."""
    for name in ("ab/1", "ab/c/2", "abd", "b/ab"):
        store.write(name, b"")
    assert names(store, "ab") == {"ab/1", "ab/c/2", "abd"}
    assert names(store, "ab/") == {"ab/1", "ab/c/2"}
    assert names(store, "ab/c/2") == {"ab/c/2"}
    assert names(store, "nothing") == set()


def test_other_content_has_another_tag(store: Storage):
    """A listing tells that a file was replaced, though its size is the same."""
    store.write("a", b"one")
    before = [entry.tag for entry in store.entries()]
    assert [entry.tag for entry in store.entries()] == before
    store.write("a", b"two")
    assert [entry.tag for entry in store.entries()] != before


def test_a_reader_sees_a_whole_file(store: Storage, request: pytest.FixtureRequest):
    """While a file is replaced again and again, each read gives one version of it, whole."""
    # rclone's listing looks at its disk, where the next version is just being written.
    lists_whole = "rclone" not in request.node.name
    versions = [bytes([mark]) * 3_000_000 for mark in b"AB"]
    store.write("a", versions[0])
    done = threading.Event()

    def replace() -> None:
        for turn in range(12):
            store.write("a", versions[turn % 2])
        done.set()

    seen = []
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(replace)
        while not done.is_set():
            seen.append(store.read("a"))
            assert not lists_whole or [entry.bytes for entry in store.entries()] == [3_000_000]
            writing.done() and writing.result()
    assert seen
    assert all(data in versions for data in seen)


def test_upload_puts_a_file_there(store: Storage, tmp_path: Path):
    """A small file and one of 40 MB arrive as they are, over what stood there."""
    store.write("small", b"older")
    for name, data in (("small", b"new"), ("large", bytes(range(256)) * 160_000)):
        (tmp_path / name).write_bytes(data)
        store.upload(name, tmp_path / name)
        assert store.read(name) == data
    assert names(store) == {"small", "large"}


def test_upload_of_a_file_that_is_gone(store: Storage, tmp_path: Path):
    """It is told, with the file's name, and what stood there stays."""
    store.write("a", b"older")
    with pytest.raises(StorageFailed, match="No such file"):
        store.upload("a", tmp_path / "gone.wav")
    assert store.read("a") == b"older"
    assert names(store) == {"a"}


def test_deleting(store: Storage):
    """What is deleted is gone, the rest stays, and what was not there is no error."""
    for name in ("a/1", "a/2", "b"):
        store.write(name, b"1")
    store.delete(["a/1", "nowhere", "a/nowhere"])
    assert names(store) == {"a/2", "b"}
    store.delete([])
    store.delete(["a/2", "b"])
    assert names(store) == set()


@pytest.mark.parametrize("name", ESCAPES)
def test_names_that_lead_outside(store: Storage, name: str, tmp_path: Path):
    """They are bad input, whatever is asked, and nothing is made or read."""
    file = tmp_path / "file"
    file.write_bytes(b"1")
    before = set(tmp_path.rglob("*"))
    for ask in (
        lambda: store.place(name),
        lambda: store.read(name),
        lambda: store.read_many([name]),
        lambda: store.write(name, b"1"),
        lambda: store.create(name, b"1"),
        lambda: store.upload(name, file),
        lambda: store.delete([name]),
    ):
        with pytest.raises(BadInput, match="leads out"):
            ask()
    assert set(tmp_path.rglob("*")) == before


def test_creating(store: Storage, request: pytest.FixtureRequest):
    """Of many who create one file at once one does it, and what it wrote stands; rclone lets everybody."""
    with ThreadPoolExecutor(16) as pool:
        created = list(pool.map(lambda mark: store.create("a/mark", bytes([mark])), range(16)))
    if "rclone" in request.node.callspec.id:
        assert all(created)
        return
    assert created.count(True) == 1
    assert store.read("a/mark") == bytes([created.index(True)])
    store.delete(["a/mark"])
    assert store.create("a/mark", b"again")


def test_the_preflight_leaves_nothing(store: Storage):
    """A storage that is well passes the check, twice, and nothing of it stays."""
    store.check()
    store.check()
    assert names(store) == set()


def test_a_link_out_of_a_folder(tmp_path: Path):
    """A name that a symbolic link leads outside is refused, and nothing is written there."""
    outside = tmp_path / "outside"
    outside.mkdir()
    store = Folder(tmp_path / "store")
    store.write("a", b"1")
    (tmp_path / "store" / "link").symlink_to(outside)
    with pytest.raises(BadInput, match="by a link"):
        store.write("link/x", b"1")
    assert not list(outside.iterdir())


def test_a_link_within_a_folder(tmp_path: Path):
    """One that leads elsewhere in the same folder is as good as a folder; one that leads outside from there is not."""
    store = Folder(tmp_path / "store")
    store.write("a/b", b"1")
    (tmp_path / "store" / "link").symlink_to("a")
    assert store.read("link/b") == b"1"
    (tmp_path / "store" / "a" / "on").symlink_to(tmp_path)
    with pytest.raises(BadInput, match="by a link"):
        store.write("link/on/x", b"1")
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_several_files_appear_when_all_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """In their order, once the last one is on the disk; if that fails, none does, and nothing else is left."""
    files = [(tmp_path / "store" / name, name.encode()) for name in ("sound", "facts")]
    seen: list[list[str]] = []

    def sync(descriptor: int) -> None:
        seen.append([path.name for path in (tmp_path / "store").iterdir() if not path.name.endswith(folder.HIDDEN)])
        if len(seen) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fdatasync(descriptor)

    monkeypatch.setattr(folder.os, "fsync", sync)
    with pytest.raises(StorageFailed, match="No space left"):
        folder.replace_all(files)
    assert list((tmp_path / "store").iterdir()) == []
    folder.replace_all(files)
    assert seen[:4] == [[], [], [], []]
    assert {path.name: path.read_bytes() for path in (tmp_path / "store").iterdir()} == {
        "sound": b"sound",
        "facts": b"facts",
    }


def test_a_folder_that_cannot_be(tmp_path: Path):
    """The check of a folder below a file says what is wrong and what to do."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BadInput, match="name another folder"):
        Folder(tmp_path / "file" / "below").check()


def test_a_link_in_place_of_a_file_is_replaced(tmp_path: Path):
    """Writing over a link replaces the link; what it led to stays."""
    outside = tmp_path / "outside"
    outside.write_bytes(b"theirs")
    store = Folder(tmp_path / "store")
    store.write("a", b"1")
    (tmp_path / "store" / "link").symlink_to(outside)
    store.write("link", b"ours")
    assert outside.read_bytes() == b"theirs"
    assert store.read("link") == b"ours"


def test_addresses():
    """An address is a folder or `s3://`; slashes at the end count for nothing."""
    assert storage_at("/tmp/x/").address == "/tmp/x"
    assert storage_at("s3://bucket").address == "s3://bucket"
    assert storage_at("s3://bucket/").address == "s3://bucket"
    assert storage_at("s3://bucket/a//b/").address == "s3://bucket/a/b"
    assert storage_at("s3://bucket/a/").place("c d") == "s3://bucket/a/c d"


@pytest.mark.parametrize(
    "address", ["s3://", "s3:///a", "s3://bucket/../other", "s3://b u/x", "gs://bucket", "http://host/x", "S3://bucket"]
)
def test_addresses_that_cannot_be(address: str):
    """They are bad input that says which kinds there are, or that they lead outside."""
    with pytest.raises(BadInput, match=r"name a folder, or s3://bucket/prefix|leads out"):
        storage_at(address)


@pytest.mark.parametrize(
    "access",
    [
        Access("host:9000"),
        Access("ftp://host"),
        Access("http://user:hidden@host"),
        Access("http://host:port"),
        Access("", "", "id", ""),
        Access("", "", "", "hidden"),
    ],
)
def test_accesses_that_cannot_be(access: Access):
    """They are bad input, and no message shows a secret or a login."""
    with pytest.raises(BadInput) as caught:
        storage_at("s3://bucket", access)
    assert "hidden" not in str(caught.value)
    assert "hidden" not in repr(access)
