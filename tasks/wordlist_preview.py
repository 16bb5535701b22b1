"""What a run of `voice_wordlist` would do, found out without a call."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from blocks.bucket import source_storage, storage_for
from blocks.callers import Callers
from blocks.speech import Provider, Voice
from blocks.storage.threads import aside
from tasks.budget import check_budget, check_priced
from tasks.casting import Role, read_cast
from tasks.cell_output import CellOutput
from tasks.estimate import Asked, Estimate, estimate
from tasks.preview import at_one_time
from tasks.shelf import Shelf
from tasks.tabulate import read_only, read_wordlist
from tasks.word_fields import wanted_of
from tasks.wordlist import check_scripts, chunks_of, document_of, words_of


@dataclass(frozen=True, slots=True)
class Preview:
    voice: Voice
    """The run's: fields and languages may have others."""
    rows: int
    cells: int
    """That hold something to speak."""
    empty: int
    standing: int
    """Whose file an earlier run has made."""
    estimate: Estimate
    """Of the others."""


async def preview(
    source: str,
    run: Role,
    options: Mapping[str, Any],
    engage: Callable[[Voice, str], Awaitable[tuple[Voice, Provider, Callers]]],
    shelf: Shelf | None = None,
) -> Preview:
    """Read and check a table as a run with these parameters of its flow would. Raises BadInput.

    Without a shelf all is to be spoken.
    """
    check_budget(options["budget"])
    voice = (await engage(run.voice, run.server))[0]
    storage = await source_storage(source)
    table = await aside(read_wordlist, source, storage, options["fields"], update=options["update"])
    cast, only = await read_cast(options["voices"], run), await read_only(options["only"], source)
    told = (options[name] for name in ("fields", "type", "named_by", "language_field"))
    words = words_of(table, wanted_of(table, run, cast, *told, only=only), options["format"])
    spoken = [cell for cell in words.cells if not cell.empty]
    engaged = {role: await engage(role.voice, role.server) for role in dict.fromkeys(cell.role for cell in spoken)}
    voices = {role: theirs for role, (theirs, _, _) in engaged.items()}
    for theirs in voices.values():
        check_priced(theirs, options["budget"])
    check_scripts(document_of(table, spoken), spoken, voices)
    standing = set[str]()
    told_output = (options[name] for name in ("format", "loudness", "base_url"))
    made = CellOutput(await storage_for(options["output"]), source, *told_output)
    await aside(made.check_owner, words.cells)
    if shelf:
        standing = set(
            await aside(made.standing, spoken, voices, (await aside(made.earlier)).rows, options["suspects"])
        )
    missing = [cell for cell in spoken if cell.file not in standing]
    wanted = []
    for role, (theirs, provider, callers) in engaged.items():
        chunks = chunks_of(missing, role, provider.limits, theirs.language)
        wanted.append(Asked(chunks, theirs, provider.call_s, await at_one_time(callers, options["workers"])))
    rows = len({cell.row for cell in words.cells})
    empty = len(words.cells) - len(spoken)
    return Preview(voice, rows, len(spoken), empty, len(standing), estimate(wanted, shelf))
