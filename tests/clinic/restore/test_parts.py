"""Some models, or one record with what hangs from it, while the rest stays as it is."""

import asyncio
import re
from collections.abc import Awaitable, Callable

import pytest

from app.clinic.restore.scope import Scope
from app.clinic.restore.session import Plan
from app.errors import InvalidRequest, RespaldosError, RestoreRefused
from tests.clinic.conftest import Database
from tests.clinic.restore.conftest import Writer, superuser
from tests.support.clinic_backup import Backup, back_up
from tests.support.clinic_restore import assert_restored, counts, left_to_do, missing, models, record, restore
from tests.support.restore_cases import assert_unchanged, leftovers
from tests.support.two_clinics import TWO_CLINICS

TABLES = """
CREATE TABLE tipo (id int PRIMARY KEY, nombre text);
CREATE TABLE medico (id int PRIMARY KEY, clinica_id int NOT NULL REFERENCES clinica, tipo_id int REFERENCES tipo);
CREATE TABLE paciente (id int PRIMARY KEY, clinica_id int NOT NULL REFERENCES clinica, nombre text);
CREATE TABLE consulta (id int PRIMARY KEY, paciente_id int NOT NULL REFERENCES paciente {rule},
    medico_id int REFERENCES medico {rule}, turno int UNIQUE);
CREATE TABLE diente (consulta_id int REFERENCES consulta {rule}, pieza text, nota text,
    PRIMARY KEY (consulta_id, pieza));
CREATE TABLE factura (id int PRIMARY KEY, clinica_id int NOT NULL REFERENCES clinica,
    paciente_id int NOT NULL REFERENCES paciente {rule});
CREATE TABLE pago (factura_id int NOT NULL REFERENCES factura {rule}, monto numeric, nota json);
CREATE TABLE carpeta (id text PRIMARY KEY, padre text REFERENCES carpeta {rule}, paciente_id int
    REFERENCES paciente {rule});
INSERT INTO tipo VALUES (1, 'a'); INSERT INTO medico VALUES (1, 1, 1), (2, 1, NULL), (9, 2, 1);
INSERT INTO paciente VALUES (15, 1, 'Ana'), (16, 1, 'Eva'), (90, 2, 'Ida');
INSERT INTO consulta VALUES (1, 15, 1, 1), (2, 15, NULL, 2), (3, 16, 2, 3), (9, 90, 9, 9);
INSERT INTO diente VALUES (1, '11', 'x'), (1, '12', NULL), (2, '11', 'y'), (3, '11', 'z'), (9, '11', 'w');
INSERT INTO factura VALUES (1, 1, 15), (2, 1, 16), (9, 2, 90);
INSERT INTO pago VALUES (1, 1.0, '1'), (1, 1.0, '1'), (2, 2, NULL), (9, 9, '{{}}');
INSERT INTO carpeta VALUES ('a,b', NULL, 15), ('b', 'a,b', NULL), ('c', 'b', NULL), ('d', NULL, 16), ('z', NULL, 90);
"""

# Ana's: changed, gone, new, moved to Eva and come from Eva; and Eva's own changed, too.
DAMAGE = """
UPDATE paciente SET nombre = nombre || '?' WHERE clinica_id = 1;
DELETE FROM diente WHERE consulta_id = 1; DELETE FROM consulta WHERE id = 1; DELETE FROM medico WHERE id = 1;
INSERT INTO consulta VALUES (4, 15, 2, 1); INSERT INTO diente VALUES (4, '18', 'n');
UPDATE consulta SET paciente_id = 16 WHERE id = 2; UPDATE consulta SET paciente_id = 15, turno = 30 WHERE id = 3;
UPDATE diente SET nota = 'q' WHERE consulta_id IN (2, 3); DELETE FROM tipo WHERE id = 1 AND false;
DELETE FROM pago WHERE factura_id = 1; INSERT INTO pago VALUES (1, 1.00, '1'), (2, 3, NULL);
UPDATE carpeta SET padre = 'd' WHERE id = 'b'; INSERT INTO carpeta VALUES ('n', 'a,b', NULL);
INSERT INTO paciente VALUES (17, 1, 'Noa'); INSERT INTO factura VALUES (3, 1, 17);
"""
RULES = {"plain": "", "deferred": "DEFERRABLE INITIALLY DEFERRED", "cascade": "ON DELETE CASCADE"}


