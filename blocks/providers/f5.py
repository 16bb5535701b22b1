"""F5-TTS behind whatever HTTP server stands before it: there is no standard, so the URL tells path and field names.

JSON, a form or a query goes out, and a sound file comes back. One model on one GPU: one call at a time, and no key.
"""

import asyncio
import base64
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from urllib.parse import parse_qsl, urlsplit

import httpx

from blocks.answers import at, items, parsed, word
from blocks.blame import Blame, Receipt, blamed, by_status, check_text, retry_after_s, text_of, told
from blocks.choices import LANGUAGES, MANY, language_of, named, speed_of, unknown
from blocks.listing import check_speaks, listing
from blocks.network import check_server
from blocks.patience import Patience
from blocks.plans import PLANS
from blocks.providers.f5_reference import Reference, is_content, is_place, recorded
from blocks.sound import audio, sniff
from blocks.speech import Audio, BadInput, BadVoice, Billed, Limits, Offer, Voice
from blocks.wire import Answer, Form, Wire

_DEFAULT = "default"
_PATH = "/synthesize"
_MOST_S = 300.0
"""A processor without a graphics card takes minutes for a text."""
_WAYS = "json", "form", "query"
_NO_VOICE = re.compile(r"\bno matching voice|\bvoice\b.*\bnot found|unknown voice", re.IGNORECASE)
_PLACE = re.compile(r"\.(wav|mp3|flac|ogg)$")


@dataclass(frozen=True, slots=True)
class Fields:
    """What the server calls each part of a request. An empty name is a part that it does not take."""

    text: str = "text"
    voice: str = "voice"
    speed: str = "speed"
    ref_audio: str = ""
    """The recording of a voice to imitate: base64 in JSON, a file in a form."""
    ref_text: str = ""
    """The words that are said in it."""


