"""Which of the clinics' values are secrets, that no person is to be shown: columns, and parts of documents."""

import json
import re
from dataclasses import dataclass
from functools import cache

from app.clinic.catalogue.introspection import TableName

# What stands for a secret.
HIDDEN = "(no se muestra)"

# A name that has one of these in it is a secret's. PostgreSQL's regular expressions read it as Python's do. Only
# ASCII, because PostgreSQL looks for it in bytes. A `secretaria` is a person, and a `pin` holds a tooth.
NAMES = (
    "passw|passphrase|pwd|contrase|token|secret(?!ar|ion)|api[-_ ]?key|private[-_ ]?key|clave[-_ ]?privada"
    "|session[-_ ]?(key|data)"
)

# Django REST framework's, whose column's own name says nothing.
KNOWN = frozenset({"authtoken_token.key"})

# In JSON any letter of a name may stand as an escape; nobody does that but to hide it.
ESCAPED_LETTER = r"\\+u00[4-7]"

# A secret's name in a text, and soon what separates a name from its value: a document printed inside of another.
_INSIDE = re.compile(rf'({NAMES}).{{0,100}}?"\s*(:|=>)', re.IGNORECASE | re.DOTALL)

# JSON's tokens, and the arrow of hstore. Nothing here is tried twice: a text may be long.
_PARTS = re.compile(r'"(?:[^"\\]++|\\.)*+"|[{}\[\],:]|=>|\s++|(?:(?!=>)[^\s{}\[\],:"])++', re.DOTALL)


@dataclass(frozen=True, slots=True)
class SecretColumns:
    """Columns are secret by what their name has in it, or because `names` has them (SECRET_COLUMNS).

    `names` are `column` or `table.column`, whatever their case; a table may be named as the file names its model.
    """

    names: tuple[str, ...] = ()

    def has(self, table: TableName, model: str, column: str) -> bool:
        """Whether the column's values are secrets."""
        by = {f"{name}.{column}".casefold() for name in (table.name, ".".join(table), model)}
        return self._named(column) or not by.isdisjoint(KNOWN.union(map(str.casefold, self.names)))

    @property
    def pattern(self) -> str:
        """A regular expression, to be used without regard to case, for texts that `masked` may have to change."""
        return _pattern(self.names)

    def shown(self, text: str) -> str:
        """What people may see of a value of a column that is no secret: of a document no secrets, else all of it."""
        return self.masked(text) if _named_in(self.names).search(text) else text

    def masked(self, text: str) -> str:
        """A document with what is under secret names left out; HIDDEN where that cannot be told for sure."""
        kept: list[str] = []
        name, end, depth = "", 0, 0
        hiding: int | None = None
        for found in _PARTS.finditer(text):
            part = found[0]
            if found.start() != end:
                return HIDDEN
            end = found.end()
            depth += (part in "{[") - (part in "}]")
            if hiding is not None:
                if depth > hiding or (depth == hiding and part != ","):
                    continue
                hiding = None
            kept.append(part)
            if part in (":", "=>"):
                if self._named(_unquoted(name)):
                    hiding = depth
                    kept.append(f' "{HIDDEN}"')
                name = ""
            elif not part.isspace():
                if _INSIDE.search(name):
                    return HIDDEN
                name = part
        return HIDDEN if end != len(text) or _INSIDE.search(name) else "".join(kept)

    def _named(self, name: str) -> bool:
        return bool(re.search(NAMES, name, re.IGNORECASE)) or name.casefold() in map(str.casefold, self.names)


@cache
def _pattern(names: tuple[str, ...]) -> str:
    # PostgreSQL looks through bytes, in which only ASCII looks alike everywhere.
    own = [re.sub(r"[^\x00-\x7f]", ".*", re.escape(name)) for name in names if "." not in name]
    return "|".join((NAMES, ESCAPED_LETTER, *own))


@cache
def _named_in(names: tuple[str, ...]) -> re.Pattern[str]:
    # Of each value of each record that is found: looking the flags and the pattern up took longer than the search.
    return re.compile(_pattern(names), re.IGNORECASE | re.DOTALL)


def _unquoted(name: str) -> str:
    try:
        return str(json.loads(name))
    except ValueError:
        return name
