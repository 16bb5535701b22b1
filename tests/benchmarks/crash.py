"""What `kill -9` costs: one narration killed at 20 counted events on disk and 20 on S3, and then finished.

Run from the checkout: `uv run python tests/benchmarks/crash.py [SCENARIO …]`; all of it takes about twelve minutes on
two cores. A kill may cost the calls that were under way, and no more. Exit code 1 when a bound is broken.
"""

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bounds import Row

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
from tests.crashes import LANES, UNSENT, Asked, Inside, Job, Moment, Received, story_of  # noqa: E402 - needs the path

CHUNKS, LATENCY_S, MANY = 200, 0.15, 10_000
TAG = "cartesia:scale"

_SOUND, _FACTS = r"^os.rename \S+ \S+/shelf/\S+\.wav", r"^os.rename \S+ \S+/shelf/../\S+\.json"
_SCRATCH, _FFMPEG = r"^tempfile.mkdtemp \S+\.merging", "^subprocess.Popen .*-nostdin"
ON_DISK: dict[str, Moment] = {
    "1st call received": Received(1),
    "12th call received": Received(12),
    "before the 12th call": Inside(r"^open \S+/ledger/\S+ None", 23),
    "before the 12th claim": Inside(r"^open \S+/claims/\S+ x", 12),
    "before the 12th claim is given back": Inside(r"^os.remove \S+/claims/", 12),
    "before the 12th file of the shelf": Inside(r"^open \S+/shelf/\S+\.tmp x", 12),
    "before the 12th sound's rename": Inside(_SOUND, 12),
    "after the 12th sound's rename": Inside(_SOUND, 12, after=True),
    "before the 12th facts' rename": Inside(_FACTS, 12),
    "after the 12th facts' rename": Inside(_FACTS, 12, after=True),
    "before the 10th result of Prefect's": Inside(r"^open \S+/results/\S+ w", 10),
    "merge: the master begins": Inside(_SCRATCH, after=True),
    "merge: the 100th clip is read": Inside(r"^open \S+/shelf/\S+\.wav r", 100, since=_SCRATCH),
    "merge: the 1st ffmpeg runs": Inside(_FFMPEG, 1, after=True),
    "merge: the encoder runs": Inside(r"^subprocess.Popen .*result\.wav", 1, after=True),
    "merge: the survey runs": Inside(r"^subprocess.Popen .*f32le", 1, after=True),
    "before the recording's rename": Inside(r"^os.rename \S+/result\.wav"),
    "after the recording's rename": Inside(r"^os.rename \S+/result\.wav", after=True),
    "before the subtitles' rename": Inside(r"^os.rename \S+ \S+/story\.srt"),
    "before the manifest's rename": Inside(r"^os.rename \S+ \S+/story\.manifest\.json"),
}
_PUT_SOUND, _PUT_FACTS = r"PUT /crash/shelf/../\S+\.wav", r"PUT /crash/shelf/../\S+\.json"
_WAV = r"/crash/out/story\.wav\S*"
ON_S3: dict[str, Moment] = {
    "the shelf's marker, done": Asked("PUT /crash/shelf/shelf.json", 1, "lose answer"),
    "12th call received": Received(12),
    "1st sound, not done": Asked(_PUT_SOUND, 1, "reset"),
    "12th sound, not done": Asked(_PUT_SOUND, 12, "reset"),
    "12th sound, half sent": Asked(_PUT_SOUND, 12, "cut body"),
    "12th sound, done": Asked(_PUT_SOUND, 12, "lose answer"),
    "12th facts, not done": Asked(_PUT_FACTS, 12, "reset"),
    "12th facts, half sent": Asked(_PUT_FACTS, 12, "cut body"),
    "12th facts, done": Asked(_PUT_FACTS, 12, "lose answer"),
    "12th claim, done": Asked("PUT /crash/shelf/claims/", 12, "lose answer"),
    "12th claim given back, not done": Asked(r"POST /crash\S*delete", 12, "reset"),
    "20th listing of the shelf": Asked(r"GET /crash\S*prefix=shelf", 20, "reset"),
    "merge: the encoder runs": Inside(r"^subprocess.Popen .*result\.wav", 1, after=True),
    "multipart upload, begun": Asked(rf"POST {_WAV}uploads", 1, "lose answer"),
    "multipart upload, 2nd part half sent": Asked(rf"PUT {_WAV}partNumber=2", 1, "cut body"),
    "multipart upload, not completed": Asked(rf"POST {_WAV}uploadId", 1, "reset"),
    "multipart upload, completed": Asked(rf"POST {_WAV}uploadId", 1, "lose answer"),
    "subtitles, half sent": Asked(r"PUT /crash/out/story\.srt", 1, "cut body"),
    "manifest, not done": Asked(r"PUT /crash/out/story\.manifest\.json", 1, "reset"),
    "manifest, done": Asked(r"PUT /crash/out/story\.manifest\.json", 1, "lose answer"),
}


