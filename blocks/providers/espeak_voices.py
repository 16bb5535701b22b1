"""Which of espeak-ng's voices a person means."""

import difflib
from collections.abc import Callable
from dataclasses import dataclass, replace

from blocks.speech import BadVoice, Offer, Voice

_DEFAULT = "en-us"
_SLOWEST, _FASTEST = 0.5, 3.0
_UNREADABLE = {"fo", "kaa", "xex"}
"""espeakng-loader 0.2.4 has these voices without their dictionaries: they make no sound."""

_TAGS = {
    "ca-ba": "ca",
    "ca-nw": "ca",
    "ca-va": "ca-valencia",
    "cmn": "zh",
    "cmn-latn-pinyin": "zh-latn-pinyin",
    "en-us-nyc": "en-us",
    "piqd": "tlh",
    "ru-cl": "ru",
    "yue-latn-jyutping": "yue-latn-jyutping",
}
"""The language of voices whose own tag is none, or another's (`ca-va` would be the Vatican's, `ru-cl` Chile's)."""

_LATIN_AMERICA = "ar bo br bz cl co cr cu do ec gt hn ni pa pe pr py sv us uy ve".split()  # noqa: SIM905 - 21 lines
_ALIASES = {
    "cmn": "zh",
    "in": "id",
    "iw": "he",
    "mo": "ro",
    "sh": "hbs",
    "zh-hant-hk": "yue",
    "zh-hk": "yue",
    "zh-mo": "yue",
    **dict.fromkeys((f"es-{country}" for country in _LATIN_AMERICA), "es-419"),
}
"""What a tag is called by espeak-ng: CLDR's aliases and parents, and Hong Kong's Chinese as the vendors mean it."""


@dataclass(frozen=True, slots=True)
class Speaker:
    name: str
    """As espeak_SetVoiceByName takes it, in small letters: `en-us`."""
    identifier: str
    description: str
    claims: tuple[tuple[int, str], ...]
    """Languages it can stand for, with a rank (the lowest is the best of all voices); its own language first."""

    @property
    def offer(self) -> Offer:
        return Offer(self.name, _tag(self.claims[0][1]), self.description)


@dataclass(frozen=True, slots=True)
class Catalogue:
    speakers: tuple[Speaker, ...]
    variants: tuple[str, ...]
    """Timbres that go with any voice, `en-us+f2`; their case counts."""


def parse(listing: str) -> Catalogue:
    """From the worker's first frame."""
    records = [line.split("\t") for line in listing.splitlines()]
    variants = tuple(identifier.removeprefix("!v/") for identifier, *_ in records if identifier.startswith("!v/"))
    speakers = (_speaker(*record) for record in records if not record[0].startswith("!v/"))
    return Catalogue(tuple(speaker for speaker in speakers if speaker.name not in _UNREADABLE), variants)


def _speaker(identifier: str, description: str, *languages: str) -> Speaker:
    name = identifier.rpartition("/")[2].lower()
    claims = [(int(rank), tag.lower()) for rank, tag in (language.split(" ") for language in languages)]
    if own := _TAGS.get(name):
        claims = [(claims[0][0], own), *(claim for claim in claims if claim[1] not in (name, own))]
    return Speaker(name, identifier, description.strip(), tuple(claims))


def _tag(language: str) -> str:
    """In BCP 47's usual case: `zh-Latn-pinyin`, `en-GB-x-rp`."""
    public, private, rest = language.partition("-x-")
    first, *others = public.split("-")
    cases = {2: str.upper, 4: str.title}
    return "-".join((first, *(cases.get(len(part), str.lower)(part) for part in others))) + private + rest