async def _damaged(
    database: Database, writer: Writer, rule: str = ""
) -> tuple[Callable[[Scope], Awaitable[tuple[Plan, Backup]]], Backup]:
    await database.sql.execute(f"SET search_path = public; {TWO_CLINICS} {TABLES.format(rule=rule)}")
    clinics = await writer(database)
    backup, other = await back_up(clinics, 1), await back_up(clinics, 2)
    await database.sql.execute(DAMAGE)

    async def part(scope: Scope) -> tuple[Plan, Backup]:
        foreseen = await restore(clinics, backup.file, scope=scope, simulate=True)
        plan = await restore(clinics, backup.file, scope=scope)
        assert plan == foreseen
        await assert_restored(clinics, other, 2)
        assert await leftovers(database.sql) == []
        assert await left_to_do(clinics, backup.file, scope=scope) == {}
        return plan, await back_up(clinics, 1)

    return part, backup


@pytest.mark.parametrize("rule", RULES)
async def test_one_record_with_what_hangs_from_it(database: Database, writer: Writer, rule: str) -> None:
    part, backup = await _damaged(database, writer, RULES[rule])
    plan, after = await part(record("paciente:15"))
    assert counts(plan) == {
        "medico": (1, 0, 0),
        "pacientes": (0, 1, 0),
        "consultas": (1, 2, 1),
        "diente": (2, 2, 1),
        "pagos": (2, 0, 1),
        "carpeta": (0, 1, 1),
    }
    assert plan.needed == {"medico": 1}
    assert after.records("pacientes") == [
        {"id": 15, "clinica_id": 1, "nombre": "Ana"},
        {"id": 16, "clinica_id": 1, "nombre": "Eva?"},
        {"id": 17, "clinica_id": 1, "nombre": "Noa"},
    ]
    assert after.lines["consultas"] == backup.lines["consultas"]
    assert after.lines["diente"] == backup.lines["diente"]
    assert after.lines["carpeta"] == backup.lines["carpeta"]
    assert after.lines["medico"] == backup.lines["medico"]
    assert after.ids("facturas") == [1, 2, 3]
    assert [(line["factura_id"], str(line["monto"])) for line in after.records("pagos")] == [
        (1, "1.0"),
        (1, "1.0"),
        (2, "2"),
        (2, "3"),
    ]


async def test_one_record_by_any_kind_of_key(database: Database) -> None:
    part, backup = await _damaged(database, superuser)
    _, after = await part(record("carpeta:b"))
    assert after.lines["carpeta"][:3] == backup.lines["carpeta"][:3]
    assert after.ids("carpeta") == ["a,b", "b", "c", "d", "n"]
    _, after = await part(record("carpeta:a,b"))
    assert after.ids("carpeta") == ["a,b", "b", "c", "d"]
    # A row that stays as it is has the turn of one that has to be there.
    with pytest.raises(RestoreRefused, match="consulta_turno_key"):
        await part(record("diente:1,12"))
    await database.sql.execute("UPDATE consulta SET turno = NULL WHERE id = 4")
    # What it needs is put back with it.
    plan, after = await part(record("diente:1,12"))
    assert {"diente", "consultas", "medico"} == set(counts(plan))
    assert after.ids("consultas") == [1, 2, 3, 4]
    assert plan.needed == {"consultas": 1, "medico": 1}


async def test_the_row_that_a_record_is_one_with_goes_back_too(database: Database, writer: Writer) -> None:
    await database.sql.execute(f"""SET search_path = public; {TWO_CLINICS}
CREATE TABLE gente (id int PRIMARY KEY, clinica_id bigint NOT NULL REFERENCES clinica, nombre text);
CREATE TABLE empleado (gente_id int PRIMARY KEY REFERENCES gente, cargo text);
CREATE TABLE medico (empleado_id int PRIMARY KEY REFERENCES empleado, titulo text);
CREATE TABLE turno (id int PRIMARY KEY, medico_id int NOT NULL REFERENCES medico, hora int);
CREATE TABLE nota (id int PRIMARY KEY, gente_id int NOT NULL REFERENCES gente, texto text);
INSERT INTO gente VALUES (1, 1, 'Ana'), (2, 1, 'Eva'), (3, 2, 'Ema');
INSERT INTO empleado VALUES (1, 'a'), (2, 'b'); INSERT INTO medico VALUES (1, 'x'), (2, 'y');
INSERT INTO turno VALUES (1, 1, 8), (2, 2, 9); INSERT INTO nota VALUES (1, 1, 'n'), (2, 2, 'n');""")
    clinics = await writer(database)
    backup, other = await back_up(clinics, 1), await back_up(clinics, 2)
    change = (
        "UPDATE gente SET nombre = nombre || '?'; UPDATE empleado SET cargo = '?'; UPDATE medico SET titulo = '?';"
    )
    await database.sql.execute(f"{change} UPDATE nota SET texto = '?'; DELETE FROM turno")
    changed = await back_up(clinics, 2)
    plan = await restore(clinics, backup.file, scope=record("medico:1"))
    assert counts(plan) == {"gente": (0, 1, 0), "empleado": (0, 1, 0), "medico": (0, 1, 0), "turno": (1, 0, 0)}
    assert plan.needed == {}
    names = await database.sql.fetchval("SELECT array_agg(nombre ORDER BY id) FROM gente")
    assert names == ["Ana", "Eva?", "Ema?"]
    # What hangs from the person is not the doctor's.
    assert await database.sql.fetchval("SELECT array_agg(DISTINCT texto) FROM nota") == ["?"]
    assert (await back_up(clinics, 2)).lines == changed.lines != other.lines
    # From the person down, all of it.
    plan = await restore(clinics, backup.file, scope=record("gente:2"))
    assert counts(plan) == {
        "gente": (0, 1, 0),
        "empleado": (0, 1, 0),
        "medico": (0, 1, 0),
        "turno": (1, 0, 0),
        "nota": (0, 1, 0),
    }


