"""What all adapters over HTTP share: the network's failures by name, waits, and sound files that tell the truth."""

import asyncio
import contextlib
import io
import logging
from datetime import UTC, datetime

import httpx
import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from blocks.answers import parsed
from blocks.blame import by_status, check_text, retry_after_s, told
from blocks.choices import canonical, primary, without_markup
from blocks.keys import first_key, keys_from
from blocks.network import check_server
from blocks.providers import openai
from blocks.sound import audio, joined, sniff, true_wav
from blocks.speech import (
    BadInput,
    BadText,
    Billed,
    CallFailed,
    Limits,
    NotSpeech,
    ProviderFailed,
    SpeechError,
    Unanswered,
    Unreachable,
)
from blocks.wire import Wire
from tests.adapters import KEY, pcm, raised, told_by, wav

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7),
        ({"Retry-After": "0.25"}, 0.25),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"x-ms-retry-after-ms": "20"}, 0.02),
        ({"retry-after": "Fri, 20 Nov 2026 12:00:30 GMT"}, 30),
        ({"retry-after": "Fri, 20 Nov 2026 11:00:00 GMT"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "1e99"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "100000"}, 86_400),
    ],
    ids=str,
)
def test_a_wait_is_read_in_every_form(headers, seconds):
    """Seconds, decimals, milliseconds and dates are understood; the negative and absurd are no wait."""
    assert retry_after_s(headers, NOW) == seconds


@given(st.dictionaries(st.sampled_from(["retry-after", "retry-after-ms", "x-ms-retry-after-ms"]), st.text()))
def test_a_wait_is_none_or_sane(headers):
    """Whatever a header holds, the wait lies between nothing and a day, or is none."""
    wait = retry_after_s(headers)
    assert wait is None or 0 <= wait <= 86_400


@given(st.text(max_size=2000))
def test_what_a_vendor_says_is_one_short_line(words):
    """A vendor's words are never more than one line of 200 characters."""
    line = told(words)
    assert len(line) <= 200
    assert line.isprintable()


def test_every_status_has_a_class_and_a_bill():
    """No status is unclassified; only gateways leave it open whether the work was done."""
    for status in range(100, 600):
        kind, billed = by_status(status)
        assert issubclass(kind, SpeechError)
        assert kind not in {SpeechError, CallFailed}
        assert (billed is Billed.UNKNOWN) == (status in {502, 504, 520, 521, 522, 523, 524, 525, 527})


def test_json_of_any_depth_is_read_or_is_none():
    """A body that nests without end is no JSON to us, and no crash."""
    assert parsed(b"[" * 200_000) is None
    assert parsed(b"\xff\xfe") is None
    assert parsed(b'{"a": 1}') == {"a": 1}


@pytest.mark.parametrize(
    "text", ["", " \n", "\u2026", "\u200b", "a\0b", "a\ud800b", "aaaaaaaaaaaaa", "ééééééé"], ids=repr
)
def test_what_no_server_can_speak_is_refused_before_it_is_paid(text):
    """Empty, broken and over-long texts are the text's fault, in one line."""
    with pytest.raises(BadText) as refusal:
        check_text("anyone", text, Limits(12, 13))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"RIFF....WAVE", "wav"),
        (b"fLaC", "flac"),
        (b"OggS", "ogg"),
        (b"ID3\x04", "mp3"),
        (b"\xff\xfb\x90\x00", "mp3"),
        (b"\xff\xff\xff\xff", "mp3"),
        (b"\xff\xe0\x00", ""),
        (b' \n{"a"', "json"),
        (b"<html>", "markup"),
        (b"", ""),
        (b"\x00\x01", ""),
    ],
)
def test_a_body_is_known_by_its_first_bytes(head, kind):
    """The bytes tell what a body is, whatever its label says."""
    assert sniff(head) == kind


@pytest.mark.parametrize("stated", [None, 0, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000, 4800])
def test_a_wav_gets_true_sizes(stated):
    """Placeholders and wrong sizes in a WAV head become the true ones; no sample is lost."""
    samples = pcm(0.5)
    with soundfile.SoundFile(io.BytesIO(true_wav(wav(samples, stated=stated)))) as file:
        assert file.frames == len(file.read()) == len(samples) // 2


