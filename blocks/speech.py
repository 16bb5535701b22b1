"""The contract between this house and whoever speaks: Voice and text in, Audio out, and what may go wrong.

SpeechError
├── BadInput          the source, an option or an output place is wrong: nothing was called, nothing was paid
│   └── BadVoice      the provider has no such voice, language, model or speed
├── CallFailed        one call to a provider gave no speech
│   ├── BadText       this text is at fault, whoever reads it: say it in smaller pieces or not at all
│   ├── NotSpeech     the answer arrived, but it is not the whole speech of the text
│   └── EngineFailed  the provider is at fault (crash, time-out): the same call may go well next time
└── RunFailed         everything that could be done is done and kept, and something is still missing
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from blocks.plans import Plan


class SpeechError(Exception):
    """Anything that this application tells a person in one line."""


class BadInput(SpeechError):
    """The message names the thing that is wrong, where it stands, and the remedy."""


class BadVoice(BadInput):
    pass


class CallFailed(SpeechError):
    pass


class BadText(CallFailed):
    pass


class NotSpeech(CallFailed):
    """The message is the measurement that refused the audio."""


class EngineFailed(CallFailed):
    pass


class RunFailed(SpeechError):
    pass


@dataclass(frozen=True, slots=True)
class Voice:
    """All that changes how a text sounds: two equal voices give interchangeable clips."""

    provider: str
    name: str = ""
    """As the provider spells it; empty asks for the provider's default of the language."""
    language: str = ""
    """A BCP 47 tag; empty asks for the language of the named voice."""
    model: str = ""
    speed: float = 1.0
    """A factor: 2.0 speaks twice as fast."""
    style: str = ""


@dataclass(frozen=True, slots=True)
class Offer:
    """A voice that a provider has."""

    name: str
    language: str
    """A BCP 47 tag."""
    description: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that one request may carry; both hold at once."""

    characters: int
    bytes: int
    """Of the text in UTF-8."""


@dataclass(frozen=True, slots=True)
class Audio:
    """What one call brought: one whole, self-describing sound file."""

    data: bytes
    format: Literal["wav", "flac", "mp3", "ogg"]
    request_id: str = ""


class Provider(Protocol):
    """One vendor, server or engine. It knows nothing of segments, keys on other accounts, or timelines."""

    name: str
    plan: Plan
    """What bounds the calls in flight; its tag is what the lanes hold slots of."""
    limits: Limits
    call_s: float
    """How long an ordinary call takes, seconds: tells how many task runs a run may have a second."""

    async def voices(self) -> Sequence[Offer]: ...

    async def resolve(self, voice: Voice) -> Voice:
        """The voice with every default filled in, spelt canonically, so that equal speech has an equal Voice.

        Raises BadVoice for a voice, language, model or speed that the provider does not have.
        """
        ...

    async def synthesise(self, text: str, voice: Voice) -> Audio:
        """Speak one text that keeps the limits, in a voice from `resolve`. Raises CallFailed."""
        ...

    async def close(self) -> None: ...