async def test_records_that_cannot_be_found(database: Database) -> None:
    await database.sql.execute(f"SET search_path = public; {TWO_CLINICS} {TABLES.format(rule='')}")
    await database.sql.execute(
        "CREATE DOMAIN positivo AS int CHECK (value > 0);"
        " CREATE TABLE cosa (id positivo PRIMARY KEY, clinica_id int); INSERT INTO cosa VALUES (1, 1)"
    )
    clinics = database.clinics()
    backups = {clinica_id: await back_up(clinics, clinica_id) for clinica_id in (1, 2)}
    errors: list[tuple[str, type[RespaldosError], str]] = [
        ("pacientes:99", RestoreRefused, "no tiene el registro «pacientes:99»"),
        ("pacientes:90", RestoreRefused, "no tiene el registro «pacientes:90»"),
        ("pacientes:ana", InvalidRequest, "«pacientes:ana» no es una clave de «pacientes», que es id .integer.$"),
        ("pacientes:99999999999", InvalidRequest, "no es una clave"),
        ("pacientes:1,2", InvalidRequest, "no es una clave|la clave de «pacientes» es id"),
        ("diente:1", InvalidRequest, "la clave de «diente» es consulta_id, pieza"),
        ("cosa:-1", RestoreRefused, "no tiene el registro «cosa:-1»"),
        ("pagos:1", RestoreRefused, "«pagos» no tienen clave"),
        ("nada:1", RestoreRefused, "no tiene el modelo «nada»"),
        ("tipo:1", RestoreRefused, "no tiene el modelo «tipo»"),
    ]
    for text, error, says in errors:
        with pytest.raises(error, match=says):
            await restore(clinics, backups[1].file, scope=record(text))
        assert await leftovers(database.sql) == []
    for text in ("pacientes", "pacientes:", ":1", "", "pacientes:\0001"):
        with pytest.raises(InvalidRequest, match="modelo:clave"):
            record(text)
    with pytest.raises(RestoreRefused, match=r"no tiene el modelo «nada»; tiene: .*pacientes"):
        await restore(clinics, backups[1].file, scope=models("pacientes", "nada"))
    await assert_unchanged(clinics, backups)


async def test_some_models_with_what_they_need(database: Database, writer: Writer) -> None:
    part, backup = await _damaged(database, writer)
    # Rows that are not chosen point to what would go.
    for scope, says in (
        (models("consulta"), "«diente».*consulta"),
        (models("pacientes"), "«(consulta|factura)».*paciente"),
    ):
        with pytest.raises(RestoreRefused, match=says):
            await part(scope)
    plan, after = await part(models("consultas", "diente"))
    assert plan.needed == {"medico": 1}
    assert counts(plan)["medico"] == (1, 0, 0)
    assert [after.lines[name] for name in ("consultas", "diente", "medico")] == [
        backup.lines[name] for name in ("consultas", "diente", "medico")
    ]
    assert after.records("pacientes")[0]["nombre"] == "Ana?"
    assert (after.ids("facturas"), len(after.records("pagos"))) == ([1, 2, 3], 3)
    plan, after = await part(models("pagos"))
    assert plan.needed == {}
    assert after.lines["pagos"] == backup.lines["pagos"]


