"""Which of Gemini's models, voices and languages a person means."""

import re
from collections.abc import Sequence
from dataclasses import replace

from blocks.choices import LANGUAGES, MANY, language_of, named, tags
from blocks.speech import BadVoice, Offer, Voice

MODELS = (
    "gemini-3.8-flash-tts",
    "gemini-3.8-flash-lite-tts",
    "gemini-3.1-flash-tts-preview",
    "gemini-2.5-flash-preview-tts",
    "gemini-2.5-pro-preview-tts",
)
"""Where the server does not list its own; the first is the default."""
_CHARACTERS = {
    "Kore": "firm",
    "Zephyr": "bright",
    "Puck": "upbeat",
    "Charon": "informative",
    "Fenrir": "excitable",
    "Leda": "youthful",
    "Orus": "firm",
    "Aoede": "breezy",
    "Callirrhoe": "easy-going",
    "Autonoe": "bright",
    "Enceladus": "breathy",
    "Iapetus": "clear",
    "Umbriel": "easy-going",
    "Algieba": "smooth",
    "Despina": "smooth",
    "Erinome": "clear",
    "Algenib": "gravelly",
    "Rasalgethi": "informative",
    "Laomedeia": "upbeat",
    "Achernar": "soft",
    "Alnilam": "firm",
    "Schedar": "even",
    "Gacrux": "mature",
    "Pulcherrima": "forward",
    "Achird": "friendly",
    "Zubenelgenubi": "casual",
    "Vindemiatrix": "gentle",
    "Sadachbia": "lively",
    "Sadaltager": "knowledgeable",
    "Sulafat": "warm",
}
OFFERS = tuple(Offer(name, MANY, character) for name, character in _CHARACTERS.items())
_REGIONS = {language: f"{language}-IN" for language in tags("bn gu hi kn ml mr ta te")} | {
    "ar": "ar-XA",
    "en": "en-US",
    "ja": "ja-JP",
    "ko": "ko-KR",
    "uk": "uk-UA",
    "vi": "vi-VN",
}
"""The documented codes of languages whose bare tag does not double as a region."""
_DOUBLED = tags("de es fr id it nl pl pt ro ru th tr")


def resolve(voice: Voice, listed: Sequence[str]) -> Voice:
    """See `Provider.resolve`. A designed voice (`voice_…`) is the account's own, and taken at its word."""
    if round(voice.speed, 2) != 1.0:
        raise BadVoice(f"gemini has no speed ({voice.speed} was asked for): leave it at 1, and name a pace as style.")
    asked = voice.model.strip().removeprefix("models/")
    model = named("gemini", "model", asked or MODELS[0], listed or MODELS)
    name = voice.name.strip()
    if not name.startswith("voice_"):
        name = named("gemini", "voice", name or OFFERS[0].name, _CHARACTERS)
    language = language_of("gemini", voice.language, LANGUAGES)
    return replace(voice, provider="gemini", name=name, language=language, model=model, speed=1.0)


def speaks_verbatim(model: str) -> bool:
    """From 3.8 on the text is spoken as it stands, and the style travels beside it; before, it opens the text."""
    version = re.search(r"gemini-(\d+)\.(\d+)", model)
    return not version or (int(version[1]), int(version[2])) >= (3, 8)


def code_of(language: str) -> str:
    """As `languageCode` takes it; empty for a voice that is to follow the text."""
    if language == MANY:
        return ""
    if language.startswith(("zh", "cmn")):
        return "cmn-CN" if language in {"zh", "cmn", "zh-CN", "zh-Hans", "zh-Hans-CN"} else language
    if language in _DOUBLED:
        return f"{language}-{'BR' if language == 'pt' else language.upper()}"
    return _REGIONS.get(language, language)