def test_chunks_around_the_sound_are_no_sound():
    """A LIST chunk before or after the samples is left out."""
    plain = wav(pcm(0.1))
    noted = plain + b"LIST" + (4).to_bytes(4, "little") + b"INFO"
    before = plain[:36] + b"LIST" + (4).to_bytes(4, "little") + b"INFO" + plain[36:]
    assert true_wav(noted) == true_wav(before) == plain


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"RIFF",
        wav(b""),
        wav(pcm(0.1))[:-100],
        wav(pcm(0.1) + b"\0", stated=0xFFFFFFFF),
        b"hello",
    ],
)
def test_what_is_no_whole_sound_is_refused(body):
    """A cut, empty or foreign body is never a success, and its refusal says that it was paid."""
    with pytest.raises(NotSpeech) as refusal:
        audio(body)
    assert refusal.value.billed is Billed.YES


def test_a_page_is_the_fault_of_who_sends_it():
    """No text brings markup in place of sound: the server is broken, and another one may say the same text."""
    with pytest.raises(ProviderFailed, match="markup"):
        audio(b"<html>")


def test_headerless_pcm_becomes_a_file():
    """Raw samples get a head; half a sample or a JSON complaint in their place is refused."""
    assert audio(pcm(0.1), pcm_rate=24_000).data == wav(pcm(0.1))
    assert audio(b"\xff\xfb" + pcm(0.1), pcm_rate=24_000).format == "wav"
    for body in (b"\0" * 11, b'{"error": "x"}'):
        with pytest.raises(NotSpeech):
            audio(body, pcm_rate=24_000)


def test_parts_of_one_stream_are_joined():
    """WAV and PCM pieces become one file, in order."""
    whole = pcm(0.4)
    pieces = [wav(whole[:4800]), whole[4800:9600], wav(whole[9600:])]
    assert joined(pieces, 24_000) == wav(whole)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_sound_or_a_refusal(body):
    """No bytes make the reading of sound files crash."""
    for start in (b"", wav(b"")[:40], wav(pcm(0.01))[:44]):
        try:
            assert audio(start + body).data
        except (NotSpeech, ProviderFailed) as refusal:
            assert "\n" not in str(refusal)  # noqa: PT017 - either outcome is right


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:8000",
        "ftp://host",
        "http://",
        "http:///path",
        "http://user:pass-word@host",
        "http://host?key=pass-word",
        "http://host#pass-word",
        "http://host:99999",
        "http://ho st",
        "http://host\n",
        "http://[::1",
    ],
)
def test_a_wrong_server_is_one_line_with_the_remedy(url):
    """A base URL that is none is refused before any call, and credentials in it are not repeated."""
    with pytest.raises(BadInput) as refusal:
        check_server(url)
    assert "\n" not in str(refusal.value)
    assert "pass-word" not in str(refusal.value)


def test_a_right_server_loses_its_last_slash():
    """Hosts, ports, IPv6 and paths are fine."""
    for url in ("http://127.0.0.1:8000", "https://api.example.com/v1", "http://[::1]:80/a"):
        assert check_server(url + "/") == check_server(url) == url


@pytest.mark.parametrize(
    ("value", "pairs"),
    [
        ("", ()),
        ("abc", (("", "abc"),)),
        ("work:abc, home:def\n\nghi,", (("work", "abc"), ("home", "def"), ("", "ghi"))),
    ],
)
def test_keys_come_from_the_environment(monkeypatch, value, pairs):
    """Commas and newlines part keys; a name before a colon is the account."""
    monkeypatch.setenv("SOME_KEYS", value)
    assert keys_from("SOME_KEYS") == pairs


@pytest.mark.parametrize("value", ["se cret", "a:se\tcret", "s\x01ecret", "sécret", "account:"])
def test_a_key_that_is_none_is_not_repeated(monkeypatch, value):
    """A wrong key is told by its variable and place, never by itself."""
    monkeypatch.setenv("SOME_KEYS", f"good,{value}")
    with pytest.raises(BadInput, match=r"SOME_KEYS .*place 2") as refusal:
        keys_from("SOME_KEYS")
    assert "cret" not in str(refusal.value)


