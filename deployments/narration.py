"""`speech narrate`, once its command line is understood: refuse early, start a server, run the flow for each source."""

import asyncio
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, TypeVar

from blocks import keyring, storage
from blocks.key_health import opened_store
from blocks.key_source import asks_blocks
from blocks.speech import BadInput, Offer, Provider, SpeechError, Voice
from deployments.answers import INTERRUPTED, Answer, answer_of
from deployments.reach import reach_prefect, settle_prefect

if TYPE_CHECKING:
    from tasks.casting import Role
    from tasks.preview import Preview
    from tasks.recording import Recording


T = TypeVar("T")
LEAVES_WITHIN_S = 3.0


def narrate_all(sources: Sequence[str], options: dict[str, Any]) -> Iterator[Answer]:
    """Speak the sources one after another, with the options of the flow. Raises BadInput before anything is spoken."""
    # Prefect hands SIGTERM on to the handler that it found: by default that one would end us without a word.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    settle_prefect()
    from deployments.server import connect

    refuse_equal_names(sources, clips=options["clips"])
    server = connect()
    from deployments.results import keep_results_with  # while it starts: these take seconds
    from tasks.recording import Incomplete

    if server and _asks_prefect(options, *sources):
        server.wait_until_healthy()
    for source in sources:  # a wrong file or voice is refused while the server is still starting
        _preview(source, options)
    if server:
        server.wait_until_healthy()
    asyncio.run(keep_results_with(options["shelf"]))
    # A run may be resumed from another folder.
    kept = {name: absolute(options[name]) for name in ("output", "shelf")}
    kept |= {name: absolute(options[name]) for name in ("voice", "speakers") if is_file(options[name])}
    for source in sources:
        try:
            recording = _run_flow(absolute(source), options | kept)
        except Incomplete as error:
            yield answer_of(error.recording, str(error))
        except SpeechError as error:
            if len(sources) == 1:
                raise
            yield Answer((), {"source": source, "error": str(error)}, str(error))
        else:
            yield answer_of(recording)


def is_file(words: str) -> bool:
    """Of a voice or of speakers: whether they are in a file, and not just named."""
    return Path(words).suffix.lower() in {".wav", ".mp3", ".flac", ".json", ".toml"} and not storage.is_remote(words)


def absolute(place: str) -> str:
    return str(Path(place).expanduser().absolute()) if place and not storage.is_remote(place) else place


def preview_all(sources: Sequence[str], options: dict[str, Any]) -> Iterator[Answer]:
    """Tell what speaking the sources would take, and call nobody. Raises BadInput."""
    from tasks.estimate import as_json, describe, summed_up

    refuse_equal_names(sources, clips=options["clips"])
    if _asks_prefect(options, *sources, options["shelf"]):
        reach_prefect()
    for source in sources:
        seen = _preview(source, options, with_shelf=not options["fresh"])
        facts = {"source": source, "voice": seen.voice.name, "language": seen.voice.language}
        facts |= as_json(seen.estimate) | {"omissions": len(seen.document.omissions)}
        lines = (summed_up(seen.estimate, by=seen.voice.name), *describe(seen.estimate))
        yield Answer((f"{source}: {lines[0]}", *lines[1:]), facts)


def voices_of(name: str, server: str) -> "tuple[Sequence[Offer], Provider]":
    """Who can speak, and the provider that knows its limits. Raises BadInput."""

    async def ask() -> "tuple[Sequence[Offer], Provider]":
        async with opened_store() as store, keyring.opened(name, server, "", store) as callers:
            return await callers.voices()

    if asks_blocks(name, server):
        reach_prefect()
    return asyncio.run(ask())


def _asks_prefect(options: dict[str, Any], *places: str) -> bool:
    """Whether the keys of a provider, or of a bucket, are blocks of a Prefect server."""
    from tasks.casting import read_cast

    if any(map(storage.is_remote, (*places, options["speakers"]))):
        return True
    run = role_told(options)
    cast = asyncio.run(read_cast(options["speakers"], run))
    return any(asks_blocks(role.voice.provider, role.server) for role in (run, *cast.values()))


def role_told(options: dict[str, Any]) -> "Role":
    from tasks.casting import Role

    words = ("provider", "voice", "language", "model", "speed", "style")
    return Role(Voice(*(options[word] for word in words)), options["server"])


def refuse_equal_names(sources: Sequence[str], *, clips: bool) -> None:
    from tasks.source_place import name_of

    if clips and len(sources) > 1:
        raise BadInput(f"{len(sources)} sources would put their clips into one folder: give each its own --output")
    for stem, count in Counter(name_of(source).stem for source in sources).items():
        if count > 1:
            raise BadInput(
                f"{count} sources are called {stem}, and so would their recordings: give each its own --output"
            )


def _run_flow(source: str, options: dict[str, Any]) -> "Recording":
    from flows.narrate import narrate

    return watched(partial(narrate, source, **options), PurePath(source).name)


def watched(run: Callable[[], Coroutine[Any, Any, T]], title: str) -> T:
    """What a run comes to, with its progress on the terminal. Raises KeyboardInterrupt for SIGTERM, too."""
    from prefect.exceptions import Abort, TerminationSignal

    from deployments.display import shown
    from tasks.progress import WATCHED, Progress

    progress = Progress()
    before = WATCHED.set(progress)
    stops = (TerminationSignal, Abort, asyncio.CancelledError)  # what SIGTERM, and Cancel in the UI, come to

    async def carried_out() -> T:
        try:
            return await run()
        except stops:
            _leave_soon()
            raise

    try:
        with shown(progress, title):
            return asyncio.run(carried_out())
    except (*stops, KeyboardInterrupt):
        raise KeyboardInterrupt(progress.run) from None
    except BaseExceptionGroup as group:  # or of one that came while a task had its turn
        if group.subgroup((*stops, KeyboardInterrupt)):
            raise KeyboardInterrupt(progress.run) from None
        raise
    finally:
        WATCHED.reset(before)


def _leave_soon() -> None:
    """End the process even where a thread waits for a store that hangs: the run has told Prefect how it ended."""
    leaving = threading.Timer(LEAVES_WITHIN_S, os._exit, [INTERRUPTED])
    leaving.daemon = True
    leaving.start()


def _preview(source: str, options: dict[str, Any], *, with_shelf: bool = False) -> "Preview":
    """Of a run that may find its speech on the shelf, or of one that finds nothing."""
    from blocks.bucket import source_storage, storage_for
    from tasks.casting import read_cast
    from tasks.preview import preview
    from tasks.shared_shelf import shelf_at
    from tasks.studio import Company
    from tasks.timing import Timing

    run = role_told(options)
    ways = ("timing", "fit", "fastest", "squeeze", "overlaps", "allow_gaps", "speed")
    timing = Timing(*(options[way] for way in ways))
    timing.check()

    async def look() -> "Preview":
        shelf = options["shelf"] or str(storage.home() / "shelf")
        place = shelf_at(await storage_for(shelf)) if with_shelf else None
        async with AsyncExitStack() as stack, opened_store() as store:
            company = Company(stack, store, {run.voice.provider: options["plan"]}, lambda _: None)
            return await preview(
                source,
                run,
                await read_cast(options["speakers"], run),
                timing,
                company.engage,
                shelf=place,
                storage=await source_storage(source),
                strict=options["strict"],
                workers=options["workers"],
                budget_usd=options["budget"],
            )

    return asyncio.run(look())
