"""Each adapter against its vendor's answers as the vendor documents them: the request, the sound, and every refusal."""

import asyncio
import base64
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks.providers import cartesia, elevenlabs, f5, gemini, gemini_blame, gemini_voices, open_provider, openai, piper
from blocks.speech import (
    AccountExhausted,
    BadInput,
    BadKey,
    BadText,
    BadVoice,
    Billed,
    CallFailed,
    Crowded,
    DayQuotaUsed,
    Forbidden,
    NotSpeech,
    Provider,
    ProviderFailed,
    RateLimited,
    Refused,
    SpeechError,
    Unanswered,
    Usage,
    Voice,
)
from tests.adapters import KEY, Vendor, pcm, raised, refusal, sound, told_by, wav

NO, YES, UNKNOWN = Billed.NO, Billed.YES, Billed.UNKNOWN


@dataclass(frozen=True)
class Row:
    """One adapter, and the least that its vendor must answer."""

    name: str
    open: Callable[[Vendor], Provider]
    vendor: Callable[[], Vendor]
    """With a listing, and a good answer."""
    classify: Callable[..., SpeechError]
    voice: Voice
    keyed: bool = True


def openai_vendor() -> Vendor:
    models = {"data": [{"id": "gpt-4o"}, {"id": "tts-1"}, {"id": "gpt-4o-mini-tts"}]}
    return Vendor({"/v1/models": models}, [sound(wav(pcm()), x_request_id="req_1")])


def gemini_answer(
    *parts: bytes, kind: str = "audio/wav", finish: str = "STOP", tokens: int = 16, **more: object
) -> httpx.Response:
    inline = [{"inlineData": {"mimeType": kind, "data": base64.b64encode(part).decode()}} for part in parts]
    candidate = {"content": {"role": "model", "parts": inline} if parts else {}, "finishReason": finish}
    usage = {"promptTokenCount": 3, **({"candidatesTokenCount": tokens} if tokens else {})}
    return httpx.Response(200, json={"candidates": [candidate], "usageMetadata": usage, "responseId": "r-1"} | more)


def gemini_vendor() -> Vendor:
    names = ("gemini-3.8-flash-tts", "gemini-2.5-flash-preview-tts", "gemini-3.8-flash")
    models = {"models": [{"name": f"models/{name}"} for name in names]}
    return Vendor({"/v1beta/models": models}, [gemini_answer(wav(pcm()))])


def piper_vendor() -> Vendor:
    voices = {
        "vi_VN-vais1000-medium": {"language": {"code": "vi_VN"}},
        "en_US-lessac-medium": {"language": {"code": "en_US"}},
        "own": {"espeak": {"voice": "de"}},
    }
    info = {"voice": {"name": "en_US-lessac-medium"}}
    return Vendor({"/voices": voices, "/info": info}, [sound(wav(pcm(rate=22_050), 22_050), "text/html")])


KATIE, KIEFER, LINH = (f"f786b574-daa5-4673-aa0c-cbe3e8534c0{digit}" for digit in "123")


def cartesia_vendor() -> Vendor:
    voices = [
        {"id": LINH, "name": "Linh", "language": "vi", "description": "clear"},
        {"id": KATIE, "name": "Katie", "language": "en", "locales": [{"locale": "en-US"}, {"locale": "es-MX"}]},
        {"id": KIEFER, "name": "Kiefer", "language": "en"},
    ]
    return Vendor({"/voices": {"data": voices, "has_more": False}}, [sound(wav(pcm()), x_request_id="c-1")])


RACHEL, SARAH = "21m00Tcm4TlvDq8ikWAM", "EXAVITQu4vr4xnSDxMaL"


def elevenlabs_vendor() -> Vendor:
    def model(name: str, languages: str, *, speaks: bool = True) -> dict[str, object]:
        known = [{"language_id": language} for language in languages.split()]
        return {"model_id": name, "can_do_text_to_speech": speaks, "languages": known}

    listed = [
        model("eleven_english_sts_v2", "en", speaks=False),
        model("eleven_flash_v2_5", "en de vi"),
        model("eleven_multilingual_v2", "en de"),
    ]
    voices = [
        {"voice_id": RACHEL, "name": "Rachel", "labels": {"accent": "american"}},
        {"voice_id": SARAH, "name": "Sarah"},
    ]
    return Vendor({"/v1/voices": {"voices": voices}, "/v1/models": listed}, [sound(wav(pcm()), request_id="e-1")])


def f5_vendor() -> Vendor:
    return Vendor({"/voices": {"voices": ["default", "linh"]}}, [sound(wav(pcm()))])


ROWS = [
    Row(
        "f5",
        lambda vendor: f5.F5("http://f5:8000", transport=vendor.transport),
        f5_vendor,
        f5.classify,
        Voice("f5", "linh"),
        keyed=False,
    ),
    Row(
        "elevenlabs",
        lambda vendor: elevenlabs.ElevenLabs(key=KEY, transport=vendor.transport),
        elevenlabs_vendor,
        elevenlabs.classify,
        Voice("elevenlabs", "rachel"),
    ),
    Row(
        "cartesia",
        lambda vendor: cartesia.Cartesia(key=KEY, transport=vendor.transport),
        cartesia_vendor,
        cartesia.classify,
        Voice("cartesia", "Katie"),
    ),
    Row(
        "gemini",
        lambda vendor: gemini.Gemini(key=KEY, transport=vendor.transport),
        gemini_vendor,
        gemini_blame.classify,
        Voice("gemini", "Puck"),
    ),
    Row(
        "piper",
        lambda vendor: piper.Piper("http://piper:5000", transport=vendor.transport),
        piper_vendor,
        piper.classify,
        Voice("piper", "en_US-lessac-medium"),
        keyed=False,
    ),
    Row(
        "openai",
        lambda vendor: openai.OpenAI("https://api.openai.com", KEY, transport=vendor.transport),
        openai_vendor,
        openai.classify,
        Voice("openai", "nova"),
    ),
]


@pytest.fixture(params=ROWS, ids=lambda row: row.name)
def row(request) -> Row:
    return request.param


@pytest.fixture
def vendor(row) -> Vendor:
    return row.vendor()


@pytest.fixture
def provider(row, vendor) -> Provider:
    return row.open(vendor)


async def spoken(provider: Provider, voice: Voice, text: str = "Hello there."):
    return await provider.synthesise(text, await provider.resolve(voice))


async def test_it_introduces_itself(row, provider):
    """Name, plan, limits and pace are what lanes and chunker build on."""
    assert provider.name == provider.plan.provider == row.name
    assert provider.plan.in_flight >= 1
    assert provider.limits.bytes >= provider.limits.characters >= 50
    assert provider.call_s > 0


