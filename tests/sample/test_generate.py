"""The sample is what its readers rely on: exact, the same every time, and whole in every clinic."""

import asyncio
import gzip
import threading
from base64 import b64encode
from hashlib import pbkdf2_hmac

import asyncpg
import pytest

from app.demo.sample import rows
from app.demo.sample.generate import (
    DEMO_CLINICS,
    DEMO_PASSWORD,
    Connection,
    SampleClinic,
    create_schema,
    fill,
    logins,
    rows_without_clinic,
)
from app.demo.sample.rows import ClinicRows
from app.demo.sample.schema import OWNED
from app.demo.sample.wording import AWKWARD
from app.errors import DatabaseError, DatabaseUnavailable, SettingsError
from tests.conftest import plain_url
from tests.support.sample_ownership import OWNER, digest, foreign_keys, mark_owners, rows_by_clinic

SMALL = (SampleClinic(1, "Uno", 300), SampleClinic(2, "Dos", 120))
# Where the rows of a visit, of a patient or of the people just fit or just do not.
AWKWARD_SIZES = (1, 8, 9, 19, 20, 21, *range(40, 52), 77, 100, 113, 249, 1000, 1001)


async def test_each_clinic_owns_exactly_its_records(conn: Connection) -> None:
    clinics = [SampleClinic(number, f"N.º {number}", size) for number, size in enumerate(AWKWARD_SIZES, 1)]
    await create_schema(conn)
    added = await fill(conn, clinics)
    await mark_owners(conn)
    assert await rows_by_clinic(conn) == {clinic.id: clinic.records for clinic in clinics}
    assert sum(added.values()) - added["auth_user"] == sum(AWKWARD_SIZES)


async def test_demo_has_three_active_clinics_of_different_size_and_a_closed_one(conn: Connection) -> None:
    await create_schema(conn)
    await fill(conn, DEMO_CLINICS)
    await mark_owners(conn)
    assert await rows_by_clinic(conn) == {1: 15_000, 2: 2_000, 3: 400, 4: 120}
    closed = await conn.fetch("SELECT id FROM clinica WHERE NOT activa")
    assert [row["id"] for row in closed] == [4]


async def test_foreign_keys_hold_and_none_leaves_its_clinic(conn: Connection) -> None:
    await create_schema(conn)
    await fill(conn, SMALL)
    await mark_owners(conn)
    keys = await foreign_keys(conn)
    assert len(keys) == 31
    for child, column, parent, key in keys:
        dangling = await conn.fetchval(
            f"SELECT count(*) FROM {child} AS t LEFT JOIN {parent} AS p ON p.{key} = t.{column}"
            f" WHERE t.{column} IS NOT NULL AND p.{key} IS NULL"
        )
        assert dangling == 0, (child, column)
        if parent in OWNER:
            crossing = await conn.fetchval(
                f"SELECT count(*) FROM {child} AS t JOIN owned_{parent} AS p ON p.key = t.{column}"
                f" WHERE {OWNER[child]} IS DISTINCT FROM p.owner"
            )
            assert crossing == 0, (child, column)


async def test_foreign_keys_are_deferred_and_indexed_as_django_makes_them(conn: Connection) -> None:
    await create_schema(conn)
    assert await conn.fetch("SELECT conname FROM pg_constraint WHERE contype = 'f' AND NOT condeferred") == []
    unindexed = await conn.fetch(
        """
        SELECT conname FROM pg_constraint AS c WHERE contype = 'f' AND NOT EXISTS (
            SELECT FROM pg_index WHERE indrelid = c.conrelid AND indkey[0] = c.conkey[1])
        """
    )
    assert unindexed == []


async def test_every_table_has_rows_from_fifty_records_on(conn: Connection) -> None:
    await create_schema(conn)
    added = await fill(conn, [SampleClinic(1, "Chica", 50)])
    assert all(added[table.name] for table in OWNED)
    online = await conn.fetchrow("SELECT count(idpago), count(idconsulta) FROM pago_en_linea")
    assert online is not None
    assert min(online) > 0


