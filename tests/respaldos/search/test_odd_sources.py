"""Sources in which a record is hard to find: keys named as the word, damaged lines, rows without a key."""

import gzip

import asyncpg
import pytest

from app.clinic.catalogue.introspection import TableName
from app.clinic.catalogue.secret_columns import SecretColumns
from app.dump.document import ColumnHeader, Form
from app.dump.gzip_member import Compression, GzipWriter
from app.errors import FormatError, RecordNotFound
from app.respaldos.models import Respaldo
from app.respaldos.resources import Resources
from app.respaldos.search.records import Model
from tests.respaldos.conftest import SMALL, back_up
from tests.storage.conftest import Store
from tests.support.patients import CARD, add_patient, remove_patient
from tests.support.restores import conn, resources
from tests.support.searching import history, only, search

__all__ = ["conn", "resources"]


async def test_a_word_that_the_keys_column_is_called(resources: Resources, conn: asyncpg.Connection) -> None:
    code = await add_patient(conn)
    await back_up(resources)
    second = await back_up(resources)
    await conn.execute("UPDATE usuario SET nombre = 'Código' WHERE codigo = $1", code)
    await back_up(resources)
    found = only(await search(resources, "codigo", modelos=("usuarios",)))
    assert (found.clave, found.estado, found.en_respaldo) == (str(code), "cambio", second.id)


async def change_line(store: Store, respaldo: Respaldo, old: bytes, new: bytes) -> None:
    """Put something else into the line of the patient's card; the file's checksum is right."""
    assert store.folder is not None
    path = store.folder / (respaldo.archivo_s3 or "")
    lines = gzip.decompress(path.read_bytes()).split(b"\n")
    (place,) = (number for number, line in enumerate(lines) if CARD.encode() in line)
    assert old in lines[place]
    lines[place] = lines[place].replace(old, new, 1)
    writer = GzipWriter(Compression.FAST)
    content = b"".join([writer.feed(b"\n".join(lines)), writer.finish()])
    await store.storage.client.put_object(Bucket=store.options.bucket, Key=respaldo.archivo_s3 or "", Body=content)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"Calle 1"', b'"Calle\xff1"'),
        (b'"direccion"', b'direccion"'),
        (b'{"codusuario"', b'["codusuario"'),
        (b'"direccion":"Calle 1",', b""),
    ],
)
async def test_a_line_that_is_no_record(
    old: bytes, new: bytes, resources: Resources, conn: asyncpg.Connection, store: Store
) -> None:
    code = await add_patient(conn)
    older = await back_up(resources)
    damaged = await back_up(resources)
    await change_line(store, damaged, old, new)
    await remove_patient(conn, code)
    found = await search(resources, CARD)
    assert [(each.clave, each.en_respaldo) for each in found.resultados] == [(str(code), older.id)]
    assert found.avisos == [
        f"el respaldo {damaged.id} no se pudo leer: un registro de «pacientes» no está escrito como debe"
    ]
    assert (await history(resources, "pacientes", code)).avisos == found.avisos


@pytest.mark.parametrize("form", [Form.SCALAR, Form.JSONB])
@pytest.mark.parametrize("line", [b'{"a":trXe"}', b'"a"', b"[]", b"{}", b'{"a":"\xff"}', b'{"a":"\\u00"}', b""])
def test_no_line_is_read_wrong(line: bytes, form: Form) -> None:
    columns = [ColumnHeader("a", "text", True, form), ColumnHeader("b", "text", True, form)]
    with pytest.raises(FormatError, match="«modelo»"):
        Model("modelo", TableName("public", "tabla"), columns, ("a",), SecretColumns()).values([line])


@pytest.mark.parametrize("null", [b"7", b'["c"]', b"[["])
def test_no_list_of_nulls_is_read_wrong(null: bytes) -> None:
    columns = [ColumnHeader("a", "jsonb", True, Form.JSONB)]
    with pytest.raises(FormatError, match="«modelo»"):
        Model("modelo", TableName("public", "tabla"), columns, (), SecretColumns()).values(
            [b'{"a":null,"$jsonnull":' + null + b"}"]
        )


