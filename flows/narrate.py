"""A document becomes one recording and its manifest: the main path, and the place to start reading.

source ─parse→ Document ─chunk→ Chunks ─synthesise→ ─retry→ ─retake→ Takes ─lay out→ Timeline ─merge→ Recording
                                                                                        └────→ Manifest
"""

import time
from functools import partial
from typing import Literal

from prefect import flow
from prefect.logging import get_run_logger
from prefect.runtime import flow_run

from blocks.bucket import source_storage, storage_for
from blocks.speech import BadInput, Voice
from blocks.storage import home
from blocks.storage.threads import aside
from tasks import studio
from tasks.artifacts import publish_units
from tasks.casting import Role, cast_parts, read_cast
from tasks.chunk import conserve
from tasks.durations import seconds
from tasks.encode import Labels
from tasks.fallback import spares
from tasks.futures import sealed
from tasks.ledger import Ledger
from tasks.manifest import Run, manifest
from tasks.merge import merge
from tasks.output import files_of, output_of, sent
from tasks.parse import parse
from tasks.progress import WATCHED, Progress
from tasks.recording import Incomplete, Recording, recorded
from tasks.segment_clips import split
from tasks.source_place import name_of
from tasks.timeline import chapters
from tasks.timing import Timing, in_time
from tasks.voicing import said_by_others, voiced

SETTINGS = (
    *("format", "loudness", "workers", "plan", "deadline", "budget", "fallback", "suspects", "allow_gaps", "timing"),
    *("fit", "fastest", "squeeze", "overlaps", "strict", "speakers", "clips", "shelf", "fresh"),
)
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
    budget: float = 0.0,
    fallback: str = "",
    suspects: Literal["keep", "fail"] = "keep",
    allow_gaps: bool = False,
    timing: Literal["auto", "cues", "sequence"] = "auto",
    fit: Literal["shift", "trim", "fail"] = "shift",
    fastest: float = 1.35,
    squeeze: Literal["speak", "stretch"] = "speak",
    overlaps: Literal["queue", "mix", "fail"] = "queue",
    strict: bool = False,
    speakers: str = "",
    clips: bool = False,
    shelf: str = "",
    fresh: bool = False,
) -> Recording:
    """Speak a text, a Markdown file or subtitles, whole, into one recording with its manifest, subtitles and report.

    Args:
        source: A .txt, .md, .srt or .vtt file, or a URL (file://, s3://).
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
        budget: What the run may spend, in USD at list prices: it stops before the call that might go beyond. 0 is no
            bound.
        fallback: Voices to go on with, in order, where the first will not speak a paragraph; each is written as
            provider:voice@model=server, where all but the provider may be left out, and they are parted by commas.
        suspects: What becomes of a clip that stands out from its voice twice: keep it, flagged, or fail.
        allow_gaps: Make the recording also where a chunk failed for good, with a marked silence in its place.
        timing: When subtitles are spoken: each cue at its own start (auto, cues), or one after another (sequence).
        fit: What becomes of a cue that is too long even at the highest rate: it shifts the next, is trimmed, or fails.
        fastest: The highest rate to which a cue that is too long is sped up; 1 speeds up nothing.
        squeeze: How it is sped up: spoken again at a higher speed where the voice can, and stretched for the rest; or
            stretched only, which takes no second call.
        overlaps: Cues that overlap: the later one waits (queue), both are heard at one time (mix), or the source is
            refused (fail).
        strict: Refuse subtitles in which something has to be mended, before any call.
        speakers: The voices of the speakers that subtitles name, as ANNA=Katie, BOB=cartesia:Brad, or a .json or .toml
            file of such pairs; everybody else speaks in the voice above.
        clips: Write the speech of each cue or paragraph as a WAV file, too, into the folder clips of the output.
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
    timed = Timing(timing, fit, fastest, squeeze, overlaps, allow_gaps, speed)
    timed.check()
    until = started + seconds(deadline)
    ledger = Ledger(home() / "ledger" / f"{flow_run.id}.jsonl", budget)
    out = output_of(source, output, format, await storage_for(output), str(flow_run.id), clips=clips)
    await aside(out.check, source)

    def told() -> dict[str, str | float | None]:
        """What `speech runs` shows of a run besides its progress."""
        return {"source": source, "where": out.place(out.target), "cost_usd": ledger.billed_usd}

    async with studio.opened(
        ledger, progress, told, shelf=shelf, plans={provider: plan}, deadline=until, fresh=fresh
    ) as room:
        progress.stage = "reading"
        role = Role(Voice(provider, voice, language, model, speed, style), server)
        speaker = await room.speaker(role.voice, server)
        others = [await room.speaker(*spare) for spare in spares(fallback, speaker.voice)]
        cast = await read_cast(speakers, role)
        document = await parse(source, await source_storage(source), frozenset(cast))
        timed.check_cues(document, strict=strict)
        parts = await cast_parts(document, cast, role, speaker, room)
        get_run_logger().info("%d segments, spoken by %s", len(document.segments), speaker.voice)
        progress.stage = "speaking"
        say = partial(voiced, store=room.store, workers=workers, policy=suspects)
        takes = await said_by_others(document, await say(parts, patient=bool(others)), others, say)
        takes, timeline = await in_time(document, takes, timed, parts, say)
        conserve(document, [take.chunk for take in takes])
        progress.stage = "merging"
        sound, cut = None, []
        if timeline:
            marks = chapters(document.segments, takes, timeline)
            labels = Labels(document.title, language=speaker.voice.language, chapters=marks)
            sound = await merge(sealed(takes), sealed(timeline), out.target, labels, loudness, sealed(room.shelf.read))
            if clips:
                cut = await split(
                    sealed(document), sealed(takes), sealed(timeline), out.clips, sound.gain_db, sealed(room.shelf.read)
                )
        run = Run(
            progress.run,
            {name: flow_run.parameters[name] for name in SETTINGS},
            progress.calls,
            progress.retries,
            ledger,
            len(cut),
        )
        written = manifest(
            sealed(document), speaker.voice, sealed(takes), sealed(timeline), sealed(sound), run, out.target
        )
        await aside(sent, out, files_of(written, sound.path if sound else None, cut))
        await publish_units(takes, out.place(written.csv))
        progress.stage = "done"
    recording = recorded(written, out, takes, document, time.monotonic() - started)
    if recording.failures and not recording.audio:
        raise Incomplete(recording)
    return recording


def _check_options(loudness: float, workers: int) -> None:
    """Raises BadInput."""
    if not -50 <= loudness <= -5:
        raise BadInput(f"a loudness of {loudness} LUFS is not to be had: name one from -50 to -5; -16 is usual")
    if workers < 0:
        raise BadInput(f"{workers} workers cannot speak: name how many calls may run at one time, or 0 for the plan's")
