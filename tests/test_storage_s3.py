"""S3 itself: how many requests it takes, what happens when the network or the server fails, and what is told then."""

import asyncio
import base64
import os
import re
import subprocess
import sys
import time
import traceback
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pytest

from blocks.speech import BadInput, SpeechError
from blocks.storage import Access, StorageFailed
from blocks.storage.s3 import S3
from tests.ports import answering, dead_port
from tests.s3_proxy import Fault, Proxy
from tests.s3_servers import KEY_ID, SECRET, S3Server

LARGE = bytes(range(256)) * 160_000
"""41 MB: three parts."""
AGAIN = "Run the same command again when it is well: finished speech is kept"


@pytest.fixture(scope="module")
def moto_proxy(moto: S3Server) -> Iterator[Proxy]:
    with moto.proxied() as proxy:
        yield proxy


@pytest.fixture(scope="module")
def rclone_proxy(rclone: S3Server) -> Iterator[Proxy]:
    with rclone.proxied() as proxy:
        yield proxy


@pytest.fixture(params=["moto", "rclone"])
def proxy(request: pytest.FixtureRequest) -> Iterator[Proxy]:
    """Before either server, without faults, with nothing counted."""
    proxy = request.getfixturevalue(f"{request.param}_proxy")
    request.getfixturevalue(request.param).bucket_address("faults")
    proxy.clear()
    yield proxy
    proxy.clear()


@pytest.fixture
def store(proxy: Proxy) -> S3:
    return S3(f"s3://faults/{uuid4().hex}", proxy.access)


@pytest.fixture
def client(moto: S3Server) -> Iterator[Any]:
    """moto, asked directly."""
    with closing(
        boto3.client(
            "s3",
            endpoint_url=moto.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id=KEY_ID,
            aws_secret_access_key=SECRET,
        )
    ) as client:
        yield client


def uploads(client: Any) -> set[str]:
    """The keys of uploads that were begun and not ended."""
    return {upload["Key"] for upload in client.list_multipart_uploads(Bucket="faults").get("Uploads", [])}


def told(ask: Callable[[], object], kind: type[SpeechError] = StorageFailed) -> str:
    """What a person and a log read of a failure, which names no secret and no key id."""
    with pytest.raises(kind) as caught:
        ask()
    assert type(caught.value) is kind
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert SECRET not in shown
    assert KEY_ID not in shown
    return str(caught.value)


def together(ask: Callable[[Any], object], things: list[Any]) -> None:
    """At once, since each waits for tries that fail."""
    with ThreadPoolExecutor(len(things)) as pool:
        list(pool.map(ask, things))


def test_a_request_each(proxy: Proxy, store: S3):
    """Reading, writing and creating a file are one request each; nothing is asked beforehand."""
    store.write("a", b"1" * 1_000_000)
    store.read("a")
    store.create("b", b"1")
    assert [request.method for request in proxy.seen] == ["PUT", "GET", "PUT"]


def test_a_list_is_not_a_request_each(rclone: S3Server, rclone_proxy: Proxy):
    """1,100 files are listed by two requests, and deleted by two."""
    address, names = f"{rclone.bucket_address('many')}/{uuid4().hex}", [f"{number:04}" for number in range(1100)]
    direct = S3(address, rclone.access)
    with ThreadPoolExecutor(32) as pool:
        list(pool.map(lambda name: direct.write(name, b"1"), names))
    rclone_proxy.clear()
    store = S3(address, rclone_proxy.access)
    assert sorted(entry.name for entry in store.entries()) == names
    assert rclone_proxy.count() == {"GET": 2}
    store.delete(names)
    assert rclone_proxy.count() == {"GET": 2, "POST": 2}
    assert not list(store.entries())


def test_a_large_file_is_nowhere_before_it_is_whole(proxy: Proxy, store: S3, tmp_path: Path):
    """When the second of three parts is refused, the upload fails and what stood there stays, listed as it was."""
    file = tmp_path / "large"
    file.write_bytes(LARGE)
    store.write("old", b"older")
    before = list(store.entries())
    proxy.faults.append(Fault("refuse", "PUT", "partNumber=2", status=403, code="AccessDenied"))
    for name in ("old", "new"):
        assert "may not do that" in told(lambda name=name: store.upload(name, file))
    assert list(store.entries()) == before
    assert store.read("old") == b"older"
    proxy.clear()
    store.upload("new", file)
    assert store.read("new") == LARGE


