"""What of a cue is spoken, and by whom."""

# ruff: noqa: RUF001 - dashes, brackets and colons of several scripts are what is read

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.cue_text import read_cue


@pytest.mark.parametrize(
    ("raw", "spoken"),
    [
        ("<i>One</i> <B>two</B> <u>three", "One two three"),
        ('<font color="#ffff00" face=Arial>Hi</font> </ i>there', "Hi there"),
        (r"{\an8}{\i1}Up{\i0}\Nthere\hnow", "Up\nthere now"),
        ("{y:i}Slanted {as said}", "Slanted {as said}"),
        ("<c.yellow.bg_blue>a <lang en>b</lang></c><00:00:01.000>c", "a bc"),
        ("<ruby>漢<rt>かん</rt></ruby>字", "漢字"),
        ("5 < 6 & 7 > 3, a <3 b, x<y", "5 < 6 & 7 > 3, a <3 b, x<y"),
        ("R&amp;D &lt;b&gt; &#39;x&#x27; AT&T &notify", "R&D <b> 'x' AT&T &notify"),
        ("- Hi\n- Hello, well-known\n—No.", "Hi\nHello, well-known\nNo."),
        ("-5 degrees\n10-12", "-5 degrees\n10-12"),
        (">> Good evening.\n>>> Next.", "Good evening.\nNext."),
        ("1984", "1984"),
        ("It is 10:30", "It is 10:30"),
        ("Left --> right", "Left --> right"),
        ("(quietly) Yes", "(quietly) Yes"),
        ("a<br>b<br/>c", "a\nb\nc"),
    ],
)
def test_markup_is_not_spoken(raw: str, spoken: str):
    """Tags, codes, entities and the dashes of a dialogue go; what only looks like them stays."""
    [part] = read_cue(raw)
    assert part.text == spoken
    assert not part.speaker


@pytest.mark.parametrize(
    ("raw", "spoken", "unsaid"),
    [
        ("[door slams]", "", "[door slams]"),
        ("[door\nslams] Who is [sighs] there [gasps]?", "Who is   there?", "[door slams] [sighs] [gasps]"),
        ("♪ Home, home ♪", "Home, home", "♪ ♪"),
        ("At 00:00:04,000 --> 00:00:06,000 we go", "At   we go", "00:00:04,000 --> 00:00:06,000"),
        ("<laughs> Yes", "Yes", "<laughs>"),
        ("[Unclosed", "[Unclosed", ""),
    ],
)
def test_sounds_are_told_of(raw: str, spoken: str, unsaid: str):
    """What stands in square brackets, notes of music and stray times are not spoken, but kept."""
    [part] = read_cue(raw)
    assert (part.text, part.unsaid) == (spoken, unsaid)


@pytest.mark.parametrize(
    ("raw", "parts"),
    [
        ("ANNA: Hello", [("ANNA", "Hello")]),
        ("DR. SMITH: Hello", [("DR. SMITH", "Hello")]),
        ("- ANNA:\nHello", [("ANNA", "Hello")]),
        (">> ANNA (whispering): Hello", [("ANNA", "Hello")]),
        ("<i>ANNA [sighs] : Hello</i>", [("ANNA", "Hello")]),
        ("ÉLODIE： Oui", [("ÉLODIE", "Oui")]),
        ("- ANNA: Hi\n- BOB: Hello\nthere", [("ANNA", "Hi"), ("BOB", "Hello\nthere")]),
        ("- ANNA: Hi\n- Hello", [("ANNA", "Hi"), ("", "Hello")]),
        ("ANNA: Hi\nANNA: you", [("ANNA", "Hi\nyou")]),
        ("bob: Hi", [("bob", "Hi")]),
        ("安娜：你好", [("安娜", "你好")]),
        ("<v Anna>Hi</v> <v.loud Bob &amp; Eve>Hello", [("Anna", "Hi"), ("Bob & Eve", "Hello")]),
        ("Anna: Hi", [("", "Anna: Hi")]),
        ("ANNA:", [("", "ANNA:")]),
        ("NOTE: 10:30", [("", "NOTE: 10:30")]),
        ("AT 10:30 WE GO", [("", "AT 10:30 WE GO")]),
        ("CHAPTER 1: THE SEA", [("", "CHAPTER 1: THE SEA")]),
        ("A: Yes", [("", "A: Yes")]),
        ("HTTP://X.ORG", [("", "HTTP://X.ORG")]),
        ("I HAVE SAID IT BEFORE: NO", [("", "I HAVE SAID IT BEFORE: NO")]),
        ("ANNA: [sighs]", [("ANNA", "")]),
    ],
)
def test_speakers(raw: str, parts: list[tuple[str, str]]):
    """A name in capitals, a known one or a voice of WebVTT tells who speaks, and is not spoken; other colons stay."""
    assert [(part.speaker, part.text) for part in read_cue(raw, {"Bob", "安娜"})] == parts


@given(st.text(st.sampled_from("aBé字<>/[]{}\\&;:-\n ♪i1v\x01\x02"), max_size=60))
def test_no_letter_is_lost_but_in_markup(raw: str):
    """Any text can be read; where nothing in it looks like markup or a name, each letter is spoken or told of."""
    parts = read_cue(raw)
    if not set(raw) & set("<{&:\\\x01\x02"):
        told = "".join(part.text + part.unsaid for part in parts)
        assert sorted(filter(str.isalnum, told)) == sorted(filter(str.isalnum, raw))


@pytest.mark.parametrize(
    ("raw", "speaker", "said", "unsaid"),
    [
        ("NARRATOR [over TV]: The end.", "NARRATOR", "The end.", "[over TV]"),
        ("[MAN]: Who goes there?", "", "Who goes there?", "[MAN]:"),
        ("&lrm;ANNA: Hi.", "ANNA", "Hi.", ""),
        ("\u200f- Yes.", "", "Yes.", ""),
        ("MAN #1: Here.", "MAN #1", "Here.", ""),
        ("MAN 2: Here.", "MAN 2", "Here.", ""),
        ("CHAPTER 2: The sea.", "", "CHAPTER 2: The sea.", ""),
        (r"{\p1}m 0 0 l 100 0 100 100{\p0}Look.", "", "Look.", "a drawing"),
        (r"{\an7\p2}m 0 0 l 100 0", "", "", "a drawing"),
        ("(DOOR SLAMS)", "", "", "(DOOR SLAMS)"),
        ("- (GASPS) You!", "", "You!", "(GASPS)"),
        ("The agency (NASA) said so.", "", "The agency (NASA) said so.", ""),
        ("(he was right)", "", "(he was right)", ""),
        ("# La la la #", "", "La la la", "# #"),
        ("We are #1", "", "We are #1", ""),
    ],
)
def test_what_the_hard_of_hearing_read(raw: str, speaker: str, said: str, unsaid: str) -> None:
    """Sounds, drawings and the ways of a voice are seen and not heard; what only looks like them is heard."""
    [part] = read_cue(raw)
    assert (part.speaker, part.text, part.unsaid) == (speaker, said, unsaid)
