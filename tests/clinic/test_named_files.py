"""A column that names files is found by its name and its values, and its files are counted: no backup has them."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from app.clinic.database import ClinicDatabase
from app.clinic.reading.named_files import absent_files
from tests.clinic.conftest import Database
from tests.support.clinic_backup import back_up
from tests.support.two_clinics import TWO_CLINICS


async def _found(database: Database, **tenancy: Any) -> dict[str, int]:
    census = await database.clinics(**tenancy).census()
    return {f"{found.table}.{found.column}": found.files for found in census.files}


async def _with_columns(database: Database, columns: Mapping[str, Sequence[str | None]]) -> None:
    """A table of one clinic's with these columns of text, each with its values."""
    names = ", ".join(f'"{name}"' for name in columns)
    types = ", ".join(f'"{name}" text' for name in columns)
    await database.sql.execute(
        f"{TWO_CLINICS} CREATE TABLE ficha (id serial PRIMARY KEY, persona_id int REFERENCES persona, {types})"
    )
    places = ", ".join(f"${number + 2}" for number in range(len(columns)))
    await database.sql.executemany(
        f"INSERT INTO ficha (persona_id, {names}) VALUES ($1, {places})",
        [(11, *row) for row in zip(*columns.values(), strict=True)],
    )


FILES = [
    "radiografias/2024/05/panorámica de José.JPG",
    "/var/media/pacientes/17/rx.dcm",
    r"C:\Rayos X\Pérez\lateral.tif",
    r"\\servidor\escaneos\0001.pdf",
    "informe.pdf",
    "Factura #12 (¿pagada?).pdf",
    "https://cdn.clinica.bo/fotos/17.png?v=2#x",
    "s3://bucket/clave-sin-extension",
    "gs://bucket/17",
    "file:///srv/rx/17",
    "https://bucket.s3.us-east-1.amazonaws.com/17/abc",
    "https://s3.amazonaws.com/bucket/17/abc",
    "https://res.cloudinary.com/demo/image/upload/v1/abc",
    "https://drive.google.com/file/d/1abc/view",
    " uploads/con espacios.docx ",
]

NO_FILES = [
    "https://clinica.bo",
    "https://www.clinica.bo/",
    "https://clinica.bo/inicio.html",
    "https://clinica.bo/index.php?id=3",
    "www.clinica.com",
    "ana@clinica.com",
    "/api/v1/pacientes/17/",
    "application/pdf",
    ".pdf",
    "pdf",
    "data:image/png;base64,AAAA.png",
    "Dr. Juan Pérez",
    "12.50",
    "Llegó con dolor.\nTrae informe.pdf",
    "x" * 2000 + ".pdf",
]


@pytest.mark.parametrize("name", ["Imágen Nº", "pieza"])
async def test_values_that_name_files(database: Database, name: str) -> None:
    """Whatever the column is called."""
    columns = {f"{name} {number}": [value] * 4 for number, value in enumerate(FILES)}
    await _with_columns(database, columns)
    assert await _found(database) == {f"ficha.{name}": 1 for name in columns}


async def test_values_that_name_none(database: Database) -> None:
    """Though the column is called as if it did."""
    await _with_columns(database, {f"url archivo {number}": [value] * 4 for number, value in enumerate(NO_FILES)})
    assert await _found(database) == {}


async def test_each_file_is_counted_once_and_what_is_empty_is_none(any_database: Database) -> None:
    await _with_columns(any_database, {"foto": ["a.jpg", "b.jpg", "a.jpg", "", None, "por_defecto.png"]})
    census = await any_database.clinics().census()
    assert list(map(str, census.files)) == ["ficha.foto: nombra archivos que no están en ningún respaldo: 3"]


async def test_a_column_called_like_others_needs_more_than_half_of_its_values(database: Database) -> None:
    """Notes of which some are a file's name do not name files; a column called `archivo` may hold some notes."""
    values = ["a.pdf", "b.pdf", "c.pdf", "pendiente", "d.pdf"]
    await _with_columns(database, {"archivo": values, "apuntes": values})
    assert await _found(database) == {"ficha.archivo": 5}


# One value in a thousand rows: at the end, where the first blocks do not have it.
SPARSE = """
CREATE TABLE radiografia (id int PRIMARY KEY, persona_id int REFERENCES persona, nota text, ruta varchar(100));
INSERT INTO radiografia SELECT n, 11, repeat('nota ', 40), NULL FROM generate_series(1, 20000) n;
INSERT INTO radiografia VALUES (0, 11, NULL, 'rx/1.jpg'), (-1, 11, NULL, 'rx/2.jpg');
"""


async def test_a_large_table_of_which_hardly_a_row_names_a_file(any_database: Database) -> None:
    await any_database.sql.execute(TWO_CLINICS + SPARSE)
    assert await _found(any_database) == {"radiografia.ruta": 2}


async def test_tables_with_partitions_heirs_and_strange_names(any_database: Database) -> None:
    await any_database.sql.execute(
        f'''
        {TWO_CLINICS}
        CREATE SCHEMA "Rayos X";
        CREATE TABLE "Rayos X"."Toma ""1""" (id int, clinica_id int, "Archivo Ñ" text) PARTITION BY LIST (id);
        CREATE TABLE uno PARTITION OF "Rayos X"."Toma ""1""" FOR VALUES IN (1);
        CREATE TABLE dos PARTITION OF "Rayos X"."Toma ""1""" DEFAULT;
        CREATE TABLE base (clinica_id int, archivo text); CREATE TABLE heredera () INHERITS (base);
        INSERT INTO "Rayos X"."Toma ""1""" VALUES (1, 1, 'a.jpg'), (2, 2, 'b.jpg');
        INSERT INTO base VALUES (1, 'a.jpg'); INSERT INTO heredera VALUES (1, 'b.jpg'), (2, 'c.jpg');
        '''
    )
    assert await _found(any_database) == {
        'Rayos X.Toma "1".Archivo Ñ': 2,
        "base.archivo": 1,
        "heredera.archivo": 2,
    }