async def test_documented_number_of_rows_has_no_tenant_but_a_user(conn: Connection) -> None:
    clinics = (SampleClinic(1, "Uno", 2_500), SampleClinic(2, "Dos", 300), SampleClinic(3, "Tres", 19))
    await create_schema(conn)
    await fill(conn, clinics)
    found = await conn.fetch(
        """
        SELECT usuario.clinica_id, count(*) AS rows FROM bitacora JOIN usuario ON codigo = usuario_id
        WHERE bitacora.clinica_id IS NULL GROUP BY 1 ORDER BY 1
        """
    )
    assert [tuple(row) for row in found] == [(1, 2), (2, 1)]
    assert [rows_without_clinic(clinic.records) for clinic in clinics] == [2, 1, 0]
    assert await conn.fetchval("SELECT count(*) FROM bitacora WHERE clinica_id IS NULL AND usuario_id IS NULL") == 0


async def test_awkward_text_and_values_are_stored_as_they_are(conn: Connection) -> None:
    await create_schema(conn)
    await fill(conn, [SampleClinic(1, "Uno", 1_200)])
    texts = await conn.fetch(
        """
        SELECT observaciones FROM consulta UNION ALL SELECT diagnostico FROM consulta
        UNION ALL SELECT diagnostico FROM historialclinico UNION ALL SELECT evolucion FROM historialclinico
        UNION ALL SELECT descripcion FROM tratamiento_odontologico
        UNION ALL SELECT observaciones FROM odontograma UNION ALL SELECT descripcion FROM plan_tratamiento
        UNION ALL SELECT experienciaprofesional FROM odontologo
        UNION ALL SELECT habilidadessoftware FROM recepcionista
        """
    )
    stored = [row[0] for row in texts if row[0]]
    for awkward in AWKWARD:
        assert any(text.startswith(awkward) for text in stored), awkward
    kinds = await conn.fetchrow(
        """
        SELECT count(*) FILTER (WHERE detalle IS NULL), count(*) FILTER (WHERE detalle = 'null'),
            count(*) FILTER (WHERE family(ip_address) = 6), count(*) FILTER (WHERE usuario_id IS NULL),
            (SELECT count(*) FROM presupuesto WHERE length(firma) = 20),
            (SELECT count(*) FROM paciente WHERE 'acrílico \\ monómero' = ANY(alergias)),
            (SELECT count(*) FROM factura WHERE razon_social = 'Comercial "Ñandú" \\ Cía. Ltda.')
        FROM bitacora
        """
    )
    assert kinds is not None
    assert min(kinds) > 0, kinds


async def test_size_and_compression_are_those_of_a_real_clinic(conn: Connection) -> None:
    await create_schema(conn)
    await fill(conn, [SampleClinic(1, "Uno", 5_000)])
    lines = [
        row[0] for table in OWNED for row in await conn.fetch(f"SELECT row_to_json(t)::text FROM {table.name} AS t")
    ]
    document = "\n".join(lines).encode()
    assert 380 < len(document) / len(lines) < 480
    assert 5 < len(document) / len(gzip.compress(document, 6)) < 8


async def test_amounts_add_up(conn: Connection) -> None:
    await create_schema(conn)
    await fill(conn, SMALL)
    assert await conn.fetchval("SELECT count(*) FROM factura") > 10
    wrong = await conn.fetch(
        """
        SELECT id FROM factura AS f
        WHERE montototal <> (SELECT sum(subtotal) FROM itemdefactura WHERE idfactura = f.id)
        OR (idestadofactura = 1)
            <> (montototal = (SELECT coalesce(sum(montopagado), 0) FROM pago WHERE idfactura = f.id))
        """
    )
    assert wrong == []


async def test_same_seed_gives_the_same_rows_and_another_others(conn: Connection) -> None:
    for schema, seed in (("a", 1), ("b", 1), ("c", 2)):
        await create_schema(conn, schema)
        await fill(conn, SMALL, seed, schema=schema)
    first, again, other = [await digest(conn, schema) for schema in ("a", "b", "c")]
    assert first == again
    assert all(first[table.name] != other[table.name] for table in OWNED)


async def test_clinics_of_the_same_size_are_not_alike(conn: Connection) -> None:
    await create_schema(conn)
    await fill(conn, [SampleClinic(1, "Uno", 300), SampleClinic(2, "Dos", 300)])
    alike = await conn.fetchval(
        """
        SELECT count(*) FROM consulta AS a JOIN consulta AS b USING (observaciones)
        WHERE a.id < b.id AND observaciones <> ''
        """
    )
    assert alike == 0