async def test_it_speaks(row, provider):
    """A good answer is a whole sound file with true sizes."""
    audio = await spoken(provider, row.voice)
    assert audio.format == "wav"
    assert audio.data in (wav(pcm()), wav(pcm(rate=22_050), 22_050))


async def test_a_resolved_voice_stays_as_it_is(row, provider):
    """Resolving is idempotent, and every offered voice keeps its name and language."""
    for offer in await provider.voices():
        voice = await provider.resolve(Voice(row.name, name=offer.name))
        assert (voice.name, voice.language) == (offer.name, offer.language)
        assert await provider.resolve(voice) == voice
    voice = await provider.resolve(row.voice)
    assert voice == await provider.resolve(replace(voice, speed=voice.speed + 1e-9))


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "no-such-voice"},
        {"name": "../../etc/passwd"},
        {"language": "xx-XX"},
        {"model": "no-such-model"},
        {"speed": 0.0},
        {"speed": 100.0},
        {"speed": float("nan")},
    ],
    ids=str,
)
async def test_what_it_has_not_is_refused_before_any_paid_call(row, provider, vendor, wrong):
    """A wrong choice is one line that names it, and costs nothing."""
    with pytest.raises(BadVoice) as error:
        await provider.resolve(replace(row.voice, **wrong))
    assert str(next(iter(wrong.values()))) in str(error.value)
    assert "\n" not in str(error.value)
    assert not vendor.paid


@pytest.mark.parametrize("text", ["", "  ", "a\0b", "a\ud800b", "x" * 50_000], ids=lambda text: repr(text[:5]))
async def test_what_cannot_be_sent_is_not_sent(row, provider, vendor, text):
    """Empty, broken and over-long texts are BadText, and cost nothing."""
    with pytest.raises(BadText):
        await spoken(provider, row.voice, text)
    assert not vendor.paid


@pytest.mark.parametrize(
    "body",
    [b"", b'{"error": "x"}', wav(b""), wav(pcm())[:-500], b"\0" * 99],
    ids=lambda body: repr(body[:9]),
)
async def test_a_success_without_speech_is_none(row, vendor, body):
    """Status 200 with nothing, a complaint, a bare head or a cut file is NotSpeech."""
    vendor.answers = [sound(body)]
    with pytest.raises(NotSpeech) as error:
        await spoken(row.open(vendor), row.voice)
    assert "\n" not in str(error.value)


async def test_a_cut_connection_may_have_been_billed(row, vendor):
    """Nothing after the request went out: nobody knows whether it was paid."""
    vendor.answers = [httpx.ReadError("reset")]
    with pytest.raises(Unanswered) as error:
        await spoken(row.open(vendor), row.voice)
    assert error.value.billed is UNKNOWN


async def test_the_key_is_told_to_nobody(row, vendor, caplog):
    """No message, cause, repr, log line or URL holds the key, even where the vendor quotes it."""
    if not row.keyed:
        pytest.skip("it takes no key")
    caplog.set_level(logging.DEBUG)
    quoted = {"error": {"message": f"bad key {KEY}", "code": KEY}, "detail": KEY, "message": KEY, "title": KEY}
    long = quoted | {"more": "x" * 3000}
    for answer in (
        refusal(401, quoted),
        refusal(500, f"<p>{KEY}</p>".encode()),
        httpx.ReadError(f"reset after {KEY}"),
        sound(b"{}"),
        sound(json.dumps(quoted).encode(), x_request_id=KEY, request_id=KEY),
        sound(json.dumps(long).encode(), "application/json", x_request_id=KEY, request_id=KEY),
        sound(json.dumps({"responseId": KEY} | long).encode()),
        sound(f"<p>{KEY}</p>".encode() + b" " * 3000, "text/html"),
        sound((" " * 190 + KEY + "x" * 3000).encode(), "text/plain"),
        refusal(301, b"x" * 3000, location=f"https://host/?key={KEY}"),
    ):
        vendor.answers = [answer]
        provider = row.open(vendor)
        error = await raised(lambda provider=provider: spoken(provider, row.voice))
        assert isinstance(error, CallFailed | BadVoice)
        assert not any(KEY in line for line in told_by(error))
        assert KEY not in f"{provider!r} {vars(provider)!r}"
    assert KEY not in caplog.text
    assert not any(KEY in str(request.url) for request in vendor.requests)


async def test_a_listing_that_quotes_the_key_tells_it_to_nobody(row, vendor):
    """Names out of a list stand in messages and in `speech voices`: none of them is the key, however long the list."""
    if not row.keyed:
        pytest.skip("it takes no key")
    more = ["x" * 40 for _ in range(100)]
    vendor.listings = {
        place: {
            "data": [{"id": f"tts-{KEY}", "name": KEY, "language": "en"}],
            "models": [{"name": f"models/tts-{KEY}"}],
            "voices": [{"voice_id": KEY, "name": KEY, "id": KEY}],
            "more": more,
        }
        for place in vendor.listings
    }
    offers = await row.open(vendor).voices()
    assert KEY not in str(offers)
    for wrong in ({"name": "nobody", "model": ""}, {"model": "nothing"}):
        error = await raised(lambda wrong=wrong: row.open(vendor).resolve(replace(row.voice, **wrong, speed=99)))
        assert not any(KEY in line for line in told_by(error))


def test_a_key_like_none_takes_nothing_out_of_an_answer():
    """What stands for `no key` may be part of a voice's name: lists of one's own server stay as they are."""
    vendor = Vendor({"/v1/audio/voices": {"voices": ["none_sky"]}})
    provider = openai.OpenAI("http://kokoro:8880", "none", vendor.transport)
    assert [offer.name for offer in asyncio.run(provider.voices())] == ["none_sky"]


_WORDS = st.one_of(st.text(max_size=30), st.sampled_from(["quota_exceeded", "insufficient_quota", "API_KEY_INVALID"]))
_JUNK = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), _WORDS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["error", "detail", "message", "code", "status", "details", "violations", "quotaId", "reason", "loc"]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)
_BODIES = st.one_of(
    st.binary(max_size=60), _JUNK.map(lambda junk: httpx.Response(200, json=junk).content if _sane(junk) else b"{")
)
_HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "retry-after",
            "Retry-After-Ms",
            "x-request-id",
            "x-ratelimit-remaining-requests",
            "x-ratelimit-reset-requests",
        ]
    ),
    st.one_of(st.text(max_size=20), st.sampled_from(["0", "6m0s", "3"])),
)


def _sane(junk: object) -> bool:
    try:
        httpx.Response(200, json=junk)
    except ValueError:
        return False
    return True


