"""What people take for the same word."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.folded import fold, same_name


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Muñoz", "MUNOZ"),
        ("Mun\u0303oz", "muñoz"),
        ("Güemes", "guemes"),
        ("Straße", "STRASSE"),
        ("İstanbul", "ıstanbul"),
        ("ﬁesta", "FIESTA"),
        ("Łódź", "lodz"),
        ("ＡＢＣ１", "abc1"),
    ],
)
def test_these_are_the_same(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@given(st.text())
def test_how_a_text_is_written_does_not_matter(text: str) -> None:
    folded = fold(text)
    assert fold(folded) == folded
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert fold(unicodedata.normalize(form, text)) == folded


@pytest.mark.parametrize(
    ("typed", "name", "same"),
    [
        ("clinica dental illimani la paz", "Clínica Dental Illimani — La Paz", True),
        ("elcristo 2", "«El Cristo» 2", True),
        ("el cristo", "«El Cristo» 2", False),
        ("", "Clínica", False),
        (" — ", "—", True),
        ("", "—", False),
    ],
)
def test_a_name_is_typed_without_what_is_hard_to_type(typed: str, name: str, same: bool) -> None:
    assert same_name(typed, name) is same
