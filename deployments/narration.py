"""`speech narrate`, once its command line is understood: refuse early, start a server, run the flow for each source."""

import asyncio
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from datetime import timedelta
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
    from tasks.preview import Preview
    from tasks.recording import Recording


T = TypeVar("T")
LEAVES_WITHIN_S = 3.0


def narrate_all(sources: Sequence[str], wanted: Voice, options: dict[str, Any]) -> Iterator[Answer]:
    """Speak the sources one after another. Raises BadInput before anything is spoken."""
    # Prefect hands SIGTERM on to the handler that it found: by default that one would end us without a word.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    settle_prefect()
    from deployments.server import connect

    refuse_equal_names(sources)
    server = connect()
    from deployments.results import keep_results_with  # while it starts: these take seconds
    from tasks.recording import Incomplete

    if server and (asks_blocks(wanted.provider, options["server"]) or any(map(storage.is_remote, sources))):
        server.wait_until_healthy()
    for source in sources:  # a wrong file or voice is refused while the server is still starting
        _preview(source, wanted, options["server"], options["plan"])
    if server:
        server.wait_until_healthy()
    asyncio.run(keep_results_with(options["shelf"]))
    # A run may be resumed from another folder.
    kept = {name: _absolute(options[name]) for name in ("output", "shelf")}
    for source in sources:
        try:
            recording = _run_flow(_absolute(source), options | kept)
        except Incomplete as error:
            yield answer_of(error.recording, str(error))
        except SpeechError as error:
            if len(sources) == 1:
                raise
            yield Answer((), {"source": source, "error": str(error)}, str(error))
        else:
            yield answer_of(recording)


def _absolute(place: str) -> str:
    return str(Path(place).expanduser().absolute()) if place and not storage.is_remote(place) else place


def preview_all(
    sources: Sequence[str], wanted: Voice, server: str, plan: str, shelf: str, *, fresh: bool
) -> Iterator[Answer]:
    """Tell what speaking the sources would take, and call nobody. Raises BadInput."""
    refuse_equal_names(sources)
    reach_keys(wanted.provider, server, *sources, shelf)
    for source in sources:
        seen = _preview(source, wanted, server, plan, None if fresh else shelf)
        facts = {
            "source": source,
            "voice": seen.voice.name,
            "language": seen.voice.language,
            "chunks": seen.chunks,
            "characters": seen.characters,
            "calls": seen.calls,
            "expected_minutes": round(seen.expected_s / 60, 1),
            "cost_usd": seen.cost_usd and [round(bound, 4) for bound in seen.cost_usd],
            "omissions": len(seen.document.omissions),
        }
        duration = timedelta(seconds=round(seen.expected_s))
        line = (
            f"{source}: {seen.chunks} chunks, {seen.characters:,} characters, about {duration} of speech "
            f"by {seen.voice.name}; {seen.calls} calls to make{_expected_cost(seen.cost_usd)}"
        )
        yield Answer((line,), facts)


def voices_of(name: str, server: str) -> "tuple[Sequence[Offer], Provider]":
    """Who can speak, and the provider that knows its limits. Raises BadInput."""

    async def ask() -> "tuple[Sequence[Offer], Provider]":
        async with opened_store() as store, keyring.opened(name, server, "", store) as callers:
            return await callers.voices()

    reach_keys(name, server)
    return asyncio.run(ask())


def reach_keys(name: str, server: str, *places: str) -> None:
    """Have a Prefect server ready where the keys of a provider, or of a bucket, are its blocks."""
    if asks_blocks(name, server) or any(map(storage.is_remote, places)):
        reach_prefect()


def refuse_equal_names(sources: Sequence[str]) -> None:
    from tasks.source import name_of

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
    WATCHED.set(progress)
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


def _leave_soon() -> None:
    """End the process even where a thread waits for a store that hangs: the run has told Prefect how it ended."""
    leaving = threading.Timer(LEAVES_WITHIN_S, os._exit, [INTERRUPTED])
    leaving.daemon = True
    leaving.start()


def _preview(source: str, wanted: Voice, server: str, plan: str, shelf: str | None = None) -> "Preview":
    """Of a run with this shelf; of one that finds nothing where there is none."""
    from blocks.bucket import source_storage, storage_for
    from tasks.preview import preview
    from tasks.shared_shelf import shelf_at

    async def look() -> "Preview":
        place = None if shelf is None else shelf_at(await storage_for(shelf or str(storage.home() / "shelf")))
        async with opened_store() as store, keyring.opened(wanted.provider, server, plan, store) as callers:
            return await preview(source, wanted, callers, place, await source_storage(source))

    return asyncio.run(look())


def _expected_cost(usd: tuple[float, float] | None) -> str:
    if usd is None:
        return ", at a price that is not known here"
    return f", for {usd[0]:.2f} to {usd[1]:.2f} USD at list prices" if usd[1] else ""