@settings(max_examples=150, deadline=None)
@given(st.integers(100, 599), _HEADERS, _BODIES)
def test_every_answer_has_one_to_blame(status, headers, body):
    """No status, headers and body are unclassified, by any adapter; waits are sane, messages one line."""
    for row in ROWS:
        blame = row.classify(status, headers, body)
        assert isinstance(blame, CallFailed | BadVoice)
        assert type(blame) is not CallFailed
        assert "\n" not in str(blame)
        assert len(str(blame)) < 500
        if isinstance(blame, CallFailed):
            assert blame.wait_s is None or 0 <= blame.wait_s <= 86_400


async def asked(row_name: str, answer: object) -> BaseException:
    """What one answer to a paid call raises."""
    row = next(row for row in ROWS if row.name == row_name)
    vendor = row.vendor()
    vendor.answers = [answer]
    return await raised(lambda: spoken(row.open(vendor), row.voice))


def check(error: BaseException, kind: type, billed: Billed = NO, wait_s: float | None = None) -> None:
    assert type(error) is kind, repr(error)
    if isinstance(error, CallFailed):
        assert (error.billed, error.wait_s) == (billed, pytest.approx(wait_s) if wait_s is not None else None)


# OpenAI and its compatibles


def complaint(code: str = "", message: str = "No.", kind: str = "", param: str = "") -> dict[str, object]:
    return {"error": {"message": message, "type": kind or None, "param": param or None, "code": code or None}}


@pytest.mark.parametrize(
    ("answer", "kind", "billed", "wait_s"),
    [
        (refusal(400, complaint(kind="invalid_request_error", param="input")), BadText, NO, None),
        (refusal(400, complaint(message="Invalid value: 'x'. Supported: ...", param="voice")), BadVoice, NO, None),
        (refusal(401, complaint("invalid_api_key")), BadKey, NO, None),
        (refusal(403, complaint("unsupported_country_region_territory")), Forbidden, NO, None),
        (refusal(404, complaint("model_not_found")), BadVoice, NO, None),
        (refusal(413, complaint()), BadText, NO, None),
        (refusal(429, complaint("rate_limit_exceeded"), retry_after="3"), RateLimited, NO, 3.0),
        (refusal(429, complaint("rate_limit_exceeded"), retry_after_ms="250"), RateLimited, NO, 0.25),
        (
            refusal(429, complaint(), x_ratelimit_remaining_requests="0", x_ratelimit_reset_requests="6m0.5s"),
            RateLimited,
            NO,
            360.5,
        ),
        (refusal(429, complaint("insufficient_quota", kind="insufficient_quota")), AccountExhausted, NO, None),
        (refusal(429, complaint("", kind="insufficient_quota")), AccountExhausted, NO, None),
        (refusal(400, complaint("content_policy_violation")), Refused, NO, None),
        (refusal(500, complaint(kind="server_error")), ProviderFailed, NO, None),
        (refusal(503, complaint(message="slow down"), retry_after="1.5"), ProviderFailed, NO, 1.5),
        (refusal(502, b"<html>Bad gateway</html>"), ProviderFailed, UNKNOWN, None),
        (refusal(301, b"", location="https://elsewhere"), BadVoice, NO, None),
        # Kokoro-FastAPI
        (
            refusal(
                400, {"detail": {"error": "validation_error", "message": "Voice 'x' not found. Available voices: y"}}
            ),
            BadVoice,
            NO,
            None,
        ),
        (refusal(400, {"detail": {"error": "invalid_model", "message": "Unsupported model"}}), BadVoice, NO, None),
        (refusal(500, {"detail": {"error": "processing_error", "message": "CUDA"}}), ProviderFailed, NO, None),
        # FastAPI's own, openai-edge-tts
        (refusal(422, {"detail": [{"loc": ["body", "speed"], "msg": "too fast"}]}), BadVoice, NO, None),
        (refusal(422, {"detail": [{"loc": ["body", "input"], "msg": "too long"}]}), BadText, NO, None),
        (refusal(404, {"detail": "Model 'x' is not installed locally"}), BadVoice, NO, None),
        (refusal(400, {"error": "Missing 'input' in request body"}), BadText, NO, None),
        (refusal(400, {"error": "Text too long. Available voices read 4096 characters."}), BadText, NO, None),
        (refusal(400, complaint(message="invalid_value: too much for this voice", param="input")), BadText, NO, None),
        (refusal(400, {"error": "Voice 'x' not found. Available voices: y"}), BadVoice, NO, None),
        (refusal(500, {"error": "An Internal Server Error occurred", "details": "403"}), ProviderFailed, NO, None),
    ],
)
async def test_openai_refusals(answer, kind, billed, wait_s):
    """Each documented refusal has its class, its bill and its wait; no credit is never taken for a rate limit."""
    check(await asked("openai", answer), kind, billed, wait_s)


async def test_openai_request():
    """The request is the documented one, with no field that OpenAI does not know."""
    vendor = openai_vendor()
    provider = openai.OpenAI("https://api.openai.com/v1", KEY, transport=vendor.transport)
    audio = await spoken(provider, Voice("openai", "Nova", "vi", "gpt-4o-mini-tts", 1.25, "calm"), "Xin chào [1]")
    assert str(vendor.paid[0].url) == "https://api.openai.com/v1/audio/speech"
    assert vendor.paid[0].headers["authorization"] == f"Bearer {KEY}"
    assert vendor.body == {
        "model": "gpt-4o-mini-tts",
        "input": "Xin chào [1]",
        "voice": "nova",
        "response_format": "wav",
        "speed": 1.25,
        "instructions": "calm",
    }
    assert audio.request_id == "req_1"


async def test_openai_has_voices_by_model():
    """A voice that only the newer model has is refused for the older, and so is a style."""
    provider = openai.OpenAI(key=KEY, transport=openai_vendor().transport)
    assert (await provider.resolve(Voice("openai", "verse"))).model == "gpt-4o-mini-tts"
    for wrong in (Voice("openai", "verse", model="tts-1"), Voice("openai", "nova", model="tts-1", style="calm")):
        with pytest.raises(BadVoice):
            await provider.resolve(wrong)


async def test_openai_snapshots_speak_as_their_model():
    """A dated model has the voices and the style of the one without a date."""
    vendor = Vendor({"/v1/models": {"data": [{"id": "gpt-4o-mini-tts-2025-12-15"}]}}, [sound(wav(pcm()))])
    provider = openai.OpenAI(key=KEY, transport=vendor.transport)
    voice = await provider.resolve(Voice("openai", "verse", style="calm"))
    assert voice.model == "gpt-4o-mini-tts-2025-12-15"
    with pytest.raises(BadVoice):
        await provider.resolve(Voice("openai", "nobody"))


