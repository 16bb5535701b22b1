"""A table becomes one clip for each of its cells, and comes back with their addresses.

table ─read→ Cells ─chunk→ Chunks ─synthesise→ ─retry→ ─retake→ Takes ─write→ Clips' files
                                                                 └────→ Manifest, failures, the table with addresses
"""

import time
from functools import partial
from typing import Any, Literal

import pandas as pd
from prefect import flow
from prefect.logging import get_run_logger
from prefect.runtime import flow_run

from blocks.bucket import source_storage, storage_for
from blocks.speech import BadInput, Voice
from blocks.storage import home
from blocks.storage.threads import aside
from tasks import studio
from tasks.artifacts import publish_units
from tasks.casting import Role, read_cast
from tasks.cell_manifest import addresses_of, cell_manifest, cell_rows, cell_summary, with_earlier
from tasks.cell_output import CellOutput, check_options
from tasks.cell_voices import engaged
from tasks.cell_writer import writing
from tasks.durations import seconds
from tasks.futures import sealed
from tasks.ledger import Ledger
from tasks.manifest import Run
from tasks.progress import WATCHED, Progress
from tasks.source_place import name_of
from tasks.spend import costs_usd
from tasks.tabulate import kept_frame, put_back, read_only, tabulate
from tasks.voicing import voiced
from tasks.word_fields import wanted_of
from tasks.word_list import Unfinished, WordList, word_list
from tasks.wordlist import document_of, parts_of, words_of
from tasks.write import write

SETTINGS = (
    *("fields", "format", "type", "named_by", "language_field", "voices", "update", "base_url", "only", "loudness"),
    *("workers", "plan", "deadline", "budget", "fallback", "suspects", "allow_gaps", "shelf", "fresh"),
)
"""The parameters that the manifest tells besides the source and the voice."""


def run_name() -> str:
    return f"voice {name_of(flow_run.parameters['source']).name}"