def test_a_failed_upload_is_aborted(moto_proxy: Proxy, moto: S3Server, client: Any, tmp_path: Path):
    """Nothing of it is left that would cost money unseen."""
    moto.bucket_address("faults")
    moto_proxy.clear()
    store = S3(f"s3://faults/{uuid4().hex}", moto_proxy.access)
    (tmp_path / "large").write_bytes(LARGE)
    moto_proxy.faults.append(Fault("refuse", "PUT", "partNumber=2", status=403, code="AccessDenied"))
    told(lambda: store.upload("a", tmp_path / "large"))
    assert not uploads(client)


def test_dangling_uploads(moto_proxy: Proxy, moto: S3Server, client: Any, tmp_path: Path):
    """Of uploads that nobody ended, one of the same file is aborted, once it is more than an hour old."""
    moto.bucket_address("faults")
    moto_proxy.clear()
    root = uuid4().hex
    store = S3(f"s3://faults/{root}", moto_proxy.access)
    (tmp_path / "large").write_bytes(LARGE)
    for name in ("a", "a2", "b"):
        client.create_multipart_upload(Bucket="faults", Key=f"{root}/{name}")
    # To moto every upload began on 10 Nov 2010 at 20:48.
    moto_proxy.faults.append(Fault("date", date="Wed, 10 Nov 2010 21:45:00 GMT"))
    store.upload("a", tmp_path / "large")
    assert uploads(client) == {f"{root}/a", f"{root}/a2", f"{root}/b"}  # they may still be running
    moto_proxy.faults[:] = [Fault("date", date="Wed, 10 Nov 2010 22:00:00 GMT")]
    store.upload("a", tmp_path / "large")
    assert uploads(client) == {f"{root}/a2", f"{root}/b"}
    for upload in client.list_multipart_uploads(Bucket="faults")["Uploads"]:
        client.abort_multipart_upload(Bucket="faults", Key=upload["Key"], UploadId=upload["UploadId"])


def test_a_cut_put_is_refused(proxy: Proxy, store: S3):
    """Of a PUT that is cut off each time nothing is seen, and what stood there stays."""
    store.write("old", b"older" * 100_000)
    proxy.faults.append(Fault("cut body", "PUT"))
    together(lambda name: told(lambda: store.write(name, b"newer" * 100_000)), ["old", "new"])
    proxy.clear()
    assert store.read("old") == b"older" * 100_000
    assert [entry.name for entry in store.entries()] == ["old"]


def test_the_server_can_check_what_it_gets(proxy: Proxy, store: S3, tmp_path: Path):
    """Every file, and every part of a large one, travels with its checksum."""
    (tmp_path / "large").write_bytes(LARGE)
    store.write("a", b"speech")
    store.upload("b", tmp_path / "large")
    puts = [request for request in proxy.seen if request.method == "PUT"]
    assert len(puts) == 4
    for put in puts:
        assert put.headers["x-amz-checksum-crc32"] == base64.b64encode(zlib.crc32(put.body).to_bytes(4)).decode()


def test_damaged_bytes_are_no_outage(proxy: Proxy, store: S3):
    """What a server kept that checks nothing is read as it is: its reader finds out, and may have it made anew."""
    proxy.faults.append(Fault("garble", "PUT"))
    store.write("a", b"speech")
    assert store.read("a") == b"rpeech"


def test_a_cut_answer_is_asked_for_again(proxy: Proxy, store: S3):
    """A read that is cut off once gives the whole file; one that is cut off always fails, and gives no half."""
    data = bytes(range(256)) * 4000
    store.write("a", data)
    proxy.faults.append(Fault("cut answer", "GET", times=1))
    assert store.read("a") == data
    proxy.faults.append(Fault("cut answer", "GET"))
    assert "does not answer" in told(lambda: store.read("a"))


@pytest.mark.parametrize("action", ["refuse", "reset"])
def test_a_short_trouble_is_not_told(proxy: Proxy, store: S3, action: Any):
    """One refusal or reset is tried again, in silence."""
    for ask in (
        lambda: store.write("a", b"1"),
        lambda: store.read("a"),
        lambda: list(store.entries()),
        lambda: store.delete(["a"]),
    ):
        proxy.faults.append(Fault(action, times=1))
        ask()


