"""What people call a record, by the rule or as they have said, from today's rows as from a file's."""

from collections.abc import Collection, Mapping
from zoneinfo import ZoneInfo

import pytest

from app.clinic.catalogue.introspection import TableName
from app.clinic.catalogue.secret_columns import SecretColumns
from app.clinic.labels import LABEL_CHARACTERS, Labels, RecordLabels
from app.clinic.reading.look_up import Lookup, Values, record_values
from app.clinic.reading.snapshot import ClinicSnapshot
from tests.clinic.conftest import Database

RULES = {"auth_user": "shared"}


class Called:
    """What records of the first clinic are called today."""

    def __init__(self, snapshot: ClinicSnapshot, labels: Labels) -> None:
        self._snapshot = snapshot
        self._labels = labels

    async def fetch(self, lookups: Collection[Lookup]) -> Mapping[Lookup, Values]:
        found = await self._snapshot.look_up(lookups)
        tables = {entry.name: entry.described for entry in self._snapshot.catalogue.entries.values()}
        return {lookup: record_values(tables[lookup.table], line) for lookup, line in found.items()}

    async def record(self, table: str, key: object, schema: str = "public") -> str:
        name = TableName(schema, table)
        columns = self._snapshot.catalogue.entries[name].table.key
        lookup = Lookup(name, columns, (str(key),))
        return (await self._labels.at({lookup}, self.fetch)).get(lookup, "")


async def called(
    database: Database,
    table: str,
    key: object,
    *,
    templates: Mapping[str, str] | None = None,
    zone: str = "America/La_Paz",
    secrets: tuple[str, ...] = (),
    schema: str = "public",
    **tenancy: object,
) -> str:
    """What the record is called."""
    async with database.clinics(**(tenancy or {"rules": RULES})).snapshot(1, own=True) as snapshot:
        labels = Labels(snapshot.catalogue, SecretColumns(secrets), RecordLabels(templates or {}, ZoneInfo(zone)))
        assert labels.problems == []
        return await Called(snapshot, labels).record(table, key, schema)


async def first(database: Database, columns: str, rows: str) -> list[str]:
    found = await database.sql.fetchrow(f"SELECT {columns} FROM {rows} LIMIT 1")
    assert found is not None
    return [str(value) for value in found]


PATIENT = "paciente p JOIN usuario u ON u.codigo = p.codusuario AND u.clinica_id = 1"


async def test_a_person_is_called_by_their_name_in_each_of_their_tables(sample: Database) -> None:
    code, name, family = await first(sample, "codigo, nombre, apellido", PATIENT)
    assert await called(sample, "usuario", code) == f"{name} {family}"
    assert await called(sample, "paciente", code) == f"{name} {family}"


async def test_what_has_no_name_is_called_by_its_date_and_whose_it_is(sample: Database) -> None:
    number, date, name, family, doctor, doctors = await first(
        sample,
        "c.id, c.fecha, u.nombre, u.apellido, d.nombre, d.apellido",
        f"consulta c JOIN {PATIENT} ON c.codpaciente = p.codusuario JOIN usuario d ON d.codigo = c.cododontologo",
    )
    assert await called(sample, "consulta", number) == f"{date} · {name} {family} · {doctor} {doctors}"


async def test_states_and_kinds_by_their_name(sample: Database) -> None:
    for table, column in (
        ("estadodefactura", "estado"),
        ("tipopago", "nombrepago"),
        ("tipodeusuario", "rol"),
        ("horario", "hora"),
        ("servicio", "nombre"),
    ):
        key, name = await first(sample, f"id, {column}", table)
        assert await called(sample, table, key) == name


async def test_as_people_have_said(sample: Database) -> None:
    code, name, family, card = await first(sample, "codigo, nombre, apellido, carnetidentidad", PATIENT)
    said = {"pacientes": "{codusuario.apellido}, {codusuario.nombre} (CI {carnetidentidad})"}
    assert await called(sample, "paciente", code, templates=said) == f"{family}, {name} (CI {card})"
    said = {"paciente": "{{{carnetidentidad}}} ({fechanacimiento}) - {codusuario.sexo}"}
    await sample.sql.execute("UPDATE paciente SET fechanacimiento = NULL; UPDATE usuario SET sexo = NULL")
    assert await called(sample, "paciente", code, templates=said) == f"{{{card}}}"
    # What points to it is called so, too.
    assert await called(sample, "usuario", code, templates=said) == f"{name} {family}"


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ({"pasiente": "{nombre}"}, "la tabla «pasiente» no existe"),
        ({"paciente": "{nombre}"}, "la columna «paciente.nombre» no existe"),
        ({"paciente": "{codusuario.nombres}"}, "la columna «usuario.nombres» no existe"),
        ({"paciente": "{direccion.nombre}"}, "«paciente.direccion» no es una columna que apunte a otra tabla"),
        ({"paciente": "{clinica_id.nombre}"}, "lo que señala «paciente.clinica_id» no se muestra"),
        ({"paciente": "{password}"}, "«paciente.password» es un secreto"),
    ],
)
async def test_a_template_that_cannot_be_followed_is_named(
    template: dict[str, str], said: str, sample: Database
) -> None:
    await sample.sql.execute("ALTER TABLE paciente ADD password text")
    async with sample.clinics(rules=RULES).snapshot(1, own=True) as snapshot:
        labels = Labels(snapshot.catalogue, SecretColumns(), RecordLabels(template))
        (problem,) = labels.problems
        assert problem.startswith("RECORD_LABELS: ")
        assert said in problem
        code, name, family = await first(sample, "codigo, nombre, apellido", PATIENT)
        assert await Called(snapshot, labels).record("paciente", code) == f"{name} {family}"


