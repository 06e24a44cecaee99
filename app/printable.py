"""Text that came from somewhere else, as it may be put into a line of a terminal or of a log."""

import unicodedata


def printable(text: str) -> str:
    """The text on one line: what moves a cursor, ends a line or turns the writing around is an escape there."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    # Spaces of another width are in names that people paste.
    return " " if unicodedata.category(char) == "Zs" else char.encode("unicode_escape").decode()
