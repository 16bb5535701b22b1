"""`kill -9` at counted events, on disk and on S3: nothing is lost, nothing committed is paid again.

The short form of `tests/benchmarks/crash.py`.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from blocks.storage.folder import Folder
from blocks.storage.s3 import S3
from tests.crashes import LANES, UNSENT, Asked, Inside, Job, Moment, Received, story_of
from tests.emulator.fixture import Emulator
from tests.s3_servers import S3Server

CHUNKS, WORDS = 60, 5

ON_DISK: dict[str, Moment] = {
    "a call under way": Received(7),
    "between a clip's sound and its facts": Inside(r"^os.rename \S+ \S+/shelf/\S+\.wav", 8, after=True),
    "while ffmpeg encodes": Inside(r"^subprocess.Popen .*result\.wav", after=True),
    "between the recording and its subtitles": Inside(r"^os.rename \S+ \S+/out/story\.srt"),
}
ON_S3: dict[str, Moment] = {
    "half of a clip's sound has arrived": Asked(r"PUT /crash/\S+/shelf/../\S+\.wav", 8, "cut body"),
    "half of the recording has arrived": Asked(r"PUT /crash/\S+/out/story\.wav", 1, "cut body"),
}
ELSEWHERE: dict[str, Moment] = {
    "a clip's facts are there, unheard of": Asked(r"PUT /crash/\S+/shelf/../\S+\.json", 20, "lose answer"),
}


@pytest.fixture
def provider(emulator: Emulator) -> Emulator:
    """It allows all that is asked, and answers in a tenth of a second."""
    emulator.settings(latency_s=0.1, fast=True, plans={"cartesia": "-/-/-/-"})
    return emulator


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return story_of(tmp_path_factory.mktemp("story") / "story.txt", CHUNKS, WORDS)


@pytest.fixture(scope="module")
def whole(
    prefect_server: str, emulator_process: Emulator, story: Path, tmp_path_factory: pytest.TempPathFactory
) -> bytes:
    """The sound of a run that nobody killed."""
    emulator_process.reset()
    emulator_process.settings(fast=True, plans={"cartesia": "-/-/-/-"})
    place = tmp_path_factory.mktemp("whole")
    job = Job(
        emulator_process,
        story,
        place,
        {**os.environ, "PREFECT_API_URL": prefect_server},
        output=Folder(place / "out"),
        shelf=Folder(place / "shelf"),
    )
    job.finish()
    return job.sound()


@pytest.fixture
def on_disk(provider: Emulator, story: Path, tmp_path: Path) -> Job:
    return Job(provider, story, tmp_path, dict(os.environ), Folder(tmp_path / "out"), Folder(tmp_path / "shelf"))


@pytest.fixture
def on_s3(provider: Emulator, story: Path, tmp_path: Path, rclone: S3Server) -> Iterator[Job]:
    below = f"{rclone.bucket_address('crash')}/{tmp_path.name}"
    with rclone.proxied() as proxy:
        environment = {**os.environ, **rclone.environment(), "AWS_ENDPOINT_URL": proxy.access.endpoint_url}
        output, shelf = (S3(f"{below}/{name}", rclone.access) for name in ("out", "shelf"))
        yield Job(provider, story, tmp_path, environment, output, shelf, proxy)


def check(job: Job, moments: dict[str, Moment], whole: bytes, most_lost: int = LANES) -> None:
    """After each kill and at the end, what the whole bench promises."""
    kills = {}
    for name, moment in moments.items():
        kills[name] = kill = job.kill(moment)
        assert kill.lost <= most_lost, (name, kill)
        assert not kill.torn, (name, kill)
    facts = job.finish()
    assert (facts["chunks"], facts["failed"]) == (CHUNKS, 0)
    assert job.paid_again() == []
    assert job.repeated() == sum(kill.lost for kill in kills.values())
    assert job.sound() == whole


def test_killed_on_disk(on_disk: Job, whole: bytes) -> None:
    """Of four kills none loses more than the calls under way, and the recording is that of a run that nobody killed."""
    check(on_disk, ON_DISK, whole)


def test_killed_on_s3(on_s3: Job, whole: bytes) -> None:
    """The same with shelf and recording in a bucket."""
    check(on_s3, ON_S3, whole)


def test_killed_on_s3_and_continued_elsewhere(on_s3: Job, whole: bytes) -> None:
    """The same where each run is on another machine, with the bucket alone: what had not reached it is said again."""
    on_s3.elsewhere = True
    check(on_s3, ELSEWHERE, whole, LANES + UNSENT)
