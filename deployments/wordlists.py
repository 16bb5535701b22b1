"""`speech wordlist`, once its command line is understood: refuse early, start a server, run the flow."""

import asyncio
import signal
from contextlib import AsyncExitStack
from functools import partial
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from blocks import storage
from blocks.key_health import opened_store
from blocks.key_source import asks_blocks
from deployments.answers import Answer, answer_of_words
from deployments.narration import absolute, is_file, role_told, watched
from deployments.reach import reach_prefect, settle_prefect

if TYPE_CHECKING:
    from tasks.wordlist_preview import Preview


def voice_list(source: str, options: dict[str, Any]) -> Answer:
    """Speak the table with the options of the flow. Raises BadInput before anything is spoken."""
    # Prefect hands SIGTERM on to the handler that it found: by default that one would end us without a word.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    settle_prefect()
    from deployments.server import connect

    server = connect()
    from deployments.results import keep_results_with  # while it starts: these take seconds
    from flows.voice_wordlist import voice_wordlist
    from tasks.word_list import Unfinished

    if server and _asks_prefect(source, options):
        server.wait_until_healthy()
    _preview(source, options)  # a wrong table or voice is refused while the server is still starting
    if server:
        server.wait_until_healthy()
    asyncio.run(keep_results_with(options["shelf"]))
    # A run may be resumed from another folder.
    kept = {name: absolute(options[name]) for name in ("output", "shelf", "only")}
    kept |= {name: absolute(options[name]) for name in ("voice", "voices") if is_file(options[name])}
    run = partial(voice_wordlist, absolute(source), **(options | kept))
    try:
        return answer_of_words(watched(run, PurePath(source).name))
    except Unfinished as error:
        return answer_of_words(error.words, str(error))


def preview_list(source: str, options: dict[str, Any]) -> Answer:
    """Tell what speaking the table would take, and call nobody. Raises BadInput."""
    from tasks.estimate import as_json, describe, summed_up

    if _asks_prefect(source, options):
        reach_prefect()
    seen = _preview(source, options, with_shelf=not options["fresh"])
    counts = {"rows": seen.rows, "cells": seen.cells, "empty": seen.empty, "standing": seen.standing}
    facts = {"source": source, **counts, **as_json(seen.estimate)}
    first = f"{source}: {seen.rows:,} rows, {seen.cells:,} cells to speak, {seen.empty:,} empty, {seen.standing:,} done"
    return Answer((first, summed_up(seen.estimate, by=seen.voice.name), *describe(seen.estimate)), facts)


def _asks_prefect(source: str, options: dict[str, Any]) -> bool:
    """Whether the keys of a provider, or of a bucket, are blocks of a Prefect server."""
    from tasks.casting import read_cast

    places = (source, *(options[name] for name in ("output", "shelf", "only", "voices")))
    if any(map(storage.is_remote, places)):
        return True
    run = role_told(options)
    cast = asyncio.run(read_cast(options["voices"], run))
    return any(asks_blocks(role.voice.provider, role.server) for role in (run, *cast.values()))


def _preview(source: str, options: dict[str, Any], *, with_shelf: bool = False) -> "Preview":
    """Of a run that may find its speech on the shelf and its files in the output, or of one that finds nothing."""
    from blocks.bucket import storage_for
    from tasks.cell_output import check_options
    from tasks.shared_shelf import shelf_at
    from tasks.studio import Company
    from tasks.wordlist_preview import preview

    check_options(options["loudness"], options["workers"], options["base_url"])
    run = role_told(options)

    async def look() -> "Preview":
        shelf = options["shelf"] or str(storage.home() / "shelf")
        place = shelf_at(await storage_for(shelf)) if with_shelf else None
        async with AsyncExitStack() as stack, opened_store() as store:
            company = Company(stack, store, {run.voice.provider: options["plan"]}, lambda _: None)
            return await preview(source, run, options, company.engage, place)

    return asyncio.run(look())