MOVES = (
    "DELETE FROM pago WHERE factura_id = 2; DELETE FROM factura WHERE id = 2; DELETE FROM diente WHERE"
    " consulta_id = 3; DELETE FROM consulta WHERE id = 3; DELETE FROM carpeta WHERE id = 'd';"
    " DELETE FROM medico WHERE id = 2; UPDATE paciente SET clinica_id = 2 WHERE id = 16"
)
# What is restored and what is said of Eva, who has moved. An invoice says itself whose it is.
EVA = "«pacientes»: son hoy de otra clínica, y se dejan donde están: “Eva” (16)"
HERS = "«{}»: dependen de registros que hoy son de otra clínica, y no se restauran: {}"
MOVED = {
    "models": (models("facturas", "pagos"), {"facturas": (1, 0, 0), "pagos": (1, 0, 0)}, {EVA}),
    "models-that-are-hers": (models("consultas"), {}, {EVA, HERS.format("consultas", "“Eva” (3)")}),
    "what-points-to-her": (record("facturas:2"), {"facturas": (1, 0, 0), "pagos": (1, 0, 0)}, {EVA}),
    "what-points-to-what-is-hers": (
        record("diente:3,11"),
        {},
        {EVA, HERS.format("consultas", "“Eva” (3)"), HERS.format("diente", "“Eva” ((3, 11))")},
    ),
    "herself-and-another": (
        record("pacientes:16", "medico:1"),
        {"facturas": (1, 0, 0), "pagos": (1, 0, 0)},
        {
            EVA,
            *(
                HERS.format(*each)
                for each in (("consultas", "“Eva” (3)"), ("diente", "“Eva” ((3, 11))"), ("carpeta", "“Eva” (d)"))
            ),
        },
    ),
}


@pytest.mark.parametrize("moved", MOVED.values(), ids=MOVED)
async def test_what_has_moved_to_another_clinic_is_left_as_by_a_whole_restore(
    database: Database, writer: Writer, moved: tuple[Scope, dict[str, tuple[int, int, int]], set[str]]
) -> None:
    scope, counted, said = moved
    await database.sql.execute(f"SET search_path = public; {TWO_CLINICS} {TABLES.format(rule='')}")
    clinics = await writer(database)
    backup = await back_up(clinics, 1)
    await database.sql.execute(MOVES)
    changed = {clinica_id: await back_up(clinics, clinica_id) for clinica_id in (1, 2)}
    with pytest.raises(RestoreRefused, match=r"«pacientes».*: .*\b16\b.*(R|r)estaure sin"):
        await restore(clinics, backup.file, scope=scope, strict=True)
    await assert_unchanged(clinics, changed)
    foreseen = await restore(clinics, backup.file, scope=missing(scope), simulate=True)
    plan = await restore(clinics, backup.file, scope=scope)
    assert (counts(plan), plan.needed) == (counted, {}) == (counts(foreseen), foreseen.needed)
    assert {aviso for aviso in plan.avisos if "otra clínica" in aviso} == said
    await assert_restored(clinics, changed[2], 2)
    assert await left_to_do(clinics, backup.file, scope=scope) == {}
    # The whole clinic leaves the same rows.
    whole = await restore(clinics, backup.file)
    assert said <= set(whole.avisos)
    assert await left_to_do(clinics, backup.file, scope=scope) == {}


AGENDA = f"""SET search_path = public; {TWO_CLINICS}
CREATE TABLE medico (id int PRIMARY KEY, clinica_id int NOT NULL REFERENCES clinica, nombre text);
CREATE TABLE paciente (id int PRIMARY KEY, clinica_id int NOT NULL REFERENCES clinica,
    tutor_id int REFERENCES paciente ON DELETE SET NULL);
CREATE TABLE sala (id int PRIMARY KEY, medico_id int NOT NULL REFERENCES medico);
CREATE TABLE cita (id int PRIMARY KEY, medico_id int NOT NULL REFERENCES medico,
    paciente_id int NOT NULL REFERENCES paciente, sala_id int REFERENCES sala, nota text);
CREATE TABLE receta (id int PRIMARY KEY, cita_id int NOT NULL REFERENCES cita);
CREATE TABLE aviso (id int PRIMARY KEY, clinica_id int NOT NULL REFERENCES clinica,
    medico_id int REFERENCES medico ON DELETE SET NULL, paciente_id int REFERENCES paciente ON DELETE SET NULL);
INSERT INTO medico VALUES (1, 1, 'a'), (2, 1, 'b'); INSERT INTO sala VALUES (1, 1);
INSERT INTO paciente VALUES (14, 1, NULL), (15, 1, NULL), (16, 1, 15);
INSERT INTO cita VALUES (1, 1, 15), (2, 1, 16), (3, 2, 15); INSERT INTO receta VALUES (1, 1), (2, 2);
INSERT INTO aviso VALUES (1, 1, NULL, 15), (2, 1, 1, NULL), (3, 1, 2, 16);
"""


