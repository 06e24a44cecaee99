"""The SQL that the documents have for roles."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def sql_of(document: str, wanted: str) -> str:
    """The SQL that a page of the documentation gives to be run, the first piece that has this in it."""
    pieces = re.findall(
        r"^ *```sql\n(.*?)^ *```$", (ROOT / document).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    found: str = next(piece for piece in pieces if wanted in piece)
    return found


def three_roles() -> str:
    """README's."""
    return sql_of("README.md", "CREATE ROLE")
