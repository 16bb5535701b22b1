"""The block of type Speech storage: how buckets are reached, and a home for the results of Prefect's flows."""

import gc
import json
import traceback
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from blocks.speech import BadInput
from blocks.storage import StorageFailed
from blocks.storage.folder import Folder
from blocks.storage.s3 import S3
from tests.ports import dead_port
from tests.s3_servers import KEY_ID, SECRET, S3Server


@pytest.fixture
async def blocks(prefect_server: str) -> AsyncIterator[type]:  # noqa: ARG001 - it runs
    """The block's class; those that a test stores are gone after it."""
    from prefect.client.orchestration import get_client

    from blocks.bucket import SLUG, SpeechStorage

    yield SpeechStorage
    async with get_client() as client:
        for document in await client.read_block_documents_by_type(SLUG):
            await client.delete_block_document(document.id)


@pytest.fixture
def collected() -> Iterator[None]:
    """What a test leaves behind is collected before the next begins."""
    yield
    gc.collect()


def block_of(blocks: type, server: S3Server, address: str, secret: str = SECRET):
    return blocks(
        address=address,
        endpoint_url=server.endpoint_url,
        region=server.access.region,
        key_id=server.access.key_id,
        secret=secret,
    )


@pytest.fixture
def stranger(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that knows nobody."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")


# Some client below a flow that is not async leaves its connection to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed transport:ResourceWarning")
@pytest.mark.usefixtures("collected", "stranger")
async def test_results_of_a_flow_live_in_a_bucket(blocks: type, moto: S3Server):
    """A flow with the stored block as its result storage keeps a JSON record there, and reads it back."""
    from prefect import flow
    from prefect.client.orchestration import get_client

    address = f"{moto.bucket_address('results')}/runs"
    block = block_of(blocks, moto, address)
    await block.asave("results", overwrite=True)

    @flow(persist_result=True, result_storage=block, result_serializer="json")
    def speaks() -> dict[str, int]:
        return {"chunks": 3}

    @flow(persist_result=True, result_storage=block, result_serializer="json")
    async def speaks_async() -> dict[str, int]:
        return {"chunks": 4}

    states = [speaks(return_state=True), await speaks_async(return_state=True)]
    store = S3(address, moto.access)
    records = [json.loads(store.read(entry.name)) for entry in store.entries()]
    assert sorted(record["chunks"] for record in records) == [3, 4]
    assert SECRET not in json.dumps(records)
    async with get_client() as client:  # as another process reads it, by nothing but what the server knows
        runs = [await client.read_flow_run(state.state_details.flow_run_id) for state in states]
    assert [await run.state.aresult(retry_result_failure=False) for run in runs] == [{"chunks": 3}, {"chunks": 4}]


# Some client below a flow that is not async leaves its connection to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed transport:ResourceWarning")
@pytest.mark.usefixtures("collected", "stranger")
async def test_a_task_is_not_run_again(blocks: type, rclone: S3Server):
    """A task whose result stands in the bucket gives it, in another run of its flow too."""
    from prefect import flow, task
    from prefect.cache_policies import INPUTS

    block = block_of(blocks, rclone, f"{rclone.bucket_address('cached')}/tasks")
    await block.asave("cached", overwrite=True)
    calls = []

    @task(cache_policy=INPUTS, persist_result=True, result_storage=block, result_serializer="json")
    def call(number: int) -> int:
        calls.append(number)
        return number + 1

    @flow
    def calling() -> int:
        return call(1)

    assert calling() == 2
    assert calling() == 2
    assert calls == [1]


@pytest.mark.usefixtures("stranger")
async def test_the_longest_address_tells_how(blocks: type, rclone: S3Server):
    """A bucket is reached as the nearest block says; its neighbours by name are others."""
    from blocks.bucket import storage_for

    bucket = rclone.bucket_address("nearest")
    await block_of(blocks, rclone, bucket, secret="WRONG").asave("far")
    await block_of(blocks, rclone, f"{bucket}/near/").asave("near")
    (await storage_for(f"{bucket}/near")).check()
    (await storage_for(f"{bucket}/near/below/")).check()
    with pytest.raises(BadInput, match="the secret does not belong"):
        (await storage_for(f"{bucket}/nearly")).check()


@pytest.mark.usefixtures("stranger", "blocks")
async def test_without_a_block_the_environment_tells(rclone: S3Server, monkeypatch: pytest.MonkeyPatch):
    """And where that tells nothing, it is bad input."""
    from blocks.bucket import storage_for

    address = rclone.bucket_address("unblocked")
    monkeypatch.setenv("AWS_ENDPOINT_URL", rclone.endpoint_url)
    with pytest.raises(BadInput, match="no credentials are known"):
        (await storage_for(address)).check()
    for name, value in rclone.environment().items():
        monkeypatch.setenv(name, value)
    (await storage_for(address)).check()


