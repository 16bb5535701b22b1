"""Sentences end where a reader of the language would say so, and nowhere else."""

# ruff: noqa: RUF001 - letters and marks that look like others are what these tests are about

from itertools import pairwise

import pytest

from tasks.sentences import quoted_ends, sentence_ends


def sentences(text: str, language: str, ends=sentence_ends) -> list[str]:
    return [text[start:end].strip() for start, end in pairwise((0, *ends(text, language), len(text)))]


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "Dr. Smith paid $3.50 at 10:05 in St. Louis."),
        ("en", "J. R. R. Tolkien wrote it, e.g. this page, see p. 12 or No. 5 of Vol. 3, ch. Four, ed. Brown."),
        ("en", "He said it was so, i.e. Nothing, approx. Ten, at 6 a.m. Monday."),
        ("vi", "TP. Hồ Chí Minh có GS. Nguyễn Văn A, PGS.TS. Hà, ThS. Lan, tr. 12 và Q. Ba."),
        ("id", "Jl. Sudirman di Kec. Menteng, harganya Rp. 5.000, kata Ir. Soekarno, hlm. 6."),
        ("ms", "En. Ali dan Pn. Siti di Kg. Baru."),
        ("de", "Im 19. Jahrhundert, am 3. Oktober, z. B. Goethe, Nr. 5, vgl. Bd. 2."),
        ("fr", "M. Dupont, Mme. Rose et Dr. Petit lisent J.-J. Rousseau, n. 5, à St. Denis."),
        ("es", "El Sr. López y Dña. Ana, pág. 5."),
        ("pl", "Na ul. Długiej św. Jan, ks. Piotr, m.in. Kraków, r. Pańskiego."),
        ("ru", "Собор св. Пётр, им. Пушкина, А. С. Пушкин, т. е. Так, рис. 5."),
        ("tr", "Doç. Ali, Cad. Beş, Sn. Yılmaz, 3. Ahmet."),
        ("tl", "Si Gng. Reyes sa Sta. Cruz, Brgy. Uno."),
        ("hi", "डॉ. शर्मा और श्री. वर्मा आए।"),
        ("ja", "「そうです。」と言った。"),
    ],
)
def test_abbreviations_do_not_end_a_sentence(language, text):
    """A full stop that shortens a title, an address, a number or a name is no end."""
    assert sentences(text, language) == [text]


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("en", ["It was John's.", "He saw it.", "“So?” he asked.", "Wait… what?", "No!", "Yes."]),
        ("en-GB", ["Mr. Brown left.", "She stayed."]),
        ("", ["It rained.", "Nobody came."]),
        ("xx-unknown", ["It rained.", "Nobody came."]),
        ("vi", ["Trời mưa.", "Không ai đến."]),
        ("de", ["Er war 19 Jahre alt.", "Sie auch."]),
        ("ar", ["مرحبا.", "كيف حالك؟", "جيد!"]),
        ("hi", ["यह है।", "वह था।", "क्या?"]),
        ("ko", ["비가 왔다.", "아무도 오지 않았다."]),
    ],
)
def test_sentences_are_found_where_words_are_spaced(language, told):
    """Each language's own sentences are found; an unknown language is read like English."""
    assert sentences(" ".join(told), language) == told


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("zh", ["他说：“你好。我走了。”", "然后走了。", "真的吗？", "是的！"]),
        ("ja", ["『坊っちゃん』は本です。", "行く？", "はい！"]),
    ],
)
def test_sentences_are_found_where_words_are_not_spaced(language, told):
    """A quotation stays whole and its closing mark stays with it."""
    assert sentences("".join(told), language) == told


@pytest.mark.parametrize(
    ("language", "text", "told"),
    [
        (
            "en",
            "“Come in. Sit down!” he said. “Mr. Fox left.”",
            ["“Come in.", "Sit down!” he said.", "“Mr. Fox left.”"],
        ),
        ("zh", "他说：“你好。我走了。”然后走了。", ["他说：“你好。", "我走了。”", "然后走了。"]),
        ("ja", "「行く。そうです。」と言った。", ["「行く。", "そうです。」と言った。"]),
        ("ru", "«Привет. Как дела?» — сказал он.", ["«Привет.", "Как дела?» — сказал он."]),
    ],
)
def test_sentences_within_quotations_can_be_found(language, text, told):
    """A speech that is too long for one request has ends inside, each quotation mark on its own side."""
    assert sentences(text, language, quoted_ends) == told


def test_a_stray_closing_mark_stays_with_its_sentence():
    """A bracket that was opened in another paragraph closes the sentence before it."""
    assert sentences("He left.) She stayed.", "en") == ["He left.)", "She stayed."]


@pytest.mark.parametrize("white", ["\u00a0", "\u3000", "\u2028"])
def test_no_white_space_breaks_the_search_for_sentences(white):
    """White space of several bytes between a capital and its full stop, where sentencex panics, is a space."""
    assert list(sentence_ends(f"He came{white}. Plan A{white}. It rained.", "en")) == [10, 19]
