"""The emulator is a fair stand-in: its wire formats, limits and bill are what the vendors' documents say."""

import base64
import concurrent.futures
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.emulator.fixture import Emulator
from tests.emulator.samples import ask, decoded, heard, sample
from tests.emulator.vendors import VENDORS

KEYED = [name for name, vendor in VENDORS.items() if vendor.keyed]
TEXT = "Good morning to all of you."


@pytest.fixture
def http(emulator: Emulator) -> Iterator[httpx.Client]:
    # To read the certificates that TLS would need takes longer than most of these tests.
    with httpx.Client(base_url=emulator.url, timeout=20, trust_env=False, verify=False) as client:
        yield client


@pytest.mark.parametrize("provider", VENDORS)
def test_speaks(provider: str, emulator: Emulator, http: httpx.Client):
    """Every provider answers its plain request with real speech, bills it once, and names the text and the account."""
    answer = ask(http, provider, TEXT)
    assert answer.status_code == 200
    sound = heard(provider, answer)
    assert 0.8 < sound.seconds < 3
    assert abs(sound.samples).max() > 3_000
    (entry,) = emulator.ledger(provider)
    account = "account-1" if provider in KEYED else "anyone"
    assert (entry["text"], entry["outcome"], entry["billed"]) == (TEXT, "ok", True)
    assert (entry["account"], entry["status"]) == (account, 200)
    assert entry["units"] > 0


@pytest.mark.parametrize("provider", VENDORS)
def test_lists(provider: str, emulator: Emulator, http: httpx.Client):
    """The free call lists something, costs nothing, and tells a wrong key from a good one."""
    probe = sample(provider, "")
    assert http.get(f"/{provider}{probe.listing}", headers=dict(probe.headers)).json()
    wrong = http.get(f"/{provider}{probe.listing}", headers=dict(sample(provider, "", "stolen").headers))
    assert wrong.status_code == ((400 if provider == "gemini" else 401) if provider in KEYED else 200)
    assert emulator.ledger() == []


@pytest.mark.parametrize(
    ("provider", "status", "word"),
    [
        ("gemini", 400, "API_KEY_INVALID"),
        ("cartesia", 401, "Unauthorized"),
        ("elevenlabs", 401, "invalid_api_key"),
        ("openai", 401, "invalid_api_key"),
    ],
)
def test_refuses_a_wrong_key(provider: str, status: int, word: str, emulator: Emulator, http: httpx.Client):
    """A key that nobody holds is refused in the vendor's words, and not billed."""
    answer = ask(http, provider, key="stolen")
    assert (answer.status_code, word in answer.text) == (status, True)
    assert [entry["billed"] for entry in emulator.ledger()] == [False]


def test_gemini_2_5(http: httpx.Client):
    """The older models answer headerless PCM, refuse the newer style field, and obey a style in the text unspoken."""
    body = dict(sample("gemini", TEXT).body)
    old = "/gemini/v1beta/models/gemini-2.5-flash-preview-tts:generateContent"
    key = {"x-goog-api-key": "test-key-1"}
    answer = http.post(old, json=body, headers=key)
    part = answer.json()["candidates"][0]["content"]["parts"][0]["inlineData"]
    assert part["mimeType"] == "audio/L16;codec=pcm;rate=24000"
    plain = base64.b64decode(part["data"])
    assert not plain.startswith(b"RIFF")
    body["contents"] = [{"parts": [{"text": f"Say in a calm and warm voice: {TEXT}"}]}]
    assert heard("gemini", http.post(old, json=body, headers=key)).samples.tobytes() == plain
    body["contents"] = [{"parts": [{"text": TEXT, "speechMetadata": {"style": "calm"}}]}]
    refused = http.post(old, json=body, headers=key)
    assert refused.status_code == 400
    assert 'Unknown name "speechMetadata"' in refused.json()["error"]["message"]


def test_gemini_3_8_reads_instructions_aloud(http: httpx.Client):
    """The newer models speak the text as it is, and lose what stands between angle brackets."""
    plain = heard("gemini", ask(http, "gemini", TEXT)).seconds
    assert heard("gemini", ask(http, "gemini", f"Say in a calm and warm voice: {TEXT}")).seconds > plain + 1
    assert heard("gemini", ask(http, "gemini", f"<this is a tag> {TEXT}")).seconds == pytest.approx(plain, abs=0.1)


def test_cartesia_formats(http: httpx.Client):
    """Cartesia's containers and rates come as asked, and old clients get their errors as plain text."""
    raw = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 16_000}
    wav = {"container": "wav", "encoding": "pcm_s16le", "sample_rate": 16_000}
    headerless, whole = (ask(http, "cartesia", output_format=wanted).content for wanted in (raw, wav))
    assert whole[44:] == headerless
    assert decoded(whole).rate == 16_000
    mp3 = {"container": "mp3", "bit_rate": 128_000, "sample_rate": 44_100}
    assert ask(http, "cartesia", output_format=mp3).headers["content-type"] == "audio/mpeg"
    wanted = sample("cartesia", TEXT)
    old = {**wanted.headers, "Cartesia-Version": "2025-04-16"}
    refused = http.post("/cartesia/tts/bytes", headers=old, json={**wanted.body, "model_id": "sonic-1"})
    assert (refused.status_code, refused.text) == (404, "Model not found: Model sonic-1 not found.")
    assert ask(http, "cartesia", locale="en-GB").status_code == 400