def resolve(voice: Voice, catalogue: Catalogue) -> Voice:
    """See `Provider.resolve`."""
    for what, value in (("model", voice.model), ("style", voice.style)):
        if value:
            raise BadVoice(f"espeak takes no {what} ({value!r} was asked for): leave it empty.")
    if not _SLOWEST <= voice.speed <= _FASTEST:
        raise BadVoice(f"espeak speaks at a speed from {_SLOWEST} to {_FASTEST}, not {voice.speed}.")
    base, variant = _split(voice.name)
    speaker = _choice(base, voice.language, catalogue)
    name = f"{speaker.name}+{_variant(variant, catalogue)}" if variant else speaker.name
    # Hundredths: finer steps come to the same words a minute.
    return replace(voice, provider="espeak", name=name, language=speaker.offer.language, speed=round(voice.speed, 2))


def _split(name: str) -> tuple[str, str]:
    """`en-us+f2`, `+f2` and espeak-ng's own `!v/f2` as voice and variant."""
    base, _, variant = name.strip().partition("+")
    return ("", base) if base.startswith("!v/") else (base, variant)


def _choice(base: str, language: str, catalogue: Catalogue) -> Speaker:
    fitting = _speaking(language, catalogue) if language else []
    if language and not fitting:
        raise _unknown("language", language, catalogue)
    if not base:
        return fitting[0] if fitting else _named(_DEFAULT, catalogue)
    speaker = _named(base, catalogue)
    if language and speaker not in fitting:
        own = speaker.offer.language
        raise BadVoice(f"espeak's voice {speaker.name} speaks {own}, not {language}: leave out one of the two.")
    return speaker


def _speaking(language: str, catalogue: Catalogue) -> list[Speaker]:
    """The voices of the nearest known form of a BCP 47 tag, best first; never another language (RFC 4647, lookup)."""
    asked = language.strip().lower().replace("_", "-").partition("-u-")[0]
    narrower = _claiming(lambda claim: claim.startswith(f"{asked}-"), catalogue)
    wanted = asked
    while wanted:
        known = _ALIASES.get(wanted, wanted)
        if speakers := _claiming(known.__eq__, catalogue):
            return speakers + narrower
        wanted = wanted.rpartition("-")[0]
    return narrower


def _claiming(fits: Callable[[str], bool], catalogue: Catalogue) -> list[Speaker]:
    ranked = [
        (rank, len(speaker.name), speaker.name, speaker)
        for speaker in catalogue.speakers
        for rank, claim in speaker.claims
        if fits(claim)
    ]
    return [speaker for *_, speaker in sorted(ranked, key=lambda row: row[:3])]


def _named(base: str, catalogue: Catalogue) -> Speaker:
    """By name, by espeak-ng's identifier (`gmw/en-US`), or by a language that a voice is called after (`en-gb`)."""
    asked = base.lower().replace("_", "-")
    for speaker in catalogue.speakers:
        if asked in (speaker.name, speaker.identifier.lower()):
            return speaker
    for speaker in _speaking(asked, catalogue):
        if asked in (claim for _, claim in speaker.claims):
            return speaker
    raise _unknown("voice", base, catalogue)


def _variant(asked: str, catalogue: Catalogue) -> str:
    names = {name.lower(): name for name in catalogue.variants}
    plain = asked.strip().removeprefix("!v/").lower()
    if plain not in names:
        raise _refusal("variant", asked, difflib.get_close_matches(plain, names, n=4))
    return names[plain]


def _unknown(what: str, asked: str, catalogue: Catalogue) -> BadVoice:
    plain = asked.lower().replace("_", "-")
    called = [speaker.name for speaker in catalogue.speakers if f" {plain}" in f" {speaker.description.lower()}"]
    return _refusal(
        what, asked, sorted(called, key=len)[:4] or difflib.get_close_matches(plain, _names(catalogue), n=4)
    )


def _names(catalogue: Catalogue) -> list[str]:
    claims = (claim for speaker in catalogue.speakers for _, claim in speaker.claims)
    return [*(speaker.name for speaker in catalogue.speakers), *claims]


def _refusal(what: str, asked: str, near: list[str]) -> BadVoice:
    guess = f" Did you mean {', '.join(dict.fromkeys(near))}?" if near else ""
    return BadVoice(f"espeak has no {what} {asked!r}.{guess} List them with `speech voices espeak`.")