async def test_only_tables_of_clinics_and_columns_of_text_are_looked_at(any_database: Database) -> None:
    await any_database.sql.execute(
        f"""
        {TWO_CLINICS}
        CREATE TABLE catalogo (id int PRIMARY KEY, foto text); CREATE TABLE otra (id int, clinica_id int, foto text);
        INSERT INTO catalogo VALUES (1, 'a.jpg'); INSERT INTO otra VALUES (1, 1, 'a.jpg');
        CREATE DOMAIN camino AS varchar(100) CHECK (value <> 'x');
        CREATE TABLE ficha (id int, clinica_id int, catalogo_id int REFERENCES catalogo, fotos text[], foto jsonb,
            ruta camino);
        INSERT INTO ficha VALUES (1, 1, 1, '{{a.jpg,b.jpg}}', '"a.jpg"', 'a.jpg');
        """
    )
    assert await _found(any_database, exclude=("otra",)) == {"ficha.ruta": 1}


async def test_a_column_with_the_numbers_of_large_objects(any_database: Database) -> None:
    await any_database.sql.execute(
        f"""
        {TWO_CLINICS}
        CREATE TABLE ficha (id int, clinica_id int, contenido oid, tabla oid);
        INSERT INTO ficha SELECT n, 1, lo_from_bytea(0, 'rx'), 'persona'::regclass FROM generate_series(1, 3) n;
        INSERT INTO ficha VALUES (4, 1, 0, NULL), (5, 2, NULL, NULL);
        """
    )
    assert await _found(any_database) == {"ficha.contenido": 3}


# X-rays by turns say clinic 1, clinic 2 and none: those are the person's, who is clinic 1's.
CLINICS_FILES = """
ALTER TABLE persona ADD foto text;
UPDATE persona SET foto = 'fotos/' || id || '.png';
CREATE TABLE radiografia (id int PRIMARY KEY, clinica_id int REFERENCES clinica, ruta text, contenido oid,
    persona_id int REFERENCES persona);
INSERT INTO radiografia SELECT n, nullif(n % 3, 0), n || '.dcm', NULL, 11 FROM generate_series(1, 30) n;
UPDATE radiografia SET contenido = lo_from_bytea(0, 'rx') WHERE id = 2;
"""


async def _said(clinics: ClinicDatabase, clinica_id: int | None) -> list[str]:
    async with clinics.snapshot(clinica_id) as snapshot:
        return absent_files(await snapshot.files())


async def test_a_backup_tells_of_its_own_clinics_files_the_most_first(any_database: Database) -> None:
    clinics = any_database.clinics()
    await any_database.sql.execute(TWO_CLINICS)
    assert await _said(clinics, 1) == []
    await any_database.sql.execute(CLINICS_FILES)
    assert await _said(clinics, 1) == [
        "este respaldo no tiene los archivos que sus registros nombran: 20 en radiografia.ruta, 2 en persona.foto"
    ]
    assert await _said(clinics, 2) == [
        "este respaldo no tiene los archivos que sus registros nombran: 10 en radiografia.ruta, 1 en persona.foto,"
        " 1 en radiografia.contenido"
    ]


async def test_the_platforms_backup_tells_of_the_files_of_shared_tables(database: Database) -> None:
    await database.sql.execute(
        f"{TWO_CLINICS + CLINICS_FILES}; CREATE TABLE plantilla (id int PRIMARY KEY, logo text);"
        "INSERT INTO plantilla VALUES (1, 'logos/1.png'), (2, 'logos/2.png')"
    )
    clinics = database.clinics()
    clinic = await _said(clinics, 1)
    assert await _said(clinics, None) == [
        "este respaldo no tiene los archivos que sus registros nombran: 2 en plantilla.logo"
    ]
    assert await _said(clinics, 1) == clinic


async def test_columns_are_looked_for_once_and_files_are_counted_each_time(any_database: Database) -> None:
    await any_database.sql.execute(TWO_CLINICS + CLINICS_FILES)
    clinics = any_database.clinics()
    steps: list[int] = []
    for clinica_id in (1, 2, 1):
        asked: list[str] = []
        async with clinics.snapshot(clinica_id) as snapshot:
            await snapshot.files(lambda asked=asked: asked.append("step"))  # type: ignore[misc]
        steps.append(len(asked))
    assert steps == [2, 1, 1]
    await any_database.sql.execute("UPDATE persona SET foto = NULL WHERE id = 11")
    assert (await _said(clinics, 1))[0].endswith("1 en persona.foto")


async def test_a_table_of_many_text_columns(database: Database) -> None:
    columns = ", ".join(f"c{number} text" for number in range(900))
    await database.sql.execute(
        f"{TWO_CLINICS} CREATE TABLE ancha (id int PRIMARY KEY, clinica_id int REFERENCES clinica, {columns});"
        " INSERT INTO ancha (id, clinica_id) VALUES (1, 1)"
    )
    assert (await back_up(database.clinics(), 1)).ids("ancha") == [1]