def test_elevenlabs_headers(http: httpx.Client):
    """A success tells the request's id and how many calls may be in flight; flash models may have twice as many."""
    headers = ask(http, "elevenlabs").headers
    assert headers["request-id"]
    assert (headers["current-concurrent-requests"], headers["maximum-concurrent-requests"]) == ("1", "5")
    assert ask(http, "elevenlabs", model_id="eleven_flash_v2_5").headers["maximum-concurrent-requests"] == "10"
    missing = http.post("/elevenlabs/v1/text-to-speech/21m00Tcm4TlvDq8ikWAM", headers={"xi-api-key": "test-key-1"})
    assert (missing.status_code, missing.json()["detail"][0]["loc"]) == (422, ["body", "text"])


def test_piper_falls_back_in_silence(http: httpx.Client):
    """Piper speaks an unknown voice's text in its default voice, and calls all of it HTML."""
    answer = ask(http, "piper", voice="nobody")
    assert answer.content == ask(http, "piper").content
    assert answer.headers["content-type"].startswith("text/html")
    assert decoded(answer.content).rate == 22_050
    assert "<html" in ask(http, "piper", "").text


def test_kokoro_fails_late(emulator: Emulator, http: httpx.Client):
    """A late failure is a cut where the answer is streamed, and a plain 500 where it is not."""
    emulator.script("kokoro", {"fault": "late_failure"})
    with pytest.raises(httpx.RemoteProtocolError):
        ask(http, "kokoro")
    assert ask(http, "kokoro", stream=False).json()["detail"]["error"] == "processing_error"


def test_f5_takes_forms(http: httpx.Client):
    """F5's useful shapes: JSON, a form or a query, on any path, give the same speech; a reference gives it a voice."""
    spoken = [http.post("/f5/tts", json={"gen_text": TEXT}), http.post("/f5/a/b", data={"text": TEXT})]
    spoken += [http.get("/f5/synthesize_speech/", params={"text": TEXT})]
    assert {answer.content for answer in spoken} == {ask(http, "f5", TEXT).content}
    whose = base64.b64encode(b"RIFF").decode()
    imitated = [http.post("/f5/synthesize", data={"text": TEXT}, files={"ref_audio": ("me.wav", b"RIFF")})]
    imitated += [http.post("/f5/synthesize", json={"text": TEXT, "ref_audio": whose})]
    assert imitated[0].content == imitated[1].content != spoken[0].content


def test_keys_of_one_account_share_its_limit(emulator: Emulator, http: httpx.Client):
    """Calls in flight count per account: two keys of one account have one limit, and the most that was seen is told."""
    emulator.settings(plans={"cartesia": "free"}, latency_s=0.5, fast=True)
    keys = ["family-key-1", "family-key-2"] * 2 + ["test-key-1"] * 2
    with concurrent.futures.ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(lambda key: ask(http, "cartesia", key=key), keys))
    refused = [answer.json()["error_code"] for answer in answers if answer.status_code == 429]
    assert refused == ["concurrency_limited"] * 2
    accounts = emulator.state()["accounts"]["cartesia"]
    assert (accounts["family"]["most_in_flight"], accounts["account-1"]["most_in_flight"]) == (2, 2)
    assert (accounts["family"]["refused"], accounts["family"]["in_flight"]) == (2, 0)
    assert {entry["key"] for entry in emulator.ledger()} == {"family#1", "family#2", "account-1#1"}


def test_minutes_days_and_credits(emulator: Emulator, http: httpx.Client):
    """A full minute and a full day are told apart by quota id, a day's RetryInfo misleads, and time renews both."""
    emulator.settings(plans={"gemini": "-/1/2", "openai": "-/-/-/30"}, fast=True)

    def quota() -> list[str]:
        details = ask(http, "gemini").json().get("error", {}).get("details", [{}, {}])
        return [violation["quotaId"].split("Per")[1] for violation in details[0].get("violations", [])]

    assert [quota(), quota()] == [[], ["Minute"]]
    emulator.settings(forward_s=61)
    assert [quota(), quota()] == [[], ["Day"]]
    assert ask(http, "gemini").json()["error"]["details"][1]["retryDelay"] == "18s"
    emulator.settings(forward_s=86_400)
    assert quota() == []
    statuses = [ask(http, "openai").status_code for _ in range(3)]
    assert statuses == [200, 200, 429]  # 27 characters each: the third finds 54 of 30 spent
    assert ask(http, "openai").json()["error"]["code"] == "insufficient_quota"


def test_bills_what_the_client_gave_up(emulator: Emulator, http: httpx.Client):
    """A call whose client leaves while the provider works is billed all the same, and then no longer in flight."""
    emulator.settings(latency_s=1.5)
    http.timeout = httpx.Timeout(0.2)
    with pytest.raises(httpx.ReadTimeout):
        ask(http, "cartesia")
    assert emulator.state()["accounts"]["cartesia"]["account-1"]["in_flight"] == 1
    end = time.monotonic() + 30
    while not emulator.ledger() and time.monotonic() < end:
        time.sleep(0.05)
    assert [entry["billed"] for entry in emulator.ledger()] == [True]
    assert emulator.state()["accounts"]["cartesia"]["account-1"]["in_flight"] == 0


def test_fast_mode_is_plausible(emulator: Emulator, http: httpx.Client):
    """Babble lasts about as long as speech would, and is neither silent nor constant."""
    emulator.settings(fast=True)
    sound = heard("openai", ask(http, "openai", "word " * 40))
    assert 10 < sound.seconds < 20
    assert sound.samples.std() > 1_000


def test_ends_with_its_parent_and_on_sigterm():
    """No emulator outlives the process that holds its stdin, and SIGTERM ends it with status 0."""
    command = [sys.executable, "-m", "tests.emulator", "--port", "0"]
    for number in (None, signal.SIGTERM):
        root = Path(__file__).parents[1]
        with subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout
            assert process.stdout.readline().startswith(b"http://127.0.0.1:")
            if number is None:
                process.communicate(timeout=10)  # which closes its stdin
            else:
                process.send_signal(number)
            assert process.wait(10) == 0
