"""Each fault of the emulator does on the wire what its name says, as a vendor's client would see it."""

import concurrent.futures
import email.utils
import io
import random
import time
from collections.abc import Callable, Iterator

import httpx
import numpy as np
import pytest
import soundfile

from tests.emulator.faults import GOOD
from tests.emulator.fixture import Emulator
from tests.emulator.samples import ask, decoded, heard, sample
from tests.emulator.vendors import VENDORS

TEXT = "Good morning to all of you, and a good day."
SERVED = ("cartesia", "gemini", "piper")
"""Chunked, JSON and plain: the faults are the same for all."""


@pytest.fixture
def http(emulator: Emulator) -> Iterator[httpx.Client]:
    # To read the certificates that TLS would need takes longer than most of these tests.
    with httpx.Client(base_url=emulator.url, timeout=20, trust_env=False, verify=False) as client:
        yield client


@pytest.fixture
def play(emulator: Emulator, http: httpx.Client) -> Callable[..., httpx.Response]:
    """`play("cartesia", "third")` is the answer to one call with that fault."""

    def played(provider: str, fault: str, **rule) -> httpx.Response:
        emulator.script(provider, {"fault": fault, **rule})
        return ask(http, provider, TEXT)

    return played


@pytest.mark.parametrize("provider", VENDORS)
def test_every_row_of_the_error_tables(provider: str, emulator: Emulator, play):
    """Each row comes with its status, its words in the vendor's envelope, and no bill."""
    emulator.settings(fast=True)
    for name, row in VENDORS[provider].rows.items():
        answer = play(provider, name)
        assert answer.status_code == row.status
        said = answer.text if provider == "piper" else str(answer.json())
        assert row.code in said
        assert row.message[:30] in said.replace("\\'", "'")
        entry = emulator.ledger()[-1]
        assert (entry["outcome"], entry["billed"], entry["units"]) == (name, False, 0)


def test_retry_after(play):
    """An error asks for its wait as whole seconds, decimals, a date or milliseconds."""
    asked = {
        form: play("cartesia", "concurrency_limited", retry_after=form, seconds=2.5).headers
        for form in ("int", "decimal", "date", "ms")
    }
    assert asked["int"]["retry-after"] == "2"
    assert asked["decimal"]["retry-after"] == "2.500"
    until = email.utils.parsedate_to_datetime(asked["date"]["retry-after"]).timestamp()
    assert -1 <= until - time.time() <= 3
    assert asked["ms"]["retry-after-ms"] == "2500"


def test_gemini_quotas(play):
    """RetryInfo comes with quota ids; a full day asks for as short a wait as a full minute, and may hide beside it."""
    details = play("gemini", "quota_both", seconds=18).json()["error"]["details"]
    quotas = [violation["quotaId"] for violation in details[0]["violations"]]
    assert ["PerMinute" in quotas[0], "PerDay" in quotas[1]] == [True, True]
    assert details[1]["retryDelay"] == "18s"
    assert (
        play("gemini", "quota_day", seconds=20.04466179).json()["error"]["details"][1]["retryDelay"] == "20.04466179s"
    )
    assert "details" not in play("gemini", "quota_bare").json()["error"]
    assert play("gemini", "internal", envelope="list").json()[0]["error"]["code"] == 500


def test_old_envelopes(play):
    """Cartesia's plain text, ElevenLabs' legacy status, its 401 that is no key's fault, and its validator's list."""
    assert play("cartesia", "model_not_found", envelope="old").text == "Model not found: Model not found."
    legacy = play("elevenlabs", "concurrent_limit_exceeded", envelope="old").json()["detail"]
    assert (legacy["status"], "code" in legacy) == ("too_many_concurrent_requests", False)
    quota = play("elevenlabs", "quota_exceeded")
    assert (quota.status_code, quota.json()["detail"]["status"]) == (401, "quota_exceeded")
    assert isinstance(play("elevenlabs", "unprocessable").json()["detail"], list)


@pytest.mark.parametrize("provider", SERVED)
def test_cut_bodies(provider: str, emulator: Emulator, http: httpx.Client, play):
    """A body that is cut is noticed by the client in two framings, and in the third it is a quiet 200 with half."""
    whole = ask(http, provider, TEXT).content
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
        play(provider, "cut_length")
    with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
        play(provider, "cut_chunked")
    quiet = play(provider, "cut_close", at=1_000)
    assert (quiet.status_code, len(quiet.content)) == (200, 1_000)
    assert abs(len(play(provider, "cut_close").content) - len(whole) / 2) < 50
    assert [entry["billed"] for entry in emulator.ledger()] == [True] * 5


