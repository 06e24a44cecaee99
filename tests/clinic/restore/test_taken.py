"""What a row of today has that a row of the backup would have to have: named, and nothing is changed."""

import pytest

from app.clinic.restore import taken
from app.clinic.restore.scope import Scope
from app.clinic.restore.taken import Conflict, ConflictsFound
from app.errors import RestoreRefused
from tests.clinic.conftest import Database
from tests.clinic.restore.conftest import Writer, crossed
from tests.support.clinic_backup import back_up
from tests.support.clinic_restore import changed, counts, missing, models, record, restore
from tests.support.restore_cases import contents
from tests.support.two_clinics import TWO_CLINICS

TABLES = f"""SET search_path = public; {TWO_CLINICS}
CREATE TABLE ficha (id int PRIMARY KEY, clinica_id int NOT NULL REFERENCES clinica, turno int UNIQUE,
    "Número ñ" text, sede text, activa bool NOT NULL DEFAULT true, horas int4range, token text UNIQUE,
    UNIQUE (clinica_id, "Número ñ"), EXCLUDE USING gist (horas WITH &&) WHERE (activa));
CREATE UNIQUE INDEX sede_activa ON ficha (lower(sede)) WHERE activa;
CREATE TABLE tarde (id int PRIMARY KEY, clinica_id int NOT NULL, turno int UNIQUE DEFERRABLE INITIALLY DEFERRED);
INSERT INTO ficha VALUES (1, 1, 1, 'Ñ-1', 'Sur', true, '[1,3)', 's1'), (2, 1, 2, 'Ñ-2', 'Norte', true, '[3,5)', 's2'),
    (9, 2, 9, 'Ñ-1', 'Este', true, '[9,10)', 's9');
INSERT INTO tarde VALUES (1, 1, 1);
"""


async def _conflicts(database: Database, writer: Writer, damage: str, *scopes: Scope) -> list[list[Conflict]]:
    """What stands in the way after the damage, by scope."""
    await database.sql.execute(TABLES)
    clinics = await writer(database)
    backup = await back_up(clinics, 1)
    await database.sql.execute(damage)
    now = await contents(database.sql)
    found = []
    for scope in scopes:
        for simulate in (True, False):
            with pytest.raises(ConflictsFound) as refused:
                await restore(clinics, backup.file, scope=scope, simulate=simulate)
        assert await contents(database.sql) == now
        found.append(list(refused.value.conflicts))
    return found


@crossed
async def test_each_is_named_with_the_row_that_has_it(any_database: Database, writer: Writer) -> None:
    whole, one = await _conflicts(
        any_database,
        writer,
        "DELETE FROM ficha WHERE id IN (1, 2); DELETE FROM tarde;"
        " INSERT INTO ficha VALUES (5, 1, 1, 'Ñ-1', 'SUR', true, '[2,4)', 's1'), (6, 1, 2, NULL, 'norte', false,"
        " '[3,5)', NULL); INSERT INTO tarde VALUES (2, 1, 1)",
        missing(),
        record("ficha:2"),
    )
    assert [
        (each.constraint, each.key, dict(each.values), each.taken_by) for each in whole if each.key["id"] == "1"
    ] == [
        ("ficha_clinica_id_Número ñ_key", {"id": "1"}, {"clinica_id": "1", "Número ñ": "Ñ-1"}, {"id": "5"}),
        ("ficha_horas_excl", {"id": "1"}, {"horas": "[2,4)"}, {"id": "5"}),
        ("ficha_token_key", {"id": "1"}, {"token": "(no se muestra)"}, {"id": "5"}),
        ("ficha_turno_key", {"id": "1"}, {"turno": "1"}, {"id": "5"}),
        ("sede_activa", {"id": "1"}, {"lower(sede)": "sur"}, {"id": "5"}),
        ("tarde_turno_key", {"id": "1"}, {"turno": "1"}, {"id": "2"}),
    ]
    assert [(each.constraint, dict(each.values), each.taken_by) for each in one] == [
        ("ficha_horas_excl", {"horas": "[2,4)"}, {"id": "5"}),
        ("ficha_turno_key", {"turno": "2"}, {"id": "6"}),
    ]
    assert str(one[1]) == (
        "«ficha» 2 no puede volver: «ficha» 6 tiene hoy turno = 2, y no pueden estar los dos (ficha_turno_key)."
        " Cambie eso en «ficha» 6, o quítelo; o restaure sin «ficha» 2"
    )


async def test_another_clinics_row_is_not_told(database: Database, writer: Writer) -> None:
    ((conflict,),) = await _conflicts(
        database,
        writer,
        "DELETE FROM ficha WHERE id = 1; UPDATE ficha SET turno = 1 WHERE id = 9",
        models("ficha"),
    )
    assert (conflict.constraint, conflict.taken_by) == ("ficha_turno_key", None)
    assert str(conflict) == (
        "«ficha» 1 no puede volver: otro registro, que no es de la clínica, tiene hoy turno = 1, y no pueden estar"
        " los dos (ficha_turno_key). Puede liberarlo quien administra la plataforma; o restaure sin «ficha» 1"
    )


async def test_of_another_clinics_row_only_the_values_of_the_backup_are_said(
    database: Database, writer: Writer
) -> None:
    ((conflict,),) = await _conflicts(
        database,
        writer,
        "DELETE FROM ficha WHERE id < 3; UPDATE ficha SET horas = '[2,77)' WHERE id = 9",
        missing(record("ficha:1")),
    )
    assert (dict(conflict.values), conflict.own, conflict.taken_by) == ({"horas": "[1,3)"}, False, None)
    assert str(conflict) == (
        "«ficha» 1 no puede volver: otro registro, que no es de la clínica, ocupa hoy algo de horas = [1,3), y no"
        " pueden estar los dos (ficha_horas_excl). Puede liberarlo quien administra la plataforma; o restaure"
        " sin «ficha» 1"
    )