def test_a_missing_key_names_its_variable(monkeypatch):
    """Who has no key is told where to put it."""
    monkeypatch.delenv("SOME_KEYS", raising=False)
    with pytest.raises(BadInput, match="SOME_KEYS"):
        first_key("SOME_KEYS", "someone")


def test_language_tags_and_markup():
    """Tags have one spelling, and what vendors read as commands becomes text."""
    assert [canonical(tag) for tag in ("en_us", "ZH-hans-cn", "vi")] == ["en-US", "zh-Hans-CN", "vi"]
    assert [primary(tag) for tag in ("cmn-CN", "zh-TW", "nb-NO", "en")] == ["zh", "zh", "no", "en"]
    assert without_markup("a < b <laugh> [x]", "<>") == "a \uff1c b \uff1claugh\uff1e [x]"
    assert without_markup("<a> [x]", "[]") == "<a> (x)"


def failing(error: Exception) -> Wire:
    def handler(_request):
        raise error

    return Wire("someone", "http://host", openai.classify, secret=KEY, transport=httpx.MockTransport(handler))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (httpx.ConnectError("refused"), Unreachable),
        (httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed"), Unreachable),
        (httpx.ConnectTimeout(""), Unreachable),
        (httpx.ProxyError("407"), Unreachable),
        (httpx.LocalProtocolError(f"Illegal header value {KEY}"), Unreachable),
        (httpx.ReadError("reset\r\nby peer"), Unanswered),
        (httpx.ReadTimeout(""), Unanswered),
        (httpx.WriteError("broken pipe"), Unanswered),
        (httpx.RemoteProtocolError("peer closed connection"), Unanswered),
    ],
    ids=repr,
)
async def test_the_network_fails_by_name(error, kind):
    """Before sending nothing can be billed; after it, nobody knows. One line each."""
    caught = await raised(lambda: failing(error).ask("POST", "/x", deadline_s=1))
    assert type(caught) is kind
    assert caught.billed is (Billed.UNKNOWN if kind is Unanswered else Billed.NO)
    assert "\n" not in str(caught)
    assert KEY not in str(caught)


async def serving(answer):
    """A raw server on loopback: `answer(reader, writer)` once per connection."""

    async def connected(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        await answer(reader, writer)
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    return server, "http://{}:{}".format(*server.sockets[0].getsockname())


async def asked(answer, deadline_s=5.0):
    server, url = await serving(answer)
    wire = Wire("someone", url, openai.classify)
    try:
        return await wire.ask("POST", "/x", json={}, deadline_s=deadline_s)
    finally:
        await wire.close()
        server.close()


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        b"HTTP/1.1 200",
        b"",
        b"SSH-2.0-OpenSSH_9.6\r\n",
    ],
    ids=["length", "chunked", "head", "nothing", "another protocol"],
)
async def test_a_cut_answer_may_have_been_billed(reply):
    """An answer that ends early, on a real socket, is Unanswered."""

    async def answer(_reader, writer):
        writer.write(reply)
        await writer.drain()

    with pytest.raises(Unanswered) as failure:
        await asked(answer)
    assert failure.value.billed is Billed.UNKNOWN


async def test_a_slow_drip_meets_the_deadline_of_the_whole_call():
    """A byte now and then does not keep a call alive: the deadline is for all of it."""

    async def drip(_reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        with contextlib.suppress(ConnectionError):  # the call has given up
            for _ in range(1000):
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.02)

    async with asyncio.timeout(10):  # half of the answer
        with pytest.raises(Unanswered, match="no whole answer"):
            await asked(drip, deadline_s=0.5)


async def test_nothing_listens_and_nothing_is_billed():
    """A port where nobody listens is unreachable, with the address and the remedy."""
    server, url = await serving(lambda *_: None)
    server.close()
    await server.wait_closed()
    wire = Wire("someone", url, openai.classify)
    with pytest.raises(Unreachable, match="--server"):
        await wire.ask("GET", "/", deadline_s=5)
    await wire.close()


