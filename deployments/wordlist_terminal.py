"""`speech wordlist`: its command line, which is the form of the flow `voice_wordlist`."""

from typing import Annotated, Literal

from cyclopts import Parameter

from deployments.answers import tell


def wordlist(
    source: Annotated[str, Parameter(name="TABLE")],
    *,
    fields: str = "",
    output: str = "speech",
    audio_format: Annotated[Literal["mp3", "opus", "flac", "wav"], Parameter("--format")] = "mp3",
    row_type: Annotated[str, Parameter("--type")] = "",
    named_by: str = "",
    language_field: str = "",
    voices: str = "",
    update: Annotated[bool, Parameter(["--update", "--update-json", "--update-table"])] = False,
    base_url: str = "",
    only: str = "",
    provider: str = "espeak",
    server: list[str] | None = None,
    model: str = "",
    voice: str = "",
    language: str = "",
    speed: float = 1.0,
    style: str = "",
    loudness: float = -19.0,
    workers: Annotated[int, Parameter(["--workers", "--concurrency"])] = 0,
    plan: str = "",
    deadline: str = "",
    budget: float = 0.0,
    fallback: str = "",
    suspects: Literal["keep", "fail"] = "keep",
    allow_gaps: bool = False,
    shelf: str = "",
    fresh: bool = False,
    dry_run: bool = False,
    as_json: Annotated[bool, Parameter("--json")] = False,
) -> int:
    """Speak the cells of a table, each into a file of its own, OUTPUT/type/word/field.mp3, and list them in a manifest.

    Parameters
    ----------
    source
        A .csv, .tsv, .json, .jsonl or .parquet file, or its URL (file://, s3://).
    fields
        The fields to speak, parted by commas; each may name its language and its voice, as in
        word, definition@en=Katie, meaning@ja. In JSON translations.ja.word leads into an object.
    output
        The folder for the clips and their manifest, or a bucket: s3://bucket/folder.
    audio_format
        The format of the clips.
    row_type
        The types of rows to speak, parted by commas: a table has a field of this name, or is parted by types, as JSON
        can be; empty takes all.
    named_by
        The field that names the folder of a row; empty takes the first one of those to speak.
    language_field
        A field that tells the language of each row.
    voices
        The voices of languages or fields, as ja=Yuki, definition=cartesia:Brad, or a .json or .toml file of such pairs;
        everything else is spoken in the voice below.
    update
        Write the table back, with the address of each clip, and all else in it as it was.
    base_url
        What the addresses begin with, such as https://cdn.example.org/audio; empty takes the places of the files.
    only
        A failures.csv of an earlier run: only the cells that it names are spoken.
    provider
        Who speaks: espeak on this machine, or a service or server by its kind.
    server
        The base URL of the provider's API, where it is not the vendor's own; several of one's own, which speak
        alike, are parted by commas. Or each has a --server of its own.
    model
        A model of the provider; empty takes its default.
    voice
        A voice of the provider, by its name; empty takes the provider's voice for the language.
    language
        A language tag such as en-us, vi or cmn; empty takes the language of the voice.
    speed
        How fast to speak; 1.0 is normal.
    style
        How to speak, where the provider can be told.
    loudness
        The loudness of each clip in LUFS.
    workers
        The most calls at one time; 0 takes all that the plan allows.
    plan
        The plan of the accounts whose keys come from the environment; empty takes the provider's default.
    deadline
        How long after its start the run may wait for keys that are at their limits, such as 90m or 12h; empty
        waits as long as it takes.
    budget
        What the run may spend, in USD at list prices: it stops before the call that might go beyond. 0 is no bound.
    fallback
        Voices to go on with, in order, where the first will not speak a cell; each is written as
        provider:voice@model=server, where all but the provider may be left out, and they are parted by commas.
    suspects
        What becomes of a clip that stands out from its voice twice: keep it, flagged, or fail.
    allow_gaps
        Call the run done although cells failed for good; they have no file. The exit code is then 3.
    shelf
        Where finished speech is kept for this run and others, which may share it: a folder, or a bucket as
        s3://bucket/folder; empty takes this machine's own.
    fresh
        Speak everything anew, also what is on the shelf or in the output.
    dry_run
        Tell what would be done, and call nobody.
    as_json
        End stdout with one JSON object.
    """
    from deployments.wordlists import preview_list, voice_list

    options = {
        "fields": fields,
        "output": output,
        "format": audio_format,
        "type": row_type,
        "named_by": named_by,
        "language_field": language_field,
        "voices": voices,
        "update": update,
        "base_url": base_url,
        "only": only,
        "provider": provider,
        "server": ",".join(server or []),
        "model": model,
        "voice": voice,
        "language": language,
        "speed": speed,
        "style": style,
        "loudness": loudness,
        "workers": workers,
        "plan": plan,
        "deadline": deadline,
        "budget": budget,
        "fallback": fallback,
        "suspects": suspects,
        "allow_gaps": allow_gaps,
        "shelf": shelf,
        "fresh": fresh,
    }
    return tell([(preview_list if dry_run else voice_list)(source, options)], as_json=as_json)