class Crashes:
    """An emulator, a Prefect server that outlives all runs, and a folder."""

    def __init__(self, emulator: Any, place: Path) -> None:
        self.emulator, self.place = emulator, place
        self.story = story_of(place / "story.txt", CHUNKS, 5)
        self._whole: bytes | None = None

    def on_disk(self, name: str) -> Job:
        from blocks.storage.folder import Folder

        self.emulator.reset()
        self.emulator.settings(latency_s=LATENCY_S, fast=True, plans={"cartesia": "-/-/-/-"})
        home = self.place / name
        home.mkdir()
        return Job(self.emulator, self.story, home, dict(os.environ), Folder(home / "out"), Folder(home / "shelf"))

    @contextlib.contextmanager
    def on_s3(self, name: str) -> Iterator[Job]:
        from blocks.storage.s3 import S3

        job = self.on_disk(name)
        with self.bucket(name) as (server, proxy):
            server.bucket_address("crash")
            job.output, job.shelf = (S3(f"s3://crash/{folder}", server.access) for folder in ("out", "shelf"))
            job.proxy = proxy
            job.environment |= {**server.environment(), "AWS_ENDPOINT_URL": proxy.access.endpoint_url}
            yield job

    @contextlib.contextmanager
    def bucket(self, name: str) -> Iterator[tuple[Any, Any]]:
        """An rclone that serves a folder, and the proxy before it."""
        from tests.s3_servers import rclone_command, started

        place = self.place / f"{name}-s3"
        place.mkdir(exist_ok=True)
        with started(rclone_command(place / "buckets"), place) as server, server.proxied() as proxy:
            yield server, proxy

    def fill(self, job: Job) -> None:
        """Put a clip for each paragraph of a long story on the job's shelf, all of them as the first was spoken."""
        from blocks.speech import Audio, Voice
        from tasks.shelf import Shelf
        from tasks.shelf_facts import told

        job.story = story_of(self.place / "first.txt", 1, 1)
        job.finish()
        name = next(entry.name for entry in job.shelf.entries() if entry.name[2:3] == "/" and entry.name[-4:] == "json")
        facts, voice = job.shelf.read(name), Voice(**json.loads(job.shelf.read(name))["voice"])
        stored = told(facts, Path(name).stem)
        assert stored
        audio, shelf = Audio(job.shelf.read(stored.sound), "wav"), Shelf(Path(job.shelf.address))
        job.story = story_of(job.home / "story.txt", MANY, 1)
        texts = job.story.read_text().split("\n\n")
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda text: shelf.put(text, voice, audio, stored.clip), texts))

    def whole(self) -> bytes:
        """The sound of a run that nobody killed."""
        if self._whole is None:
            job = self.on_disk("whole")
            job.finish()
            self._whole = job.sound()
        return self._whole

    def killed(self, job: Job, name: str, moments: Mapping[str, Moment]) -> Iterator[Row]:
        """A line for each kill, and then the bounds."""
        kills = []
        for point, moment in moments.items():
            kills.append(kill := job.kill(moment))
            print(
                f"{name:12} {point:42} {kill.calls:4} calls, {kill.lost} to repeat, "
                f"{len(job.paid_again())} committed and repeated, {len(kill.torn)} torn",
                flush=True,
            )
        scratch = job.scratch()
        facts = job.finish()
        # Another machine has only what had reached the bucket: what was on its way goes, too.
        most = LANES + UNSENT if job.elsewhere else LANES
        yield Row(name, f"{len(kills)} kills: most calls that one made to repeat", max(k.lost for k in kills), most)
        yield Row(name, "calls repeated in all", job.repeated(), most * len(kills))
        yield Row(name, "committed and paid again", len(job.paid_again()), 0)
        yield Row(name, "chunks lost", CHUNKS - facts["chunks"] + facts["failed"], 0)
        yield Row(name, "names seen of files that were not whole", sum(len(kill.torn) for kill in kills), 0)
        yield Row(name, "recordings unlike that of a whole run", job.sound() != self.whole(), 0)
        print(f"{name:12} hidden scratch before the last run: {len(scratch)} files, after it: {len(job.scratch())}")