@pytest.mark.parametrize(
    "body", [sound(b"\xff\xfb\x90\x00" + b"\0" * 400), sound(b"ID3\x04" + b"\0" * 400)], ids=["sync", "ID3"]
)
async def test_openai_mp3_under_another_name(body):
    """openai-edge-tts without ffmpeg labels MP3 as WAV: the bytes decide."""
    vendor = openai_vendor()
    vendor.answers = [body]
    assert (
        await spoken(openai.OpenAI("http://edge:5050", transport=vendor.transport), Voice("openai"))
    ).format == "mp3"


async def test_openai_shapes_of_sound():
    """Headerless PCM and streamed WAV become files with true heads."""
    for answer in (sound(pcm(), "audio/pcm"), sound(wav(pcm(), stated=0xFFFFFFFF))):
        vendor = openai_vendor()
        vendor.answers = [answer]
        provider = openai.OpenAI(key=KEY, transport=vendor.transport)
        assert (await spoken(provider, Voice("openai"))).data == wav(pcm())


def kokoro() -> Vendor:
    models = {"data": [{"id": "tts-1"}, {"id": "kokoro"}]}
    voices = {"voices": [{"id": name, "name": name} for name in ("af_bella", "af_sky", "bm_lewis", "zf_xiaobei")]}
    return Vendor({"/v1/models": models, "/v1/audio/voices": voices}, [sound(wav(pcm()))])


async def test_kokoro_is_told_not_to_stream():
    """Kokoro-FastAPI streams, and cuts a stream that fails, unless told not to; its commands in brackets are text."""
    vendor = kokoro()
    provider = openai.OpenAI("http://kokoro:8880", transport=vendor.transport)
    await spoken(provider, Voice("openai", "AF_bella(2)+af_sky"), "Wait [pause:5s] here")
    assert "authorization" not in vendor.paid[0].headers
    assert (vendor.body["model"], vendor.body["voice"]) == ("kokoro", "af_bella(2)+af_sky")
    assert vendor.body["stream"] is False
    assert "[pause" not in str(vendor.body["input"])


async def test_kokoro_voices_speak_their_language_only():
    """The voice's own list decides: a language picks its voice, and a voice refuses another language."""
    provider = openai.OpenAI("http://kokoro:8880", transport=kokoro().transport)
    assert (await provider.resolve(Voice("openai", language="zh-CN"))).name == "zf_xiaobei"
    assert (await provider.resolve(Voice("openai", language="en-GB"))).name == "bm_lewis"
    for wrong in (Voice("openai", language="vi"), Voice("openai", "af_sky", "fr"), Voice("openai", "nova")):
        with pytest.raises(BadVoice):
            await provider.resolve(wrong)
    with pytest.raises(BadVoice, match="af_bella"):
        await provider.resolve(Voice("openai", "af_bela"))


async def test_openai_edge_tts_lists_elsewhere():
    """Microsoft's names tell their language."""
    listings = {
        "/v1/models": {"data": [{"id": "tts-1"}]},
        "/v1/voices/all": {"voices": [{"name": "vi-VN-HoaiMyNeural"}]},
    }
    provider = openai.OpenAI("http://edge:5050", transport=Vendor(listings).transport)
    voice = await provider.resolve(Voice("openai", language="vi"))
    assert (voice.name, voice.language, voice.model) == ("vi-VN-HoaiMyNeural", "vi-VN", "tts-1")


async def test_a_wrong_key_is_known_before_the_first_paid_call():
    """The free listing proves the key: one that is wrong is wrong input, told with its variable."""
    vendor = Vendor({"/v1/models": refusal(401, complaint("invalid_api_key"))})
    with pytest.raises(BadInput, match="check OPENAI_API_KEYS"):
        await openai.OpenAI(key=KEY, transport=vendor.transport).resolve(Voice("openai"))


def test_openai_needs_a_key_only_of_its_own(monkeypatch):
    """A server of one's own may ask for none."""
    monkeypatch.delenv("OPENAI_API_KEYS", raising=False)
    with pytest.raises(SpeechError, match="OPENAI_API_KEYS"):
        open_provider("openai")
    assert open_provider("openai", "http://127.0.0.1:8880").name == "openai"


# Gemini

GOOGLE = "type.googleapis.com/google.rpc."


def google(status: str, message: str = "No.", *details: dict[str, object]) -> dict[str, object]:
    return {"error": {"code": 0, "message": message, "status": status, "details": list(details)}}


def quota(*ids: str, delay: str = "18s") -> dict[str, object]:
    violations = {"@type": f"{GOOGLE}QuotaFailure", "violations": [{"quotaId": name} for name in ids]}
    return google("RESOURCE_EXHAUSTED", "Quota", violations, {"@type": f"{GOOGLE}RetryInfo", "retryDelay": delay})


MINUTE = "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"
DAY = "GenerateRequestsPerDayPerProjectPerModel-FreeTier"


@pytest.mark.parametrize(
    ("answer", "kind", "billed", "wait_s"),
    [
        (
            refusal(400, google("INVALID_ARGUMENT", "API key not valid.", {"reason": "API_KEY_INVALID"})),
            BadKey,
            NO,
            None,
        ),
        (refusal(400, google("INVALID_ARGUMENT", "Voice name Nobody is not supported.")), BadVoice, NO, None),
        (refusal(400, google("INVALID_ARGUMENT", "The input is too long.")), BadText, NO, None),
        (refusal(400, google("INVALID_ARGUMENT", "The text is too long for this voice.")), BadText, NO, None),
        (refusal(400, google("INVALID_ARGUMENT", "Response modalities (TEXT) are not supported.")), BadVoice, NO, None),
        (refusal(400, google("INVALID_ARGUMENT", "Model tried to generate text")), NotSpeech, NO, None),
        (refusal(400, google("FAILED_PRECONDITION", "User location is not supported")), Forbidden, NO, None),
        (refusal(401, google("UNAUTHENTICATED")), BadKey, NO, None),
        (refusal(403, google("PERMISSION_DENIED", "Consumer has been suspended.")), BadKey, NO, None),
        (refusal(404, google("NOT_FOUND", "models/x is not found")), BadVoice, NO, None),
        (refusal(429, quota(MINUTE, delay="20.04466179s")), RateLimited, NO, 20.04466179),
        (refusal(429, [quota(MINUTE, delay="34s")]), RateLimited, NO, 34.0),
        (refusal(429, google("RESOURCE_EXHAUSTED", "Resource has been exhausted.")), RateLimited, NO, 30.0),
        (refusal(429, google("RESOURCE_EXHAUSTED", "Quota exceeded, limit: 0")), Forbidden, NO, None),
        (refusal(500, google("INTERNAL")), ProviderFailed, NO, None),
        (refusal(503, google("UNAVAILABLE")), ProviderFailed, NO, None),
        (refusal(504, google("DEADLINE_EXCEEDED")), ProviderFailed, UNKNOWN, None),
        (gemini_answer(finish="OTHER", tokens=402), NotSpeech, YES, None),
        (gemini_answer(finish="OTHER", tokens=0), NotSpeech, NO, None),
        (gemini_answer(finish="STOP"), NotSpeech, YES, None),
        (gemini_answer(wav(pcm()), finish="MAX_TOKENS"), BadText, YES, None),
        (gemini_answer(wav(pcm()), finish="OTHER"), NotSpeech, YES, None),
        (gemini_answer(finish="SAFETY"), Refused, YES, None),
        (gemini_answer(finish="PROHIBITED_CONTENT", tokens=0), Refused, NO, None),
        (gemini_answer(finish="PUP_LIMITED_DISABLED", tokens=0), Forbidden, NO, None),
        (httpx.Response(200, json={"promptFeedback": {"blockReason": "OTHER"}}), Refused, NO, None),
        (gemini_answer(wav(b"")), NotSpeech, YES, None),
        (sound(gemini_answer(wav(pcm())).content[:9000]), NotSpeech, UNKNOWN, None),
        (sound(b'{"status": "queued"}'), NotSpeech, UNKNOWN, None),
        (gemini_answer(wav(pcm())[:-99]), NotSpeech, YES, None),
    ],
)
async def test_gemini_refusals(answer, kind, billed, wait_s):
    """Each documented refusal, and each empty success, has its class, its bill by the tokens, and its wait."""
    check(await asked("gemini", answer), kind, billed, wait_s)


