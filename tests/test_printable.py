"""No text from elsewhere moves a cursor or ends a line."""

import json
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from app.cli.output import json_text
from app.printable import printable

EVIL = "Ana\x1b[2J\x1b]0;título\x07\r\nfila falsa\x9b31m\u202eonderrev\u2028fin\x00"


def test_what_a_terminal_would_heed_is_an_escape() -> None:
    shown = printable(EVIL)
    assert shown.isprintable()
    assert shown.startswith(r"Ana\x1b[2J\x1b]0;título\x07\r\nfila falsa\x9b31m\u202eonderrev")


def test_names_stay_as_they_are() -> None:
    for name in ("Ñuñoa — Peñaranda", "O’Higgins", "李小龍", "🦷 Sonrisas"):
        assert printable(name) == name
    assert printable("Ana\u00a0María") == "Ana María"


@given(st.text(st.characters(codec=None)))
def test_whatever_it_is_it_is_one_line(text: str) -> None:
    assert printable(text).isprintable()


@given(st.text())
def test_json_heeds_nothing_either_and_says_the_same(text: str) -> None:
    shown = json_text({"nombre": text})
    assert json.loads(shown) == {"nombre": text}
    assert not any(unicodedata.category(char) in {"Cc", "Zl", "Zp"} or char == "\u202e" for char in shown)
