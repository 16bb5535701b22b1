"""A folder or bucket as Prefect keeps it: its credentials, where the usual AWS environment shall not tell them.

It is a file system of Prefect's own, so that the results of flows can live there, too.
"""

import asyncio
import logging
from functools import cache
from typing import Any, ClassVar

import httpx
from prefect.client.orchestration import get_client
from prefect.filesystems import WritableFileSystem
from pydantic import Field, SecretStr, ValidationError

from blocks.speech import RunFailed
from blocks.storage import Access, Storage, is_remote
from blocks.storage.places import storage_at

SLUG = "speech-storage"
MOST = 200
"""Blocks that are looked at: one page of Prefect's."""
_log = logging.getLogger(__name__)


class SpeechStorage(WritableFileSystem):
    """Where sources, speech, recordings or results are kept, and how it is reached.

    What lies below its address is reached so, too.
    """

    _block_type_name: ClassVar[str] = "Speech storage"
    _block_type_slug: ClassVar[str] = SLUG

    address: str = Field(description="A folder, or a bucket as s3://bucket or s3://bucket/folder.")
    endpoint_url: str = Field(
        default="",
        title="Endpoint",
        description="Where the bucket's server answers, as https://host; empty takes AWS_ENDPOINT_URL, or Amazon.",
    )
    region: str = Field(default="", description="The bucket's region; empty takes AWS_REGION or the profile's.")
    key_id: SecretStr = Field(
        default=SecretStr(""),
        title="Key id",
        description="The access key's id. Without it and the secret, the usual AWS environment tells who asks.",
    )
    secret: SecretStr = Field(
        default=SecretStr(""), description="The access key's secret. It is stored encrypted, and never shown."
    )

    def access(self) -> Access:
        key_id, secret = self.key_id.get_secret_value().strip(), self.secret.get_secret_value().strip()
        return Access(self.endpoint_url.strip(), self.region.strip(), key_id, secret)

    def holds(self, address: str) -> bool:
        """Whether the address is this one, or lies below it."""
        return f"{address.rstrip('/')}/".startswith(f"{self.address.strip().rstrip('/')}/")

    # Prefect asks with `_sync` from flows that are not async.
    def read_path(self, path: str, *, _sync: bool = False) -> Any:
        """Bytes, to be awaited. Raises FileNotFoundError, BadInput and StorageFailed."""
        return self._storage().read(path) if _sync else self.aread_path(path)

    async def aread_path(self, path: str) -> bytes:
        return await asyncio.to_thread(self._storage().read, path)

    def write_path(self, path: str, content: bytes, *, _sync: bool = False) -> Any:
        """All of it or nothing, to be awaited. Raises BadInput and StorageFailed."""
        return self._storage().write(path, content) if _sync else self.awrite_path(path, content)

    async def awrite_path(self, path: str, content: bytes) -> None:
        await asyncio.to_thread(self._storage().write, path, content)

    def _storage(self) -> Storage:
        return _opened(self.address.strip(), self.access())


@cache
def _opened(address: str, access: Access) -> Storage:
    """Once: a flow's results are many, and a bucket's connections are kept."""
    return storage_at(address, access)


async def storage_for(address: str) -> Storage:
    """The folder or bucket of this address, reached as the block says whose address is the longest that it lies under.

    Without such a block the usual AWS environment tells how. Raises BadInput for an address that cannot be, and
    RunFailed where the Prefect server cannot be asked; for a folder it is not.
    """
    if not is_remote(address):
        return storage_at(address)
    nearest = await stored_for(address)
    return storage_at(address, nearest.access() if nearest else Access())


async def stored_for(address: str) -> SpeechStorage | None:
    """The block whose address is the longest that this one lies under. Raises as `storage_for`."""
    blocks = [block for block in await _stored() if block.holds(address)]
    return max(blocks, key=lambda block: len(block.address), default=None)


async def source_storage(source: str) -> Storage | None:
    """What a source on S3 stands in, to be read from; None for those of this machine, and other URLs.

    Raises as `storage_for`.
    """
    bucket, slash, _ = source.removeprefix("s3://").rpartition("/")
    if not source.startswith("s3://"):
        return None
    return await storage_for(f"s3://{bucket}" if slash else source)


async def _stored() -> list[SpeechStorage]:
    try:
        async with get_client() as client:
            documents = await client.read_block_documents_by_type(SLUG, 0, MOST)
    except httpx.HTTPError as error:
        if isinstance(error, httpx.HTTPStatusError) and error.response.status_code == httpx.codes.NOT_FOUND:
            return []  # none was ever stored, here
        raise RunFailed(f"the Prefect server does not tell the storages that it holds: {error}") from error
    named = sorted((document.name or "", document.data) for document in documents)
    return [block for name, data in named if (block := _made(name, data))]


def _made(name: str, data: dict[str, object]) -> SpeechStorage | None:
    """Not as Prefect loads a block, which is an event each time."""
    try:
        return SpeechStorage.model_validate(data)
    except ValidationError as error:  # its own words repeat the values
        wrong = sorted({str(part) for fault in error.errors() for part in fault["loc"]})
        _warn(f"the block {name} is no storage, and is left out: look at its {', '.join(wrong)}")
        return None


@cache
def _warn(complaint: str) -> None:
    _log.warning(complaint)
