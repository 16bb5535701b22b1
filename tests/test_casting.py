"""Who says what: speakers, their voices, and the parts of a document that each voice has."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.speech import BadInput, Voice
from tasks.casting import Role, cast_of, key_of, read_cast, roles, uncast
from tasks.document import Document, Segment, Window

RUN = Role(Voice("cartesia", "katie", "en", "sonic-3", 1.1, "calm"), "http://127.0.0.1:1")


def document(*speakers: str) -> Document:
    segments = tuple(
        Segment(f"Line {number}.", number, window=Window(1000 * number, 1000 * number + 900, number), speaker=speaker)
        for number, speaker in enumerate(speakers, 1)
    )
    return Document("film.srt", "", "utf-8", "film", segments)


def test_a_name_is_a_voice_of_the_run() -> None:
    """Model, language, speed, style and server are those of the run; only a provider's name before it changes them."""
    cast = cast_of("ANNA=Brad: the calm one, bob = piper:lessac=http://gpu:5000,Eve=espeak", RUN)
    assert cast == {
        "anna": Role(Voice("cartesia", "Brad: the calm one", "en", "sonic-3", 1.1, "calm"), RUN.server),
        "bob": Role(Voice("piper", "lessac", "en", "", 1.1), "http://gpu:5000"),
        "eve": Role(Voice("espeak", "", "en", "", 1.1)),
    }
    assert cast_of(" ", RUN) == {}


@pytest.mark.parametrize("ending", ["json", "toml"])
async def test_a_file_tells_the_same(tmp_path: Path, ending: str) -> None:
    """A speaker has a voice's name, or a table of all that a voice is."""
    told = {"ANNA": "Brad", "BOB": {"provider": "piper", "voice": "lessac", "speed": 2, "server": "http://gpu:5000"}}
    file = tmp_path / f"cast.{ending}"
    toml = 'ANNA = "Brad"\n[BOB]\nprovider = "piper"\nvoice = "lessac"\nspeed = 2\nserver = "http://gpu:5000"\n'
    file.write_text(json.dumps(told) if ending == "json" else toml)
    cast = await read_cast(str(file), RUN)
    assert cast["anna"] == cast_of("ANNA=Brad", RUN)["anna"]
    assert cast["bob"] == Role(Voice("piper", "lessac", speed=2), "http://gpu:5000")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("ANNA", "'ANNA' tells no speaker's voice"),
        ("=Katie", "tells no speaker's voice"),
        ("ANNA=", "tells no speaker's voice"),
        ("ANNA=Katie,anna=Brad", "anna stands there twice"),
    ],
)
def test_what_is_no_pair_is_refused(words: str, told: str) -> None:
    """The message names the pair."""
    with pytest.raises(BadInput, match=told):
        cast_of(words, RUN)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("cast.json", '["ANNA"]', "no map of speakers"),
        ("cast.json", '{"ANNA": ', "cast.json cannot be read: .*line 1"),
        ("cast.toml", "ANNA = Katie", "cast.toml cannot be read: .*line 1"),
        ("cast.json", '{"ANNA": 7}', "'ANNA' needs a voice"),
        ("cast.json", '{"ANNA": {"pitch": "low"}}', "'ANNA': pitch = 'low' is nothing a voice has"),
        ("cast.json", '{"ANNA": {"speed": "fast"}}', "speed = 'fast'"),
        ("cast.json", '{"ANNA": {"speed": true}}', "speed = True"),
        ("cast.json", '{"ANNA": {"provider": "espaek"}}', "espaek"),
    ],
)
async def test_a_file_that_is_no_cast_is_refused(tmp_path: Path, name: str, text: str, told: str) -> None:
    """File and speaker are named, and what is known."""
    (tmp_path / name).write_text(text)
    with pytest.raises(BadInput, match=told):
        await read_cast(str(tmp_path / name), RUN)


async def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """Its name is told."""
    with pytest.raises(BadInput, match=r"cast\.toml was not found"):
        await read_cast(str(tmp_path / "cast.toml"), RUN)


@given(st.lists(st.sampled_from(["ANNA", "anna ", "Bob", "EVE", ""]), min_size=1, max_size=20))
def test_every_segment_has_one_voice(speakers: list[str]) -> None:
    """However a speaker is spelt; who is not in the cast has the run's own voice."""
    film, cast = document(*speakers), cast_of("Anna=Brad,BOB=espeak", RUN)
    parts = roles(film, cast, RUN)
    assert sorted(index for segments in parts.values() for index in segments) == list(range(len(speakers)))
    for role, segments in parts.items():
        assert segments
        assert all(cast.get(key_of(speakers[index]), RUN) == role for index in segments)


def test_who_is_missing_on_either_side() -> None:
    """Speakers without a voice of their own are told as the source spells them, and voices that say nothing."""
    assert uncast(document("ANNA", "Eve", "", "EVE"), cast_of("ANNA=Brad,BOB=espeak", RUN)) == (["EVE"], ["bob"])