async def test_a_folder_asks_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The storage of a folder is told without a Prefect server."""
    from blocks import bucket

    monkeypatch.setattr(bucket, "get_client", None)
    assert isinstance(await bucket.storage_for(str(tmp_path)), Folder)
    assert await bucket.source_storage(str(tmp_path / "a.txt")) is None
    assert await bucket.source_storage("https://host/a.txt") is None


async def test_a_folder_as_a_block(blocks: type, tmp_path: Path):
    """A block of a folder keeps files in it whole, and nowhere else."""
    block = blocks(address=str(tmp_path / "kept"))
    await block.write_path("a/b", b"1")
    assert await block.read_path("a/b") == b"1"
    assert (tmp_path / "kept/a/b").read_bytes() == b"1"
    with pytest.raises(BadInput, match="leads out"):
        await block.write_path("../x", b"1")
    with pytest.raises(FileNotFoundError):
        await block.read_path("c")


async def test_no_secret_is_shown(blocks: type):
    """Neither the block, nor what it gives, nor a failure of it."""
    endpoint = f"http://127.0.0.1:{dead_port()}"
    block = blocks(address="s3://bucket", endpoint_url=endpoint, region="us-east-1", key_id=KEY_ID, secret=SECRET)
    with pytest.raises(StorageFailed) as caught:
        await block.read_path("a")
    shown = "".join(traceback.format_exception(caught.value))
    for text in (repr(block), str(block), repr(block.access()), block.model_dump_json(), shown):
        assert SECRET not in text
        assert KEY_ID not in text


@pytest.mark.usefixtures("stranger")
async def test_a_source_on_s3(blocks: type, rclone: S3Server):
    """It is read as its block says; what is not there, too large or a folder is bad input."""
    from blocks.bucket import source_storage
    from tasks import source

    bucket = rclone.bucket_address("sources")
    await block_of(blocks, rclone, bucket).asave("sources")
    store = S3(bucket, rclone.access)
    store.write("books/tale é.md", b"# Tale")
    store.write("top.txt", b"Top.")
    store.write("empty.txt", b"")

    async def read(address: str) -> bytes:
        return source.read_bytes(address, await source_storage(address))

    assert await read(f"{bucket}/books/tale é.md") == b"# Tale"
    assert await read(f"{bucket}/top.txt") == b"Top."
    for address, words in {
        f"{bucket}/books/tale": "was not found",
        f"{bucket}/books": "is a folder",
        f"{bucket}/": "is a folder",
        bucket: "is a folder",
        f"{bucket}/empty.txt": "is empty",
        f"{bucket}/../x.txt": "leads out",
        "s3://": "is no place",
    }.items():
        with pytest.raises(BadInput, match=words):
            await read(address)


@pytest.mark.usefixtures("stranger")
async def test_a_source_that_is_too_large_is_not_fetched(blocks: type, moto: S3Server, monkeypatch: pytest.MonkeyPatch):
    """Its size is looked up first."""
    from blocks.bucket import source_storage
    from tasks import source

    bucket = moto.bucket_address("large-sources")
    S3(bucket, moto.access).write("a.txt", b"1" * 1001)
    monkeypatch.setattr(source, "LARGEST", 1000)
    with moto.proxied() as proxy:
        block = blocks(
            address=bucket,
            **{name: getattr(proxy.access, name) for name in ("endpoint_url", "region", "key_id", "secret")},
        )
        await block.asave("large-sources")
        with pytest.raises(BadInput, match="is larger than"):
            source.read_bytes(f"{bucket}/a.txt", await source_storage(f"{bucket}/a.txt"))
        assert len(proxy.seen) == 1
        assert "list-type=2" in proxy.seen[0].target


@pytest.mark.usefixtures("stranger", "blocks")
async def test_a_source_in_no_bucket(moto: S3Server, monkeypatch: pytest.MonkeyPatch):
    """A bucket that is missing, and a server that is down, are told as bad input with their reason."""
    from blocks.bucket import source_storage
    from tasks import source

    for name, value in moto.environment().items():
        monkeypatch.setenv(name, value)
    address = "s3://nobody-made-it/a.txt"
    with pytest.raises(BadInput, match=r"cannot be read \(there is no such bucket\): check the address"):
        source.read_bytes(address, await source_storage(address))
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{dead_port()}")
    with pytest.raises(BadInput, match=r"cannot be read \(the server does not answer\)"):
        source.read_bytes(address, await source_storage(address))