@pytest.mark.parametrize(
    ("answer", "usage"),
    [
        (gemini_answer(wav(pcm())), Usage(3, 16)),
        (gemini_answer(wav(pcm()), tokens=0), Usage(3, 0)),
        (gemini_answer(finish="OTHER", tokens=402), Usage(3, 402)),
        (gemini_answer(wav(pcm()), finish="MAX_TOKENS"), Usage(3, 16)),
        (gemini_answer(finish="SAFETY"), Usage(3, 16)),
        (gemini_answer(wav(b"")), Usage(3, 16)),
        (gemini_answer(wav(pcm())[:-99]), Usage(3, 16)),
        (gemini_answer(finish="SAFETY", tokens=0), None),
        (gemini_answer(wav(pcm()), usageMetadata={"promptTokenCount": -1, "candidatesTokenCount": "many"}), None),
        (gemini_answer(wav(pcm()), usageMetadata={"promptTokenCount": True, "candidatesTokenCount": 9**99}), None),
        (gemini_answer(wav(pcm()), usageMetadata=None), None),
        (refusal(503, {}), None),
    ],
)
async def test_gemini_tells_its_tokens(answer, usage):
    """Tokens of text and sound are told of whatever was billed, speech or not; nonsense and the unbilled have none."""
    provider = gemini.Gemini(key=KEY, transport=replace(gemini_vendor(), answers=[answer]).transport)
    spoken_or_failed = await asyncio.gather(spoken(provider, Voice("gemini")), return_exceptions=True)
    assert spoken_or_failed[0].usage == usage


@pytest.mark.parametrize("ids", [(DAY,), (MINUTE, DAY), (DAY, MINUTE)])
def test_gemini_quota_of_the_day_waits_for_midnight(ids):
    """A short RetryInfo beside a quota of the day is not believed: the day ends at midnight in California."""
    noon = datetime(2026, 7, 1, 19, 0, tzinfo=UTC)  # twelve o'clock there
    for now, hours in ((noon, 12), (datetime(2026, 11, 1, 7, 30, tzinfo=UTC), 24.5)):  # the night clocks go back
        blame = gemini_blame.classify(429, {}, refusal(429, quota(*ids)).content, now)
        assert isinstance(blame, DayQuotaUsed)
        assert blame.wait_s == hours * 3600


async def test_gemini_request_of_the_newer_shape():
    """3.8: the style beside the text, the text verbatim and free of tags, no sampling parameters, no key in the URL."""
    vendor = gemini_vendor()
    provider = gemini.Gemini(key=KEY, transport=vendor.transport)
    audio = await spoken(provider, Voice("gemini", "puck", "vi", style="calm, warm"), "1 < 2 <laugh>")
    (paid,) = vendor.paid
    assert str(paid.url) == f"{gemini.SERVER}/v1beta/models/gemini-3.8-flash-tts:generateContent"
    assert paid.headers["x-goog-api-key"] == KEY
    plain = "1 \uff1c 2 \uff1claugh\uff1e"
    assert vendor.body == {
        "contents": [{"role": "user", "parts": [{"text": plain, "speechMetadata": {"style": "calm, warm"}}]}],
        "generationConfig": {
            "responseModalities": ["AUDIO"],
            "speechConfig": {
                "languageCode": "vi-VN",
                "voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Puck"}},
            },
        },
    }
    assert audio.request_id == "r-1"


async def test_gemini_request_of_the_older_shape():
    """2.5: the style opens the text, brackets are no commands, and PCM is read at the rate that it tells."""
    vendor = gemini_vendor()
    vendor.answers = [gemini_answer(pcm(rate=16_000), kind="audio/L16;codec=pcm;rate=16000")]
    provider = gemini.Gemini(key=KEY, transport=vendor.transport)
    voice = Voice("gemini", "voice_abc", model="models/gemini-2.5-flash-preview-tts", style="calm")
    audio = await spoken(provider, voice, "Well [sigh].")
    text = vendor.body["contents"][0]["parts"][0]
    assert text == {"text": "Say in this style (calm):\nWell (sigh)."}
    assert vendor.body["generationConfig"]["speechConfig"] == {"voiceConfig": {"voice": "voice_abc"}}
    assert audio.data == wav(pcm(rate=16_000), 16_000)


async def test_gemini_parts_are_joined():
    """Sound in several parts is one sound, WAV or PCM."""
    halves = (pcm()[:12_000], pcm()[12_000:])
    for answer in (
        gemini_answer(*map(wav, halves)),
        gemini_answer(*halves, kind="audio/L16;codec=pcm;rate=24000"),
        gemini_answer(wav(halves[0], stated=0xFFFFFFFF), halves[1]),
    ):
        vendor = gemini_vendor()
        vendor.answers = [answer]
        provider = gemini.Gemini(key=KEY, transport=vendor.transport)
        assert (await spoken(provider, Voice("gemini"))).data == wav(pcm())


