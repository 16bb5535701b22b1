"""S3 servers on this machine, as real processes: moto for what S3 means, rclone for credentials and a real disk.

moto takes any secret and forgets all when it is killed; rclone knows no conditional writes and keeps its files.
"""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import httpx
import pytest
from botocore.exceptions import ClientError

from blocks.storage import Access
from tests.ports import dead_port
from tests.s3_proxy import Proxy, proxied

KEY_ID, SECRET = "AKIATEST", "SECRETTEST"  # of nobody
STARTED_WITHIN_S = 60
ENDED_WITHIN_S = 10


class S3Server:
    """A running server, and how it is reached."""

    def __init__(self, command: Callable[[int], list[str]], folder: Path, log: Path) -> None:
        self.port = dead_port()
        self.folder = folder
        """Where rclone keeps its buckets, a folder each."""
        self.endpoint_url = f"http://127.0.0.1:{self.port}"
        self.access = Access(self.endpoint_url, "us-east-1", KEY_ID, SECRET)
        self._command = command(self.port)
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def environment(self) -> dict[str, str]:
        """What tells another process of it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_REGION": self.access.region,
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET,
        }

    def bucket_address(self, name: str) -> str:
        """The bucket is made if it is not there."""
        client = boto3.client(
            "s3",
            endpoint_url=self.endpoint_url,
            region_name=self.access.region,
            aws_access_key_id=KEY_ID,
            aws_secret_access_key=SECRET,
        )
        with contextlib.closing(client), contextlib.suppress(ClientError):
            client.create_bucket(Bucket=name)
        return f"s3://{name}"

    def proxied(self) -> contextlib.AbstractContextManager[Proxy]:
        """The same server behind a proxy that counts, and plays faults."""
        return proxied(self.access)

    def kill(self) -> None:
        """At once, as a power cut would."""
        if self._process:
            self._process.kill()
            self._process.wait(ENDED_WITHIN_S)

    def restart(self) -> None:
        """On the same port."""
        self.kill()
        with self._log.open("ab") as log:
            environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, env=environment)
        end = time.monotonic() + STARTED_WITHIN_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end:
                self.kill()
                raise RuntimeError(f"{self._command[0]} did not start: {self._log.read_text()[-2000:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        if self._process and self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(ENDED_WITHIN_S)
        self.kill()

    def _answers(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            httpx.get(self.endpoint_url, timeout=5, trust_env=False)
            return True
        return False


@contextlib.contextmanager
def started(command: Callable[[int], list[str]], place: Path) -> Iterator[S3Server]:
    folder = place / "buckets"
    folder.mkdir()
    server = S3Server(command, folder, place / "server.log")
    server.restart()
    try:
        yield server
    finally:
        server.stop()


def moto_command(port: int) -> list[str]:
    return [_program("moto_server"), "-H", "127.0.0.1", "-p", str(port)]


def rclone_command(folder: Path) -> Callable[[int], list[str]]:
    serve = [_program("rclone"), "serve", "s3", "--config", os.devnull, "--auth-key", f"{KEY_ID},{SECRET}"]
    return lambda port: [*serve, "--addr", f"127.0.0.1:{port}", str(folder)]


def _program(name: str) -> str:
    """Beside this interpreter, where its wheel put it."""
    return str(Path(sys.executable).parent / name)


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with started(moto_command, tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture(scope="session")
def rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    place = tmp_path_factory.mktemp("rclone")
    with started(rclone_command(place / "buckets"), place) as server:
        yield server
