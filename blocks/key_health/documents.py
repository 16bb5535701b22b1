"""Named states as the text that a store keeps: `[version, state]` in JSON."""

import re
from collections.abc import Callable
from types import GenericAlias
from typing import Any, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from blocks.speech import BadInput

VERSION = 1
"""Rises when what is written can no longer be read by the release before."""
KEPT_EVENTS = 5000
LOST = "only the health of keys is lost, no speech"

_VERSION = re.compile(rb"\[(\d{1,9}),")
_ADAPTERS: dict[type, TypeAdapter[tuple[int, Any]]] = {}

S = TypeVar("S")
R = TypeVar("R")


class States:
    """States as they were last changed here, beside their texts: most often nobody else has written meanwhile.

    To parse one takes longer than all the rest of a change. May be used from one thread.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[bytes, Any]] = {}

    def changed(
        self, name: str, raw: bytes | None, kind: type[S], change: Callable[[S, float], R], now: float, where: str
    ) -> tuple[R, bytes | None]:
        """The answer of the change, and what is to be written; None where nothing became different.

        `raw` is what the store holds under this name, None for nothing; `where` names it for a person.
        """
        known = self._known.pop(name, None)  # a change that raises may have left it altered
        state: S = known[1] if known and known[0] == raw and type(known[1]) is kind else loaded(raw, kind, where)
        before = text(state) if raw is None else raw
        answer = change(state, now)
        after = text(state)
        self._known[name] = after, state
        return answer, None if after == before else after


def loaded(raw: bytes | None, kind: type[S], where: str) -> S:
    """Raises BadInput for what is damaged or was written by a newer version."""
    if raw is None:
        return kind()
    version = _VERSION.match(raw)
    if version and int(version[1]) > VERSION:
        raise BadInput(newer(where))
    try:
        state: S = _adapter(kind).validate_json(raw)[1]
    except ValidationError:  # its text would hold what is stored, at length
        raise BadInput(damaged(where)) from None
    return state


def text(state: object) -> bytes:
    return _adapter(type(state)).dump_json((VERSION, state))


def newer(where: str) -> str:
    return f"{where} was written by a newer version of speech-flows: update this one, or delete it; {LOST}."


def damaged(where: str) -> str:
    return f"{where} is damaged: delete it; {LOST}."


def _adapter(kind: type) -> TypeAdapter[tuple[int, Any]]:
    if kind not in _ADAPTERS:
        shape: Any = GenericAlias(tuple, (int, kind))
        # Without the constants, an infinite deadline would be written as null, and never be read again.
        _ADAPTERS[kind] = TypeAdapter(shape, config=ConfigDict(ser_json_inf_nan="constants"))
    return _ADAPTERS[kind]
