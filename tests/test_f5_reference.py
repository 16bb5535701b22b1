"""A reference voice: known by its content, told to the server by its fields, and refused where it cannot be one."""

import base64
import email
import email.policy
import json
from pathlib import Path

import httpx
import pytest

from blocks.providers import open_provider
from blocks.providers.f5 import F5
from blocks.speech import BadInput, BadVoice, Voice
from tests.adapters import Vendor, pcm, sound, wav
from tests.emulator.fixture import Emulator
from tests.f5_references import QUERY, WORDS, recording

SERVER = "http://gpu:7860/tts"


def vendor() -> Vendor:
    return Vendor(answers=[sound(wav(pcm()))])


async def said(query: str, voice: str) -> tuple[httpx.Request, Voice]:
    """The one call, and the voice it was made in."""
    there = vendor()
    provider = F5(f"{SERVER}{query}", there.transport)
    chosen = await provider.resolve(Voice("f5", voice))
    assert await provider.resolve(chosen) == chosen
    await provider.synthesise("Hello.", chosen)
    await provider.close()
    (call,) = [request for request in there.requests if request.content not in {b"", b"{}"} or request.url.query]
    return call, chosen


async def test_it_is_sent_as_json(tmp_path: Path) -> None:
    """Base64 and words, under the server's names; no voice's name, and nothing of where the file lies."""
    path = recording(tmp_path, "my-secret-friend.flac")
    call, voice = await said("?text=gen_text&ref_audio=audio&ref_text=words", str(path))
    assert json.loads(call.content) == {
        "gen_text": "Hello.",
        "speed": 1.0,
        "audio": base64.b64encode(path.read_bytes()).decode(),
        "words": WORDS,
    }
    assert b"friend" not in call.content
    assert "friend" not in str(voice)


async def test_it_is_sent_in_a_form(tmp_path: Path) -> None:
    """A file of its kind under a name of ours, and plain fields beside it."""
    path = recording(tmp_path, "my-secret-friend.mp3", rate=16_000)
    call, _ = await said(f"{QUERY}&send=form", str(path))
    head = f"content-type: {call.headers['content-type']}\r\n\r\n".encode()
    parts = list(email.message_from_bytes(head + call.content, policy=email.policy.HTTP).iter_parts())
    fields = {part.get_param("name", header="content-disposition"): part for part in parts}
    assert fields["ref_audio"].get_filename() == "reference.mp3"
    assert fields["ref_audio"].get_payload(decode=True) == path.read_bytes()
    plain = {name: part.get_payload(decode=True).decode() for name, part in fields.items() if name != "ref_audio"}
    assert plain == {"text": "Hello.", "speed": "1.0", "ref_text": WORDS}


@pytest.mark.parametrize("send", ["json", "form", "query"])
async def test_a_named_voice_by_each_way(send: str, emulator: Emulator) -> None:
    """JSON, a form and a query bring the same speech."""
    provider = open_provider("f5", f"{emulator.server('f5')}/synthesize_speech/?send={send}")
    voice = await provider.resolve(Voice("f5", "anna"))
    spoken = (await provider.synthesise("Good morning to all.", voice)).data
    await provider.close()
    async with httpx.AsyncClient() as http:
        straight = await http.post(
            f"{emulator.server('f5')}/tts", json={"text": "Good morning to all.", "voice": "anna"}
        )
    assert len(spoken) == len(straight.content)
    assert len(emulator.ledger("f5")) == 2


async def test_a_get_server_without_lists() -> None:
    """Whether it speaks at its place is asked as it is spoken to."""
    there = Vendor(answers=[sound(wav(pcm()))])
    with pytest.raises(BadInput, match=r"finds nothing at /synthesize_speech/.*Check --server"):
        await F5("http://gpu/synthesize_speech/?send=query", there.transport).resolve(Voice("f5"))
    assert {request.method for request in there.requests} == {"GET"}


async def test_it_is_known_by_its_content(tmp_path: Path) -> None:
    """A copy elsewhere is the same voice; other words or another recording are another."""
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    first = recording(tmp_path / "one")
    copy = recording(tmp_path / "two", "other.wav")
    longer = recording(tmp_path / "two", "longer.wav", seconds=2.1)
    reworded = recording(tmp_path / "two", "reworded.wav", words="Other words.")
    voices = [(await said(QUERY, str(path)))[1] for path in (first, copy, longer, reworded)]
    assert voices[0] == voices[1]
    assert len({voice.name for voice in voices}) == 3
    bare = [(await said("?ref_audio=ref_audio", str(path)))[1] for path in (first, reworded)]
    assert bare[0] == bare[1] != voices[0]


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda folder: folder / "nobody.wav", r"There is no reference .*nobody\.wav"),
        (lambda folder: folder, r"no voice"),
        (lambda folder: recording(folder, words=None), r"write what is said in it into .*ref\.txt"),
        (lambda folder: recording(folder, words=" \n"), r"1 to 999 characters"),
        (lambda folder: recording(folder, words="words " * 400), r"1 to 999 characters"),
        (lambda folder: recording(folder, seconds=31), r"lasts 31\.0 s, and may last 30: cut"),
        (lambda folder: recording(folder, seconds=0), r"lasts 0\.0 s"),
        (lambda folder: recording(folder, seconds=60, rate=96_000), r"more than 10 MB: cut"),
    ],
)
async def test_what_is_no_reference(make, told: str, tmp_path: Path) -> None:
    """Each is refused before any call, with what to do."""
    there = vendor()
    with pytest.raises(BadVoice, match=told) as refused:
        await F5(f"{SERVER}{QUERY}", there.transport).resolve(Voice("f5", str(make(tmp_path))))
    assert "\n" not in str(refused.value)
    assert not there.paid


@pytest.mark.parametrize("content", [b"", b"<html>", b"RIFF\x24\0\0\0WAVEfmt ", b"fLaC" + b"\0" * 60, b"\xff\xfb\x90"])
async def test_a_file_that_is_no_sound(content: bytes, tmp_path: Path) -> None:
    """By its bytes, whatever its name says."""
    (tmp_path / "ref.wav").write_bytes(content)
    with pytest.raises(BadVoice, match=r"ref\.wav' (is no WAV|does not decode)"):
        await F5(f"{SERVER}{QUERY}", vendor().transport).resolve(Voice("f5", str(tmp_path / "ref.wav")))


async def test_a_server_that_takes_no_reference(tmp_path: Path) -> None:
    """How to name its field is told: a server that ignores the recording would speak in a voice of its own."""
    with pytest.raises(BadVoice, match=r"\?ref_audio=ref_audio&ref_text=ref_text"):
        await F5(SERVER, vendor().transport).resolve(Voice("f5", str(recording(tmp_path))))


async def test_a_reference_that_was_never_read() -> None:
    """A hash alone is nobody's voice."""
    provider = F5(f"{SERVER}{QUERY}", vendor().transport)
    with pytest.raises(BadVoice):
        await provider.resolve(Voice("f5", f"sha256:{'0' * 64}"))
    with pytest.raises(BadVoice, match="was not read here"):
        await provider.synthesise("Hello.", Voice("f5", f"sha256:{'0' * 64}"))


@pytest.mark.parametrize("query", ["send=udp", "send=", "ref_audio=a&send=query", "ref_text=a", "ref_audio=text"])
def test_a_query_of_nonsense(query: str) -> None:
    """A way that is none, words without a recording, and two fields of one name are refused before any call."""
    with pytest.raises(BadInput, match=r"f5's URL|recording"):
        F5(f"{SERVER}?{query}")
