"""Words are found however they are written, and nothing else is."""

import json
import unicodedata

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidRequest
from app.folded import fold
from app.respaldos.search.words import LONGEST_TEXT, Text, Words

# What people are called, and what somebody types who is in a hurry.
LETTERS = "aeiouáéíóúüñÑÁnszßIİıfﬁ1½'\"\\-/ø łŁ"


def texts(*values: str) -> list[Text]:
    return [Text.of("pacientes", f"columna{number}", value) for number, value in enumerate(values)]


def in_line(words: Words, text: str) -> bool:
    """Whether the pattern is found in a record line with that text."""
    line = json.dumps({"codigo": 1, "nombre": text}, ensure_ascii=False)
    return (
        words.pattern is not None
        and re2.compile(words.pattern).search(line.encode(errors="surrogatepass")) is not None
    )


@pytest.mark.parametrize(
    ("typed", "written"),
    [
        ("munoz", "Muñoz"),
        ("MUÑOZ", "Mun\u0303oz"),
        ("guemes", "Güemes"),
        ("strasse", "Hauptstraße"),
        ("istanbul", "İSTANBUL"),
        ("ISTANBUL", "ıstanbul"),
        ("o'brien", "O'Brien"),
        ('"la', 'Ana "La Negra"'),
        ("a\\b", "a\\b"),
        ("fiesta", "ﬁesta"),
        ("김철수", "김철수"),
        ("владимир", "ВЛАДИМИР"),
        ("7123456", "tel. 7123456-LP"),
        ("2026-03-01", "2026-03-01T10:00:00"),
    ],
)
def test_they_are_found_however_they_are_written(typed: str, written: str) -> None:
    words = Words(typed)
    assert words.found(texts(written)) is not None
    for form in ("NFC", "NFD"):
        assert in_line(words, unicodedata.normalize(form, written))


def test_json_may_have_escaped_a_letter() -> None:
    pattern = re2.compile(Words("muñoz").pattern or "")
    for line in (rb'{"a":"Mu\u00f1oz"}', rb'{"a":"Mun\u0303oz"}', rb'{"a":"{\"b\":\"Mu\\u00d1oz\"}"}'):
        assert pattern.search(line), line


@given(st.text(LETTERS, min_size=2, max_size=12), st.text(LETTERS, max_size=10), st.text(LETTERS, max_size=10))
def test_no_record_that_has_the_word_is_passed_over(word: str, before: str, after: str) -> None:
    words = Words(word)
    for form in ("NFC", "NFD"):
        for cased in (word, word.upper(), word.lower()):
            text = before + unicodedata.normalize(form, cased) + after
            if words.found(texts(text)):
                assert in_line(words, text), text


def test_every_word_has_to_be_somewhere_in_any_order() -> None:
    words = Words("7123456 muñoz ANA")
    assert words.found(texts("Ana María", "Muñoz", "CI 7123456")) is not None
    assert words.found(texts("Ana María", "Muñoz")) is None
    # A word does not go from one value on into the next.
    assert Words("marmunoz").found(texts("Mar", "munoz")) is None


def test_what_is_shown_is_the_text_as_it_stands() -> None:
    long = "x" * 300 + " DIAGNO\u0301STICO\x1b]52;c;\x07 " + "y" * 300
    words = Words("diagnostico")
    where = words.found(texts("nada", long))
    assert where is not None
    found = words.coincidence(where)
    assert (found.model, found.column) == ("pacientes", "columna1")
    assert "DIAGNO\u0301STICO\\x1b]52" in found.excerpt
    assert found.excerpt.startswith("…x")
    assert found.excerpt.endswith("…")
    assert len(found.excerpt) < 130


@pytest.mark.parametrize("text", ["", " \t ", "\u0301"])
def test_where_there_is_nothing_to_look_for_nothing_is_found(text: str) -> None:
    words = Words(text)
    assert words.pattern is None
    assert words.found(texts("Ana", "")) is None


def test_nobody_looks_for_a_whole_page() -> None:
    with pytest.raises(InvalidRequest):
        Words("x" * (LONGEST_TEXT + 1))


@given(st.text(max_size=40))
def test_whatever_is_typed_makes_a_pattern(text: str) -> None:
    pattern = Words(text).pattern
    assert (pattern is None) == (not fold(text).strip())
    assert pattern is None or re2.compile(pattern)