async def test_gemini_mp3_under_another_name():
    """MP3 that is said to be WAV is MP3; samples that are said to be PCM are never taken for it."""
    vendor = gemini_vendor()
    for answer, form in (
        (gemini_answer(b"ID3\x04" + b"\0" * 99), "mp3"),
        (gemini_answer(b"\xff\xfb" + pcm(), kind="audio/L16;codec=pcm;rate=24000"), "wav"),
    ):
        vendor.answers = [answer]
        provider = gemini.Gemini(key=KEY, transport=vendor.transport)
        assert (await spoken(provider, Voice("gemini"))).format == form


async def test_gemini_without_metadata_takes_no_style():
    """A style is never dropped in silence: where the server does not know speechMetadata, it is a wrong choice."""
    vendor = gemini_vendor()
    unknown = google("INVALID_ARGUMENT", 'Invalid JSON payload received. Unknown name "speechMetadata"')
    vendor.answers = [refusal(400, unknown)]
    provider = gemini.Gemini(key=KEY, transport=vendor.transport)
    with pytest.raises(BadVoice, match=r"gemini-3.8-flash-tts .*'calm'.* --style .* --model"):
        await spoken(provider, Voice("gemini", style="calm"), "Hello.")
    assert len(vendor.paid) == 1


def test_gemini_language_codes():
    """A bare tag gets the region that Google documents for it; a named region stays."""
    documented = {
        "en": "en-US",
        "zh": "cmn-CN",
        "pt": "pt-BR",
        "ta": "ta-IN",
        "uk": "uk-UA",
        "ro": "ro-RO",
        "vi": "vi-VN",
    }
    assert {tag: gemini_voices.code_of(tag) for tag in documented} == documented
    assert [gemini_voices.code_of(tag) for tag in ("en-GB", "zh-TW", "sw", "mul")] == ["en-GB", "zh-TW", "sw", ""]


async def test_gemini_has_no_speed():
    """What Gemini cannot do is refused, with what it can."""
    provider = gemini.Gemini(key=KEY, transport=gemini_vendor().transport)
    with pytest.raises(BadVoice, match="style"):
        await provider.resolve(Voice("gemini", speed=1.2))
    assert (await provider.resolve(Voice("gemini"))).language == "mul"


# Piper


@pytest.mark.parametrize(
    ("answer", "kind", "billed", "wait_s"),
    [
        (refusal(400, b"Bad Request"), BadText, NO, None),
        (refusal(500, b"<!doctype html><title>500 Internal Server Error</title>"), ProviderFailed, NO, None),
        (refusal(503, b"", retry_after="2"), ProviderFailed, NO, 2.0),
        (refusal(502, b""), ProviderFailed, UNKNOWN, None),
        (refusal(401, b""), BadKey, NO, None),
        (sound(b"<html>"), ProviderFailed, NO, None),
    ],
)
async def test_piper_refusals(answer, kind, billed, wait_s):
    """A server of one's own bills nothing."""
    check(await asked("piper", answer), kind, billed, wait_s)


async def test_piper_request():
    """The path is the newer one, the pace is a length, espeak's phoneme brackets are text, any content type will do."""
    vendor = piper_vendor()
    await spoken(
        piper.Piper("http://piper:5000/", transport=vendor.transport), Voice("piper", "OWN", speed=1.6), "[[a]]"
    )
    assert str(vendor.paid[0].url) == "http://piper:5000/synthesize"
    assert vendor.body == {"text": "((a))", "voice": "own", "length_scale": 0.625}


async def test_piper_voices():
    """A voice that the server has not would be read by another: it is refused, and a language finds its voice."""
    provider = piper.Piper("http://piper:5000", transport=piper_vendor().transport)
    assert {offer.name: offer.language for offer in await provider.voices()} == {
        "vi_VN-vais1000-medium": "vi-VN",
        "en_US-lessac-medium": "en-US",
        "own": "de",
    }
    assert (await provider.resolve(Voice("piper"))).name == "en_US-lessac-medium"
    assert (await provider.resolve(Voice("piper", language="vi"))).name == "vi_VN-vais1000-medium"
    for wrong in (Voice("piper", "own", "vi"), Voice("piper", "en_US-lessac"), Voice("piper", style="calm")):
        with pytest.raises(BadVoice):
            await provider.resolve(wrong)


@pytest.mark.parametrize("status", [404, 405])
async def test_piper_of_old(status):
    """An older server speaks at `/`, lists nothing and has one voice; where it speaks is remembered."""
    vendor = Vendor({}, [refusal(status, b""), sound(wav(pcm()), "text/html")], places={"/"})
    provider = piper.Piper("http://piper:5000", transport=vendor.transport)
    for _ in range(2):
        await spoken(provider, Voice("piper"))
    assert [request.url.path for request in vendor.paid] == ["/synthesize", "/", "/"]
    assert "voice" not in vendor.body
    with pytest.raises(BadVoice):
        await provider.resolve(Voice("piper", "en_US-lessac-medium"))


def test_piper_needs_a_server():
    """Nobody runs Piper for us."""
    with pytest.raises(SpeechError, match="--server"):
        open_provider("piper")


# Cartesia


def sonic(code: str | None = None, title: str = "No", message: str = "Not now.") -> dict[str, object]:
    return {"error_code": code, "title": title, "message": message, "request_id": "c-9"}


@pytest.mark.parametrize(
    ("answer", "kind", "billed", "wait_s"),
    [
        (refusal(400, sonic(message="The transcript is empty.")), BadText, NO, None),
        (refusal(400, sonic(title="Invalid language")), BadVoice, NO, None),
        (refusal(400, sonic(message="Transcript too long for this model.")), BadText, NO, None),
        (refusal(422, sonic(message="Too many characters for the language: length 900.")), BadText, NO, None),
        (refusal(400, sonic(message="The model does no text-to-speech in this language.")), BadVoice, NO, None),
        (refusal(400, sonic("model_not_found", message="No model for this transcript.")), BadVoice, NO, None),
        (refusal(401, sonic()), BadKey, NO, None),
        (refusal(402, sonic()), AccountExhausted, NO, None),
        (refusal(403, sonic()), Forbidden, NO, None),
        (refusal(404, sonic("model_not_found")), BadVoice, NO, None),
        (refusal(404, sonic(message="Voice not found.")), BadVoice, NO, None),
        (refusal(429, sonic("concurrency_limited")), Crowded, NO, None),
        (refusal(429, sonic(), retry_after="2"), RateLimited, NO, 2.0),
        (refusal(500, sonic()), ProviderFailed, NO, None),
        (refusal(502, b""), ProviderFailed, UNKNOWN, None),
        (refusal(503, sonic()), ProviderFailed, NO, None),
        (refusal(401, b"Unauthorized: Invalid API key."), BadKey, NO, None),
        (refusal(400, b"Invalid request: unknown model"), BadVoice, NO, None),
        (sound(json.dumps(sonic()).encode()), NotSpeech, YES, None),
    ],
)
async def test_cartesia_refusals(answer, kind, billed, wait_s):
    """Each documented refusal, structured or plain, has its class, its bill and its wait."""
    check(await asked("cartesia", answer), kind, billed, wait_s)


