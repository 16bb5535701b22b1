"""Everybody who speaks a word list: a voice for each role, and who goes on where that one will not."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from blocks.speech import Voice
from tasks.casting import Role
from tasks.clips import Take
from tasks.document import Document
from tasks.fallback import spares
from tasks.speak import Speaker
from tasks.studio import Studio
from tasks.voicing import said_by_others
from tasks.wordlist import Cell


@dataclass(frozen=True, slots=True)
class Voices:
    speakers: Mapping[Role, Speaker]
    others: Mapping[Role, Sequence[Speaker]]
    """In the language of the role, in the order in which they are asked."""

    @property
    def voices(self) -> dict[Role, Voice]:
        return {role: speaker.voice for role, speaker in self.speakers.items()}

    @property
    def has_others(self) -> bool:
        return any(self.others.values())

    async def said_by_others(
        self,
        document: Document,
        takes: Sequence[Take],
        cells: Sequence[Cell],
        say: Callable[..., Awaitable[list[Take]]],
    ) -> list[Take]:
        """The takes, with each cell that is not whole said by the first of its role's others that says it whole.

        The segments of the document are the cells.
        """
        said: list[Take] = []
        for role, others in self.others.items():
            theirs = [take for take in takes if cells[take.chunk.segment].role == role]
            said += await said_by_others(document, theirs, others, say)
        return sorted(said, key=lambda take: take.chunk.segment)


async def engaged(roles: Iterable[Role], fallback: str, room: Studio) -> Voices:
    """Raises BadInput for a voice that is not to be had."""
    speakers = {role: await room.speaker(role.voice, role.server) for role in dict.fromkeys(roles)}
    others = {
        role: [await room.speaker(*spare) for spare in spares(fallback, speaker.voice)]
        for role, speaker in speakers.items()
    }
    return Voices(speakers, others)