async def test_a_column_that_came_since_of_rows_without_a_key(resources: Resources, conn: asyncpg.Connection) -> None:
    await conn.execute(
        "CREATE TABLE nota (clinica_id bigint NOT NULL REFERENCES clinica, texto text);"
        f"INSERT INTO nota VALUES ({SMALL}, 'Estrafalario uno'), ({SMALL}, 'Estrafalario dos')"
    )
    await back_up(resources)
    await conn.execute("ALTER TABLE nota ADD grupo text")
    await back_up(resources)
    await conn.execute("UPDATE nota SET grupo = 'A' WHERE texto LIKE '%dos'")
    found = (await search(resources, "estrafalario")).resultados
    assert [each.estado for each in found] == ["eliminado", "nuevo", "igual"]


async def test_keys_of_which_some_are_no_value_any_more(resources: Resources, conn: asyncpg.Connection) -> None:
    await conn.execute(
        "CREATE TABLE ficha (código text, clinica_id bigint NOT NULL REFERENCES clinica, nombre text,"
        " PRIMARY KEY (código));"
        f"INSERT INTO ficha SELECT n, {SMALL}, 'Estrambótico ' || n FROM unnest('{{ABC,AB,12}}'::text[]) AS n"
    )
    await back_up(resources)
    await conn.execute(
        "DELETE FROM ficha WHERE código = 'ABC'; CREATE DOMAIN corto AS char(2) CHECK (VALUE <> 'ABC');"
        "ALTER TABLE ficha ALTER código TYPE corto"
    )
    found = (await search(resources, "estrambotico")).resultados
    assert [(each.clave, each.estado) for each in found] == [("ABC", "eliminado"), ("12", "igual"), ("AB", "igual")]
    await conn.execute("ALTER DOMAIN corto ADD CHECK (VALUE <> 'XY')")
    with pytest.raises(RecordNotFound):
        await history(resources, "ficha", "XY")
    assert (await history(resources, "ficha", "ABC")).versiones[0].existe is False


async def test_a_number_is_not_rounded_to_a_key(resources: Resources, conn: asyncpg.Connection) -> None:
    await conn.execute(
        "CREATE TABLE arancel (id numeric(5,1) PRIMARY KEY, clinica_id int NOT NULL REFERENCES clinica, nombre text);"
        f"INSERT INTO arancel VALUES (1.5, {SMALL}, 'Uno y medio')"
    )
    assert (await history(resources, "arancel", "1.50")).clave == "1.5"
    with pytest.raises(RecordNotFound):
        await history(resources, "arancel", "1.52")


async def test_what_depends_by_either_of_two_keys_counts_once(resources: Resources, conn: asyncpg.Connection) -> None:
    columns = "id int PRIMARY KEY, de int NOT NULL REFERENCES paciente, con int REFERENCES paciente"
    kinship = f"CREATE TABLE parentesco ({columns})"
    one, other = [await add_patient(conn, nombre=name) for name in ("Uno", "Otro")]
    await conn.execute(
        f"{kinship}; INSERT INTO parentesco"
        f" VALUES (1, {one}, {other}), (2, {other}, {one}), (3, {one}, {one}), (4, {other}, NULL)"
    )
    await back_up(resources)

    async def dependents() -> list[tuple[str, int, list[str | None]]]:
        found = await history(resources, "pacientes", one)
        return [(each.modelo, each.cantidad, [one.clave for one in each.ejemplos]) for each in found.dependientes]

    assert await dependents() == [("parentesco", 3, ["1", "2", "3"])]
    await conn.execute("DROP TABLE parentesco")
    await remove_patient(conn, one)
    await conn.execute(kinship)
    assert await dependents() == [("parentesco", 3, ["1", "2", "3"])]