async def test_what_hangs_from_a_record_by_any_key(database: Database, writer: Writer) -> None:
    """Not only by the key that says whose a row is: of these, the doctor's comes first."""
    sql = database.sql
    await sql.execute(AGENDA)
    clinics = await writer(database)
    backup = await back_up(clinics, 1)
    await sql.execute(
        "DELETE FROM receta WHERE id = 1; DELETE FROM cita WHERE paciente_id = 15; DELETE FROM paciente WHERE id = 15"
    )
    plan = await restore(clinics, backup.file, scope=record("paciente:15"))
    assert plan.avisos[0] == (
        "con «paciente:15» va lo que apunta a él, por cualquier clave: pacientes (1), aviso (2), cita (3), receta (2)"
    )
    assert counts(plan) == {"pacientes": (1, 1, 0), "cita": (2, 0, 0), "receta": (1, 0, 0), "aviso": (0, 1, 0)}
    await assert_restored(clinics, backup)


async def test_nothing_newer_of_somebody_else_goes(database: Database, writer: Writer) -> None:
    sql = database.sql
    await sql.execute(AGENDA)
    clinics = await writer(database)
    backup = await back_up(clinics, 1)
    await sql.execute(
        "UPDATE medico SET nombre = '?' WHERE id = 1; INSERT INTO sala VALUES (7, 1), (8, 1);"
        " INSERT INTO cita VALUES (7, 1, 14, 7); INSERT INTO receta VALUES (7, 7), (8, 2);"
        " INSERT INTO aviso VALUES (7, 1, 1, NULL), (8, 1, 1, 14)"
    )
    plan = await restore(clinics, backup.file, scope=record("medico:1"))
    # The room, too, in which that appointment is.
    assert counts(plan) == {"medico": (0, 1, 0), "sala": (0, 0, 1), "aviso": (0, 0, 1)}
    assert {aviso.split(",")[0]: re.findall(r"\((\d+)\)", aviso) for aviso in plan.avisos[1:]} == {
        "«sala»": ["7"],
        "«cita»": ["7"],
        "«receta»": ["7", "8"],
        "«aviso»": ["8"],
    }
    after = await back_up(clinics, 1)
    assert [after.ids(model) for model in ("sala", "cita", "receta", "aviso")] == [
        [1, 7],
        [1, 2, 3, 7],
        [1, 2, 7, 8],
        [1, 2, 3, 8],
    ]


async def test_rows_out_of_the_part_that_pointed_to_what_comes_back_are_named(database: Database) -> None:
    await database.sql.execute(AGENDA)
    clinics = await superuser(database)
    backup = await back_up(clinics, 1)
    await database.sql.execute(
        "DELETE FROM receta; DELETE FROM cita WHERE medico_id = 1; DELETE FROM sala; DELETE FROM medico WHERE id = 1"
    )
    plan = await restore(clinics, backup.file, scope=models("medico", "sala"))
    assert plan.avisos == (
        "«aviso»: apuntaban, por medico_id, a registros de «medico» que vuelven; hoy no apuntan a ninguno, y quedan"
        " así: 2",
    )


async def test_a_tree_may_be_as_deep_as_it_likes(database: Database, writer: Writer) -> None:
    sql = database.sql
    await sql.execute(
        f"""SET search_path = public; {TWO_CLINICS}
        CREATE TABLE hoja (id int PRIMARY KEY, clinica_id int NOT NULL, padre int REFERENCES hoja);
        INSERT INTO hoja SELECT n, 1, nullif(n - 1, 0) FROM generate_series(1, 2000) AS n"""
    )
    clinics = await writer(database)
    backup = await back_up(clinics, 1)
    # A round for each level took longer with each: a minute and more.
    async with asyncio.timeout(30):
        await sql.execute("DELETE FROM hoja WHERE id > 500")
        assert counts(await restore(clinics, backup.file, scope=record("hoja:2"))) == {"hoja": (1500, 0, 0)}
        await sql.execute("DELETE FROM hoja WHERE id > 1")
        plan = await restore(clinics, backup.file, scope=record("hoja:2000"))
    assert counts(plan) == {"hoja": (1999, 0, 0)}
    await assert_restored(clinics, backup)
