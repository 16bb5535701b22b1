"""Other voices to go on with, where the first will not speak: they say whole paragraphs, never a part of one."""

import re
from collections.abc import Sequence
from dataclasses import replace

from blocks.providers import check_name
from blocks.speech import BadInput, Limits, RunFailed, Voice
from tasks.chunk import split_text
from tasks.clips import Clip, Failure, Take
from tasks.document import Chunk, Document
from tasks.speak import Speaker
from tasks.synthesise import find_on_shelf

_SPEC = re.compile(r"(?P<provider>[^:@=]+)(?::(?P<voice>[^@=]*))?(?:@(?P<model>[^=]*))?(?:=(?P<server>\S+))?")


def spares(text: str, first: Voice) -> list[tuple[Voice, str]]:
    """The voices of a list such as `cartesia:Katie@sonic-3, piper=http://gpu:5000`, each with its server.

    They speak the language of the first, and at its speed. Raises BadInput.
    """
    return [wanted_voice(entry, first) for entry in filter(None, (part.strip() for part in text.split(",")))]


def wanted_voice(spec: str, like: Voice) -> tuple[Voice, str]:
    """The voice of `provider:voice@model=server`, in the language and at the speed of another; and its server.

    Raises BadInput.
    """
    parts = _SPEC.fullmatch(spec)
    if not parts:
        raise BadInput(f"{spec!r} is no voice: write it as provider:voice@model=server")
    check_name(parts["provider"])
    voice = Voice(parts["provider"], parts["voice"] or "", like.language, parts["model"] or "", like.speed)
    return voice, parts["server"] or ""


def unsaid(document: Document, takes: Sequence[Take], limits: Limits, language: str) -> list[Chunk]:
    """The paragraphs that are not whole, in chunks for another voice."""
    open_segments = sorted({take.chunk.segment for take in takes if isinstance(take.outcome, Failure)})
    return [
        Chunk(text, index, boundary)
        for index in open_segments
        for text, boundary in split_text(
            document.segments[index].text, limits, language, document.segments[index].boundary
        )
    ]


def said_instead(takes: Sequence[Take], others: Sequence[Take], voice: Voice) -> list[Take]:
    """The takes with every paragraph that the other voice has said whole in its words."""
    spoken: dict[int, list[Take]] = {}
    for take in others:
        spoken.setdefault(take.chunk.segment, []).append(replace(take, voice=voice, instead=True))
    whole = {
        segment: parts for segment, parts in spoken.items() if all(isinstance(part.outcome, Clip) for part in parts)
    }
    kept = [take for take in takes if take.chunk.segment not in whole]
    return sorted([*kept, *(part for parts in whole.values() for part in parts)], key=lambda take: take.chunk.segment)


def takes_left(chunks: Sequence[Chunk], speaker: Speaker, error: RunFailed) -> list[Take]:
    """What stands on the shelf of a run that could not go on, and why the rest does not."""
    found = find_on_shelf(chunks, speaker.voice, speaker.shelf)
    failure = Failure(type(error).__name__, str(error), 0)
    return [Take(chunk, found.get(chunk.text) or failure) for chunk in chunks]
