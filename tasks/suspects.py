"""Which clips stand out from the others of their voice: too short or too long for their text, or in another voice.

Providers answer 200 with a third of the speech, with samples of another rate, or with the voice that they fall back
to. Nothing in one such clip is wrong; beside the others it is. So each clip is measured against the run's median.

Another voice of the same pitch is not found, nor is a cut in a text that the voice says slowly anyway.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median, median_high

from tasks.clips import Clip, Take
from tasks.pace import PER_S, spoken_length
from tasks.verify import SHORT_TEXT

LEAST = 8
"""Clips that a voice has to be known by, before one of them can stand out."""
PACES = (0.55, 2.0)
"""The time a text takes, as a share of what it should take at the voice's pace."""
SHORT_PACES, NAMED = (0.25, 2.2), 16
"""The same for a word alone, which may take as long as a name of so many letters besides: `w` is a double u."""
BRIEF = 8
"""Lengths below which nothing is too short: a letter may be a tap."""
PITCH = 0.22
"""How far from its voice's pitch a clip may be, in nepers: a quarter higher, a fifth lower."""
LIVELY = 4.0
"""Spreads of a voice that varies its pitch more than this."""
SETTLED = 1.2
"""A clip of an earlier run was judged then, among others: it has to stand out by so much more to be judged anew."""


@dataclass(frozen=True, slots=True)
class Usual:
    """How a voice speaks, over all clips of a run."""

    pace: float
    """Letters a second, as `spoken_length` counts them."""
    short_pace: float
    """The same of words alone."""
    pitch_hz: float
    """0 where it cannot be told."""
    spread: float
    """Of the pitch, in nepers: as a standard deviation, but deaf to outliers."""
    known: bool
    """By LEAST clips; by fewer, only a word that runs away stands out."""

    def oddity(self, text: str, clip: Clip) -> tuple[float, str]:
        """How far a clip stands out, where more than 1 is too far; and what was measured."""
        short, length = _letters(text) < SHORT_TEXT, spoken_length(text)
        expected_s = length / (self.short_pace if short else self.pace)
        took = math.log(clip.speech_s / expected_s)
        if (short and took < 0 and length < BRIEF) or (not self.known and (took < 0 or not short)):
            return 0.0, ""
        low, high = (SHORT_PACES[0], SHORT_PACES[1] + NAMED / length) if short else PACES
        in_time = took / math.log(high if took > 0 else low)
        told = f"{clip.speech_s:.1f} s, where this voice takes about {expected_s:.1f} s for such a text"
        if short or not (clip.pitch_hz and self.pitch_hz):  # a word alone may be said at any pitch
            return in_time, told
        apart = abs(math.log(clip.pitch_hz / self.pitch_hz)) / max(PITCH, LIVELY * self.spread)
        if in_time >= apart:
            return in_time, told
        return apart, f"a pitch of {clip.pitch_hz:.0f} Hz, where this voice has {self.pitch_hz:.0f} Hz"


def usual(clips: Mapping[str, Clip]) -> Usual | None:
    """How the voice of these clips speaks, by their texts; None where there are none to tell by.

    Of a few clips most may run away: the voice is taken to be ordinary, or as slow as they are.
    """
    if not clips:
        return None
    paces = {text: spoken_length(text) / clip.speech_s for text, clip in clips.items()}
    if len(clips) < LEAST:
        pace = min(PER_S, median_high(paces.values()))
        return Usual(pace, pace, 0.0, 0.0, known=False)
    whole = [pace for text, pace in paces.items() if _letters(text) >= SHORT_TEXT]
    short = [pace for text, pace in paces.items() if _letters(text) < SHORT_TEXT]
    pitches = [clip.pitch_hz for clip in clips.values() if clip.pitch_hz]
    pitch = median(pitches) if len(pitches) >= LEAST else 0.0
    spread = 1.4826 * median(abs(math.log(one / pitch)) for one in pitches) if pitch else 0.0
    pace, short_pace = (median(some if len(some) >= LEAST else paces.values()) for some in (whole, short))
    return Usual(pace, short_pace, pitch, spread, known=True)


def suspects(takes: Iterable[Take]) -> dict[str, str]:
    """What is odd, by its text, about each clip that stands out; all takes are of one voice."""
    clips = {take.chunk.text: take.outcome for take in takes if isinstance(take.outcome, Clip)}
    voice = usual(clips)
    if voice is None:
        return {}
    judged = {text: (clip, *voice.oddity(text, clip)) for text, clip in clips.items()}
    return {text: told for text, (clip, far, told) in judged.items() if far > (SETTLED if clip.reused else 1.0)}


def _letters(text: str) -> int:
    return sum(not character.isspace() for character in text)