async def test_closing_ends_calls_in_flight():
    """Closing lets no call hang: those that run fail, later ones too, and closing again is harmless."""
    hanging, arrived = asyncio.Event(), asyncio.Semaphore(0)

    async def hang(_reader, _writer):
        arrived.release()
        await hanging.wait()

    server, url = await serving(hang)
    wire = Wire("someone", url, openai.classify)
    calls = [asyncio.create_task(wire.ask("POST", "/", deadline_s=30)) for _ in range(3)]
    async with asyncio.timeout(10):
        for _ in calls:
            await arrived.acquire()
        await wire.close()
        failures = await asyncio.gather(*calls, return_exceptions=True)
        await wire.close()
    assert [type(failure) for failure in failures] == [Unanswered] * 3
    with pytest.raises(Unreachable, match="closed"):
        await wire.ask("POST", "/", deadline_s=1)
    hanging.set()
    server.close()


async def test_a_quoted_key_is_struck_out(caplog):
    """A vendor that repeats the key in its complaint does not make us repeat it."""
    caplog.set_level(logging.DEBUG)
    reply = httpx.Response(401, text=f"bad key {KEY}", headers={"x-told": KEY})
    wire = Wire(
        "someone",
        "http://host",
        openai.classify,
        {"a": KEY},
        secret=KEY,
        transport=httpx.MockTransport(lambda _: reply),
    )
    answer = await wire.ask("GET", "/", deadline_s=1)
    assert KEY not in f"{answer} {answer.body} {caplog.text} {wire!r}"


async def test_a_broken_proxy_setting_is_named(monkeypatch):
    """A proxy that cannot be one is told as the environment's, before any call."""
    monkeypatch.setenv("ALL_PROXY", "nonsense://x")
    with pytest.raises(BadInput, match="ALL_PROXY"):
        Wire("someone", "http://host", openai.classify)


async def test_errors_hold_no_key_in_their_causes():
    """The whole chain of causes is free of the key."""
    caught = await raised(lambda: failing(httpx.ReadError("reset")).ask("POST", "/x", deadline_s=1))
    assert not any(KEY in line for line in told_by(caught))


async def test_a_traceback_holds_no_key():
    """Nor do the causes of what the HTTP library says of a header, or of a first line that a server echoes."""
    for kind in (httpx.LocalProtocolError, httpx.RemoteProtocolError):
        caught = await raised(lambda kind=kind: failing(kind(f"Illegal {KEY}")).ask("POST", "/x", deadline_s=1))
        assert not any(KEY in line for line in told_by(caught))


@pytest.mark.parametrize("status", [200, 500])
async def test_a_body_without_end_is_not_read(status, monkeypatch):
    """More bytes than any speech are NotSpeech as soon as they are more, and not when the memory is full."""
    monkeypatch.setattr("blocks.wire._MOST_BYTES", 2**20)
    sent = 0

    async def flood(_reader, writer):
        nonlocal sent
        writer.write(b"HTTP/1.1 %d X\r\nconnection: close\r\n\r\n" % status)
        with contextlib.suppress(ConnectionError):
            while sent < 2**26:
                writer.write(b"x" * 2**16)
                await writer.drain()
                sent += 2**16

    with pytest.raises(NotSpeech, match=f"answered {status} with more than 1 MB") as refusal:
        await asked(flood)
    assert refusal.value.billed is Billed.UNKNOWN
    assert sent < 2**25


@pytest.mark.parametrize("rate", [0, 1, 499, 3_999, 192_001, 0xFFFFFFFF])
def test_an_absurd_rate_is_no_sound(rate):
    """What no speech is sampled at is refused, in a head as in a declaration."""
    for refused in (lambda: audio(wav(pcm(0.1), rate)), lambda: audio(pcm(0.1), pcm_rate=rate or 1)):
        with pytest.raises(NotSpeech):
            refused()


def test_flac_gets_its_length():
    """A stream of FLAC that leaves its length open becomes a file that tells it; what does not decode is refused."""
    file = io.BytesIO()
    soundfile.write(file, np.frombuffer(pcm(0.5), "<i2"), 24_000, format="FLAC")
    whole = file.getvalue()
    streamed = whole[:21] + bytes([whole[21] & 0xF0]) + bytes(4) + whole[26:]
    assert audio(whole).data == audio(streamed).data == whole
    with pytest.raises(NotSpeech) as refusal:
        audio(streamed[: len(whole) // 2])
    assert refusal.value.billed is Billed.YES
