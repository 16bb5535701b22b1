"""The contract between this house and whoever speaks: Voice and text in, Audio out, and what may go wrong.

SpeechError
├── BadInput              the source, an option or an output place is wrong: nothing was called, nothing was paid
│   └── BadVoice          the provider has no such voice, language, model or speed: no other text will go better
├── CallFailed            one call to a provider gave no speech; who is at fault:
│   ├── BadText           this text, whoever reads it: say it in smaller pieces or not at all
│   ├── Refused           this text with this provider, which will not say it
│   ├── NotSpeech         nobody knows: the answer arrived, but it is not the whole speech of the text
│   ├── BadKey            the key: it is wrong, revoked or suspended
│   ├── Forbidden         the key, for this voice, model or feature only
│   ├── AccountExhausted  the account: it has no credit
│   │   └── DayQuotaUsed  or its quota of the day is used up, which comes back by itself
│   ├── RateLimited       the account: too many calls in a minute; it is not the call's failure
│   │   └── Crowded       or too many at one time
│   ├── ProviderFailed    the provider: it is down, busy or broken; the same call may go well next time
│   │   └── EngineFailed  an engine on this machine, which crashed or hung
│   ├── Unreachable       the network, before anything was sent
│   └── Unanswered        the network, after the call was sent: it may have been billed
└── RunFailed             everything that could be done is done and kept, and something is still missing
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Protocol

from blocks.plans import Plan


class SpeechError(Exception):
    """Anything that this application tells a person in one line."""


class BadInput(SpeechError):
    """The message names the thing that is wrong, where it stands, and the remedy."""


class BadVoice(BadInput):
    pass


class Billed(StrEnum):
    """Whether a failed call cost money."""

    NO = "no"
    YES = "yes"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Usage:
    """What a provider says it billed for one call, in the units of its price list: characters, credits or tokens."""

    input: int = 0
    output: int = 0


class CallFailed(SpeechError):
    """Never holds a key, nor a text or an answer at length."""

    def __init__(
        self,
        message: str,
        *,
        billed: Billed = Billed.NO,
        wait_s: float | None = None,
        request_id: str = "",
        usage: Usage | None = None,
    ) -> None:
        super().__init__(message)
        self.billed = billed
        self.usage = usage
        self.wait_s = wait_s
        """How long the provider asks to be left alone, seconds from now; None if it does not tell."""
        self.request_id = request_id
        """The provider's name for the call, for its support."""


class BadText(CallFailed):
    pass


class Refused(CallFailed):
    pass


class NotSpeech(CallFailed):
    """The message is the measurement that refused the audio."""


class BadKey(CallFailed):
    pass


class Forbidden(CallFailed):
    pass


class AccountExhausted(CallFailed):
    pass


class DayQuotaUsed(AccountExhausted):
    pass


class RateLimited(CallFailed):
    pass


class Crowded(RateLimited):
    pass


class ProviderFailed(CallFailed):
    pass


class EngineFailed(ProviderFailed):
    pass


class Unreachable(CallFailed):
    pass


class Unanswered(CallFailed):
    """Its `billed` is unknown."""


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
    """How to say it, in the provider's terms."""
    server: str = ""
    """Host, port and path of a server of one's own, which may call other speech by the same names."""


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
    usage: Usage | None = None
    """None where the provider does not tell."""
    in_flight: int | None = None
    """Calls at one time that the provider says it allows the account."""


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
