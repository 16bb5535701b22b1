"""Piper's HTTP server: POST /synthesize. An unknown voice falls back to the default one; there is no key."""

from collections.abc import Collection, Mapping
from typing import Any

from tests.emulator.sound import Format, Sound
from tests.emulator.vendor import Ask, Call, Refuse, Row, Shape
from tests.emulator.wire import Answer, Request

_DEFAULT = "en_US-lessac-medium"
_VOICES = {
    _DEFAULT: ("en-US", "f2", 22_050),
    "en_US-ryan-low": ("en-US", "m3", 16_000),
    "vi_VN-vais1000-medium": ("vi", "f3", 22_050),
    "ru_RU-irina-medium": ("ru", "f4", 22_050),
    "zh_CN-huayan-medium": ("zh", "f1", 22_050),
    "de_DE-thorsten-medium": ("de", "m1", 22_050),
}
_PAGE = """\
<!doctype html>
<html lang=en>
<title>{status} {code}</title>
<h1>{code}</h1>
<p>{message}</p>
"""


class Piper:
    name = "piper"
    keyed = False
    rows: Mapping[str, Row] = {
        "bad_request": Row(
            400, "Bad Request", "The browser (or proxy) sent a request that this server could not understand."
        ),
        "not_found": Row(404, "Not Found", "The requested URL was not found on the server."),
        "internal": Row(
            500,
            "Internal Server Error",
            "The server encountered an internal error and was unable to complete your request. Either the server is "
            "overloaded or there is an error in the application.",
        ),
    }
    limits: Mapping[str, str] = dict.fromkeys(
        ("key", "no_key", "in_flight", "minute", "day", "credits"), "internal"
    ) | {"nonsense": "internal"}
    shapes: Mapping[str, Shape] = {}
    unbilled: Collection[str] = ()

    def key(self, request: Request) -> str:  # noqa: ARG002 - there is none
        return ""

    def speaks(self, request: Request) -> bool:
        return request.method == "POST" and request.path in {"/synthesize", "/"}

    def read(self, call: Call) -> Ask:
        body = call.request.json()
        if not body["text"].strip():
            raise Refuse("internal")
        language, timbre, rate = _VOICES.get(body.get("voice") or _DEFAULT, _VOICES[_DEFAULT])
        return Ask(body["text"], Format("wav", rate), language, timbre, 1 / float(body.get("length_scale") or 1.0))

    def answer(self, _call: Call, _ask: Ask, _sound: Sound, data: bytes) -> Answer:
        return Answer(body=data, headers={"Content-Type": "text/html; charset=utf-8"})

    def refuse(self, _call: Call, row: Row) -> Answer:
        page = _PAGE.format(status=row.status, code=row.code, message=row.message)
        return Answer(row.status, page.encode(), {"Content-Type": "text/html; charset=utf-8"})

    def listing(self, request: Request) -> Any:
        voices = {name: _config(name) for name in _VOICES}
        return {
            "/voices": voices,
            "/all-voices": voices,
            "/info": {"voice": _DEFAULT, "config": voices[_DEFAULT]},
        }.get(request.path)

    def units(self, ask: Ask, _sound: Sound) -> int:
        """Characters, although they are free."""
        return len(ask.text)


def _config(name: str) -> dict[str, Any]:
    language, _, rate = _VOICES[name]
    tag = name.split("-", 1)[0]
    return {
        "audio": {"sample_rate": rate, "quality": name.rpartition("-")[2]},
        "espeak": {"voice": language.lower()},
        "language": {"code": tag, "family": tag[:2], "region": tag[3:]},
        "dataset": name.split("-")[1],
        "num_speakers": 1,
        "speaker_id_map": {},
    }
