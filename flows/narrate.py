"""A document becomes one recording and its manifest: the main path, and the place to start reading.

source ─parse→ Document ─chunk→ Chunks ─synthesise→ ─retry→ ─retake→ Takes ─lay out→ Timeline ─merge→ Recording
                                                                                        └────→ Manifest
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeVar, cast

from prefect import flow
from prefect.logging import get_run_logger
from prefect.runtime import flow_run
from prefect.utilities.annotations import opaque

from blocks import keyring, storage
from blocks.key_health import Store, opened_store
from blocks.speech import BadInput, RunFailed, Voice
from tasks.artifacts import publish_units, published
from tasks.chunk import chunk, conserve
from tasks.clips import Clip, Failure, Take
from tasks.document import Chunk, Document
from tasks.durations import seconds
from tasks.encode import Labels
from tasks.fallback import said_instead, spares, takes_left, unsaid
from tasks.health import announce, publish_keys
from tasks.lanes import lines_of, open_lanes
from tasks.ledger import Ledger
from tasks.manifest import Run, check_source_stays, manifest
from tasks.merge import check_target, merge
from tasks.parse import parse
from tasks.progress import WATCHED, Progress
from tasks.recording import Incomplete, Recording, recorded
from tasks.retake import Policy, doubtful, retake
from tasks.retry import find_known, retry
from tasks.script import check_script
from tasks.shelf import Shelf
from tasks.source import name_of
from tasks.speak import Speaker
from tasks.synthesise import synthesise_chunks
from tasks.timeline import Timeline, chapters, choose_rate, lay_out

T = TypeVar("T")


@flow(name="narrate", flow_run_name="narrate {source}", persist_result=True, result_serializer="json")
async def narrate(
    source: str,
    output: str = "speech",
    format: Literal["mp3", "m4b", "flac", "opus", "wav"] = "mp3",  # noqa: A002  the name in the form
    provider: str = "espeak",
    server: str = "",
    model: str = "",
    voice: str = "",
    language: str = "",
    speed: float = 1.0,
    style: str = "",
    loudness: float = -16.0,
    workers: int = 0,
    plan: str = "",
    deadline: str = "",
    fallback: str = "",
    suspects: Literal["keep", "fail"] = "keep",
    fresh: bool = False,
) -> Recording:
    """Speak a text or Markdown file, whole, into one recording with its manifest, subtitles and report.

    Args:
        source: A .txt or .md file, or a URL (file://, s3://).
        output: The folder for the recording and what goes with it.
        format: The recording's format; all but wav carry chapters.
        provider: Who speaks: espeak on this machine, or a service or server by its kind.
        server: The base URL of the provider's API, where it is not the vendor's own; several of one's own, which speak
            alike, are parted by commas.
        model: A model of the provider; empty takes its default.
        voice: A voice of the provider, by its name; empty takes the provider's voice for the language.
        language: A language tag such as en-us, vi or cmn; empty takes the language of the voice.
        speed: How fast to speak; 1.0 is normal.
        style: How to speak, where the provider can be told.
        loudness: The recording's loudness in LUFS.
        workers: The most calls at one time; 0 takes all that the plan allows.
        plan: The plan of the accounts whose keys come from the environment; empty takes the provider's default.
        deadline: How long after its start the run may wait for keys that are at their limits, such as 90m or 12h; empty
            waits as long as it takes.
        fallback: Voices to go on with, in order, where the first will not speak a paragraph; each is written as
            provider:voice@model=server, where all but the provider may be left out, and they are parted by commas.
        suspects: What becomes of a clip that stands out from its voice twice: keep it, flagged, or fail.
        fresh: Speak everything anew, also what is on the shelf.

    Raises:
        BadInput: The source or a parameter is wrong; nothing was spoken.
        Incomplete: Some chunks failed for good; all others are kept for the next run.
    """
    started, progress = time.monotonic(), WATCHED.get() or Progress()
    target = _target(source, output, format)
    _check_options(loudness, workers)
    until = started + seconds(deadline)
    check_target(target)
    check_source_stays(source, target)
    ledger = Ledger(storage.home() / "ledger" / f"{flow_run.id}.jsonl")
    shelf = Shelf(storage.home() / "shelf")
    async with opened_store() as store, published(progress), AsyncExitStack() as opened:

        async def speaking(wanted: Voice, server: str) -> Speaker:
            """Somebody who speaks in this voice. Raises BadInput where it is not to be had."""
            callers = await opened.enter_async_context(
                keyring.opened(wanted.provider, server, plan if wanted.provider == provider else "", store, announce)
            )
            chosen, maker = await callers.resolve(wanted)
            return Speaker(maker, chosen, callers, shelf, progress, ledger, fresh, until)

        progress.stage = "reading"
        speaker = await speaking(Voice(provider, voice, language, model, speed, style), server)
        chosen = speaker.voice
        others = [await speaking(*spare) for spare in spares(fallback, chosen)]
        document = await parse(source)
        check_script(document, chosen.language)
        chunks = chunk(sealed(document), speaker.provider.limits, chosen.language)
        get_run_logger().info("%d segments in %d chunks, spoken by %s", len(document.segments), len(chunks), chosen)
        progress.stage = "speaking"
        takes = await _speak(chunks, speaker, store, workers, suspects, patient=bool(others))
        for other in others:
            if left := unsaid(document, takes, other.provider.limits, other.voice.language):
                get_run_logger().warning("%d chunks are said by another voice: %s", len(left), other.voice)
                progress.begin_anew()
                said = await _speak(left, other, store, workers, suspects, patient=True)
                takes = said_instead(takes, said, other.voice)
        conserve(document, [take.chunk for take in takes])
        progress.stage = "merging"
        whole = not any(isinstance(take.outcome, Failure) for take in takes)
        timeline = lay_out(takes, choose_rate(takes)) if whole else None
        sound = (
            await merge(sealed(takes), sealed(timeline), target, _labels(document, chosen, takes, timeline), loudness)
            if timeline
            else None
        )
        settings: dict[str, str | float | bool] = {
            "format": format,
            "loudness": loudness,
            "workers": workers,
            "plan": plan,
            "deadline": deadline,
            "fallback": fallback,
            "suspects": suspects,
            "fresh": fresh,
        }
        run = Run(str(flow_run.id), settings, progress.calls, progress.retries, ledger)
        written = manifest(sealed(document), chosen, sealed(takes), sealed(timeline), sealed(sound), run, target)
        await publish_units(takes, str(written.csv))
        progress.stage = "done"
    recording = recorded(written, takes, document, time.monotonic() - started)
    if recording.failures:
        raise Incomplete(recording)
    return recording


def sealed(value: T) -> T:
    """For a task's argument that holds no futures: Prefect would walk all through it, 2.4 s of CPU for 10,000 takes."""
    return cast("T", opaque(value))


def _target(source: str, output: str, suffix: str) -> Path:
    """The recording's place: the folder, and the source's name without its own suffix. Raises BadInput."""
    if not output.strip() or "://" in output:
        raise BadInput(f"output {output!r} is no folder on this machine: name one")
    return Path(output, f"{name_of(source).stem}.{suffix}").expanduser().absolute()


def _check_options(loudness: float, workers: int) -> None:
    """Raises BadInput."""
    if not -50 <= loudness <= -5:
        raise BadInput(f"a loudness of {loudness} LUFS is not to be had: name one from -50 to -5; -16 is usual")
    if workers < 0:
        raise BadInput(f"{workers} workers cannot speak: name how many calls may run at one time, or 0 for the plan's")


async def _speak(
    chunks: Sequence[Chunk], speaker: Speaker, store: Store, workers: int, policy: Policy, *, patient: bool
) -> list[Take]:
    """A take for each chunk, from the shelf or spoken in lanes; what failed in smaller pieces, what is odd again.

    Where nothing goes on, a patient run takes what there is: another voice says the rest.
    """
    found: dict[str, Clip] = {}
    if not speaker.fresh:
        chunks, found = await asyncio.to_thread(find_known, chunks, speaker.voice, speaker.shelf)
    texts = {chunk.text for chunk in chunks}
    missing = texts - found.keys()
    speaker.progress.total += len(texts)
    speaker.progress.reused += len(texts) - len(missing)
    wanted = len(missing) or len(doubtful([Take(chunk, found[chunk.text]) for chunk in chunks], policy))
    lines = lines_of(await speaker.callers.slots(), wanted, workers)
    async with open_lanes(lines, store, speaker.progress, speaker.deadline) as permits:
        speaker = replace(speaker, permits=permits, slots=sum(line.wanted for line in lines))
        try:
            takes = await synthesise_chunks(chunks, found, speaker)
            if any(isinstance(take.outcome, Failure) for take in takes):
                takes = await retry(sealed(takes), speaker.voice.language, speaker)
            if doubtful(takes, policy):
                takes = await retake(sealed(takes), speaker, policy)
        except RunFailed as error:
            if not patient:
                raise
            takes = await asyncio.to_thread(takes_left, chunks, speaker, error)
        finally:
            await publish_keys(await speaker.callers.report(), speaker.voice.provider)
    return takes


def _labels(document: Document, voice: Voice, takes: Sequence[Take], timeline: Timeline) -> Labels:
    return Labels(title=document.title, language=voice.language, chapters=chapters(document.segments, takes, timeline))
