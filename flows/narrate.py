"""A document becomes one recording and its manifest: the main path, and the place to start reading.

source ─parse→ Document ─chunk→ Chunks ─synthesise→ ─retry→ ─retake→ Takes ─lay out→ Timeline ─merge→ Recording
                                                                                        └────→ Manifest
"""

import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Literal, TypeVar, cast

from prefect import flow
from prefect.logging import get_run_logger
from prefect.runtime import flow_run
from prefect.utilities.annotations import opaque

from blocks import keyring
from blocks.bucket import source_storage, storage_for
from blocks.key_health import Store, opened_store
from blocks.speech import BadInput, RunFailed, Voice
from blocks.storage import StorageFailed, home
from blocks.storage.threads import aside
from tasks.artifacts import publish_units, published
from tasks.chunk import chunk, conserve
from tasks.claims import claims_on
from tasks.clips import Clip, Failure, Take
from tasks.document import Chunk, Document
from tasks.durations import seconds
from tasks.encode import Labels
from tasks.fallback import said_instead, spares, takes_left, unsaid
from tasks.health import announce, publish_keys
from tasks.lanes import lines_of, open_lanes
from tasks.ledger import Ledger
from tasks.manifest import Run, manifest
from tasks.merge import merge
from tasks.output import files_of, output_of, sent
from tasks.parse import parse
from tasks.progress import WATCHED, Progress
from tasks.recording import Incomplete, Recording, recorded
from tasks.retake import Policy, doubtful, retake
from tasks.retry import find_known, retry
from tasks.script import check_script
from tasks.shared_shelf import shelf_at
from tasks.source import name_of
from tasks.speak import Speaker
from tasks.spend import Spend
from tasks.stopping import briefly, cancellable, stoppable
from tasks.synthesise import find_on_shelf, synthesise_chunks
from tasks.timeline import Timeline, chapters, choose_rate, lay_out

T = TypeVar("T")
SETTINGS = "format", "loudness", "workers", "plan", "deadline", "fallback", "suspects", "allow_gaps", "shelf", "fresh"
"""The parameters that the manifest tells besides the source and the voice."""


def run_name() -> str:
    return f"narrate {name_of(flow_run.parameters['source']).name}"


