"""What PostgreSQL says against restored rows, in the words of this service."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from app.database import database_errors
from app.errors import RestoreRefused

# Whose details are nobody's to see.
UNTOLD = (asyncpg.ExclusionViolationError, asyncpg.CheckViolationError)


@contextmanager
def restore_errors(setting: str) -> Iterator[None]:
    """Turn what a constraint, a type or a trigger refuses into RestoreRefused, and the rest as `database_errors`."""
    with database_errors(setting):
        try:
            yield
        except asyncpg.NotNullViolationError as exc:
            where = f"«{exc.table_name}.{exc.column_name}»" if exc.table_name else "una columna"
            raise RestoreRefused(
                f"{where} es obligatoria hoy, y en lo que se restaura está vacía. Quítele eso mientras tanto"
                " (ALTER TABLE … ALTER COLUMN … DROP NOT NULL), o restaure sin esos registros"
            ) from exc
        except asyncpg.IntegrityConstraintViolationError as exc:
            where = f"«{exc.table_name}»" if exc.table_name else "una tabla"
            # An exclusion's detail has the value of the other row, which may be another clinic's; a check's has all
            # of the row, secrets included.
            told = (exc.detail if not isinstance(exc, UNTOLD) else None) or exc.args[0]
            raise RestoreRefused(
                f"{where} no admite lo que se restaura ({exc.constraint_name}): {told.rstrip('.')}. Quite esa"
                " restricción mientras tanto (ALTER TABLE … DROP CONSTRAINT …), o restaure sin esos registros"
            ) from exc
        except asyncpg.AmbiguousFunctionError as exc:
            raise RestoreRefused(
                f"el respaldo nombra una función de la que hoy hay varias con otros argumentos: {exc.args[0]}."
                " Póngales mientras tanto otro nombre a las demás (ALTER FUNCTION … RENAME TO …); una columna de tipo"
                " regprocedure las distingue"
            ) from exc
        except asyncpg.ObjectNotInPrerequisiteStateError as exc:
            # A lock that does not come is one of these.
            if exc.sqlstate != asyncpg.ObjectNotInPrerequisiteStateError.sqlstate:
                raise
            raise RestoreRefused(
                f"la base de datos no deja cambiar una tabla: {exc.args[0]}. Si se publica (CREATE PUBLICATION) y no"
                " tiene clave, désela, o ALTER TABLE … REPLICA IDENTITY FULL"
            ) from exc
        except asyncpg.DataError as exc:
            raise RestoreRefused(f"la base de datos no admite un valor del respaldo: {exc}") from exc
        except (asyncpg.RaiseError, asyncpg.TriggeredActionError) as exc:
            raise RestoreRefused(f"un disparador rechazó lo que se restaura: {exc}") from exc


@contextmanager
def value_errors(model: str) -> Iterator[None]:
    """Turn what a type or a domain says of a value of the model into RestoreRefused, which names it."""
    try:
        yield
    except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as exc:
        raise RestoreRefused(
            f"«{model}» no admite un valor del respaldo: {exc}. Haga que su tipo lo admita mientras tanto"
            " (ALTER TYPE … ADD VALUE …, ALTER DOMAIN … DROP CONSTRAINT …)"
        ) from exc