async def test_cartesia_request():
    """The request is the documented one, tags in the text are text, and an emotion is the style."""
    vendor = cartesia_vendor()
    provider = cartesia.Cartesia(key=KEY, transport=vendor.transport)
    audio = await spoken(provider, Voice("cartesia", "katie", "es", speed=1.2, style="Calm"), "a <break/> [b]")
    (paid,) = vendor.paid
    assert str(paid.url) == "https://api.cartesia.ai/tts/bytes"
    assert paid.headers["authorization"] == f"Bearer {KEY}"
    assert paid.headers["cartesia-version"] == "2026-03-01"
    assert vendor.body == {
        "model_id": "sonic-3.5",
        "transcript": "a \uff1cbreak/\uff1e (b)",
        "voice": {"mode": "id", "id": KATIE},
        "language": "es",
        "output_format": {"container": "wav", "encoding": "pcm_s16le", "sample_rate": 44_100},
        "generation_config": {"speed": 1.2, "emotion": "calm"},
    }
    assert audio.request_id == "c-1"
    await spoken(provider, Voice("cartesia"))
    assert "generation_config" not in vendor.body


async def test_cartesia_voices():
    """A language finds its voice, and a voice refuses what it was not taught."""
    provider = cartesia.Cartesia(key=KEY, transport=cartesia_vendor().transport)
    assert (await provider.resolve(Voice("cartesia"))).name == KATIE
    assert (await provider.resolve(Voice("cartesia", language="vi-VN"))).name == LINH
    assert (await provider.resolve(Voice("cartesia", model="sonic-3-2026-01-12"))).model == "sonic-3-2026-01-12"
    for wrong in (
        Voice("cartesia", "Linh", "en"),
        Voice("cartesia", "Kiefer", "es"),
        Voice("cartesia", style="loud and clear"),
        Voice("cartesia", model="sonic-2"),
    ):
        with pytest.raises(BadVoice):
            await provider.resolve(wrong)


async def test_cartesia_pages():
    """Every page of voices is read, and a listing that repeats itself ends."""
    asked_after: list[str | None] = []

    def handler(request: httpx.Request) -> httpx.Response:
        after = request.url.params.get("starting_after")
        asked_after.append(after)
        name = {None: KATIE, KATIE: KIEFER}.get(after, KIEFER)
        return httpx.Response(200, json={"data": [{"id": name, "name": name, "language": "en"}], "has_more": True})

    provider = cartesia.Cartesia(key=KEY, transport=httpx.MockTransport(handler))
    assert [offer.name for offer in await provider.voices()][:2] == [KATIE, KIEFER]
    assert asked_after == [None, KATIE, KIEFER]


# ElevenLabs


def eleven(code: str = "", status: str = "", **more: object) -> dict[str, object]:
    return {"detail": {"type": "error", "code": code, "message": "No.", "status": status, "request_id": "e-9"} | more}


@pytest.mark.parametrize(
    ("answer", "kind", "billed", "wait_s"),
    [
        (refusal(400, eleven("text_too_long")), BadText, NO, None),
        (refusal(400, eleven(status="max_character_limit_exceeded")), BadText, NO, None),
        (refusal(400, eleven("invalid_parameters", param="speed")), BadVoice, NO, None),
        (refusal(400, eleven("invalid_voice_id")), BadVoice, NO, None),
        (refusal(404, eleven("voice_not_found")), BadVoice, NO, None),
        (refusal(400, eleven("unsupported_model")), BadVoice, NO, None),
        (refusal(401, eleven("invalid_api_key")), BadKey, NO, None),
        (refusal(401, eleven(status="quota_exceeded")), AccountExhausted, NO, None),
        (refusal(402, eleven("insufficient_credits")), AccountExhausted, NO, None),
        (refusal(403, eleven("subscription_required")), Forbidden, NO, None),
        (refusal(403, eleven("voice_access_denied")), Forbidden, NO, None),
        (refusal(409, eleven("already_running")), ProviderFailed, NO, None),
        (refusal(422, {"detail": [{"loc": ["body", "text"], "msg": "field required"}]}), BadText, NO, None),
        (refusal(422, {"detail": [{"loc": ["body", "model_id"], "msg": "bad"}]}), BadVoice, NO, None),
        (refusal(429, eleven("concurrent_limit_exceeded")), Crowded, NO, None),
        (refusal(429, eleven(status="too_many_concurrent_requests")), Crowded, NO, None),
        (refusal(429, eleven("rate_limit_exceeded"), retry_after="4"), RateLimited, NO, 4.0),
        (refusal(429, eleven("system_busy")), ProviderFailed, NO, None),
        (refusal(429, eleven(status="system_busy")), ProviderFailed, NO, None),
        (refusal(500, eleven("internal_error")), ProviderFailed, NO, None),
        (refusal(503, eleven("maintenance")), ProviderFailed, NO, None),
        (refusal(504, b"timeout"), ProviderFailed, UNKNOWN, None),
    ],
)
async def test_elevenlabs_refusals(answer, kind, billed, wait_s):
    """The vendor's code outranks HTTP's status: an empty account is no wrong key, a busy vendor no rate limit."""
    check(await asked("elevenlabs", answer), kind, billed, wait_s)


async def test_elevenlabs_request():
    """The request is the documented one; a language code goes only to models that take one."""
    vendor = elevenlabs_vendor()
    provider = elevenlabs.ElevenLabs(key=KEY, transport=vendor.transport)
    audio = await spoken(provider, Voice("elevenlabs", "Sarah", "vi-VN", speed=1.1), "a <break/>")
    assert str(vendor.paid[0].url) == f"https://api.elevenlabs.io/v1/text-to-speech/{SARAH}?output_format=wav_24000"
    assert vendor.paid[0].headers["xi-api-key"] == KEY
    assert vendor.body == {
        "text": "a \uff1cbreak/\uff1e",
        "model_id": "eleven_flash_v2_5",
        "language_code": "vi",
        "voice_settings": {"speed": 1.1},
    }
    assert audio.request_id == "e-1"
    await spoken(provider, Voice("elevenlabs", language="de"), "Hallo")
    assert vendor.body == {"text": "Hallo", "model_id": "eleven_multilingual_v2"}


