"""What a provider charges, before and after."""

import pytest

from blocks.prices import LOCAL, PRICES, price_of
from blocks.providers import PROVIDERS
from blocks.speech import Usage, Voice


@pytest.mark.parametrize("provider", sorted(PROVIDERS))
def test_every_provider_has_a_price_or_is_local(provider: str) -> None:
    """A new provider is in the table, or among those that nobody charges for."""
    assert (provider in PRICES) != (provider in LOCAL)


def test_every_price_tells_its_date_and_source() -> None:
    """A number without them could not be checked."""
    for prices in PRICES.values():
        for price in prices.values():
            assert price.dated[:2] == "20"
            assert price.source
            assert price.input > 0


@pytest.mark.parametrize(
    ("provider", "model", "per_million"),
    [
        ("elevenlabs", "eleven_flash_v2_5", 50.0),
        ("elevenlabs", "eleven_multilingual_v2", 100.0),
        ("openai", "tts-1", 15.0),
    ],
)
def test_the_longest_beginning_counts(provider: str, model: str, per_million: float) -> None:
    """A model is priced as its family, and a family as its vendor."""
    price = price_of(Voice(provider, model=model))
    assert price
    assert price.range_usd(1_000_000, 0.0)[1] == pytest.approx(per_million)


def test_what_is_not_known_is_not_guessed() -> None:
    """Neither a model that is not in the table nor somebody's own server has a price."""
    assert price_of(Voice("openai", model="tts-9")) is None
    assert price_of(Voice("openai", model="tts-1", server="127.0.0.1:8880")) is None
    assert price_of(Voice("gemini", model="gemini-9-tts")) is None


def test_a_range_holds_what_is_billed() -> None:
    """A minute of Gemini's speech at 32 to 40 tokens a second; the estimate of one call is the upper bound."""
    price = price_of(Voice("gemini", model="gemini-3.8-flash-tts"))
    assert price
    low, high = price.range_usd(900, 60.0)
    assert low < price.usd(Usage(200, 60 * 34)) < high
    assert price.usd(price.estimate("x" * 900, 60.0)) == pytest.approx(high)


def test_what_a_call_may_come_to_is_more_than_is_expected() -> None:
    """By the character nothing is left open; by the second, speech may take twice as long, and a word has its edges."""
    speech, text = Voice("gemini", model="gemini-3.8-flash-tts"), Voice("cartesia", model="sonic-3")
    for voice, usage in ((speech, Usage(2, 2 * 40 + 40)), (text, Usage(5))):
        price = price_of(voice)
        assert price
        assert price.most_usd("Hello", 1.0) == pytest.approx(price.usd(usage))
