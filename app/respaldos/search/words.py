"""What somebody looks for: words, found without regard to case and accents."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import re2

from app.errors import InvalidRequest
from app.folded import fold
from app.printable import printable

LONGEST_TEXT: Final = 200

# Of what is found, so many characters on each side are shown.
AROUND: Final = 40

# So many characters of a text are passed at once on the way to what is shown.
_STEP: Final = 4096

# Where Unicode has letters that are another one with a sign, or in another form. The rest of it stands for itself.
_SIGNED: Final = (
    *(range(0x80, 0x2500), range(0x2C60, 0x2E00), range(0x3000, 0x3400), range(0xA640, 0xA800)),
    *(range(0xF900, 0xFB50), range(0xFE10, 0xFFF0), range(0x1D400, 0x1D800), range(0x1F100, 0x1F200)),
)

# JSON may write any character so. PostgreSQL does of those that are none to be seen, whoever edits a file of others.
_ESCAPED: Final = r"\\+u[0-9a-fA-F]{4}"


@dataclass(frozen=True, slots=True)
class Text:
    """A value of a record as it is searched: of which model and column, and what it says."""

    model: str
    column: str
    text: str
    folded: str

    @classmethod
    def of(cls, model: str, column: str, text: str) -> "Text":
        """The value with its folded form."""
        return cls(model, column, text, fold(text))


@dataclass(frozen=True, slots=True)
class Coincidence:
    """Where the first word was found; `excerpt` is fit for a terminal."""

    model: str
    column: str
    excerpt: str


class Words:
    """The words of a text, each of which has to be found in a value, in any order. Without any, nothing is found.

    Raises InvalidRequest where the text is longer than LONGEST_TEXT.
    """

    def __init__(self, text: str) -> None:
        if len(text) > LONGEST_TEXT:
            raise InvalidRequest(f"lo que se busca puede tener {LONGEST_TEXT} caracteres como máximo")
        given = {folded: word for word in text.split() if (folded := fold(word).strip())}
        # By the one of which there are fewest, most likely, the others need not be looked for.
        self._folded = sorted(given, key=len, reverse=True)
        self.pattern = _pattern(self._folded[0], given[self._folded[0]]) if given else None

    def found(self, texts: Sequence[Text]) -> Text | None:
        """Where the longest word is; None unless all of them are somewhere."""
        if not self._folded or not all(any(word in text.folded for text in texts) for word in self._folded[1:]):
            return None
        return next((text for text in texts if self._folded[0] in text.folded), None)

    def coincidence(self, found: Text) -> Coincidence:
        """The longest word as it stands in that text, which has it."""
        return Coincidence(found.model, found.column, _excerpt(found, self._folded[0]))


def _excerpt(found: Text, word: str) -> str:
    """The word as it stands in the text, with what is around it."""
    text, at = found.text, found.folded.index(word)
    first, passed = 0, 0
    # A text may be long: first in large steps, then by letters.
    for step in (_STEP, 1):
        while passed + (size := len(fold(text[first : first + step]))) <= at:
            passed += size
            first += step
    last = first
    while passed < at + len(word):
        passed += len(fold(text[last]))
        last += 1
    start, end = max(first - AROUND, 0), last + AROUND
    shown = " ".join(text[start:end].split())
    return printable(f"{'…' if start else ''}{shown}{'…' if end < len(text) else ''}")


def _pattern(word: str, given: str) -> str:
    """RE2's, which is found in each line of a file in which the folded word may be, and in some others."""
    alone, several = _forms()
    composed = len(unicodedata.normalize("NFC", word)) < len(word)
    if composed or not all(char in alone or char.isascii() for char in word):
        # Of other writings, as of Korean, only what is written alike is found.
        forms = {unicodedata.normalize(form, given) for form in ("NFC", "NFD")}
        return "|".join(re2.escape(form) for form in sorted(forms))
    marks = _class("".join(char for char, folded in several.items() if not folded))
    letters = f"(?:[{marks}]|{_ESCAPED})*".join(_letter(char, alone.get(char, "")) for char in word)
    overlapping = "".join(char for char, folded in several.items() if folded and _overlap(folded, word))
    return f"{letters}|[{_class(overlapping)}]" if overlapping else letters


def _letter(char: str, forms: str) -> str:
    kept = {char, char.upper()} if char.isascii() else {char}
    # JSON writes these two with a backslash.
    quoted = [rf"\\{re2.escape(char)}"] if char in '"\\' else []
    others = "".join(sorted((kept if not quoted else set()) | set(forms)))
    return f"(?:{'|'.join([*([f'[{_class(others)}]'] if others else []), *quoted, _ESCAPED])})"


def _class(chars: str) -> str:
    return "".join(rf"\x{{{ord(char):x}}}" for char in chars)


def _overlap(folded: str, word: str) -> bool:
    """Whether a character that is several letters may be a part of where the word is."""
    shorter = min(len(folded), len(word))
    return (
        folded in word
        or word in folded
        or any(folded.endswith(word[:size]) or word.endswith(folded[:size]) for size in range(1, shorter + 1))
    )


@cache
def _forms() -> tuple[dict[str, str], dict[str, str]]:
    """By folded letter all characters that are it; and those that are several letters, or none, with these."""
    alone: dict[str, str] = {}
    several: dict[str, str] = {}
    for some in _SIGNED:
        for char in map(chr, some):
            folded = fold(char)
            if len(folded) == 1:
                alone[folded] = alone.get(folded, "") + char
            else:
                several[char] = folded
    return alone, several
