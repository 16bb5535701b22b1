"""What of a table is spoken, as the parameters of a run tell it: its fields, with their languages and voices."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from blocks.speech import BadInput
from tasks.casting import Role, key_of, role_of
from tasks.table import Table

ADDRESSES = "audio."
"""How the fields begin that a table has got from an earlier run."""
_FORM = "write it as word, definition@en=Katie, meaning@ja: a field, its language, its voice"


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the table that is spoken."""

    name: str
    language: str = ""
    """Of what stands in it; empty is the run's."""
    voice: str = ""
    """As `tasks.casting.role_of` reads it; empty is that of the language, or the run's."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of a table is spoken, and in which voices."""

    fields: tuple[Field, ...]
    run: Role
    voices: Mapping[str, Role]
    """Of fields and languages, by `tasks.casting.key_of`."""
    types: frozenset[str] = frozenset()
    """Empty for all."""
    named_by: str = ""
    """The field that names the rows; empty is the first that is spoken."""
    language_field: str = ""
    """That tells the language of each row; empty for none."""
    only: frozenset[str] | None = None
    """Files, without their suffix; None for all."""


def fields_of(told: str, known: Sequence[str]) -> tuple[Field, ...]:
    """From `word, definition@en=Katie`; a field that is called just so comes first. Raises BadInput."""
    fields = tuple(_field(entry, known) for entry in parted(told))
    if not fields:
        there = ", ".join(name for name in known if not name.startswith(ADDRESSES))
        raise BadInput(f"which fields shall be spoken? Name them with --fields; there are {there}")
    names = [field.name for field in fields]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise BadInput(f"fields: {twice} stands there twice: leave one of them out")
    return fields


def parted(told: str) -> list[str]:
    """What stands between commas; what has one in it stands in quotes."""
    return [entry for part in csv.reader([told], skipinitialspace=True) for entry in map(str.strip, part) if entry]


def wanted_of(
    table: Table,
    run: Role,
    voices: Mapping[str, Role],
    fields: str,
    types: str = "",
    named_by: str = "",
    language_field: str = "",
    *,
    only: frozenset[str] | None = None,
) -> Wanted:
    """As the parameters of a run tell it. Raises BadInput."""
    named = frozenset(parted(types))
    return Wanted(fields_of(fields, table.fields), run, voices, named, named_by, language_field, only)


def _field(entry: str, known: Sequence[str]) -> Field:
    if entry in known:
        return Field(entry)
    rest, equals, voice = (part.strip() for part in entry.partition("="))
    name, at, language = (part.strip() for part in rest.partition("@"))
    if not name or (equals and not voice) or (at and not language):
        raise BadInput(f"fields: {entry!r} names no field: {_FORM}")
    return Field(name, language, voice)


def role_for(field: Field, tag: str, wanted: Wanted) -> Role:
    """Who says a field of a row in the language of this tag: the field's voice, the language's, or the run's."""
    run, language = wanted.run, tag or field.language
    keys = (key_of(field.name), key_of(language), key_of(language.split("-", 1)[0]))
    named = next((wanted.voices[key] for key in keys if key in wanted.voices), None)
    if field.voice:
        role = role_of(field.voice, run)
    elif named:
        role = named
    elif language and run.voice.language and _differ(language, run.voice.language):
        role = replace(run, voice=replace(run.voice, name="", language=language))
    else:
        role = run
    return replace(role, voice=replace(role.voice, language=language)) if language else role


def _differ(language: str, other: str) -> bool:
    return language.split("-", 1)[0].casefold() != other.split("-", 1)[0].casefold()
