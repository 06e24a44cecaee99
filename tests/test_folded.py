"""What people take for the same word."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.folded import fold


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
