"""A file that was edited, its digests computed again, is refused by what it says, and nothing is changed."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from app.clinic.restore.database import RestoreDatabase
from app.clinic.restore.taken import ConflictsFound
from app.dump.document import Form, Header
from app.errors import FormatError, RespaldosError, RestoreDiffers, RestoreRefused
from app.record_names import without_names
from tests.clinic.conftest import Database
from tests.clinic.restore.conftest import Writer, superuser
from tests.support.clinic_backup import Backup, back_up
from tests.support.clinic_restore import left_to_do, models, restore
from tests.support.edited_files import Lines, edited
from tests.support.restore_cases import assert_unchanged, leftovers
from tests.support.two_clinics import TWO_CLINICS

TABLES = """
CREATE TABLE ficha (id int PRIMARY KEY, codigo text UNIQUE, edad int CHECK (edad < 150), cuando date NOT NULL,
    persona_id int NOT NULL REFERENCES persona);
INSERT INTO ficha VALUES (1, 'a', 10, '2026-01-01', 11), (2, 'b', 20, '2026-01-02', 12), (3, 'c', 30,
    '2026-01-03', 21);
CREATE TABLE lista (que text, clinica_id int NOT NULL); INSERT INTO lista VALUES ('x', 1), ('x', 1), ('y', 2);
"""


def _instead(model: str, old: str, new: str) -> Callable[[Lines], None]:
    def change(lines: Lines) -> None:
        assert any(old in line for line in lines[model])
        lines[model] = [line.replace(old, new) for line in lines[model]]

    return change


def _beside(model: str, line: str) -> Callable[[Lines], None]:
    return lambda lines: lines[model].append(line)


RECORD = '{{"id":{id},"codigo":{codigo},"edad":1,"cuando":"2026-01-01","persona_id":{persona}}}'

Edit = tuple[Callable[[Lines], None], type[RespaldosError], str]
EDITS: dict[str, Edit] = {
    "another clinic's row": (
        _instead("persona", '"clinica_id":1', '"clinica_id":2'),
        RestoreRefused,
        "de otra clínica: 11, 12",
    ),
    "no clinic's row": (
        _instead("persona", '"clinica_id":1', '"clinica_id":null'),
        RestoreRefused,
        r"persona\.clinica_id",
    ),
    "the other clinic itself": (_instead("clinica", '"id":1', '"id":2'), RestoreRefused, "de otra clínica: 2"),
    "a key that another clinic has by its parent": (
        _beside("ficha", RECORD.format(id=3, codigo='"z"', persona=11)),
        RestoreRefused,
        "esas claves de «ficha» son hoy de otra clínica, o de ninguna: 3",
    ),
    "a unique value that another clinic has": (
        _instead("ficha", '"codigo":"a"', '"codigo":"c"'),
        ConflictsFound,
        "«ficha» 1 no puede volver: otro registro, que no es de la clínica, tiene hoy codigo = c.*ficha_codigo_key",
    ),
    "another clinic's parent": (
        _instead("ficha", '"persona_id":12', '"persona_id":21'),
        RestoreDiffers,
        "«ficha».*: 2",
    ),
    "a parent that does not exist": (
        _instead("ficha", '"persona_id":12', '"persona_id":99'),
        RestoreRefused,
        "«?persona",
    ),
    "a new key twice": (
        lambda lines: lines["ficha"].extend([RECORD.format(id=7, codigo="null", persona=11)] * 2),
        RestoreRefused,
        "repite claves de «ficha»: 7",
    ),
    "an old key twice": (
        _beside("ficha", RECORD.format(id=2, codigo="null", persona=11)),
        RestoreRefused,
        "repite claves de «ficha»: 2",
    ),
    "an old row twice": (lambda lines: lines["ficha"].append(lines["ficha"][0]), RestoreDiffers, "«ficha»"),
    "a value that the column does not take": (
        _instead("ficha", '"edad":10', '"edad":"diez"'),
        RestoreRefused,
        "diez",
    ),
    "a number too large": (_instead("ficha", '"edad":10', '"edad":99999999999'), RestoreRefused, "99999999999"),
    "a date that is none": (_instead("ficha", '"2026-01-01"', '"1 de enero"'), RestoreRefused, "1 de enero"),
    "a date in other words": (_instead("ficha", '"2026-01-01"', '"20260101"'), RestoreDiffers, "«ficha».*1"),
    "a value that a CHECK refuses": (
        _instead("ficha", '"edad":10', '"edad":200'),
        RestoreRefused,
        "ficha_edad_check",
    ),
    "a value missing": (
        _instead("ficha", '"cuando":"2026-01-02"', '"cuando":null'),
        RestoreRefused,
        r"ficha\.cuando",
    ),
    "a column missing from a record": (_instead("ficha", '"edad":10,', ""), FormatError, "registro 1 de «ficha»"),
    "blanks between values": (_instead("ficha", '"edad":10', '"edad": 10'), RestoreDiffers, "«ficha».*1"),
    "records in another order": (lambda lines: lines["ficha"].reverse(), RestoreDiffers, "«ficha»"),
    "the byte that no text has": (
        _instead("ficha", '"codigo":"a"', '"codigo":"\\u0000"'),
        RestoreRefused,
        "«ficha» no admite un valor",
    ),
    "half of a surrogate pair": (
        _instead("ficha", '"codigo":"a"', '"codigo":"\\ud83e"'),
        RestoreRefused,
        "«ficha» no admite un valor",
    ),
    "blanks in a row without key": (_instead("lista", '"que":"x"', '"que": "x"'), RestoreDiffers, "«lista»"),
    "a row without key once more": (_beside("lista", '{"que":"z","clinica_id":2}'), RestoreRefused, "otra clínica"),
}


async def _two_clinics(database: Database, writer: Writer) -> tuple[RestoreDatabase, dict[int, Backup]]:
    await database.sql.execute(f"SET search_path = public; {TWO_CLINICS} {TABLES}")
    clinics = await writer(database)
    return clinics, {clinica_id: await back_up(clinics, clinica_id) for clinica_id in (1, 2)}


async def test_rows_that_do_not_fit(database: Database, writer: Writer) -> None:
    clinics, backups = await _two_clinics(database, writer)
    for name, (change, error, says) in EDITS.items():
        with pytest.raises(error) as caught:
            await restore(clinics, edited(backups[1], change))
        assert type(caught.value) is error, name
        # What the records are called is no matter here.
        assert re.search(says, without_names(str(caught.value))), (name, str(caught.value))
        assert await leftovers(database.sql) == []
    await assert_unchanged(clinics, backups)


def _model(name: str, **other: Any) -> Callable[[Header], Header]:
    return lambda header: replace(header, models={**header.models, name: replace(header.models[name], **other)})


def _column(**other: Any) -> Callable[[Header], Header]:
    def change(header: Header) -> Header:
        first, codigo, *rest = header.models["ficha"].columns
        return _model("ficha", columns=(first, replace(codigo, **other), *rest))(header)

    return change


async def test_a_header_that_says_something_else(database: Database) -> None:
    clinics, backups = await _two_clinics(database, superuser)
    code = _instead("ficha", '"codigo":', '"x":')
    for file, says in (
        (edited(backups[1], header=_model("ficha", table="persona")), "son la misma tabla, «persona»"),
        (edited(backups[1], header=_model("ficha", schema="otro")), "ya no tiene la tabla «otro.ficha»"),
        (edited(backups[1], header=_model("ficha", key=("nada",))), "describe mal las columnas de «ficha»"),
        (
            edited(backups[1], code, header=_column(name="x")),
            "la columna «x» de «ficha» está en el respaldo y hoy no",
        ),
        (edited(backups[1], header=_column(form=Form.JSONB)), "la columna «codigo» de «ficha» era de tipo"),
    ):
        with pytest.raises(RestoreRefused, match=says):
            await restore(clinics, file)
        assert await leftovers(database.sql) == []
    # Where only some models are wanted, the others may be what they like.
    spoiled = edited(backups[1], renamed={"ficha": "fichas"})
    assert await left_to_do(clinics, spoiled, scope=models("persona")) == {}
    await assert_unchanged(clinics, backups)
