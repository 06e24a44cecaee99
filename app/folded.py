"""Text as people compare it: without regard to case and accents."""

import unicodedata
from functools import cache

# Letters that Unicode does not take apart, and people write without their sign.
_PLAIN = str.maketrans({"ı": "i", "ł": "l", "đ": "d", "ø": "o", "ħ": "h"})


def fold(text: str) -> str:
    """`Muñoz`, `MUÑOZ` and `munoz`, composed or not, are the same; so are `ß` and `ss`, and the three kinds of i."""
    return text.lower() if text.isascii() else "".join(map(_folded, text))


def same_name(typed: str, name: str) -> bool:
    """Whether somebody who was asked for the name typed it: its letters and figures count, and not case or accents.

    A name without any is typed as it is. The panel has the same rule (`sameName`).
    """
    bare = _bare(name)
    return _bare(typed) == bare if bare else typed.strip() == name.strip()


def _bare(text: str) -> str:
    return "".join(filter(str.isalnum, fold(text)))


@cache
def _folded(char: str) -> str:
    parts = unicodedata.normalize("NFKD", char).casefold()
    if not parts.isascii():
        parts = unicodedata.normalize("NFKD", parts)
    return "".join(part for part in parts if not unicodedata.combining(part)).translate(_PLAIN)