async def test_more_clinics_can_be_added_and_the_first_stay_as_they_were(conn: Connection) -> None:
    await create_schema(conn)
    await fill(conn, SMALL[:1])
    await mark_owners(conn)
    before = await conn.fetch("SELECT * FROM consulta ORDER BY id")
    await fill(conn, SMALL[1:])
    assert await conn.fetch("SELECT * FROM consulta WHERE id <= $1 ORDER BY id", before[-1]["id"]) == before
    assert await conn.fetchval("SELECT count(*) FROM auth_user WHERE is_superuser") == 1
    assert await conn.fetchval("SELECT count(*) FROM auth_user") == len(logins(SMALL))


async def test_sequences_give_keys_that_are_free(conn: Connection) -> None:
    await create_schema(conn)
    await fill(conn, SMALL)
    columns = await conn.fetch(
        """
        SELECT c.oid::regclass::text AS name, a.attname AS key,
            pg_get_serial_sequence(c.oid::regclass::text, a.attname) AS sequence
        FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = 1
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
        """
    )
    numbered = [row for row in columns if row["sequence"]]
    assert len(numbered) == 23
    for row in numbered:
        following = await conn.fetchval("SELECT nextval($1::text::regclass)", row["sequence"])
        assert following == await conn.fetchval(f"SELECT max({row['key']}) + 1 FROM {row['name']}"), row["name"]


async def test_existing_tables_and_clinics_are_refused_and_unchanged(conn: Connection) -> None:
    await create_schema(conn)
    await fill(conn, SMALL)
    before = await digest(conn)
    with pytest.raises(DatabaseError, match=r"ya tiene la tabla «\w+»"):
        await create_schema(conn)
    with pytest.raises(DatabaseError, match="Ya existe la clínica 2"):
        await fill(conn, [SampleClinic(5, "Nueva", 50), SMALL[1]])
    assert await digest(conn) == before


async def test_missing_tables_are_named(conn: Connection) -> None:
    with pytest.raises(DatabaseError, match="no tiene la tabla «clinica»"):
        await fill(conn, SMALL)


async def test_an_interrupted_fill_leaves_nothing(
    conn: Connection, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "BATCH_ROWS", 100)
    await create_schema(conn)
    before = await digest(conn)
    url, server = plain_url(empty_database), conn.get_server_pid()

    async def terminate() -> None:
        other = await asyncpg.connect(url)
        await other.execute("SELECT pg_terminate_backend($1, 10000)", server)
        await other.close()

    def cut(_: int) -> None:
        # In a thread of its own, and waited for: the server process is gone before the next batch is sent.
        thread = threading.Thread(target=asyncio.run, args=(terminate(),))
        thread.start()
        thread.join()

    with pytest.raises(DatabaseUnavailable, match="Se perdió la conexión"):
        await fill(conn, SMALL, progress=cut)
    after = await asyncpg.connect(url)
    assert await digest(after) == before
    await after.close()


async def test_demo_people_can_log_in(conn: Connection) -> None:
    await create_schema(conn)
    await fill(conn, SMALL)
    users = await conn.fetch(
        """
        SELECT email, password, is_superuser, is_active, coalesce(rol, 'superadmin') AS rol, clinica_id
        FROM auth_user LEFT JOIN usuario ON correoelectronico = email
        LEFT JOIN tipodeusuario AS kind ON kind.id = idtipousuario
        """
    )
    people = logins(SMALL)
    assert {(row["email"], row["rol"], row["clinica_id"]) for row in users} == {
        (login.email, login.rol, login.clinica_id) for login in people
    }
    assert len(users) == len(people) == 7
    for row in users:
        algorithm, iterations, salt, expected = row["password"].split("$")
        assert algorithm == "pbkdf2_sha256"
        assert row["is_active"]
        assert row["is_superuser"] == (row["clinica_id"] is None)
    digest_ = pbkdf2_hmac("sha256", DEMO_PASSWORD.encode(), salt.encode(), int(iterations))
    assert b64encode(digest_).decode() == expected


def test_a_clinic_too_small_for_its_people_is_refused() -> None:
    with pytest.raises(SettingsError, match="no puede tener 5 registros"):
        SampleClinic(1, "Uno", 5)


def test_batches_do_not_grow_with_the_clinic() -> None:
    keys = {table.name: 1 for table in OWNED}
    batches = ClinicRows(SampleClinic(1, "Grande", 40_000), 1, keys, tenant_column=True).batches()
    sizes = [sum(lines.count(b"\n") for lines in batch.values()) for batch in batches]
    assert sum(sizes) == 39_999
    assert max(sizes) < rows.BATCH_ROWS + 100