@pytest.mark.parametrize(
    ("fault", "error", "billed"),
    [
        ("hang", httpx.ReadTimeout, True),
        ("hang_midway", httpx.ReadTimeout, True),
        ("no_reply", httpx.RemoteProtocolError, False),
        ("reset", httpx.ReadError, False),
        ("reset_midway", httpx.ReadError, True),
    ],
)
def test_broken_connections(fault: str, error: type[Exception], billed: bool, emulator: Emulator, http, play):
    """A call that hangs or breaks ends as its name says, and is no longer in flight once the client has left."""
    http.timeout = httpx.Timeout(0.5 if "hang" in fault else 20)
    with pytest.raises(error):
        play("openai", fault, times=1)
    http.timeout = httpx.Timeout(20)
    assert ask(http, "openai", TEXT).status_code == 200
    assert [entry["billed"] for entry in emulator.ledger()] == [billed, True]
    assert emulator.state()["accounts"]["openai"]["account-1"]["in_flight"] == 0


def test_drips(emulator: Emulator, http: httpx.Client):
    """A slow body arrives whole and in many pieces, later than a total deadline would allow, with each read quick."""
    whole = ask(http, "piper", TEXT).content
    emulator.script("piper", {"fault": "drip", "at": len(whole) // 8, "seconds": 0.06})
    wanted = sample("piper", TEXT)
    began = time.monotonic()
    with http.stream("POST", f"/piper{wanted.path}", json=dict(wanted.body)) as answer:
        pieces = list(answer.iter_raw())
    assert b"".join(pieces) == whole
    assert len(pieces) >= 8
    assert time.monotonic() - began > 0.4


@pytest.mark.parametrize("fault", sorted(GOOD))
def test_good_speech_that_looks_odd(fault: str, http: httpx.Client, play):
    """What is listed as good is the whole speech, however it is wrapped."""
    whole = heard("gemini", ask(http, "gemini", TEXT))
    odd = heard("gemini", play("gemini", fault, at=100_000, seconds=0.001))
    assert odd.seconds == pytest.approx(whole.seconds, abs=0.01)
    assert odd.samples.std() == pytest.approx(whole.samples.std(), rel=0.1)


@pytest.mark.parametrize("provider", SERVED)
def test_wrong_speech(provider: str, http: httpx.Client, play):
    """200 with a header, a third, silence, noise, a loop, another voice or rate, measured in the sound itself."""
    whole = heard(provider, ask(http, provider, TEXT))
    assert len(heard(provider, play(provider, "header_only")).samples) == 0
    assert heard(provider, play(provider, "third")).seconds == pytest.approx(whole.seconds / 3, abs=0.01)
    silence = heard(provider, play(provider, "silence"))
    assert (silence.seconds, np.abs(silence.samples).max()) == (whole.seconds, 0)
    noise = heard(provider, play(provider, "noise"))
    assert noise.seconds == pytest.approx(whole.seconds, abs=0.01)
    assert np.abs(np.corrcoef(noise.samples[1:], noise.samples[:-1])[0, 1]) < 0.05
    assert heard(provider, play(provider, "looped")).seconds == pytest.approx(5 * whole.seconds, abs=0.01)
    other = heard(provider, play(provider, "fallback_voice"))
    assert abs(other.samples).max() > 1_000
    assert other.samples.tobytes() != whole.samples.tobytes()
    honest = heard(provider, play(provider, "other_rate"))
    assert (honest.rate, honest.seconds) == (16_000, pytest.approx(whole.seconds, abs=0.01))
    shrill = heard(provider, play(provider, "wrong_rate"))
    assert (shrill.rate, shrill.seconds) == (whole.rate, pytest.approx(whole.seconds * 2 / 3, abs=0.01))


def test_wrong_containers(http: httpx.Client, play):
    """A header alone is 44 bytes; endless sizes hold good speech; MP3 comes under the name of WAV; and no sound."""
    whole = ask(http, "openai", TEXT).content
    assert len(play("openai", "header_only").content) == 44
    endless = play("openai", "streamed_sizes").content
    assert (endless[4:8], endless[40:44], endless[44:]) == (b"\xff" * 4, b"\xff" * 4, whole[44:])
    mp3 = play("edge", "mp3_as_wav")
    assert (mp3.headers["content-type"], soundfile.info(io.BytesIO(mp3.content)).format) == ("audio/wav", "MP3")
    assert (play("openai", "empty").status_code, play("openai", "empty").content) == (200, b"")
    assert play("openai", "json").json() == {"status": "queued"}
    assert play("openai", "html").text.startswith("<!DOCTYPE html>")


def test_gemini_answers_without_speech(emulator: Emulator, play):
    """200: finishReason OTHER is billed, a blocked prompt is not, MAX_TOKENS is cut, two parts are good speech."""
    other = play("gemini", "finish_other").json()
    assert (other["candidates"][0]["finishReason"], other["candidates"][0]["content"]) == ("OTHER", {})
    assert other["usageMetadata"]["candidatesTokenCount"] > 0
    blocked = play("gemini", "blocked").json()
    assert ("candidates" in blocked, blocked["promptFeedback"]) == (False, {"blockReason": "PROHIBITED_CONTENT"})
    assert [entry["billed"] for entry in emulator.ledger()] == [True, False]
    two = play("gemini", "two_parts")
    assert len(two.json()["candidates"][0]["content"]["parts"]) == 2
    half = heard("gemini", play("gemini", "max_tokens")).seconds
    assert heard("gemini", two).seconds == pytest.approx(2 * half, abs=0.01)
    assert "text" in play("gemini", "text_part").json()["candidates"][0]["content"]["parts"][0]


def test_scripts_choose_their_calls(emulator: Emulator, http: httpx.Client):
    """Rules hold for each nth call, for a word, for one account, a number of times; the first that holds is played."""
    emulator.settings(fast=True)

    def statuses(*texts: str, key: str = "test-key-1") -> list[int]:
        return [ask(http, "cartesia", text, key=key).status_code for text in texts]

    emulator.script("cartesia", {"fault": "internal", "every": 3})
    assert statuses(*"abcdef") == [200, 200, 500, 200, 200, 500]
    emulator.script(
        "cartesia", {"fault": "bad_request", "contains": "poison"}, {"fault": "unauthorized", "account": "account-2"}
    )
    assert statuses("good", "a poison pill") == [200, 400]
    assert statuses("good", "a poison pill", key="test-key-2") == [401, 400]
    emulator.script("*", {"fault": "reset", "on": "list", "times": 1})
    with pytest.raises(httpx.ReadError):
        http.get("/piper/voices")
    assert http.get("/piper/voices").status_code == 200
    with pytest.raises(ValueError, match="cartesia has no fault 'finish_other'"):
        emulator.script("cartesia", {"fault": "finish_other"})


def test_probability_knows_no_order(emulator: Emulator, http: httpx.Client):
    """A seeded fault meets the same texts in any order of calls, about as often as it should, and not each time."""
    emulator.settings(fast=True)
    texts = [f"sentence {number}" for number in range(60)]

    def failed(order: list[str]) -> set[str]:
        emulator.script("f5", {"fault": "internal", "probability": 0.2, "seed": 7})
        return {text for text in order if ask(http, "f5", text).is_error}

    first = failed(texts)
    assert failed(random.sample(texts, len(texts))) == first
    assert 4 <= len(first) <= 22
    again = {text for text in first if ask(http, "f5", text).is_error}
    assert again < first


def test_the_bill_counts_every_call_once(emulator: Emulator, http: httpx.Client):
    """Under mixed faults and eight calls at a time, the ledger has a row for each call, and bills the 200s alone."""
    emulator.settings(fast=True, plans={"elevenlabs": "scale"})
    faults = ("system_busy", "empty", "third")
    emulator.script("elevenlabs", *({"fault": fault, "probability": 0.15, "seed": 3} for fault in faults))
    texts = [f"the text of number {number}" for number in range(80)]
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda text: ask(http, "elevenlabs", text), texts))
    ledger = emulator.ledger()
    assert sorted(entry["text"] for entry in ledger) == sorted(texts)
    billed = {entry["id"] for entry in ledger if entry["billed"]}
    assert billed == {answer.headers["request-id"] for answer in answers if answer.status_code == 200}
    assert {entry["outcome"] for entry in ledger} == {"ok", *faults}
    account = emulator.state()["accounts"]["elevenlabs"]["account-1"]
    assert (account["billed"], account["calls"]) == (len(billed), 80)
    assert 1 < account["most_in_flight"] <= 8
    assert account["units"] == sum(entry["units"] for entry in ledger)
    assert all(decoded(answer.content).seconds > 0.2 for answer in answers if answer.content[:4] == b"RIFF")
