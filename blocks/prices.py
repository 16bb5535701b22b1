"""What a provider charges: list prices with their date and source, for estimates and for the ledger.

A dated table goes stale: the manifest names the date beside every sum. Nothing here stops or starts a call.
"""

import math
from dataclasses import dataclass

from blocks.speech import Usage, Voice

LONGEST, EDGES_S = 2.0, 1.0
"""Speech takes at most so many times as long as its text lets expect, and so much more for its silent edges."""


@dataclass(frozen=True, slots=True)
class Price:
    """What a million units cost, in USD; speech is billed by what goes in, by what comes out, or by both."""

    unit: str
    """`character`, `credit` or `token`."""
    input: float
    output: float = 0.0
    per_character: float = 1.0
    """Units that a character of text comes to, as far as it can be told beforehand."""
    per_s: tuple[float, float] = (0.0, 0.0)
    """Units that a second of speech comes to, at least and at most."""
    cheapest: float = 1.0
    """Of the price, what the largest published plan pays."""
    dated: str = ""
    source: str = ""

    @property
    def listed(self) -> str:
        """Source and date."""
        return f"{self.source} {self.dated}".strip()

    def estimate(self, text: str, speech_s: float) -> Usage:
        """At most, for a call of which the provider tells nothing."""
        return Usage(math.ceil(len(text) * self.per_character), math.ceil(speech_s * self.per_s[1]))

    def most_usd(self, text: str, speech_s: float) -> float:
        """What a call may come to: a text may take longer to say than is expected of it."""
        return self.usd(self.estimate(text, LONGEST * speech_s + EDGES_S))

    def usd(self, usage: Usage) -> float:
        """At the dearest published plan."""
        return (usage.input * self.input + usage.output * self.output) / 1e6

    def range_usd(self, characters: int, speech_s: float) -> tuple[float, float]:
        """What texts of so many characters cost, at least and at most, when every call goes well."""
        low, high = (
            (characters * self.per_character * self.input + speech_s * per_s * self.output) / 1e6
            for per_s in self.per_s
        )
        return low * self.cheapest, high


FREE = Price("character", 0.0, source="no one charges for it")
LOCAL = ("espeak", "kokoro", "say", "piper", "f5")
"""They speak on machines of one's own."""
_GEMINI, _GEMINI_PER_S = "2026-11, list of the LiteLLM project", (32.0, 40.0)
_GEMINI_2, _OPENAI = "2025-12, ai.google.dev/gemini-api/docs/pricing", "2026-04, platform.openai.com/docs/pricing"
_ELEVENLABS = "2026-06, elevenlabs.io/pricing/api"


def _tokens(listed: str, text: float, speech: float, per_s: tuple[float, float]) -> Price:
    dated, source = listed.split(", ", 1)
    return Price("token", text, speech, per_character=0.3, per_s=per_s, dated=dated, source=source)


def _characters(listed: str, price: float, unit: str = "character", per: float = 1.0, cheapest: float = 1.0) -> Price:
    dated, source = listed.split(", ", 1)
    return Price(unit, price, per_character=per, cheapest=cheapest, dated=dated, source=source)


PRICES: dict[str, dict[str, Price]] = {
    "gemini": {
        "gemini-3.8-flash-tts": _tokens(_GEMINI, 0.5, 9.0, _GEMINI_PER_S),
        "gemini-3.8-flash-lite-tts": _tokens(_GEMINI, 0.5, 6.0, _GEMINI_PER_S),
        "gemini-2.5-flash-preview-tts": _tokens(_GEMINI_2, 0.5, 10.0, _GEMINI_PER_S),
        "gemini-2.5-pro-preview-tts": _tokens(_GEMINI_2, 1.0, 20.0, _GEMINI_PER_S),
    },
    # A credit for a character: 100,000 of them for 5 USD (Pro), 8 million for 299 USD (Scale).
    "cartesia": {"": _characters("2026-07, cartesia.ai/pricing", 50.0, "credit", cheapest=0.75)},
    "elevenlabs": {
        "": _characters(_ELEVENLABS, 100.0, "credit"),
        "eleven_flash": _characters(_ELEVENLABS, 100.0, "credit", per=0.5),
        "eleven_turbo": _characters(_ELEVENLABS, 100.0, "credit", per=0.5),
    },
    "openai": {
        "tts-1": _characters(_OPENAI, 15.0),
        "tts-1-hd": _characters(_OPENAI, 30.0),
        # 0.015 USD a minute, which is 21 tokens a second; one bill that was looked into had 20.
        "gpt-4o-mini-tts": _tokens(_OPENAI, 0.6, 12.0, (19.0, 23.0)),
    },
}
"""By provider, and by how the model's name begins; the longest beginning counts."""


def price_of(voice: Voice) -> Price | None:
    """None where it is not known: a model that is not in the table, or somebody's server that speaks OpenAI's API."""
    if voice.provider in LOCAL:
        return FREE
    if voice.provider == "openai" and voice.server:
        return None
    listed = PRICES.get(voice.provider, {})
    known = [beginning for beginning in listed if voice.model.startswith(beginning)]
    return listed[max(known, key=len)] if known else None
