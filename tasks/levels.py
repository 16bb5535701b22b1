"""How loud each voice of a recording is, so that one is not heard louder than another."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import median

from blocks.speech import Voice
from tasks.clips import Clip, Take

MOST_GAIN_DB = 12.0
HEADROOM_DBFS = -0.5


def gains_db(takes: Sequence[Take]) -> Mapping[Voice | None, float]:
    """How much louder each voice has to be, so that all are heard as loud as the one heard most; clips do not overflow.

    A voice that says some texts faster is the same voice: how loud it says each is how they are meant.
    """
    levels: dict[Voice | None, list[Clip]] = {}
    for take in takes:
        if isinstance(take.outcome, Clip):
            levels.setdefault(_unhurried(take.voice), []).append(take.outcome)
    if not levels:
        return {}
    most = max(levels, key=lambda voice: sum(clip.speech_s for clip in levels[voice]))
    wanted = median(clip.rms_dbfs for clip in levels[most])
    gains = {voice: 0.0 if voice == most else _gain_db(clips, wanted) for voice, clips in levels.items()}
    return {take.voice: gains[_unhurried(take.voice)] for take in takes if isinstance(take.outcome, Clip)}


def _unhurried(voice: Voice | None) -> Voice | None:
    return voice and replace(voice, speed=1.0)


def _gain_db(clips: Sequence[Clip], wanted: float) -> float:
    own, peak = median(clip.rms_dbfs for clip in clips), max(clip.peak_dbfs for clip in clips)
    return max(-MOST_GAIN_DB, min(MOST_GAIN_DB, wanted - own, HEADROOM_DBFS - peak))
