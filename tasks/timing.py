"""Speech comes when it is wanted: texts one paragraph after another, cues at their own starts."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from prefect.logging import get_run_logger

from blocks.speech import BadInput
from tasks.clips import Clip, Failure, Take
from tasks.document import Document
from tasks.fit import Overlaps, Policy, fit_cues, refused
from tasks.hurry import faster_parts, hurries, said_faster
from tasks.subtitles import check_apart, check_strict
from tasks.timeline import Timeline, choose_rate, lay_out
from tasks.voicing import Part

FASTEST = 3.0
"""Nobody follows faster speech."""


@dataclass(frozen=True, slots=True)
class Timing:
    """The words of `flows.narrate`: what becomes of speech that has no time."""

    mode: Literal["auto", "cues", "sequence"]
    fit: Policy
    fastest: float
    squeeze: Literal["speak", "stretch"]
    overlaps: Overlaps
    gaps: bool
    """Whether what has no speech may be silence."""
    speed: float
    """The run's, which tells how long such a silence is."""

    def check(self) -> None:
        """Raises BadInput."""
        if not 1 <= self.fastest <= FASTEST:
            raise BadInput(f"a highest rate of {self.fastest} is not to be had: name one from 1 to {FASTEST:g}")

    def keeps(self, document: Document) -> bool:
        """Whether the cues of this document have their own times."""
        return document.timed and self.mode != "sequence"

    def check_cues(self, document: Document, *, strict: bool) -> None:
        """Refuse, before any call, cues that must not be as they are. Raises BadInput."""
        if self.mode == "cues" and not document.timed:
            raise BadInput(
                f"{document.source} has no cues to tell when to speak: give an .srt or .vtt file, or leave --timing out"
            )
        if strict:
            check_strict(document)
        if self.overlaps == "fail" and self.keeps(document):
            check_apart(document)


async def in_time(
    document: Document,
    takes: Sequence[Take],
    timing: Timing,
    parts: Sequence[Part],
    say: Callable[..., Awaitable[list[Take]]],
) -> tuple[list[Take], Timeline | None]:
    """The takes, those that are too long for their windows said faster where that is wanted, and where each is heard.

    There is no timeline where a take has no speech and no gap is allowed, and where a cue does not fit that must.
    """
    if not timing.keeps(document):
        return list(takes), _sequence(takes, timing) if _enough(takes, timing) else None
    takes, sped = _from_the_start(document, takes), dict[int, float]()
    if not any(isinstance(take.outcome, Clip) for take in takes):
        return takes, None
    if timing.squeeze == "speak":
        factors = hurries(takes, _cues(document, takes, timing, sped), timing.fastest)
        faster = await faster_parts(takes, {part.speaker.voice: part.speaker for part in parts}, factors)
        if faster:
            get_run_logger().info("%d cues are too long for their windows: they are said faster", len(factors))
            takes, sped = said_faster(takes, await _said_again(faster, say), timing.fastest)
            takes = _from_the_start(document, takes)
    timeline = _cues(document, takes, timing, sped)
    takes = refused(takes, timeline, timing.fit)
    if not _enough(takes, timing):
        return takes, None
    return takes, _cues(document, takes, timing, sped) if timing.fit == "fail" else timeline


async def _said_again(parts: Sequence[Part], say: Callable[..., Awaitable[list[Take]]]) -> list[Take]:
    """What fails here is no failure of the run: the first takes stand."""
    takes, progress = await say(parts, patient=True), parts[0].speaker.progress
    failed = len({(take.chunk.text, take.voice) for take in takes if isinstance(take.outcome, Failure)})
    progress.total -= failed
    progress.failed = max(0, progress.failed - failed)
    return takes


def _from_the_start(document: Document, takes: Sequence[Take]) -> list[Take]:
    """The takes, those of a film's very first moment without the soft beginning that has no place before it."""
    begun, kept = set[int](), []
    for take in takes:
        window, clip = document.segments[take.chunk.segment].window, take.outcome
        if window and window.index not in begun and isinstance(clip, Clip):
            room = window.start_ms * clip.sample_rate // 1000
            start = max(clip.speech_start, clip.onset - room)
            take = replace(take, outcome=replace(clip, speech_start=start))  # noqa: PLW2901  the same take, cut closer
        begun |= {window.index} if window else set()
        kept.append(take)
    return kept


def _enough(takes: Sequence[Take], timing: Timing) -> bool:
    """Whether a recording is to be made of them: none has failed, or not all where gaps are allowed."""
    spoken = [isinstance(take.outcome, Clip) for take in takes]
    return all(spoken) or (timing.gaps and any(spoken))


def _sequence(takes: Sequence[Take], timing: Timing) -> Timeline:
    return lay_out(takes, choose_rate(takes), gaps=timing.gaps, speed=timing.speed)


def _cues(document: Document, takes: Sequence[Take], timing: Timing, sped: Mapping[int, float]) -> Timeline:
    """What has failed takes no time yet: it may still be a gap."""
    until_ms = max((cue.window.end_ms for cue in document.omissions if cue.window), default=0)
    return fit_cues(
        document.segments,
        takes,
        choose_rate(takes),
        policy=timing.fit,
        overlaps=timing.overlaps,
        fastest=timing.fastest,
        gaps=True,
        sped=sped,
        until_ms=until_ms,
        speed=timing.speed,
    )