class F5:
    """A Provider. Belongs to the event loop that it is first used on.

    Of the server's URL, the path is that of the speaking call, `/synthesize` where there is none, and a query says what
    the server calls a field: `http://gpu:7860/tts?text=gen_text&voice=ref&speed=` posts `gen_text` and `ref` to `/tts`,
    and never a speed. Fields that the query leaves out keep their names: `text`, `voice`, `speed`.

    A voice may be the path of a recording, WAV, MP3 or FLAC, where the query names the field that takes it:
    `?ref_audio=ref_audio&ref_text=ref_text&voice=`. For `ref_text`, the words stand in a `.txt` of the same name beside
    it. Such a voice is named by what is in these files, so that its clips are found again from any place.

    `send` says how fields travel: `json` (the default, by POST), `form` (POST, the recording as a file) or `query`
    (GET, without a recording): `http://gpu:7860/synthesize_speech/?send=query`.

    Voices are looked up free of charge, below that path (`/tts/voices`) and beside it (`/voices`).
    """

    name = "f5"
    plan = PLANS["f5"][0]
    # The model speaks half a minute at most, together with its reference.
    limits = Limits(characters=300, bytes=900)
    call_s = 6.0

    def __init__(self, server: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        check_server(server, query=True)
        url = urlsplit(server)
        self._path = url.path if url.path.strip("/") else _PATH
        self._fields, self._send = _read(url.query)
        self._wire = Wire(self.name, f"{url.scheme}://{url.netloc}", classify, transport=transport)
        self._names: tuple[str, ...] | None = None
        self._references: dict[str, Reference] = {}
        self._patience = Patience(_MOST_S)

    async def voices(self) -> Sequence[Offer]:
        """Those that the server lists, which few do; else the one that it takes by itself."""
        return [Offer(name, MANY) for name in await self._listed() or (_DEFAULT,)]

    async def resolve(self, voice: Voice) -> Voice:
        """The language is the model's: what is asked is noted, not sent. Where no voices are listed, a name is trusted.

        Servers look a name up as the beginning of a file's name, so that it must be one.
        """
        for what, value in (("model", voice.model), ("style", voice.style)):
            if value:
                raise BadVoice(f"f5 takes no {what} ({told(value)!r} was asked for): leave it empty.")
        name = await self._reference(voice.name.strip())
        names = await self._listed()  # also to learn whether it speaks at all
        if name not in self._references:
            name = self._named(name, names)
        if not self._fields.speed and round(voice.speed, 2) != 1.0:
            raise BadVoice(f"This server takes no speed ({voice.speed} was asked for): leave it at 1.")
        speed = speed_of(self.name, voice.speed, 0.3, 2.0)
        language = language_of(self.name, voice.language, LANGUAGES)
        return replace(voice, provider=self.name, name=name, language=language, speed=speed)

    async def synthesise(self, text: str, voice: Voice) -> Audio:
        check_text(self.name, text, self.limits)
        began, deadline_s = time.monotonic(), self._patience.deadline_s(text)
        answer = await self._sent(self._said(text, voice), self._references.get(voice.name), deadline_s)
        self._patience.answered(text, time.monotonic() - began)
        if sniff(answer.body) == "json":
            raise classify(answer.status, answer.headers, answer.body)
        return audio(answer.body, Receipt(Billed.NO))

    async def close(self) -> None:
        await self._wire.close()

    def _said(self, text: str, voice: Voice) -> dict[str, str | float]:
        """The fields of a call, but for the reference's."""
        said: dict[str, str | float] = {self._fields.text: text}
        if is_content(voice.name):
            if voice.name not in self._references:
                raise BadVoice("The reference was not read here: name the path of its recording as the voice.")
        elif self._fields.voice and voice.name != _DEFAULT:
            said[self._fields.voice] = voice.name
        if self._fields.speed:
            said[self._fields.speed] = voice.speed
        return said

    async def _sent(self, said: dict[str, str | float], reference: Reference | None, deadline_s: float) -> Answer:
        words = {self._fields.ref_text: reference.words} if reference and reference.words else {}
        if self._send == "json":
            sound = {self._fields.ref_audio: base64.b64encode(reference.sound).decode()} if reference else {}
            return await self._wire.post(self._path, said | words | sound, deadline_s=deadline_s)
        plain = {name: str(value) for name, value in said.items()} | words
        if self._send == "query":
            return await self._wire.get(self._path, params=plain, deadline_s=deadline_s)
        file = {self._fields.ref_audio: (f"reference.{reference.kind}", reference.sound)} if reference else None
        return await self._wire.post(self._path, form=Form(plain, file), deadline_s=deadline_s)

    async def _reference(self, name: str) -> str:
        """The name of a recording's content where `name` is its path; else `name`. Raises BadVoice."""
        if not (self._fields.ref_audio and is_place(name)):
            return name
        reference = await asyncio.to_thread(recorded, name, with_words=bool(self._fields.ref_text))
        self._references[reference.name] = reference
        return reference.name

    def _named(self, name: str, names: Sequence[str]) -> str:
        """A voice that the server has. Raises BadVoice."""
        name = name or (names[0] if names and _DEFAULT not in names else _DEFAULT)
        if is_place(name) and name not in names:
            raise BadVoice(
                f"This server's URL names no field for a recording ({told(name)!r} was asked for): say what the server "
                "calls it and its words, as in http://127.0.0.1:7860/tts?ref_audio=ref_audio&ref_text=ref_text."
            )
        if names:
            return named(self.name, "voice", name, names)
        if name != _DEFAULT and not (self._fields.voice and re.fullmatch(r"\w[\w-]*", name)):
            raise unknown(self.name, "voice", name, [_DEFAULT])
        return name

    async def _listed(self) -> tuple[str, ...]:
        if self._names is None:
            below = self._path.rstrip("/")
            beside = below.rpartition("/")[0]
            for place in (beside,) if self._path == _PATH else (below, beside):
                listed = await listing(self._wire, f"{place}/voices", optional=True)
                if listed is not None:
                    break
            else:
                await check_speaks(self._wire, self._path, method="GET" if self._send == "query" else "POST")
            entries = items(at(listed, "voices")) or items(listed)
            self._names = tuple(filter(None, (word(entry) or word(at(entry, "name")) for entry in entries)))
        return self._names


def _read(query: str) -> tuple[Fields, str]:
    """From `text=gen_text&send=form`. Raises BadInput, which repeats nothing: a key may stand there by mistake."""
    pairs = parse_qsl(query, keep_blank_values=True)
    said = dict(pairs)
    send = said.pop("send", _WAYS[0])
    known = Fields.__slots__
    if len(dict(pairs)) < len(pairs) or said.keys() - set(known) or (query and not pairs):
        raise BadInput(
            f"The query of f5's URL says what its fields are called, each of {', '.join(sorted(known))} once at most, "
            "and how they are sent, as in http://127.0.0.1:7860/tts?text=gen_text&voice=ref&send=form."
        )
    called = Fields(**said)
    names = [name for name in astuple(called) if name]
    plain = all(re.fullmatch(r"[\w.-]{1,64}", name) for name in names)
    if not called.text or not plain or len(set(names)) < len(names):
        raise BadInput("The query of f5's URL must give the text a plain name, and no two fields the same.")
    if send not in _WAYS:
        raise BadInput(f"The query of f5's URL says how fields are sent: send is one of {', '.join(_WAYS)}.")
    if called.ref_audio and send == "query":
        raise BadInput("A recording is sent as JSON or in a form: of ref_audio and send=query, leave one out.")
    if called.ref_text and not called.ref_audio:
        raise BadInput("The words of a recording go nowhere without it: name ref_audio, too, or leave ref_text out.")
    return called, send


def classify(status: int, headers: Mapping[str, str], body: bytes) -> Blame:
    """Never raises. Nothing is billed. Some servers wrap their own 400 in a 500: then its words decide."""
    answer = parsed(body)
    detail = at(answer, "detail")
    message = told(word(detail) or word(at(detail, 0, "msg")) or word(at(answer, "error"))) or text_of(body)
    kind, billed = by_status(status)
    if _NO_VOICE.search(message):
        kind = BadVoice
    elif (
        200 <= status < 300 and isinstance(answer, dict) and any(_PLACE.search(word(said)) for said in answer.values())
    ):
        kind = BadVoice
        message = f"the place of a file ({told(', '.join(answer))}) instead of sound: this server cannot be used"
    return blamed(
        kind,
        f"f5 answered {status}: {message or 'nothing'}",
        billed=billed if status >= 300 else Billed.NO,
        wait_s=retry_after_s(headers),
    )
