"""Markdown becomes pieces: what is spoken as Segments, without its markup, and the rest as Omissions."""

import re
from collections.abc import Iterator
from typing import Any, Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

from blocks.speech import BadInput
from tasks.document import Omission, Segment

_DEEPEST: Final = 100
"""Levels of nesting: below them markdown-it drops text in silence, and not far below Python's stack ends."""

# A thematic break may stand at the head of a text too: front matter is what goes on with a key.
_FRONT_MATTER: Final = re.compile(
    r"\s*^(---|\+\+\+)[^\S\n]*\n(?:[^\S\n]*(?:#.*)?\n)*[\w\"'-]+\s*[:=](?:.*\n)*?(?:\1|\.\.\.)[^\S\n]*(?:\n|\Z)",
    re.MULTILINE,
)

_UNSPOKEN: Final = {
    "fence": "code",
    "code_block": "code",
    "html_block": "HTML",
    "html_inline": "HTML",
    "image": "image",
}
_HEADINGS: Final = {f"h{level}" for level in range(1, 7)}


def cut_front_matter(text: str) -> tuple[str, list[Omission]]:
    """The text with blank lines for its front matter, and what was cut."""
    match = _FRONT_MATTER.match(text)
    if not match:
        return text, []
    line = text.count("\n", 0, match.start(1)) + 1
    blank = "\n" * match[0].count("\n")
    return blank + text[match.end() :], [Omission(line, match[0], "omitted", "front matter")]


def read_markdown(text: str, source: str) -> list[Segment | Omission]:
    """The pieces of CommonMark with tables and strikethrough, by line; their text is not yet normalised.

    A list item's number and a link's address are markup; a bare address is text. Raises BadInput where lists and quotes
    nest too deep.
    """
    env: dict[str, Any] = {}
    tokens = MarkdownIt("commonmark", {"maxNesting": _DEEPEST}).enable(["table", "strikethrough"]).parse(text, env)
    for token in tokens:
        if token.map and token.level >= _DEEPEST - 1:
            raise BadInput(f"{source}, line {token.map[0] + 1}: lists and quotes nest too deep: flatten them")
    lines = text.split("\n")
    return sorted([*_blocks(tokens), *_definitions(env, lines)], key=lambda piece: piece.line)


def _blocks(tokens: list[Token]) -> Iterator[Segment | Omission]:
    opening = ""
    cells: list[str] = []
    line = 0
    for token in tokens:
        line = token.map[0] + 1 if token.map else line
        if token.type in _UNSPOKEN:
            yield Omission(line, token.content, "omitted", _UNSPOKEN[token.type])
        elif token.type == "hr":
            yield Segment(token.markup[:3], line)
        elif token.type == "tr_close":
            yield Segment(", ".join(filter(None, cells)), line)
            cells = []
        elif token.type == "inline":
            spoken, unspoken = _inline(token.children or [], line)
            yield from unspoken
            if opening in {"th", "td"}:
                cells.append(spoken.strip())
            else:
                yield Segment(spoken, line, level=int(opening[1]) if opening in _HEADINGS else 0)
        opening = token.tag


def _inline(children: list[Token], line: int) -> tuple[str, list[Omission]]:
    """What is spoken of one block's text, and what is not."""
    spoken: list[str] = []
    unspoken: list[Omission] = []
    for child in children:
        if child.type in {"softbreak", "hardbreak"}:
            spoken.append("\n")
            line += 1
        elif child.type in _UNSPOKEN:
            text = child.content or str(child.attrs.get("src", ""))
            unspoken.append(Omission(line, text, "omitted", _UNSPOKEN[child.type]))
            # A tag inside a word ends nothing, but a line break does.
            spoken.append("\n" if text.startswith("<br") else "")
        else:
            spoken.append(child.content)
            line += child.content.count("\n")
    return "".join(spoken), unspoken


def _definitions(env: dict[str, Any], lines: list[str]) -> Iterator[Omission]:
    """The link definitions, which leave no token."""
    for definition in [*env.get("references", {}).values(), *env.get("duplicate_refs", [])]:
        start, end = definition["map"]
        yield Omission(start + 1, "\n".join(lines[start:end]), "omitted", "link definition")