@flow(name="voice_wordlist", flow_run_name=run_name, persist_result=True, result_serializer="json")
async def voice_wordlist(
    source: str,
    fields: str = "",
    output: str = "speech",
    format: Literal["mp3", "opus", "flac", "wav"] = "mp3",  # noqa: A002  the name in the form
    type: str = "",  # noqa: A002  the same
    named_by: str = "",
    language_field: str = "",
    voices: str = "",
    update: bool = False,
    base_url: str = "",
    only: str = "",
    provider: str = "espeak",
    server: str = "",
    model: str = "",
    voice: str = "",
    language: str = "",
    speed: float = 1.0,
    style: str = "",
    loudness: float = -19.0,
    workers: int = 0,
    plan: str = "",
    deadline: str = "",
    budget: float = 0.0,
    fallback: str = "",
    suspects: Literal["keep", "fail"] = "keep",
    allow_gaps: bool = False,
    shelf: str = "",
    fresh: bool = False,
) -> WordList:
    """Speak the cells of a table, each into a file of its own, OUTPUT/type/word/field.mp3, and list them in a manifest.

    Args:
        source: A .csv, .tsv, .json, .jsonl or .parquet file, or its URL (file://, s3://).
        fields: The fields to speak, parted by commas; each may name its language and its voice, as in
            word, definition@en=Katie, meaning@ja. In JSON translations.ja.word leads into an object.
        output: The folder for the clips and their manifest, or a bucket: s3://bucket/folder.
        format: The format of the clips.
        type: The types of rows to speak, parted by commas: a table has a field of this name, or is parted by types, as
            JSON can be; empty takes all.
        named_by: The field that names the folder of a row; empty takes the first one of those to speak.
        language_field: A field that tells the language of each row.
        voices: The voices of languages or fields, as ja=Yuki, definition=cartesia:Brad, or a .json or .toml file of
            such pairs; everything else is spoken in the voice below.
        update: Write the table back, with the address of each clip, and all else in it as it was.
        base_url: What the addresses begin with, such as https://cdn.example.org/audio; empty takes the places of the
            files.
        only: A failures.csv of an earlier run: only the cells that it names are spoken.
        provider: Who speaks: espeak on this machine, or a service or server by its kind.
        server: The base URL of the provider's API, where it is not the vendor's own; several of one's own, which speak
            alike, are parted by commas.
        model: A model of the provider; empty takes its default.
        voice: A voice of the provider, by its name; empty takes the provider's voice for the language.
        language: A language tag such as en-us, vi or cmn; empty takes the language of the voice.
        speed: How fast to speak; 1.0 is normal.
        style: How to speak, where the provider can be told.
        loudness: The loudness of each clip in LUFS.
        workers: The most calls at one time; 0 takes all that the plan allows.
        plan: The plan of the accounts whose keys come from the environment; empty takes the provider's default.
        deadline: How long after its start the run may wait for keys that are at their limits, such as 90m or 12h; empty
            waits as long as it takes.
        budget: What the run may spend, in USD at list prices: it stops before the call that might go beyond. 0 is no
            bound.
        fallback: Voices to go on with, in order, where the first will not speak a cell; each is written as
            provider:voice@model=server, where all but the provider may be left out, and they are parted by commas.
        suspects: What becomes of a clip that stands out from its voice twice: keep it, flagged, or fail.
        allow_gaps: Call the run done although cells failed for good; they have no file.
        shelf: Where finished speech is kept for this run and others, which may share it: a folder, or a bucket as
            s3://bucket/folder; empty takes this machine's own.
        fresh: Speak everything anew, also what is on the shelf or in the output.

    Raises:
        BadInput: The table or a parameter is wrong; nothing was spoken.
        Unfinished: Some cells failed for good; all others have their clips.
    """
    started, progress = time.monotonic(), WATCHED.get() or Progress()
    progress.run = str(flow_run.id)
    check_options(loudness, workers, base_url)
    until = started + seconds(deadline)
    ledger = Ledger(home() / "ledger" / f"{flow_run.id}.jsonl", budget)
    made = CellOutput(await storage_for(output), source, format, loudness, base_url)

    def told() -> dict[str, str | float | None]:
        """What `speech runs` shows of a run besides its progress."""
        return {"source": source, "where": made.storage.place(made.manifest_json), "cost_usd": ledger.billed_usd}

    async with (
        studio.opened(ledger, progress, told, shelf=shelf, plans={provider: plan}, deadline=until, fresh=fresh) as room,
        writing(made.storage, format, loudness, progress, get_run_logger().warning) as writer,
    ):
        progress.stage = "reading"
        run = Role(Voice(provider, voice, language, model, speed, style), server)
        table = await tabulate(source, await source_storage(source), fields=fields, update=update)
        cast, named = await read_cast(voices, run), await read_only(only, source)
        wanted = wanted_of(table, run, cast, fields, type, named_by, language_field, only=named)
        words = words_of(table, wanted, format)
        await aside(made.check, words.cells)
        spoken = [cell for cell in words.cells if not cell.empty]
        company = await engaged({cell.role: None for cell in spoken}, fallback, room)
        earlier = await aside(made.earlier)
        before = {} if fresh else await aside(made.standing, spoken, company.voices, earlier.rows, suspects)
        missing = [cell for cell in spoken if cell.file not in before]
        document = document_of(table, missing)
        parts = writer.listening(
            parts_of(document, missing, company.speakers), missing, room.shelf, claimed=earlier.rows
        )
        get_run_logger().info("%d cells, of which %d are to be made", len(spoken), len(missing))
        progress.stage = "speaking"
        progress.total, progress.reused = len(before), len(before)
        say = partial(voiced, store=room.store, workers=workers, policy=suspects)
        # What a run cannot go on with, an empty account or a budget, is a failure of its cells: the others are written.
        takes = await say(parts, patient=True)
        takes = await company.said_by_others(document, takes, missing, say)
        progress.stage = "writing"
        files = await write(sealed(missing), sealed(takes), sealed(writer))
        rows = cell_rows(words.cells, takes, files, before, made, costs_usd(ledger.entries))
        settings = {name: flow_run.parameters[name] for name in SETTINGS}
        kept = Run(progress.run, settings, progress.calls, progress.retries, ledger)
        facts = cell_summary(table, rows, run.voice, takes, kept, len(before), made.owner)
        now = await aside(made.earlier, earlier)  # others may have written meanwhile
        whole = await aside(with_earlier, rows, words, now.rows, made)
        failed = cell_manifest(sealed(whole), sealed(facts), made)
        back = await put_back(table, sealed(addresses_of(whole))) if update else None
        await publish_units(takes, made.storage.place(made.manifest_csv))
        progress.stage = "done"
    voiced_list = word_list(facts, rows, made, failed=failed, table=back, elapsed_s=time.monotonic() - started)
    if voiced_list.failures and not allow_gaps:
        raise Unfinished(voiced_list)
    return voiced_list


async def voice_frame(frame: pd.DataFrame, fields: str, name: str = "words", **options: Any) -> WordList:
    """The same for a DataFrame, which is called by this name; what it returns knows the frame.

    `options` are the parameters of `voice_wordlist`. Raises BadInput, and Unfinished, whose `words` know it, too.
    """
    if options.pop("update", False):
        raise BadInput("a DataFrame is not written back: take the `frame` of what this returns")
    source = await aside(kept_frame, frame, name)
    try:
        words: WordList = await voice_wordlist(source, fields, **options)
    except Unfinished as error:
        error.words._frame = frame  # noqa: SLF001 - no field: it need not go to Prefect
        raise
    words._frame = frame  # noqa: SLF001 - the same
    return words
