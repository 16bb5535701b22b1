"""Listings are free: what fails in passing is tried again, and what lasts is told at once."""

import asyncio

import httpx
import pytest

from blocks import listing
from blocks.providers import cartesia, elevenlabs
from blocks.speech import BadInput, CallFailed, ProviderFailed, RateLimited, Voice
from tests.adapters import KEY, Vendor, refusal
from tests.until import until


@pytest.fixture(autouse=True)
def no_time_lost(monkeypatch):
    monkeypatch.setattr(listing, "_PAUSES_S", (0.01, 0.01))


@pytest.mark.parametrize(
    "failure",
    [
        refusal(503, {}),
        refusal(429, {}, retry_after="0"),
        refusal(502, {}),
        httpx.ReadError("reset"),
        httpx.ConnectError("refused"),
        httpx.ReadTimeout(""),
    ],
    ids=repr,
)
async def test_a_listing_that_fails_in_passing_is_asked_for_again(failure):
    """Twice; the third answer counts."""
    asked, good = Listings([failure, failure]), {"data": [{"id": "v-1", "name": "Katie", "language": "en"}]}
    asked.good = good
    provider = cartesia.Cartesia(key=KEY, transport=httpx.MockTransport(asked))
    assert (await provider.resolve(Voice("cartesia"))).name == "v-1"
    assert asked.calls == 3
    asked.failures, asked.calls = [failure] * 9, 0
    with pytest.raises((CallFailed, BadInput)):
        await cartesia.Cartesia(key=KEY, transport=httpx.MockTransport(asked)).voices()
    assert asked.calls == 3


@pytest.mark.parametrize(
    ("answer", "kind", "calls"),
    [
        (refusal(401, {}), BadInput, 1),
        (refusal(403, {}), BadInput, 1),
        (refusal(404, {}), BadInput, 1),
        (refusal(402, {}), CallFailed, 1),
        (refusal(503, {}, retry_after="11"), ProviderFailed, 1),
        (refusal(429, {}, retry_after="600"), RateLimited, 1),
        (refusal(429, {}, retry_after="0.01"), RateLimited, 3),
    ],
)
async def test_a_listing_that_will_not_go_better_is_not_asked_for_again(answer, kind, calls):
    """What lasts, or asks for a long wait, ends at once."""
    vendor = Vendor({"/v1/voices": answer})
    with pytest.raises(kind):
        await elevenlabs.ElevenLabs(key=KEY, transport=vendor.transport).voices()
    assert len(vendor.requests) == calls


@pytest.mark.parametrize("failure", [httpx.ReadError(""), httpx.WriteError("")], ids=repr)
async def test_a_port_that_closes_the_door_is_asked_for_its_protocol(failure):
    """A port of TLS may reset what speaks plain HTTP to it: the scheme is questioned."""
    transport = httpx.MockTransport(Listings([failure] * 9))
    with pytest.raises(BadInput, match=r"does this port speak https\? Check --server"):
        await cartesia.Cartesia(key=KEY, transport=transport).voices()


async def test_closing_ends_a_listing_that_waits():
    """No further try after the close."""
    vendor = Vendor({"/v1/voices": refusal(503, {}, retry_after="20")})
    provider = elevenlabs.ElevenLabs(key=KEY, transport=vendor.transport)
    voices = asyncio.create_task(provider.voices())
    await until(lambda: bool(vendor.requests))
    async with asyncio.timeout(10):
        await provider.close()
        with pytest.raises(CallFailed):
            await voices
    assert len(vendor.requests) == 1


class Listings:
    """These failures one after the other, and then a good listing."""

    def __init__(self, failures: list[httpx.Response | Exception]) -> None:
        self.failures = failures
        self.good: object = {}
        self.calls = 0

    def __call__(self, _request: httpx.Request) -> httpx.Response:
        self.calls += 1
        if not self.failures:
            return httpx.Response(200, json=self.good)
        failure = self.failures.pop(0)
        if isinstance(failure, Exception):
            raise failure
        return failure