def test_an_outage_in_the_middle(proxy: Proxy, store: S3):
    """Whatever is asked fails within 20 s, says where, why and what to do, and never looks like a missing file."""
    store.write("a", b"1")
    proxy.faults.append(Fault("refuse", status=503, code="ServiceUnavailable"))

    def fails(ask: Callable[[], object]) -> None:
        began = time.monotonic()
        message = told(ask)
        assert time.monotonic() - began < 20
        assert store.address in message
        assert "the server says ServiceUnavailable" in message
        assert AGAIN in message

    asked = [
        lambda: store.read("a"),
        lambda: store.read_many(["a"] * 100),
        lambda: store.write("a", b"2"),
        lambda: store.create("b", b"2"),
        lambda: list(store.entries()),
        lambda: store.delete(["a"]),
        store.check,
    ]
    together(fails, asked)
    proxy.clear()
    assert store.read("a") == b"1"


def test_a_missing_bucket_is_no_missing_file(proxy: Proxy):
    """A bucket that is deleted in the middle of a run is a failure: speech must not be bought anew for it."""
    store = S3("s3://nobody-made-it/x", proxy.access)
    for ask in (lambda: store.read("a"), lambda: store.read_many(["a"]), lambda: list(store.entries())):
        assert "there is no such bucket: make it first" in told(ask)


def test_a_page_of_another_server_is_no_missing_file(proxy: Proxy, store: S3):
    """Nor is a 404 that does not say which key is missing."""
    proxy.faults.append(Fault("refuse", status=404, code=""))
    assert "speaks no S3" in told(lambda: store.read("a"))


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (403, "AccessDenied", "may not do that: allow them to list, read, write and delete"),
        (403, "InvalidAccessKeyId", "does not know the key id: check AWS_ACCESS_KEY_ID"),
        (403, "SignatureDoesNotMatch", "the secret does not belong to the key id: check AWS_ACCESS_KEY_ID"),
        (400, "ExpiredToken", "expired: get new ones"),
        (403, "RequestTimeTooSkewed", "clock is wrong: set it"),
        (400, "AuthorizationHeaderMalformed", "another region: set AWS_REGION"),
        (400, "IllegalLocationConstraintException", "another region: set AWS_REGION"),
        (301, "PermanentRedirect", "another region: set AWS_REGION"),
        (404, "NoSuchBucket", "no such bucket: make it first"),
    ],
)
def test_the_preflight_tells_what_to_do(moto_proxy: Proxy, moto: S3Server, status: int, code: str, words: str):
    """What is wrong with an address or its credentials is bad input with a remedy."""
    moto.bucket_address("faults")
    moto_proxy.clear()
    moto_proxy.faults.append(Fault("refuse", status=status, code=code))
    message = told(S3("s3://faults/x", moto_proxy.access).check, BadInput)
    assert words in message
    assert re.match(r"cannot use s3://faults/x at 127\.0\.0\.1:\d+: ", message)
    moto_proxy.clear()


@pytest.mark.parametrize(
    ("method", "target"), [("PUT", ""), ("GET", ".speech-check"), ("GET", "list-type"), ("POST", "")]
)
def test_the_preflight_does_all_that_a_run_will(proxy: Proxy, store: S3, method: str, target: str):
    """Who may not write, read, list or delete is told so before anything is paid."""
    proxy.faults.append(Fault("refuse", method, target, status=403, code="AccessDenied"))
    assert "may not do that" in told(store.check, BadInput)


@pytest.mark.parametrize("code", ["InsufficientStorage", "XMinioStorageFull", ""])
def test_a_full_server(proxy: Proxy, store: S3, code: str):
    """It is told as such; the command was right, so it is to be run again."""
    proxy.faults.append(Fault("refuse", "PUT", status=507, code=code))
    for ask in (store.check, lambda: store.write("a", b"1")):
        assert f"the server has no room left. {AGAIN}" in told(ask)


def test_wrong_credentials_and_bucket(rclone: S3Server):
    """A real server's own refusals are told the same."""
    address = rclone.bucket_address("preflight")
    wrong = "check AWS_ACCESS_KEY_ID"
    assert wrong in told(S3(address, replace(rclone.access, secret="WRONG")).check, BadInput)
    assert wrong in told(S3(address, replace(rclone.access, key_id="AKIAOTHER")).check, BadInput)
    assert "no such bucket" in told(S3("s3://nobody-made-it", rclone.access).check, BadInput)


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:{}", "http://nowhere.invalid:{}"])
def test_a_dead_endpoint_is_told_soon(endpoint: str):
    """Nobody there: within 20 s, and it is no fault of the command."""
    store = S3("s3://bucket/x", Access(endpoint.format(dead_port()), "us-east-1", KEY_ID, SECRET))

    def fails(ask: Callable[[], object]) -> None:
        began = time.monotonic()
        assert f"the server does not answer. {AGAIN}" in told(ask)
        assert time.monotonic() - began < 20

    together(fails, [store.check, lambda: store.read("a")])