async def test_a_secret_names_nothing(sample: Database) -> None:
    code, name = await first(sample, "codigo, nombre", PATIENT)
    assert await called(sample, "usuario", code, secrets=("apellido",)) == name


async def test_names_that_people_give_columns(sample: Database) -> None:
    await sample.sql.execute(
        """
        CREATE TABLE ficha ("Clave" uuid PRIMARY KEY DEFAULT gen_random_uuid(), "Nombre Completo" text,
            clinica_id bigint NOT NULL REFERENCES clinica);
        CREATE TABLE persona (id int PRIMARY KEY, first_name text, "lastName" text, email text,
            clinica_id bigint NOT NULL REFERENCES clinica);
        CREATE TABLE cita (id int PRIMARY KEY, starts_at timestamptz, created_at timestamptz, persona_id int
            REFERENCES persona, padre int REFERENCES cita, clinica_id bigint NOT NULL REFERENCES clinica);
        CREATE TABLE receta (id int PRIMARY KEY, "número" text, "título" text, cita int REFERENCES cita,
            clinica_id bigint NOT NULL REFERENCES clinica);
        INSERT INTO ficha VALUES (DEFAULT, E'Ana\\n\\x1b]52;c;x\\x07 Ñu', 1);
        INSERT INTO persona VALUES (1, 'Ana', 'Ñu', 'ana@x.example', 1), (2, '', NULL, 'b@x.example', 1);
        INSERT INTO cita VALUES (1, '2026-03-02 02:30Z', now(), 1, 1, 1), (2, NULL, '2026-01-01Z', NULL, NULL, 1);
        INSERT INTO receta VALUES (1, '0017', 'Amoxicilina', 1, 1), (2, repeat('9', 5000), repeat('x', 5000), 2, 1);
        """
    )
    (key,) = await first(sample, '"Clave"', "ficha")
    assert await called(sample, "ficha", key) == "Ana \\x1b]52;c;x\\x07 Ñu"
    assert await called(sample, "persona", 1) == "Ana Ñu"
    assert await called(sample, "persona", 2) == "b@x.example"
    assert await called(sample, "cita", 1) == "2026-03-01 22:30 · Ana Ñu"
    assert await called(sample, "cita", 1, zone="UTC") == "2026-03-02 02:30 · Ana Ñu"
    assert await called(sample, "receta", 1) == "0017 · Amoxicilina · Ana Ñu"
    assert len(await called(sample, "receta", 2)) <= LABEL_CHARACTERS


async def test_composite_keys_and_circles(sample: Database) -> None:
    await sample.sql.execute(
        """
        CREATE TABLE lote (clinica_id bigint REFERENCES clinica, numero int, nombre text,
            PRIMARY KEY (clinica_id, numero));
        CREATE TABLE uso (id int PRIMARY KEY, clinica_id bigint NOT NULL REFERENCES clinica, lote int,
            FOREIGN KEY (clinica_id, lote) REFERENCES lote);
        CREATE TABLE yin (id int PRIMARY KEY, clinica_id bigint NOT NULL REFERENCES clinica);
        CREATE TABLE yang (id int PRIMARY KEY REFERENCES yin, clinica_id bigint NOT NULL REFERENCES clinica);
        INSERT INTO lote VALUES (1, 7, 'Guantes'), (2, 7, 'De otra clínica');
        INSERT INTO uso VALUES (1, 1, 7), (2, 1, NULL);
        INSERT INTO yin VALUES (1, 1); INSERT INTO yang VALUES (1, 1);
        ALTER TABLE yin ADD FOREIGN KEY (id) REFERENCES yang;
        """
    )
    assert await called(sample, "uso", 1) == "Guantes"
    assert await called(sample, "uso", 2) == ""
    assert await called(sample, "yin", 1) == ""


async def test_a_record_of_another_clinic_names_nothing(sample: Database) -> None:
    (other,) = await first(sample, "codigo", "usuario WHERE clinica_id = 2")
    assert await called(sample, "usuario", other) == ""


async def test_where_each_clinic_has_a_schema(tenant_sample: Database) -> None:
    schema = f"{tenant_sample.prefix}1"
    code, name, family = await first(
        tenant_sample, "codigo, nombre, apellido", f"{schema}.paciente JOIN {schema}.usuario ON codigo = codusuario"
    )
    assert await called(tenant_sample, "paciente", code, schema=schema, kind="schema") == f"{name} {family}"
