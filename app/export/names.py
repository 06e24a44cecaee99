"""Names that a file system, or SQLite, takes, and that differ wherever case does not."""

import re
import unicodedata
from collections.abc import Callable

# A file system takes 255 bytes; the suffix and a number have to fit too.
_MAX_BYTES = 120

# Names that Windows keeps for devices, whatever comes after the first point.
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE | re.DOTALL)


class UniqueNames:
    """Gives each name that it is asked for once, made fit by `fit`; a number is added to one that is taken."""

    def __init__(self, fit: Callable[[str], str]) -> None:
        self._fit = fit
        self._taken: set[str] = set()

    def take(self, name: str) -> str:
        """The name to use for this one."""
        fitting = found = self._fit(name)
        number = 1
        while (key := unicodedata.normalize("NFKC", found).casefold()) in self._taken:
            number += 1
            found = f"{fitting}_{number}"
        self._taken.add(key)
        return found


def file_stem(name: str) -> str:
    """A file's name before its suffix, on any system: letters, digits, and what separates them."""
    kept = unicodedata.normalize("NFC", name)
    kept = "".join(character if character.isalnum() or character in "_-. " else "_" for character in kept)
    kept = kept.encode()[:_MAX_BYTES].decode(errors="ignore")
    if kept[:1] in {"", ".", " ", "-"}:
        kept = "_" + kept[1:]
    return f"_{kept}" if _DEVICE.fullmatch(kept) else kept


def sqlite_name(name: str) -> str:
    """A table's or column's name in SQLite, which keeps those that begin with `sqlite_` for itself."""
    return f"_{name}" if name.casefold().startswith("sqlite_") else name
