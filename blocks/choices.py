"""What adapters share when they check a Voice: near names, language tags, speeds, and text that is no markup."""

from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches

from blocks.blame import told
from blocks.speech import BadVoice, Offer

MANY = "mul"
"""The tag (ISO 639-2) of a voice that reads each text in the text's own language."""
_PLAIN = {"<": "\uff1c", ">": "\uff1e", "[": "(", "]": ")"}
_SAME = {"cmn": "zh", "in": "id", "iw": "he", "nb": "no", "nn": "no", "tl": "fil", "jw": "jv"}


def tags(line: str) -> frozenset[str]:
    """Language tags, parted by blanks."""
    return frozenset(line.split())


LANGUAGES = tags(
    "af am ar as az be bg bn bs ca ceb cs cy da de el en es et eu fa fi fil fr ga gl gu ha he hi hr ht hu hy id is it "
    "ja jv ka kk km kn ko kok ky la lb ln lo lt lv mai mg mk ml mn mr ms my ne nl no ny or pa pl ps pt ro ru sd si sk "
    "sl so sq sr sv sw ta te th tr uk ur uz vi zh zu"
)
"""What the large multilingual voices read between them."""


def canonical(tag: str) -> str:
    """In BCP 47's usual case: `zh-Hans-CN`, `en-US`."""
    first, *others = tag.strip().replace("_", "-").split("-")
    cases = {2: str.upper, 4: str.title}
    return "-".join((first.lower(), *(cases.get(len(part), str.lower)(part) for part in others)))


def primary(tag: str) -> str:
    """The language alone, under one name: `zh` for `cmn-CN`."""
    first = tag.strip().replace("_", "-").partition("-")[0].lower()
    return _SAME.get(first, first)


def language_of(provider: str, asked: str, spoken: Collection[str]) -> str:
    """The canonical tag of a language whose primary subtag is spoken. Raises BadVoice."""
    tag = canonical(asked)
    if tag == MANY or not tag:
        return MANY
    if primary(tag) not in {primary(language) for language in spoken}:
        raise unknown(provider, "language", asked, sorted(spoken))
    return tag


def speed_of(provider: str, asked: float, slowest: float, fastest: float) -> float:
    """In hundredths. Raises BadVoice outside of the bounds."""
    if not slowest <= asked <= fastest:
        raise BadVoice(f"{provider} speaks at a speed from {slowest} to {fastest}, not {asked}.")
    return round(asked, 2)


def named(provider: str, what: str, asked: str, known: Iterable[str]) -> str:
    """The name in the list that is spelt alike, whatever its case. Raises BadVoice."""
    names = list(known)
    if asked.strip() in names:
        return asked.strip()
    alike = [name for name in names if name.lower() == asked.strip().lower()]
    if not alike:
        raise unknown(provider, what, asked, names)
    return alike[0]


def by_language(provider: str, asked: str, offers: Sequence[Offer]) -> Offer:
    """The first voice of a language: of its region, else of any, else one that reads them all. Raises BadVoice."""
    if not asked:
        return offers[0]
    exact = [offer for offer in offers if offer.language == canonical(asked)]
    near = [offer for offer in offers if primary(offer.language) == primary(asked)]
    able = [offer for offer in offers if offer.language == MANY]
    if not (found := exact or near or able):
        raise unknown(provider, "language", asked, (offer.language for offer in offers))
    return found[0]


def check_spoken(asked: str, offer: Offer) -> None:
    """Raise BadVoice when a voice is asked for another language than its own."""
    if asked and MANY not in {asked, offer.language} and primary(asked) != primary(offer.language):
        raise BadVoice(f"The voice {offer.name} speaks {offer.language}, not {asked}: leave out one of the two.")


def unknown(provider: str, what: str, asked: str, known: Iterable[str]) -> BadVoice:
    """For a name that is not in a list, with the nearest that are."""
    names = list(dict.fromkeys(known))
    small = {name.lower(): name for name in names}
    near = [small[name] for name in get_close_matches(asked.lower(), small, n=4)]
    hint = f"It has {told(', '.join(names[:12]))}." if names else f"List them with `speech voices {provider}`."
    if near:
        hint = f"Did you mean {', '.join(near)}?"
    return BadVoice(f"{provider} has no {what} {told(asked)!r}. {hint}")


def without_markup(text: str, marks: str) -> str:
    """The text without the marks that open a vendor's commands: `<>` in full width, and round brackets for `[]`."""
    return text.translate({ord(mark): _PLAIN[mark] for mark in marks})