def disk(crashes: Crashes) -> Iterator[Row]:
    crashes.whole()
    yield from crashes.killed(crashes.on_disk("disk"), "disk", ON_DISK)


def s3(crashes: Crashes) -> Iterator[Row]:
    """The same machine comes back."""
    crashes.whole()
    with crashes.on_s3("s3") as job:
        yield from crashes.killed(job, "s3", ON_S3)


def elsewhere(crashes: Crashes) -> Iterator[Row]:
    """Each time another machine comes, which has nothing of what the first kept."""
    crashes.whole()
    with crashes.on_s3("elsewhere") as job:
        job.elsewhere = True
        points = [name for name in ON_S3 if name.startswith(("12th", "multipart"))]
        yield from crashes.killed(job, "elsewhere", {name: ON_S3[name] for name in points})


def slots(crashes: Crashes) -> Iterator[Row]:
    """How long a killed run keeps its slots."""
    job = crashes.on_disk("slots")
    job.kill(Received(9))
    began = time.monotonic()
    while asyncio.run(_active()) and time.monotonic() - began < 120:
        time.sleep(0.5)
    yield Row("slots", "seconds until all slots are back", time.monotonic() - began, 90)


async def _active() -> int:
    from prefect.client.orchestration import get_client

    async with get_client() as client:
        return int((await client.read_global_concurrency_limit_by_name(f"tag:{TAG}")).active_slots)


def resume(crashes: Crashes) -> Iterator[Row]:
    """A run that finds 10,000 chunks finished: until it begins to merge, from the start of the command."""
    job = crashes.on_disk("many")
    crashes.fill(job)
    yield from resumed("resume, disk", job, 15)


def resume_s3(crashes: Crashes) -> Iterator[Row]:
    """The same in a bucket: for a machine that has nothing of it, and then again."""
    filled = crashes.on_disk("many-s3-filled")
    crashes.fill(filled)
    with crashes.on_s3("many-s3") as job:
        shutil.copytree(filled.shelf.address, crashes.place / "many-s3-s3/buckets/crash/shelf")
        job.story = filled.story
        yield from resumed("resume, S3, no mirror", job, 60)
        yield from resumed("resume, S3, mirror", job, 60)
        job.elsewhere = True  # the first one has left an index behind, as runs do that make clips
        yield from resumed("resume, S3, elsewhere", job, 60)


def resumed(name: str, job: Job, bound_s: float) -> Iterator[Row]:
    merging = Inside(_SCRATCH)
    before = job.received()
    yield Row(name, f"seconds to the merge, {MANY:,} finished chunks", job.die(merging), bound_s)
    yield Row(name, "calls", job.received() - before, 0)
    if job.proxy:
        print(f"{name:24} requests: {dict(job.proxy.count())}")
        job.proxy.clear()
    first, rest = job.story.read_text().split("\n\n", 1)
    job.story.write_text(f"{first[:-1]} on.\n\n{rest}")
    before = job.received()
    job.die(merging)
    yield Row(name, "calls after one paragraph was edited", job.received() - before, 1)
    if job.proxy:
        job.proxy.clear()


SCENARIOS: dict[str, Callable[[Crashes], Iterator[Row]]] = {
    function.__name__: function for function in (disk, s3, elsewhere, slots, resume, resume_s3)
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("scenario", nargs="*", choices=[*SCENARIOS, []], default=list(SCENARIOS))
    options = parser.parse_args(arguments)
    passed = True
    with tempfile.TemporaryDirectory() as folder, served(Path(folder)) as emulator:
        crashes = Crashes(emulator, Path(folder))
        for scenario in options.scenario:
            for row in SCENARIOS[scenario](crashes):
                passed = passed and row.passed
                print(row, flush=True)
    return 0 if passed else 1


@contextlib.contextmanager
def served(place: Path) -> Iterator[Any]:
    """The emulator, while this process and those that it starts have one Prefect server."""
    os.environ.update(PREFECT_HOME=f"{place}/prefect", SPEECH_HOME=f"{place}/speech")
    os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "CRITICAL"
    from deployments.server import SETTINGS, Server, free_port
    from tests.emulator.fixture import started

    server = Server(free_port(), SETTINGS)
    os.environ["PREFECT_API_URL"] = server.api_url
    try:
        server.wait_until_healthy()
        with started("--fast") as emulator:
            yield emulator
    finally:
        server.stop()


if __name__ == "__main__":
    sys.exit(main())
