"""The useful shapes among F5's servers: POST of JSON or a form, or GET, of any path, a WAV file back. No key."""

import base64
import email
import email.policy
import hashlib
import urllib.parse
from collections.abc import Collection, Mapping
from typing import Any

from tests.emulator.sound import Format, Sound
from tests.emulator.vendor import Ask, Call, Refuse, Row, Shape, number
from tests.emulator.wire import Answer, Request, in_json

_VOICES = {
    "default": ("", "f2"),
    "anna": ("en-US", "f4"),
    "linh": ("vi", "f3"),
    "ivan": ("ru", "m2"),
    "mei": ("zh", "f1"),
}
_TEXT = ("text", "gen_text", "input")
_VOICE = ("voice", "speaker")
_TIMBRES = ("f4", "f3", "m2", "f1")


class F5:
    name = "f5"
    keyed = False
    rows: Mapping[str, Row] = {
        "bad_request": Row(400, "", "The text is empty."),
        "no_voice": Row(400, "", "No matching voice found."),
        "unprocessable": Row(422, "missing", "Field required"),
        "internal": Row(500, "", "400: No matching voice found."),
        "out_of_memory": Row(500, "", "CUDA out of memory. Tried to allocate 2.00 GiB."),
        "busy": Row(503, "", "The model is busy."),
    }
    limits: Mapping[str, str] = dict.fromkeys(("key", "no_key", "in_flight", "minute", "day", "credits"), "busy") | {
        "nonsense": "unprocessable"
    }
    shapes: Mapping[str, Shape] = {}
    unbilled: Collection[str] = ()

    def key(self, request: Request) -> str:  # noqa: ARG002 - there is none
        return ""

    def speaks(self, request: Request) -> bool:
        return request.method == "POST" or bool(request.query.keys() & set(_TEXT))

    def read(self, call: Call) -> Ask:
        fields = _fields(call.request)
        text = next(str(fields[name]) for name in _TEXT if name in fields) if fields.keys() & set(_TEXT) else None
        if text is None:
            raise Refuse("unprocessable")
        if not text.strip():
            raise Refuse("bad_request")
        voice = next((str(fields[name]) for name in _VOICE if fields.get(name)), "default")
        if voice not in _VOICES:
            raise Refuse("no_voice")
        speed = number(float(fields.get("speed") or 1.0), "speed", 0.3, 2.0, "unprocessable")
        language, timbre = _VOICES[voice] if "ref_audio" not in fields else ("", _imitated(fields["ref_audio"]))
        return Ask(text, Format("wav", 24_000), language, timbre, speed)

    def answer(self, _call: Call, _ask: Ask, _sound: Sound, data: bytes) -> Answer:
        return Answer(body=data, headers={"Content-Type": "audio/wav"})

    def refuse(self, _call: Call, row: Row) -> Answer:
        if row.status == 422:
            return in_json({"detail": [{"loc": ["body", "text"], "msg": row.message, "type": row.code}]}, 422)
        return in_json({"detail": row.message}, row.status)

    def listing(self, request: Request) -> Any:
        return {"/health": {"status": "ok"}, "/voices": {"voices": list(_VOICES)}}.get(request.path)

    def units(self, ask: Ask, _sound: Sound) -> int:
        """Characters, although they are free."""
        return len(ask.text)


def _imitated(sound: bytes | str) -> str:
    """A timbre of the recording's own. Raises ValueError for what is no sound."""
    data = base64.b64decode(sound, validate=True) if isinstance(sound, str) else sound
    if not data.startswith((b"RIFF", b"ID3", b"fLaC", b"\xff")):
        raise ValueError("The reference is no sound file.")
    return _TIMBRES[hashlib.sha256(data).digest()[0] % len(_TIMBRES)]


def _fields(request: Request) -> dict[str, Any]:
    if request.method == "GET":
        return dict(request.query)
    kind = request.headers.get("content-type", "")
    if kind.startswith("application/x-www-form-urlencoded"):
        return dict(urllib.parse.parse_qsl(request.body.decode()))
    if not kind.startswith("multipart/form-data"):
        return request.json()
    head = f"Content-Type: {kind}\r\n\r\n".encode()
    form = email.message_from_bytes(head + request.body, policy=email.policy.HTTP)
    parts = {str(part.get_param("name", header="content-disposition")): part for part in form.iter_parts()}
    return {name: _value(part) for name, part in parts.items()}


def _value(part: Any) -> bytes | str:
    """The bytes of a file, the text of a field."""
    payload = bytes(part.get_payload(decode=True))
    return payload if part.get_filename() else payload.decode()
