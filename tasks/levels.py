"""How loud each voice of a recording is, so that one is not heard louder than another."""

from collections.abc import Mapping, Sequence
from statistics import median

from blocks.speech import Voice
from tasks.clips import Clip, Take

MOST_GAIN_DB = 12.0
HEADROOM_DBFS = -0.5


def gains_db(takes: Sequence[Take]) -> Mapping[Voice | None, float]:
    """How much louder each voice has to be, so that all are heard as loud as the first; clips do not overflow."""
    levels: dict[Voice | None, list[Clip]] = {}
    for take in takes:
        if isinstance(take.outcome, Clip):
            levels.setdefault(take.voice, []).append(take.outcome)
    if None not in levels:
        return dict.fromkeys(levels, 0.0)
    wanted = median(clip.rms_dbfs for clip in levels[None])
    return {voice: _gain_db(clips, wanted) if voice else 0.0 for voice, clips in levels.items()}


def _gain_db(clips: Sequence[Clip], wanted: float) -> float:
    own, peak = median(clip.rms_dbfs for clip in clips), max(clip.peak_dbfs for clip in clips)
    return max(-MOST_GAIN_DB, min(MOST_GAIN_DB, wanted - own, HEADROOM_DBFS - peak))