async def test_where_it_takes_too_long_only_the_constraint_is_said(
    database: Database, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await database.sql.execute(TABLES)
    # Longer than a statement may take here, of which the backup and the restore need none.
    await database.sql.execute(
        "CREATE FUNCTION lenta(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS"
        " $$ BEGIN IF current_setting('statement_timeout') <> '0' THEN PERFORM pg_sleep(5); END IF;"
        " RETURN $1; END $$;"
        ' CREATE UNIQUE INDEX "a lenta" ON ficha (public.lenta(sede))'
    )
    clinics = await writer(database)
    backup = await back_up(clinics, 1)
    await database.sql.execute("DELETE FROM ficha WHERE id < 3; UPDATE ficha SET horas = '[2,77)' WHERE id = 9")
    monkeypatch.setattr(taken, "MOST_SECONDS", 0.2)
    with pytest.raises(RestoreRefused, match=r"«ficha» no admite lo que se restaura \(ficha_horas_excl\)") as refused:
        await restore(clinics, backup.file, scope=missing())
    assert not isinstance(refused.value, ConflictsFound)
    assert "77" not in str(refused.value)


async def test_a_row_that_a_check_refuses_is_not_told(database: Database, writer: Writer) -> None:
    await database.sql.execute(TABLES)
    clinics = await writer(database)
    backup = await back_up(clinics, 1)
    await database.sql.execute(
        "DELETE FROM ficha WHERE id = 1; ALTER TABLE ficha ADD CONSTRAINT poco CHECK (turno > 1)"
    )
    with pytest.raises(RestoreRefused, match="poco") as refused:
        await restore(clinics, backup.file, scope=missing())
    assert "s1" not in str(refused.value)


# Rows without a key are named by all that they have, and documents hold what columns' names do not tell.
KEYLESS = f"""SET search_path = public; {TWO_CLINICS}
CREATE TABLE ajuste (clinica_id int NOT NULL, nombre text UNIQUE, datos jsonb, notas text);
CREATE UNIQUE INDEX dato ON ajuste ((datos ->> 'llave'));
CREATE UNIQUE INDEX nota ON ajuste (upper(notas));
INSERT INTO ajuste VALUES
    (1, 'sms', '{{"token": "t0p", "llave": "ll4ve", "sitio": "x"}}', '{{"password": "p4ss"}}'),
    (2, 'web', NULL, NULL);
"""


async def test_of_a_document_no_secret_is_told(database: Database, writer: Writer) -> None:
    await database.sql.execute(KEYLESS)
    clinics = await writer(database)
    backup = await back_up(clinics, 1)
    await database.sql.execute('UPDATE ajuste SET datos = datos || \'{"sitio": "y"}\' WHERE clinica_id = 1')
    with pytest.raises(ConflictsFound) as refused:
        await restore(clinics, backup.file, scope=missing())
    by_name = {conflict.constraint: conflict for conflict in refused.value.conflicts}
    assert {name: list(conflict.values.values()) for name, conflict in by_name.items()} == {
        "ajuste_nombre_key": ["sms"],
        "dato": ["(no se muestra)"],
        "nota": ["(no se muestra)"],
    }
    shown = str([conflict.shown() for conflict in refused.value.conflicts])
    assert not [
        secret for secret in ("t0p", "ll4ve", "p4ss", "P4SS") if secret in shown.replace('"llave": "ll4ve"', "")
    ]
    assert "sitio" in shown
    own = by_name["ajuste_nombre_key"]
    assert (own.own, own.taken_by) == (True, None)
    assert "otro registro de «ajuste» tiene hoy nombre = sms" in str(own)
    assert "no es de la clínica" not in str(own)


async def test_only_the_first_of_many_are_said(database: Database, writer: Writer) -> None:
    await database.sql.execute(TABLES)
    await database.sql.execute(
        "INSERT INTO ficha (id, clinica_id, turno) SELECT n, 1, n FROM generate_series(100, 199) n"
    )
    clinics = await writer(database)
    backup = await back_up(clinics, 1)
    await database.sql.execute("UPDATE ficha SET id = id + 1000 WHERE id >= 100")
    with pytest.raises(ConflictsFound, match=r"«ficha» 1101.*; y 97 más$") as refused:
        await restore(clinics, backup.file, scope=changed())
    assert (len(refused.value.conflicts), refused.value.total) == (20, 100)
    # Exactly as it was, nothing of today is in the way.
    assert counts(await restore(clinics, backup.file)) == {"ficha": (100, 0, 100)}


async def test_null_collides_where_it_is_said_to(database: Database, writer: Writer) -> None:
    await database.sql.execute(
        f"SET search_path = public; {TWO_CLINICS} CREATE TABLE caja (id int PRIMARY KEY, clinica_id int NOT NULL,"
        " abierta int UNIQUE NULLS NOT DISTINCT); INSERT INTO caja VALUES (1, 1, NULL)"
    )
    clinics = await writer(database)
    backup = await back_up(clinics, 1)
    await database.sql.execute("UPDATE caja SET id = 2")
    with pytest.raises(ConflictsFound, match=r"«caja» 2 tiene hoy abierta = —"):
        await restore(clinics, backup.file, scope=missing())
