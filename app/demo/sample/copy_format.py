"""Values as the text format of PostgreSQL's COPY takes them."""

from collections.abc import Sequence
from typing import Final

NULL: Final = "\\N"


def copy_text(text: str) -> str:
    """Any text, also a literal of another type that may hold backslashes."""
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")


def text_array(elements: Sequence[str]) -> str:
    """A text[] without NULL elements."""
    quoted = ['"' + each.replace("\\", "\\\\").replace('"', '\\"') + '"' for each in elements]
    return copy_text("{" + ",".join(quoted) + "}")


def money(centavos: int) -> str:
    """A numeric with two decimals."""
    return f"{centavos // 100}.{centavos % 100:02}"
