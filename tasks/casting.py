"""Who says what: a map from the speakers of a document to voices, and its chunks in parts, one for each voice."""

import json
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from prefect.logging import get_run_logger

from blocks.bucket import source_storage
from blocks.providers import PROVIDERS, check_name
from blocks.speech import BadInput, Voice
from blocks.storage.threads import aside
from tasks.chunk import chunk
from tasks.document import Document
from tasks.fallback import wanted_voice
from tasks.futures import sealed
from tasks.script import check_script
from tasks.source import decode, read_bytes
from tasks.speak import Speaker
from tasks.studio import Studio
from tasks.voicing import Part

_WORDS = "provider", "voice", "model", "language", "style", "server"
_FIELDS = *_WORDS, "speed"
_FORM = "write it as ANNA=Katie, BOB=cartesia:Brad, or name a .json or .toml file with such pairs"


@dataclass(frozen=True, slots=True)
class Role:
    """The voice of a speaker, and whose server speaks it."""

    voice: Voice
    server: str = ""


def cast_of(told: str, run: Role) -> dict[str, Role]:
    """From `ANNA=Katie, BOB=cartesia:Brad@sonic-3`: a voice of the run's provider, or another's. Raises BadInput."""
    cast: dict[str, Role] = {}
    for entry in filter(None, (part.strip() for part in told.split(","))):
        name, equals, spec = (part.strip() for part in entry.partition("="))
        if not (name and equals and spec):
            raise BadInput(f"speakers: {entry!r} tells no speaker's voice: {_FORM}")
        _add(cast, name, role_of(spec, run), "speakers")
    return cast


def cast_in(data: bytes, place: str, run: Role) -> dict[str, Role]:
    """From a JSON or TOML file: each speaker has a voice, or a table of them. Raises BadInput."""
    text, _ = decode(data, place)
    try:
        pairs = json.loads(text) if place.lower().endswith(".json") else tomllib.loads(text)
    except ValueError as error:
        raise BadInput(f"{place} cannot be read: {error}") from error
    if not isinstance(pairs, dict):
        raise BadInput(f'{place} is no map of speakers to voices: write {{"ANNA": "Katie", …}}')
    cast: dict[str, Role] = {}
    for name, spec in pairs.items():
        if not (isinstance(spec, str | dict) and name.strip() and spec):
            raise BadInput(f"{place}: {name!r} needs a voice: a name, or a table of {', '.join(_FIELDS)}")
        role = role_of(spec, run) if isinstance(spec, str) else _from_table(spec, f"{place}: {name!r}", run)
        _add(cast, name, role, place)
    return cast


async def read_cast(told: str, run: Role) -> dict[str, Role]:
    """By the names of speakers as `key_of` spells them, from a file or from the words themselves. Raises BadInput."""
    if not told.lower().endswith((".json", ".toml")):
        return cast_of(told, run)
    storage = await source_storage(told)
    return cast_in(await aside(read_bytes, told, storage), told, run)


def key_of(speaker: str) -> str:
    """Equal for names that differ in case and spaces only."""
    return " ".join(speaker.split()).casefold()


def roles(document: Document, cast: Mapping[str, Role], run: Role) -> dict[Role, set[int]]:
    """The segments of each role that has any, the run's own first; who is not in the cast is spoken by the run's."""
    found: dict[Role, set[int]] = {run: set()}
    for index, segment in enumerate(document.segments):
        found.setdefault(cast.get(key_of(segment.speaker), run), set()).add(index)
    return {role: segments for role, segments in found.items() if segments}


def of_segments(document: Document, indices: Collection[int]) -> Document:
    return replace(document, segments=tuple(document.segments[index] for index in sorted(indices)))


def uncast(document: Document, cast: Collection[str]) -> tuple[list[str], list[str]]:
    """Speakers of the document that have no voice of their own, and those of the cast that say nothing in it."""
    said = {key_of(segment.speaker): segment.speaker for segment in document.segments if segment.speaker}
    return [name for key, name in said.items() if key not in cast], [key for key in cast if key not in said]


async def cast_parts(
    document: Document, cast: Mapping[str, Role], run: Role, speaker: Speaker, room: Studio
) -> list[Part]:
    """What each voice says, in chunks that fit its requests; `speaker` has the run's own role. Raises BadInput."""
    voiceless, silent = uncast(document, cast)
    if cast and voiceless:
        get_run_logger().warning("Speakers without a voice of their own: %s", ", ".join(voiceless))
    if silent:
        get_run_logger().warning("Speakers that say nothing in this source: %s", ", ".join(silent))
    parts = []
    for role, indices in roles(document, cast, run).items():
        who = speaker if role == run else await room.speaker(role.voice, role.server)
        check_script(of_segments(document, indices), who.voice.language)
        chunks = chunk(sealed(document), who.provider.limits, who.voice.language)
        parts.append(Part([piece for piece in chunks if piece.segment in indices], who))
    return parts


def role_of(spec: str, run: Role) -> Role:
    """A voice's name, which may have a colon in it, is that of the run's provider unless a provider stands before."""
    if spec.partition(":")[0].partition("@")[0].partition("=")[0] in PROVIDERS:
        return Role(*wanted_voice(spec, run.voice))
    return replace(run, voice=replace(run.voice, name=spec))


def _from_table(table: Mapping[str, Any], place: str, run: Role) -> Role:
    for name, value in table.items():
        fits = isinstance(value, str) if name in _WORDS else name == "speed" and type(value) in {int, float}
        if not fits:
            words = ", ".join(_WORDS)
            raise BadInput(f"{place}: {name} = {value!r} is nothing a voice has: it has {words}, and speed, a number")
    provider = table.get("provider", run.voice.provider)
    check_name(provider)
    same = provider == run.voice.provider
    voice = run.voice if same else Voice(provider, speed=run.voice.speed)
    told = {field: value for field, value in table.items() if field not in {"provider", "voice", "server"}}
    voice = replace(voice, name=table.get("voice", ""), **told)
    return Role(voice, table.get("server", run.server if same else ""))


def _add(cast: dict[str, Role], name: str, role: Role, place: str) -> None:
    if key_of(name) in cast:
        raise BadInput(f"{place}: {name} stands there twice: leave one of them out")
    cast[key_of(name)] = role
