"""A table's cells: which are spoken, by whom, in which language, and into which file."""

import json
from pathlib import Path

import pytest

from blocks.speech import BadInput, BadVoice, Voice
from tasks.casting import Role, cast_of
from tasks.cell_output import only_these
from tasks.table import Table, read_table
from tasks.word_fields import Field, fields_of, wanted_of
from tasks.wordlist import Cell, check_scripts, document_of, words_of

RUN = Role(Voice("cartesia", "Katie", "en"), "http://gpu")
TYPED = {
    "version": 3,
    "noun": [
        {"word": "cat", "gloss": {"ja": "猫"}, "lang": "en"},
        {"word": "Polish", "gloss": {"ja": ""}, "lang": "fr"},
    ],
    "verb": [{"word": "cat", "gloss": {"ja": "吐く"}, "lang": ""}],
}


def table(tmp_path: Path, content: object, name: str = "words.json") -> Table:
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return read_table(str(path))


def cells(source: Table, fields: str, types: str = "", voices: str = "", **told: str) -> list[Cell]:
    wanted = wanted_of(source, RUN, cast_of(voices, RUN), fields, types, **told)
    return list(words_of(source, wanted, "mp3").cells)


def test_fields_name_their_language_and_voice() -> None:
    """A field, @ its language, = its voice; a column that is called just so comes first."""
    assert fields_of("word, meaning@ja, example@en=piper:amy=http://gpu", ["word"]) == (
        Field("word"),
        Field("meaning", "ja"),
        Field("example", "en", "piper:amy=http://gpu"),
    )
    assert fields_of("a=b@c", ["a=b@c"]) == (Field("a=b@c"),)


@pytest.mark.parametrize("told", ["", " , ", "@ja", "=Katie", "word=", "word@", "word, word@ja"])
def test_what_names_no_field_is_refused(told: str) -> None:
    """And the fields that there are, are told."""
    with pytest.raises(BadInput, match="fields"):
        fields_of(told, ["word", "meaning"])


def test_a_file_for_each_cell(tmp_path: Path) -> None:
    """By type, word and field; the empty cells are there, too, and rows that are no objects are left alone."""
    found = cells(table(tmp_path, TYPED), "word, gloss.ja@ja")
    assert [cell.file.rpartition("/")[0] for cell in found[::2]] == [
        "noun/cat",
        found[2].file[: -len("/word.mp3")],
        "verb/cat",
    ]
    assert found[2].file.startswith("noun/polish.")
    assert [cell.empty for cell in found] == [False, False, False, True, False, False]
    assert len({cell.file for cell in found}) == len(found)


def test_types_are_chosen(tmp_path: Path) -> None:
    """By the keys of the object or by a field that is called type; one that no row has is refused, with the nearest."""
    assert {cell.kind for cell in cells(table(tmp_path, TYPED), "word", "verb")} == {"verb"}
    plain = table(tmp_path, "word,type\ncat,noun\nrun,verb\ntoo,\n", "plain.csv")
    assert [cell.file for cell in cells(plain, "word")] == [
        "noun/cat/word.mp3",
        "verb/run/word.mp3",
        "plain/too/word.mp3",
    ]
    with pytest.raises(BadInput, match="is noun meant"):
        cells(plain, "word", "nouns")


def test_whose_voice(tmp_path: Path) -> None:
    """The field's own, else the language's or the field's of the list, else the run's where it speaks the language."""
    source = table(tmp_path, TYPED)
    named = {cell.field: cell.role for cell in cells(source, "word@en-gb, gloss.ja@ja=Yuki")}
    assert named["word"] == Role(Voice("cartesia", "Katie", "en-gb"), "http://gpu")
    assert named["gloss.ja"] == Role(Voice("cartesia", "Yuki", "ja"), "http://gpu")
    listed = {cell.field: cell.role for cell in cells(source, "word, gloss.ja@ja", voices="ja=piper:haru, word=Brad")}
    assert listed["word"].voice.name == "Brad"
    assert listed["gloss.ja"] == Role(Voice("piper", "haru", "ja"))
    assert {cell.role.voice.name for cell in cells(source, "gloss.ja@ja")} == {""}  # the provider's for Japanese


def test_a_field_tells_the_language_of_each_row(tmp_path: Path) -> None:
    """Row by row; where it is empty the field's own, or the run's."""
    found = cells(table(tmp_path, TYPED), "word@de", language_field="lang")
    assert [cell.role.voice.language for cell in found] == ["en", "fr", "de"]


def test_rows_are_named_by_another_field(tmp_path: Path) -> None:
    """So that an edited word keeps its place; a row without a name takes its first field."""
    source = table(tmp_path, "id,word\n7,cat\n,dog\n", "words.csv")
    assert [cell.file for cell in cells(source, "word", named_by="id")] == ["words/7/word.mp3", "words/dog/word.mp3"]


def test_a_field_that_its_voice_cannot_read(tmp_path: Path) -> None:
    """Is refused by name, though most of the table is readable, with what to write."""
    source = table(tmp_path, [{"word": "a long English word list", "meaning": "意味"}])
    found = cells(source, "word, meaning")
    with pytest.raises(BadVoice, match=r"field meaning .*--fields meaning@"):
        check_scripts(document_of(source, found), found, {cell.role: cell.role.voice for cell in found})


def test_nothing_to_speak(tmp_path: Path) -> None:
    """A table whose wanted cells hold no letter or digit is refused before anything is asked for."""
    with pytest.raises(BadInput, match="nothing to speak in word"):
        cells(table(tmp_path, "word,x\n?,1\n😀,2\n", "words.csv"), "word")


def test_only_what_a_list_of_failures_names(tmp_path: Path) -> None:
    """The format may be another; a list of another table, or none, is refused."""
    listed = b"source,row,file,error\nwords.csv,2,words/dog/word.mp3,NotSpeech\nb.csv,1,b/x/word.mp3,NotSpeech\n"
    only = only_these(listed, "failures.csv", "/a/words.csv")
    assert only == {"words/dog/word"}
    source = table(tmp_path, "word\ncat\ndog\n", "words.csv")
    wanted = wanted_of(source, RUN, {}, "word", only=only)
    assert [cell.text for cell in words_of(source, wanted, "wav").cells] == ["dog"]
    with pytest.raises(BadInput, match=r"no cell of /c\.csv, but of b\.csv, words\.csv"):
        only_these(listed, "failures.csv", "/c.csv")
    with pytest.raises(BadInput, match="no list of failures"):
        only_these(b"word,meaning\ncat,x\n", "words.csv", "/a/words.csv")


def test_a_voice_for_nothing_is_refused(tmp_path: Path) -> None:
    """It would be another voice that is paid for; a voice for a language is also that of its regions."""
    source = table(tmp_path, TYPED)
    with pytest.raises(BadInput, match=r"voices: gloss\.jp is neither .*is gloss\.ja meant"):
        cells(source, "word, gloss.ja@ja", voices="gloss.jp=Yuki")
    assert {cell.role.voice.name for cell in cells(source, "word@en-US", voices="en=Brad")} == {"Brad"}


def test_names_with_commas_are_quoted(tmp_path: Path) -> None:
    """As in the table itself."""
    source = table(tmp_path, '"c,d",word\nyes,no\n', "words.csv")
    assert [cell.text for cell in cells(source, '"c,d", word')] == ["yes", "no"]


def test_half_a_character_is_refused(tmp_path: Path) -> None:
    """JSON can hold what no text is; the line is told."""
    with pytest.raises(BadInput, match="line 1: word holds half of a character"):
        cells(table(tmp_path, '[{"word": "hello \\ud800"}]'), "word")
