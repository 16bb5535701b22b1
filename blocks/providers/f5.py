"""F5-TTS behind whatever HTTP server stands before it: there is no standard, so the URL tells path and field names.

A JSON object goes out by POST, and a sound file comes back. One model on one GPU: one call at a time, and no key.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from urllib.parse import parse_qsl, urlsplit

import httpx

from blocks.answers import at, items, parsed, word
from blocks.blame import Blame, Receipt, blamed, by_status, check_text, retry_after_s, text_of, told
from blocks.choices import LANGUAGES, MANY, language_of, named, speed_of, unknown
from blocks.listing import check_speaks, listing
from blocks.network import check_server
from blocks.plans import PLANS
from blocks.sound import audio, sniff
from blocks.speech import Audio, BadInput, BadVoice, Billed, Limits, Offer, Voice
from blocks.wire import Wire

_DEFAULT = "default"
_PATH = "/synthesize"
_NO_VOICE = re.compile(r"\bno matching voice|\bvoice\b.*\bnot found|unknown voice", re.IGNORECASE)
_PLACE = re.compile(r"\.(wav|mp3|flac|ogg)$")


@dataclass(frozen=True, slots=True)
class Fields:
    """What the server calls each part of a request. An empty name is a part that it does not take."""

    text: str = "text"
    voice: str = "voice"
    speed: str = "speed"


class F5:
    """A Provider. Belongs to the event loop that it is first used on.

    Of the server's URL, the path is that of the speaking call, `/synthesize` where there is none, and a query says what
    the server calls a field: `http://gpu:7860/tts?text=gen_text&voice=ref&speed=` posts `gen_text` and `ref` to `/tts`,
    and never a speed. Fields that the query leaves out keep their names: `text`, `voice`, `speed`.

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
        self._fields = _fields(url.query)
        self._wire = Wire(self.name, f"{url.scheme}://{url.netloc}", classify, transport=transport)
        self._names: tuple[str, ...] | None = None

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
        names = await self._listed()
        name = voice.name.strip() or (names[0] if names and _DEFAULT not in names else _DEFAULT)
        if names:
            name = named(self.name, "voice", name, names)
        elif name != _DEFAULT and not (self._fields.voice and re.fullmatch(r"\w[\w-]*", name)):
            raise unknown(self.name, "voice", voice.name, [_DEFAULT])
        if not self._fields.speed and round(voice.speed, 2) != 1.0:
            raise BadVoice(f"This server takes no speed ({voice.speed} was asked for): leave it at 1.")
        speed = speed_of(self.name, voice.speed, 0.3, 2.0)
        language = language_of(self.name, voice.language, LANGUAGES)
        return replace(voice, provider=self.name, name=name, language=language, speed=speed)

    async def synthesise(self, text: str, voice: Voice) -> Audio:
        check_text(self.name, text, self.limits)
        request: dict[str, object] = {self._fields.text: text}
        if self._fields.voice and voice.name != _DEFAULT:
            request[self._fields.voice] = voice.name
        if self._fields.speed:
            request[self._fields.speed] = voice.speed
        answer = await self._wire.post(self._path, request, deadline_s=300)
        if sniff(answer.body) == "json":
            raise classify(answer.status, answer.headers, answer.body)
        return audio(answer.body, Receipt(Billed.NO))

    async def close(self) -> None:
        await self._wire.close()

    async def _listed(self) -> tuple[str, ...]:
        if self._names is None:
            below = self._path.rstrip("/")
            beside = below.rpartition("/")[0]
            for place in (beside,) if self._path == _PATH else (below, beside):
                listed = await listing(self._wire, f"{place}/voices", optional=True)
                if listed is not None:
                    break
            else:
                await check_speaks(self._wire, self._path)
            entries = items(at(listed, "voices")) or items(listed)
            self._names = tuple(filter(None, (word(entry) or word(at(entry, "name")) for entry in entries)))
        return self._names


def _fields(query: str) -> Fields:
    """From `text=gen_text&voice=ref`. Raises BadInput, which repeats nothing: a key may stand there by mistake."""
    known = {field.name for field in fields(Fields)}
    pairs = parse_qsl(query, keep_blank_values=True)
    said = dict(pairs)
    if len(said) < len(pairs) or said.keys() - known or (query and not pairs):
        raise BadInput(
            f"The query of f5's URL says what its fields are called, each of {', '.join(sorted(known))} once at most, "
            "as in http://127.0.0.1:7860/tts?text=gen_text&voice=ref."
        )
    called = Fields(**said)
    names = [name for name in (called.text, called.voice, called.speed) if name]
    plain = all(re.fullmatch(r"[\w.-]{1,64}", name) for name in names)
    if not called.text or not plain or len(set(names)) < len(names):
        raise BadInput("The query of f5's URL must give the text a plain name, and no two fields the same.")
    return called


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
