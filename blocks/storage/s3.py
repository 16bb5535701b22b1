"""Files in a bucket that speaks S3, of Amazon or of anybody else."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import uuid4

from blocks.speech import BadInput
from blocks.storage import Access, Entry, StorageFailed, parts_of
from blocks.storage.s3_faults import FAULTS, code, fault
from blocks.storage.s3_requests import WHOLE, Missing, Requests

PREFLIGHT_S: Final = 10.0
"""A request of the check."""
_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
# Controls do not come back from a list as they were, half characters have no bytes, and s3fs cuts off a version.
_UNNAMABLE: Final = re.compile("[\x00-\x1f\x7f\ud800-\udfff]|[?]versionId=")
_TAKEN: Final = {"PreconditionFailed", "412", "ConditionalRequestConflict"}
_UNCONDITIONAL: Final = {"NotImplemented", "501"}


class S3:
    """`Storage` over a bucket, or over what lies below a prefix of it. Many threads may ask at once.

    A file is one PUT of finished bytes, or a multipart upload of which nothing is seen until it is complete.
    """

    def __init__(self, address: str, access: Access) -> None:
        """Asks nothing yet. Raises BadInput for an address or an access that cannot be."""
        self._bucket, self._root = _split(address)
        self._access = access
        self._server = _server(access)
        if bool(access.key_id) != bool(access.secret):
            raise BadInput(f"for {self.address} a key id or a secret is missing: give both, or none")
        self._requests = Requests(self._bucket, access)

    def __repr__(self) -> str:
        return f"S3({self.address!r}, {self._access!r})"

    @property
    def address(self) -> str:
        return f"s3://{self._bucket}/{self._root}".rstrip("/")

    def place(self, name: str) -> str:
        return f"s3://{self._bucket}/{self._key(name)}"

    def read(self, name: str) -> bytes:
        try:
            with self._telling(f"read {self.place(name)}"):
                return self._requests.get(self._key(name))
        except Missing:
            raise FileNotFoundError(self.place(name)) from None

    def read_many(self, names: Iterable[str]) -> Mapping[str, bytes]:
        wanted = list(names)
        keys = [self._key(name) for name in wanted]
        with self._telling(f"read {len(keys)} files of {self.address}"):
            found = zip(wanted, self._requests.get_many(keys), strict=True)
            return {name: data for name, data in found if data is not None}

    def write(self, name: str, data: bytes) -> None:
        key = self._key(name)
        with self._telling(f"write {self.place(name)}"):
            if len(data) < WHOLE:
                self._requests.put(key, data)
            else:
                self._requests.put_parts(key, data)

    def put(self, name: str, data: bytes) -> None:
        self.write(name, data)

    def create(self, name: str, data: bytes) -> bool:
        try:
            self._requests.put(self._key(name), data, IfNoneMatch="*")
        except FAULTS as error:
            if code(error) in _UNCONDITIONAL:
                self.write(name, data)
                return True
            if code(error) not in _TAKEN:
                raise self._failed(f"write {self.place(name)}", error) from None
            # A lost answer is asked for again, below us: then it is ourselves who stand there.
            return self.read_many([name]).get(name) == data
        return True

    def upload(self, name: str, path: Path) -> None:
        with self._telling(f"write {path} to {self.place(name)}"):
            self._requests.put_file(self._key(name), path)

    def entries(self, prefix: str = "") -> Iterator[Entry]:
        with self._telling(f"list {self.address}"):
            yield from map(self._entry, self._requests.list(self._below + prefix))

    def delete(self, names: Iterable[str]) -> None:
        keys = [self._key(name) for name in names]
        with self._telling(f"delete files of {self.address}"):
            self._requests.remove(keys)

    def check(self) -> None:
        key, data = self._key(f".speech-check-{uuid4().hex}"), b"speech"
        try:
            self._requests.put(key, data, PREFLIGHT_S)
            same = self._requests.get(key, PREFLIGHT_S) == data
            listed = any(item["Key"] == key for item in self._requests.list(key, PREFLIGHT_S))
            self._requests.remove([key], PREFLIGHT_S)
        except Missing:
            same = listed = False
        except FAULTS as error:
            found = fault(error)
            if not found.remedy:
                raise self._failed(f"use {self.address}", error) from None
            raise BadInput(f"cannot use {self.address}{self._server}: {found.reason}: {found.remedy}") from None
        if not (same and listed):
            raise BadInput(f"{self.address} does not give back what was written a moment ago: use another store")

    @property
    def _below(self) -> str:
        return f"{self._root}/" if self._root else ""

    def _key(self, name: str) -> str:
        key = self._below + "/".join(parts_of(name, self.address))
        if _UNNAMABLE.search(key):
            raise BadInput(f"{name!r} cannot be the name of a file in {self.address}: choose another")
        return key

    def _entry(self, item: dict[str, Any]) -> Entry:
        modified = item["LastModified"].timestamp()
        return Entry(item["Key"].removeprefix(self._below), item["Size"], modified, f"{item['ETag']}-{modified}")

    @contextmanager
    def _telling(self, doing: str) -> Iterator[None]:
        try:
            yield
        except FAULTS as error:
            raise self._failed(doing, error) from None

    def _failed(self, doing: str, error: BaseException) -> StorageFailed:
        found = fault(error)
        remedy = f": {found.remedy}. Then run" if found.remedy else ". Run"
        again = "the same command again when it is well: finished speech is kept"
        failed = StorageFailed(f"cannot {doing}{self._server}: {found.reason}{remedy} {again}")
        failed.reason = found.reason
        return failed


def _split(address: str) -> tuple[str, str]:
    """The bucket, and the prefix without slashes at its ends."""
    scheme, _, rest = address.partition("://")
    bucket, _, prefix = rest.partition("/")
    if scheme != "s3" or not _BUCKET.fullmatch(bucket):
        raise BadInput(f"{address} is no place to keep files: name a folder, or s3://bucket/prefix")
    parts = parts_of(prefix.strip("/"), f"s3://{bucket}") if prefix.strip("/") else ()
    return bucket, "/".join(parts)


def _server(access: Access) -> str:
    """` at host`, where it is not Amazon's; whatever else the URL holds is not for everybody's eyes."""
    endpoint = access.endpoint_url or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if not endpoint:
        return ""
    with suppress(ValueError):
        url = urlsplit(endpoint)
        if url.scheme in {"http", "https"} and url.hostname and "@" not in url.netloc:
            return f" at {url.hostname}:{url.port}" if url.port else f" at {url.hostname}"
    raise BadInput("the endpoint of a storage is no URL without a login: give https://host or http://host:port")