@flow(name="narrate", flow_run_name=run_name, persist_result=True, result_serializer="json")
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
    allow_gaps: bool = False,
    shelf: str = "",
    fresh: bool = False,
) -> Recording:
    """Speak a text or Markdown file, whole, into one recording with its manifest, subtitles and report.

    Args:
        source: A .txt or .md file, or a URL (file://, s3://).
        output: The folder for the recording and what goes with it, or a bucket: s3://bucket/folder.
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
        allow_gaps: Make the recording also where a chunk failed for good, with a marked silence in its place.
        shelf: Where finished speech is kept for this run and others, which may share it: a folder, or a bucket as
            s3://bucket/folder; empty takes this machine's own.
        fresh: Speak everything anew, also what is on the shelf.

    Raises:
        BadInput: The source or a parameter is wrong; nothing was spoken.
        Incomplete: Some chunks failed for good; all others are kept for the next run.
    """
    started, progress = time.monotonic(), WATCHED.get() or Progress()
    progress.run = str(flow_run.id)
    _check_options(loudness, workers)
    until = started + seconds(deadline)
    ledger = Ledger(home() / "ledger" / f"{flow_run.id}.jsonl")
    out = output_of(source, output, format, await storage_for(output), str(flow_run.id))
    await aside(out.check, source)

    def told() -> dict[str, str | float | None]:
        """What `speech runs` shows of a run besides its progress."""
        cost_usd = Spend.of(ledger.entries, Voice(provider)).cost_usd
        return {"source": source, "where": out.place(out.target), "cost_usd": cost_usd}

    async with AsyncExitStack() as opened:
        opened.enter_context(stoppable())
        await opened.enter_async_context(cancellable(str(flow_run.id)))
        store = await opened.enter_async_context(opened_store())
        await opened.enter_async_context(published(progress, told))
        clips = shelf_at(await storage_for(shelf or str(home() / "shelf")))
        await aside(clips.check)
        opened.push_async_callback(briefly, clips.close)
        claims = await opened.enter_async_context(claims_on(clips.storage))

        async def speaking(wanted: Voice, server: str) -> Speaker:
            """Somebody who speaks in this voice. Raises BadInput where it is not to be had."""
            callers = await opened.enter_async_context(
                keyring.opened(wanted.provider, server, plan if wanted.provider == provider else "", store, announce)
            )
            chosen, maker = await callers.resolve(wanted)
            return Speaker(maker, chosen, callers, clips, claims, progress, ledger, fresh, until)

        progress.stage = "reading"
        speaker = await speaking(Voice(provider, voice, language, model, speed, style), server)
        chosen = speaker.voice
        others = [await speaking(*spare) for spare in spares(fallback, chosen)]
        document = await parse(source, await source_storage(source))
        check_script(document, chosen.language)
        chunks = chunk(sealed(document), speaker.provider.limits, chosen.language)
        get_run_logger().info("%d segments in %d chunks, spoken by %s", len(document.segments), len(chunks), chosen)
        progress.stage = "speaking"
        takes = await _speak(chunks, speaker, store, workers, suspects, patient=bool(others))
        takes = await _said_by_others(document, takes, others, store, workers, suspects)
        conserve(document, [take.chunk for take in takes])
        progress.stage = "merging"
        timeline, sound = _laid_out(takes, speed, allow_gaps), None
        if timeline:
            marks = chapters(document.segments, takes, timeline)
            labels = Labels(document.title, language=chosen.language, chapters=marks)
            sound = await merge(sealed(takes), sealed(timeline), out.target, labels, loudness, sealed(clips.read))
        run = Run(
            progress.run,
            {name: flow_run.parameters[name] for name in SETTINGS},
            progress.calls,
            progress.retries,
            ledger,
        )
        written = manifest(sealed(document), chosen, sealed(takes), sealed(timeline), sealed(sound), run, out.target)
        await aside(sent, out, files_of(written, sound.path if sound else None))
        await publish_units(takes, out.place(written.csv))
        progress.stage = "done"
    recording = recorded(written, out, takes, document, time.monotonic() - started)
    if recording.failures and not recording.audio:
        raise Incomplete(recording)
    return recording


def sealed(value: T) -> T:
    """For a task's argument that holds no futures: Prefect would walk all through it, 2.4 s of CPU for 10,000 takes."""
    return cast("T", opaque(value))


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
    # A fresh run that goes on after a crash keeps what it has said itself.
    known = [chunk for chunk in chunks if not speaker.fresh or speaker.ledger.has_said(chunk.text)]
    if speaker.fresh:
        found = await aside(find_on_shelf, known, speaker.voice, speaker.shelf)
    else:
        chunks, found = await aside(find_known, known, speaker.voice, speaker.shelf)
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
            if not patient or isinstance(error, StorageFailed):
                raise
            takes = await aside(takes_left, chunks, speaker, error)
        finally:
            await publish_keys(await speaker.callers.report(), speaker.voice.provider)
    return takes


async def _said_by_others(
    document: Document, takes: list[Take], others: Sequence[Speaker], store: Store, workers: int, policy: Policy
) -> list[Take]:
    """The takes with each paragraph that is not whole said by the first of the others that says it whole."""
    for other in others:
        if left := unsaid(document, takes, other.provider.limits, other.voice.language):
            get_run_logger().warning("%d chunks are said by another voice: %s", len(left), other.voice)
            other.progress.begin_anew()
            said = await _speak(left, other, store, workers, policy, patient=True)
            takes = said_instead(takes, said, other.voice)
    return takes


def _laid_out(takes: Sequence[Take], speed: float, allow_gaps: bool) -> Timeline | None:
    """None where no recording is to be made of them: some have failed, or all of them where gaps are allowed."""
    spoken = [isinstance(take.outcome, Clip) for take in takes]
    if not all(spoken) and not (allow_gaps and any(spoken)):
        return None
    return lay_out(takes, choose_rate(takes), gaps=allow_gaps, speed=speed)