@pytest.mark.parametrize(
    ("cost", "usage"),
    [("12", Usage(12)), ("0", Usage(0)), ("-1", None), ("1.5", None), ("9" * 99, None), ("², ", None), ("", None)],
)
async def test_elevenlabs_tells_its_cost(cost, usage):
    """The characters billed stand in a header, beside speech and beside what is none; nonsense is no cost."""
    headers = {"character_cost": cost} if cost.isascii() else {}
    for body in (wav(pcm()), b""):
        vendor = replace(elevenlabs_vendor(), answers=[sound(body, **headers)])
        provider = elevenlabs.ElevenLabs(key=KEY, transport=vendor.transport)
        (met,) = await asyncio.gather(spoken(provider, Voice("elevenlabs")), return_exceptions=True)
        assert met.usage == usage


async def test_elevenlabs_choices():
    """Models that only transcribe or convert are none, and a model refuses a language that it does not speak."""
    provider = elevenlabs.ElevenLabs(key=KEY, transport=elevenlabs_vendor().transport)
    for wrong in (
        Voice("elevenlabs", model="eleven_english_sts_v2"),
        Voice("elevenlabs", language="vi", model="eleven_multilingual_v2"),
        Voice("elevenlabs", language="sw"),
        Voice("elevenlabs", style="calm"),
        Voice("elevenlabs", speed=1.3),
    ):
        with pytest.raises(BadVoice):
            await provider.resolve(wrong)


async def test_elevenlabs_other_containers():
    """PCM where it is declared, MP3 where it comes instead."""
    for answer, form in ((sound(pcm(), "audio/pcm"), "wav"), (sound(b"ID3\x04" + b"\0" * 99, "audio/mpeg"), "mp3")):
        vendor = elevenlabs_vendor()
        vendor.answers = [answer]
        provider = elevenlabs.ElevenLabs(key=KEY, transport=vendor.transport)
        assert (await spoken(provider, Voice("elevenlabs"))).format == form


# F5


@pytest.mark.parametrize(
    ("answer", "kind", "billed", "wait_s"),
    [
        (refusal(400, {"detail": "The text is empty."}), BadText, NO, None),
        (refusal(400, {"detail": "No matching voice found."}), BadVoice, NO, None),
        (refusal(500, {"detail": "400: No matching voice found"}), BadVoice, NO, None),
        (refusal(422, {"detail": [{"loc": ["body", "text"], "msg": "Field required"}]}), BadText, NO, None),
        (refusal(500, {"detail": "CUDA out of memory"}), ProviderFailed, NO, None),
        (refusal(503, {"detail": "busy"}, retry_after="0.5"), ProviderFailed, NO, 0.5),
        (refusal(404, b"<h1>Not Found</h1>"), BadVoice, NO, None),
        (sound(b'{"error": "File size is over limit. Max size is 5MB."}'), NotSpeech, NO, None),
        (sound(b'{"output_file": "/srv/out/1.wav"}'), BadVoice, NO, None),
        (sound(b'{"status": "queued"}'), NotSpeech, NO, None),
        (sound(b"<html>"), ProviderFailed, NO, None),
    ],
)
async def test_f5_refusals(answer, kind, billed, wait_s):
    """A voice that is not there is told from a crash by its words, and a path in place of sound is refused."""
    check(await asked("f5", answer), kind, billed, wait_s)


async def test_f5_request():
    """Path and field names are the operator's; a field without a name is not sent, and what it would say is refused."""
    vendor = f5_vendor()
    await spoken(f5.F5("http://f5:8000/", vendor.transport), Voice("f5", "linh", "vi", speed=0.8), "Xin chào")
    assert str(vendor.paid[0].url) == "http://f5:8000/synthesize"
    assert vendor.body == {"text": "Xin chào", "voice": "linh", "speed": 0.8}
    vendor.listings = {}
    provider = f5.F5("http://f5:8000/tts/?text=gen_text&voice=&speed=", vendor.transport)
    await spoken(provider, Voice("f5"), "Xin chào")
    assert str(vendor.paid[1].url) == "http://f5:8000/tts/"
    assert vendor.body == {"gen_text": "Xin chào"}
    for wrong in (Voice("f5", "linh"), Voice("f5", speed=1.2)):
        with pytest.raises(BadVoice):
            await provider.resolve(wrong)


@pytest.mark.parametrize("place", ["/voices", "/api/voices", "/api/tts/voices"])
async def test_f5_url(place):
    """Its path is the call's, its query names fields, and voices are found at the root of a call there, else near."""
    vendor = Vendor({place: ["linh"]}, [sound(wav(pcm()))], places={"/api/tts", "/tts"})
    path = "/tts" if place == "/voices" else "/api/tts"
    provider = f5.F5(f"http://gpu:7860{path}?text=gen_text&voice=ref", vendor.transport)
    await spoken(provider, Voice("f5", "Linh"), "Hi")
    assert str(vendor.paid[0].url) == f"http://gpu:7860{path}"
    assert vendor.body == {"gen_text": "Hi", "ref": "linh", "speed": 1.0}


@pytest.mark.parametrize(
    "query",
    ["pass-word", "key=pass-word", "text=", "text=a&text=b", "text=a&voice=a", "text=pass%20word", "&", "#pass-word"],
)
def test_f5_url_of_nonsense(query):
    """A query that names no fields is refused before any call, and not repeated: it may be a key."""
    with pytest.raises(BadInput) as refused:
        f5.F5(f"http://gpu:7860/tts?{query}")
    assert "pass" not in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["f5", "piper", "openai"])
async def test_a_path_where_nobody_speaks(name):
    """Where no list is and the call's own place neither, the server's URL is wrong, and no call is paid to learn it."""
    for places, wrong in ((set(), True), (None, False)):
        vendor = Vendor(answers=[sound(wav(pcm()))], places=places)
        provider = {"f5": f5.F5, "piper": piper.Piper, "openai": openai.OpenAI}[name](
            "http://host:8000/nonsense", transport=vendor.transport
        )
        if wrong:
            with pytest.raises(BadInput, match=r"is http://host:8000.* its API\? Check --server") as refused:
                await provider.resolve(Voice(name))
            assert type(refused.value) is BadInput
        else:
            assert await provider.resolve(Voice(name))
        assert not vendor.paid


async def test_f5_without_a_list_of_voices():
    """A server that lists no voices is trusted with a name, but never with a path."""
    provider = f5.F5("http://f5:8000", transport=Vendor().transport)
    assert (await provider.resolve(Voice("f5", "anna"))).name == "anna"
    assert (await provider.resolve(Voice("f5"))).name == "default"
    for name in ("../anna", "an na", "a/b", "-x"):
        with pytest.raises(BadVoice):
            await provider.resolve(Voice("f5", name))
