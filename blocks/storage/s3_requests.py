"""The requests that a bucket is asked by: each bounded in time, tried again a few times, and raising what S3 raises."""

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from datetime import timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final, cast

from aiohttp import ClientPayloadError
from botocore import exceptions as aws
from botocore.parsers import ResponseParserError
from fsspec.asyn import sync
from s3fs import S3FileSystem

from blocks.storage import Access
from blocks.storage.s3_faults import FAULTS, code

AT_ONCE: Final = 32
"""Requests."""
WHOLE: Final = 64 << 20
"""Bytes: what is shorter is one PUT, if it is in memory."""
PART: Final = 16 << 20
"""Bytes of a file that are sent in one; less than two of them are one PUT."""
PARTS_AT_ONCE: Final = 4
LONGEST_S: Final = 600.0
"""One request with all its tries, however slowly the server drips."""
DANGLING: Final = timedelta(hours=1)
"""An upload that began before is nobody's any more: its process was killed, or its machine switched off."""
CLOSED_WITHIN_S: Final = 1.0
DELETED_AT_ONCE: Final = 1000
"""Names: S3's own bound."""
_CUT: Final = (ClientPayloadError, aws.HTTPClientError, aws.IncompleteReadError)


class Missing(Exception):
    """The bucket is there, and has no such file."""


class _Client(S3FileSystem):  # type: ignore[misc]  # it ships no types
    @staticmethod
    def close_session(loop: asyncio.AbstractEventLoop, session: Any) -> None:
        """On the loop of its connections; s3fs takes the one that runs where the client is collected, if one does."""
        closing = asyncio.run_coroutine_threadsafe(session.__aexit__(None, None, None), loop)
        try:
            asyncio.get_running_loop()
        except RuntimeError:  # nobody is kept waiting: the process may be at its end
            with suppress(TimeoutError, CancelledError):
                closing.result(CLOSED_WITHIN_S)


class Requests:
    """Of one bucket. Each method raises FAULTS."""

    def __init__(self, bucket: str, access: Access) -> None:
        self._bucket = bucket
        self._fs = _Client(
            anon=False,
            key=access.key_id or None,
            secret=access.secret or None,
            endpoint_url=access.endpoint_url or None,
            client_kwargs={"region_name": access.region} if access.region else {},
            config_kwargs={
                "connect_timeout": 3,
                "read_timeout": 10,
                "retries": {"mode": "standard", "total_max_attempts": 4},
                "max_pool_connections": AT_ONCE,
                # A damaged file is its reader's to judge: it may be bought anew, an outage must not be.
                "response_checksum_validation": "when_required",
            },
            use_listings_cache=False,
            skip_instance_cache=True,
        )
        self._fs.retries = 1  # botocore tries again already

    def get(self, key: str, within_s: float = LONGEST_S) -> bytes:
        """Raises Missing, too."""
        data = cast("bytes | None", sync(self._fs.loop, self._get_if_there, key, timeout=within_s))
        if data is None:
            raise Missing
        return data

    def get_many(self, keys: Sequence[str], within_s: float = LONGEST_S) -> "list[bytes | None]":
        """In the order of the keys; None where nothing stands. The first failure leaves out what has not ended."""
        return cast("list[bytes | None]", sync(self._fs.loop, self._get_all, keys, timeout=within_s))

    async def _get_all(self, keys: Sequence[str]) -> "list[bytes | None]":
        turns = asyncio.Semaphore(AT_ONCE)

        async def get(key: str) -> bytes | None:
            async with turns:
                return await self._get_if_there(key)

        getting = [asyncio.create_task(get(key)) for key in keys]
        try:
            return await asyncio.gather(*getting)
        finally:
            for one in getting:
                one.cancel()

    async def _get_if_there(self, key: str) -> bytes | None:
        try:
            try:
                return await self._get(key)
            except _CUT:  # botocore tries only the head of an answer again
                return await self._get(key)
        except FileNotFoundError as error:
            if code(error) == "NoSuchKey":  # and not a bucket, or the page of a server that has none
                return None
            raise

    async def _get(self, key: str) -> bytes:
        # One GET: s3fs's own reading asks for the size first, and makes one file of two where one replaces the other.
        answer = await self._fs._call_s3("get_object", Bucket=self._bucket, Key=key)  # noqa: SLF001 - fsspec's coroutines
        async with answer["Body"] as body:
            return cast("bytes", await body.read())

    def put(self, key: str, data: bytes, within_s: float = LONGEST_S, **conditions: str) -> None:
        answer = self._call("put_object", within_s, Key=key, Body=data, **conditions)
        if not answer.get("ETag"):
            raise ResponseParserError("a PUT that nobody confirms")

    def put_parts(self, key: str, data: bytes) -> None:
        self._abort_dangling(key)
        self._fs.pipe_file(f"{self._bucket}/{key}", data, chunksize=PART, max_concurrency=PARTS_AT_ONCE)

    def put_file(self, key: str, path: Path) -> None:
        if path.stat().st_size >= 2 * PART:
            self._abort_dangling(key)
        self._fs.put_file(str(path), f"{self._bucket}/{key}", chunksize=PART, max_concurrency=PARTS_AT_ONCE)

    def list(self, prefix: str, within_s: float = LONGEST_S) -> Iterator[dict[str, Any]]:
        page: dict[str, Any] = {}
        while not page or page.get("IsTruncated"):
            further = {"ContinuationToken": token} if (token := page.get("NextContinuationToken")) else {}
            page = self._call("list_objects_v2", within_s, Prefix=prefix, **further)
            yield from page.get("Contents", [])

    def remove(self, keys: Sequence[str], within_s: float = LONGEST_S) -> None:
        for first in range(0, len(keys), DELETED_AT_ONCE):
            wanted = [{"Key": key} for key in keys[first : first + DELETED_AT_ONCE]]
            answer = self._call("delete_objects", within_s, Delete={"Objects": wanted, "Quiet": True})
            for error in answer.get("Errors", []):
                if error.get("Code") != "NoSuchKey":
                    raise aws.ClientError({"Error": error}, "DeleteObjects")

    def _abort_dangling(self, key: str) -> None:
        """A killed process leaves its upload, which is not seen and costs. A server that lists none is fine."""
        with suppress(*FAULTS, KeyError):
            answer = self._call("list_multipart_uploads", LONGEST_S, Prefix=key)
            now = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])  # by the server's own clock
            for upload in answer.get("Uploads", []):
                if upload["Key"] == key and now - upload["Initiated"] > DANGLING:
                    self._call("abort_multipart_upload", LONGEST_S, Key=key, UploadId=upload["UploadId"])

    def _call(self, method: str, within_s: float, **parameters: Any) -> dict[str, Any]:
        return cast("dict[str, Any]", self._fs.call_s3(method, Bucket=self._bucket, timeout=within_s, **parameters))
