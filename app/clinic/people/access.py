"""Tables that let people in: which they are, and what of their rows a backup may say."""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Final

from app.clinic.catalogue.introspection import Table, TableName
from app.errors import CatalogError

# Django's own, found by themselves.
DJANGO: Final = frozenset(
    {
        *("auth_user", "auth_group", "auth_permission", "auth_user_groups", "auth_user_user_permissions"),
        *("auth_group_permissions", "authtoken_token", "django_session"),
    }
)

# A table that is called as Django's are is taken for one of them until somebody says otherwise: what is left out is
# said, and can be had back; a password that has been downloaded cannot.
PATTERNS: Final = ("auth_*", "authtoken_*", "django_session")

# Whose key alone, or whose every column, lets in.
SECRETS: Final = ("token", "session", "sesion")

# Columns that say which login it is, best first; the first that a table has is unique there.
LOGIN_NAMES: Final = ("username", "email", "correo", "correoelectronico", "name", "nombre_usuario", "codename")

# Columns that say whose it is, beside those.
PERSON_NAMES: Final = ("first_name", "last_name", "nombre", "apellido")


def access_tables(tables: Mapping[TableName, Table], named: Iterable[str]) -> set[TableName]:
    """Tables that let people in: those found by name, with those that ACCESS_TABLES adds, without its `-table`.

    So are tables of tokens that point to one of them. Raises CatalogError where it names a table that does not exist.
    """
    found = {name for name in tables if any(fnmatchcase(name.name, pattern) for pattern in PATTERNS)}
    data: set[TableName] = set()
    for text in named:
        wanted = text.removeprefix("-").strip()
        meant = {name for name in tables if wanted in {name.name, ".".join(name)}}
        if not meant:
            raise CatalogError(f"ACCESS_TABLES nombra la tabla «{wanted}», que no existe")
        if text.startswith("-"):
            data |= meant
        else:
            found |= meant
    # As SimpleJWT's, knox's and oauth2's do. A "sesión" that points to a login may be one of a patient's treatment.
    while tokens := {
        name
        for name, table in tables.items()
        if name not in found and "token" in name.name.lower() and any(fk.target in found for fk in table.foreign_keys)
    }:
        found |= tokens
    return found - data


def is_secret(name: TableName) -> bool:
    """Whether an access table holds sessions or tokens, which are in no file."""
    return any(word in name.name.lower() for word in SECRETS)


def login_columns(table: Table) -> tuple[str, ...]:
    """The columns that tell the table's logins apart, best first."""
    return tuple(name for name in LOGIN_NAMES if table.column(name) is not None)


def identity(table: Table) -> tuple[str, ...]:
    """The columns of a row that says who it is, and nothing that lets in: the key, and those known by name."""
    known = {*table.key, *LOGIN_NAMES, *PERSON_NAMES}
    return tuple(column.name for column in table.columns if column.name in known)