def test_a_server_that_hangs_is_told_soon(moto_proxy: Proxy):
    """At the preflight: within 20 s."""
    moto_proxy.clear()
    moto_proxy.faults.append(Fault("hang"))
    began = time.monotonic()
    assert "the server does not answer" in told(S3("s3://faults/x", moto_proxy.access).check)
    assert time.monotonic() - began < 20
    moto_proxy.clear()


async def test_another_kind_of_server():
    """A web page where a bucket should be is bad input."""
    page = b"HTTP/1.1 200 OK\r\nContent-Length: 19\r\nConnection: close\r\n\r\n<html>hello</html>\n"
    async with answering(page) as url:
        store = S3("s3://bucket", Access(url, "us-east-1", KEY_ID, SECRET))
        message = await asyncio.to_thread(told, store.check, BadInput)
        assert "speaks no S3: check the endpoint" in message


def test_a_server_that_is_killed_and_comes_back(rclone: S3Server):
    """After a power cut what was written is there, and the same storage goes on."""
    store = S3(f"{rclone.bucket_address('power')}/{uuid4().hex}", rclone.access)
    store.write("a", b"1")
    rclone.kill()
    assert "does not answer" in told(lambda: store.read("a"))
    rclone.restart()
    assert store.read("a") == b"1"
    store.check()


def test_the_usual_environment(rclone: S3Server, monkeypatch: pytest.MonkeyPatch):
    """Without an access of its own a storage takes the environment's; without that it is bad input, never anonymous."""
    address = rclone.bucket_address("environment")
    for name, value in {"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in rclone.environment():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", rclone.endpoint_url)
    assert "no credentials are known for it: check AWS_ACCESS_KEY_ID" in told(S3(address, Access()).check, BadInput)
    for name, value in rclone.environment().items():
        monkeypatch.setenv(name, value)
    S3(address, Access()).check()


def test_a_lost_answer_to_a_creation(moto_proxy: Proxy, moto: S3Server):
    """Who created a file and did not hear of it learns that it was himself; who came second learns that."""
    moto.bucket_address("faults")
    moto_proxy.clear()
    store = S3(f"s3://faults/{uuid4().hex}", moto_proxy.access)
    moto_proxy.faults.append(Fault("lose answer", "PUT", times=1))
    assert store.create("mark", b"ours")
    moto_proxy.faults.append(Fault("reset", "PUT", times=1))
    assert not store.create("mark", b"theirs")
    assert store.read("mark") == b"ours"


def test_a_server_without_conditions(moto_proxy: Proxy, moto: S3Server):
    """One that refuses to create only what is not there writes it nevertheless."""
    moto.bucket_address("faults")
    moto_proxy.clear()
    store = S3(f"s3://faults/{uuid4().hex}", moto_proxy.access)
    moto_proxy.faults.append(Fault("refuse", "PUT", times=1, status=501, code="NotImplemented"))
    assert store.create("mark", b"ours")
    assert store.read("mark") == b"ours"


async def test_threads_below_an_event_loop(store: S3):
    """64 threads of a process that runs a loop of its own write and read at once."""

    def turn(number: int) -> bytes:
        store.write(str(number), str(number).encode())
        return store.read(str(number))

    assert await asyncio.gather(*(asyncio.to_thread(turn, number) for number in range(64))) == [
        str(number).encode() for number in range(64)
    ]


def test_a_file_above_the_bound_of_one_put(rclone: S3Server):
    """70 MB in memory go in parts, and come back whole."""
    store = S3(f"{rclone.bucket_address('large')}/{uuid4().hex}", rclone.access)
    data = bytes(range(256)) * (70_000_000 // 256)
    store.write("a", data)
    assert store.read("a") == data
    store.delete(["a"])


def test_a_process_ends_in_peace(rclone: S3Server):
    """One that used a bucket from two threads ends at once, and leaves no warning of what it left open."""
    program = (
        "import threading; from blocks.storage.places import storage_at;"
        f"store = storage_at({rclone.bucket_address('peace')!r});"
        "asked = [threading.Thread(target=store.check) for _ in range(2)];"
        "[thread.start() for thread in asked]; [thread.join() for thread in asked]; print('done')"
    )
    environment = os.environ | rclone.environment()
    command = [sys.executable, "-W", "error", "-c", program]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.stdout, ended.stderr, ended.returncode) == ("done\n", "", 0)
