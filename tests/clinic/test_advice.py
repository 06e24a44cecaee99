"""What would make a clinic database's backups faster is said, and doing it as it is said leaves nothing to say."""

import asyncio
import re
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from app.clinic.catalogue.advice import Advice, AdviceKind
from app.clinic.catalogue.introspection import TableName
from app.clinic.database import ClinicDatabase
from tests.clinic.conftest import Database
from tests.conftest import unique_name
from tests.support.clinic_backup import back_up
from tests.support.two_clinics import TWO_CLINICS

# Names with quotes, spaces, accents and capitals; a partitioned table of which one part has the index already and
# another has partitions itself; an inherited one; a composite key; what this role may not read; what is empty.
MESSY = '''
CREATE SCHEMA "Clínica Ñ";
CREATE TABLE "Clínica Ñ"."Ficha ""A""" (id int PRIMARY KEY, "Clinica_Id" int REFERENCES clinica);
CREATE TABLE "Clínica Ñ"."Diente" ("Nº" int, "Cara" text,
    "Ficha Id" int NOT NULL REFERENCES "Clínica Ñ"."Ficha ""A""", PRIMARY KEY ("Cara", "Nº"));
CREATE TABLE "Clínica Ñ"."Caries" (id int PRIMARY KEY, "Nº" int, "Cara" text,
    FOREIGN KEY ("Nº", "Cara") REFERENCES "Clínica Ñ"."Diente" ("Nº", "Cara"));
CREATE TABLE cita (id int, dia date, "Clinica_Id" int REFERENCES clinica) PARTITION BY RANGE (dia);
CREATE TABLE cita_2024 PARTITION OF cita FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE "cita 2025" PARTITION OF cita FOR VALUES FROM ('2025-01-01') TO ('2026-01-01') PARTITION BY LIST (id);
CREATE TABLE "cita 2025 resto" PARTITION OF "cita 2025" DEFAULT;
CREATE INDEX ON cita_2024 ("Clinica_Id");
CREATE TABLE nota (id int PRIMARY KEY, "Clinica_Id" int REFERENCES clinica);
CREATE TABLE nota_larga (texto text) INHERITS (nota);
CREATE TABLE vacia (id int PRIMARY KEY, "Clinica_Id" int REFERENCES clinica);
CREATE TABLE cerrada (id int PRIMARY KEY, "Clinica_Id" int); REVOKE ALL ON cerrada FROM PUBLIC;
INSERT INTO "Clínica Ñ"."Ficha ""A""" SELECT n, 1 + n % 2 FROM generate_series(1, 10000) n;
INSERT INTO "Clínica Ñ"."Diente" SELECT n, 'd', n FROM generate_series(1, 10000) n;
INSERT INTO "Clínica Ñ"."Caries" SELECT n, n, 'd' FROM generate_series(1, 10000) n;
INSERT INTO cita SELECT n, date '2024-01-01' + n % 700, 1 FROM generate_series(1, 10000) n;
INSERT INTO nota SELECT n, 1 FROM generate_series(1, 10000) n;
INSERT INTO nota_larga SELECT n, 2 FROM generate_series(1, 10000) n;
'''


def _of(kind: AdviceKind, advice: list[Advice]) -> dict[str, tuple[str, ...]]:
    return {str(one.table): one.statements for one in advice if one.kind is kind}


async def _advice(clinics: ClinicDatabase) -> list[Advice]:
    return (await clinics.census()).advice


async def _follow(database: Database, advice: list[Advice]) -> None:
    for statement in (statement for one in advice for statement in one.statements):
        await database.sql.execute(statement)


async def test_following_the_advice_leaves_none(any_database: Database) -> None:
    await any_database.sql.execute(TWO_CLINICS.replace("clinica_id", '"Clinica_Id"') + MESSY)
    clinics = any_database.clinics(column="Clinica_Id", exclude=("cerrada",))
    advice = await _advice(clinics)
    ficha, diente, caries = 'Clínica Ñ.Ficha "A"', "Clínica Ñ.Diente", "Clínica Ñ.Caries"
    assert _of(AdviceKind.INDEX, advice) == {
        ficha: ('CREATE INDEX CONCURRENTLY ON "Clínica Ñ"."Ficha ""A""" ("Clinica_Id");',),
        diente: ('CREATE INDEX CONCURRENTLY ON "Clínica Ñ"."Diente" ("Ficha Id");',),
        caries: ('CREATE INDEX CONCURRENTLY ON "Clínica Ñ"."Caries" ("Nº", "Cara");',),
        "cita": (
            'CREATE INDEX CONCURRENTLY ON "public"."cita 2025 resto" ("Clinica_Id");',
            'CREATE INDEX ON "public"."cita" ("Clinica_Id");',
        ),
        "nota": ('CREATE INDEX CONCURRENTLY ON "public"."nota" ("Clinica_Id");',),
        "nota_larga": ('CREATE INDEX CONCURRENTLY ON "public"."nota_larga" ("Clinica_Id");',),
    }
    assert set(_of(AdviceKind.NOT_NULL, advice)) == {ficha, "cita", "nota", "nota_larga"}
    before = await back_up(clinics, 1)
    await _follow(any_database, advice)
    assert await _advice(clinics) == []
    assert (await back_up(clinics, 1)).lines == before.lines
    valid = "SELECT bool_and(indisvalid) FROM pg_index WHERE indrelid = 'cita'::regclass"
    assert await any_database.sql.fetchval(valid) is True


async def test_a_role_that_may_only_read_is_advised_alike(any_database: Database) -> None:
    await any_database.sql.execute(TWO_CLINICS.replace("clinica_id", '"Clinica_Id"') + MESSY)
    role = unique_name("lector")
    await any_database.sql.execute(
        f"""
        CREATE ROLE "{role}" LOGIN PASSWORD 'clave'; GRANT USAGE ON SCHEMA "Clínica Ñ" TO "{role}";
        GRANT SELECT ON ALL TABLES IN SCHEMA "Clínica Ñ" TO "{role}";
        GRANT SELECT ON clinica, persona, cita, nota, nota_larga, vacia TO "{role}";
        """
    )
    address = urlsplit(any_database.url)
    url = address._replace(netloc=f"{role}:clave@{address.hostname}:{address.port}").geturl()
    tenancy: dict[str, Any] = {"column": "Clinica_Id", "exclude": ("cerrada",)}
    try:
        advice = await _advice(any_database.clinics_at(url, **tenancy))
        assert advice
        assert advice == await _advice(any_database.clinics(**tenancy))
    finally:
        await any_database.sql.execute(f'DROP OWNED BY "{role}"; DROP ROLE "{role}"')


async def test_of_tables_in_a_circle_and_of_ways_that_no_backup_takes(database: Database) -> None:
    """Children are looked up by a circle's keys for each row found; what one key decides is looked up by no other."""
    await database.sql.execute(
        TWO_CLINICS
        + """
        CREATE TABLE hoja (id int PRIMARY KEY, padre int REFERENCES hoja, persona_id int REFERENCES persona);
        CREATE TABLE nota (id int PRIMARY KEY, persona_id int REFERENCES persona, hoja_id int REFERENCES hoja);
        INSERT INTO hoja SELECT n, nullif(n - 1, 0), CASE n WHEN 1 THEN 11 END FROM generate_series(1, 10000) n;
        INSERT INTO nota SELECT n, 11, 1 FROM generate_series(1, 10000) n;
        """
    )
    advice = await _advice(database.clinics())
    assert [(one.table.name, one.reason.split(";")[0]) for one in advice] == [
        ("hoja", "falta un índice en persona_id"),
        ("hoja", "falta un índice en padre"),
        ("nota", "falta un índice en persona_id"),
    ]
    await _follow(database, advice)
    assert await _advice(database.clinics()) == []


# Row 1 of each parent is clinic 1's. `hija` is found by either of two keys, one of them composite.
PARENTS = """
CREATE TABLE madre (a int, b int, clinica_id int NOT NULL REFERENCES clinica, PRIMARY KEY (a, b));
CREATE TABLE hija (id int PRIMARY KEY, a int, b int, persona_id int REFERENCES persona, texto text,
    FOREIGN KEY (a, b) REFERENCES madre);
INSERT INTO madre SELECT n, n, 1 FROM generate_series(1, 100) n;
INSERT INTO hija SELECT n, n % 100 + 1, n % 100 + 1, 11 FROM generate_series(1, 10000) n;
CREATE INDEX ON hija (persona_id);
"""


@pytest.mark.parametrize(
    ("index", "serves"),
    [
        ("(a, b)", True),
        ("(b, a, texto)", True),
        ("(a, b) WHERE a IS NOT NULL", True),
        ("(a) INCLUDE (b)", False),
        ("(id, a, b)", False),
        ("(a, abs(b))", False),
        ("(a, b) WHERE id > 5", False),
        ("(a, b) WHERE texto IS NOT NULL", False),
        ("USING brin (a, b)", False),
    ],
)
async def test_an_index_serves_if_it_begins_with_the_columns(database: Database, index: str, serves: bool) -> None:
    await database.sql.execute(f"{TWO_CLINICS} {PARENTS} CREATE INDEX ON hija {index}")
    missing = _of(AdviceKind.INDEX, await _advice(database.clinics()))
    assert missing == ({} if serves else {"hija": ('CREATE INDEX CONCURRENTLY ON "public"."hija" ("a", "b");',)})


async def test_an_index_that_was_left_unfinished_does_not_serve(database: Database) -> None:
    await database.sql.execute(f"{TWO_CLINICS} {PARENTS}")
    with pytest.raises(asyncpg.UniqueViolationError):
        await database.sql.execute("CREATE UNIQUE INDEX CONCURRENTLY ON hija (a, b)")
    assert set(_of(AdviceKind.INDEX, await _advice(database.clinics()))) == {"hija"}


async def test_a_table_that_is_small_needs_no_index_and_one_of_few_long_rows_does(database: Database) -> None:
    await database.sql.execute(
        f"""
        {TWO_CLINICS}
        CREATE TABLE corta (id int, clinica_id int NOT NULL REFERENCES clinica);
        CREATE TABLE ancha (id int, clinica_id int NOT NULL REFERENCES clinica, texto text STORAGE plain);
        INSERT INTO corta SELECT n, 1 FROM generate_series(1, 9999) n;
        INSERT INTO ancha SELECT n, 1, repeat('x', 8000) FROM generate_series(1, 1100) n;
        """
    )
    assert set(_of(AdviceKind.INDEX, await _advice(database.clinics()))) == {"ancha"}


async def test_keys_need_no_index_where_the_clinic_is_found_otherwise(database: Database) -> None:
    """By the tenant column, though rows without one take their owner from a key."""
    await database.sql.execute(
        f"""
        {TWO_CLINICS}
        CREATE TABLE cita (id int PRIMARY KEY, clinica_id int REFERENCES clinica, persona_id int REFERENCES persona);
        INSERT INTO cita SELECT n, nullif(n % 3, 0), 11 FROM generate_series(1, 10000) n;
        CREATE INDEX ON cita (clinica_id);
        """
    )
    assert await _advice(database.clinics()) == []


async def test_not_null_is_advised_of_columns_with_values_and_without_null(any_database: Database) -> None:
    await any_database.sql.execute(
        f"""
        {TWO_CLINICS}
        CREATE TABLE llena (id int, clinica_id int REFERENCES clinica);
        CREATE TABLE rota (id int, clinica_id int REFERENCES clinica);
        CREATE TABLE vacia (id int, clinica_id int REFERENCES clinica);
        CREATE TABLE base (id int, clinica_id int REFERENCES clinica);
        CREATE TABLE heredera () INHERITS (base);
        INSERT INTO llena VALUES (1, 1); INSERT INTO rota VALUES (1, 1), (2, NULL);
        INSERT INTO base VALUES (1, 1); INSERT INTO heredera VALUES (1, NULL);
        """
    )
    clinics = any_database.clinics()
    advice = await _advice(clinics)
    assert advice == [
        Advice(
            AdviceKind.NOT_NULL,
            TableName("public", "llena"),
            "clinica_id admite NULL y no tiene ninguno; declárela NOT NULL, y ningún registro quedará sin clínica",
            ('ALTER TABLE "public"."llena" ALTER COLUMN "clinica_id" SET NOT NULL;',),
        )
    ]
    await _follow(any_database, advice)
    assert await _advice(clinics) == []
    with pytest.raises(asyncpg.NotNullViolationError):
        await any_database.sql.execute("INSERT INTO llena VALUES (2, NULL)")


async def test_a_large_table_can_be_used_while_not_null_is_declared(any_database: Database) -> None:
    """Only reading the table takes long, and that must not keep anybody from writing."""
    await any_database.sql.execute(
        f"""
        {TWO_CLINICS}
        CREATE TABLE cita (id int, clinica_id int REFERENCES clinica); CREATE INDEX ON cita (clinica_id);
        INSERT INTO cita SELECT n, 1 FROM generate_series(1, 10000) n;
        """
    )
    (advice,) = await _advice(any_database.clinics())
    locked = "SELECT bool_or(mode = 'AccessExclusiveLock') FROM pg_locks WHERE relation = 'cita'::regclass"
    for statement in advice.statements:
        async with any_database.sql.transaction():
            await any_database.sql.execute(statement)
            exclusive = await any_database.sql.fetchval(locked)
        assert exclusive is ("VALIDATE" not in statement)


@pytest.mark.parametrize("kind", ["STORED", "VIRTUAL"])
async def test_what_is_advised_of_a_generated_column_can_be_done(database: Database, kind: str) -> None:
    await database.sql.execute(
        f"""
        {TWO_CLINICS}
        CREATE TABLE cita (id int, clinica_id int GENERATED ALWAYS AS (1 + id % 2) {kind});
        INSERT INTO cita SELECT n FROM generate_series(1, 10000) n;
        """
    )
    clinics = database.clinics(table="clinica")
    advice = await _advice(clinics)
    assert set(_of(AdviceKind.INDEX, advice)) == ({"cita"} if kind == "STORED" else set())
    await _follow(database, advice)
    assert await _advice(clinics) == []


async def test_a_promise_that_was_never_checked_is_advised_to_be_kept(database: Database) -> None:
    await database.sql.execute(
        f"""
        {TWO_CLINICS}
        CREATE TABLE cita (id int, clinica_id int); INSERT INTO cita SELECT n, 1 FROM generate_series(1, 10) n;
        ALTER TABLE cita ADD CONSTRAINT siempre NOT NULL clinica_id NOT VALID;
        """
    )
    advice = await _advice(database.clinics())
    assert set(_of(AdviceKind.NOT_NULL, advice)) == {"cita"}
    await _follow(database, advice)
    assert await _advice(database.clinics()) == []


# A login is its person's whose e-mail it has, which no key says.
LOGINS = """
CREATE TABLE usuario (id int PRIMARY KEY, "Correo Ñ" varchar(90), activo boolean,
    clinica_id int NOT NULL REFERENCES clinica);
CREATE TABLE login (id int PRIMARY KEY, email text, usuario text);
INSERT INTO usuario SELECT n, 'u' || n, true, 1 + n % 2 FROM generate_series(1, 2000) n;
INSERT INTO login SELECT n, 'u' || n, n::text FROM generate_series(1, 2000) n;
"""
INDEX = 'CREATE INDEX CONCURRENTLY ON "public"."usuario" ("Correo Ñ");'


@pytest.mark.parametrize(
    "condition",
    ['u."Correo Ñ" = t.email', 't.email = u."Correo Ñ"', 'u.activo AND u."Correo Ñ" = t.email AND u.id > 0'],
)
async def test_a_slow_rule_is_told_with_the_index_that_it_lacks(
    any_database: Database, monkeypatch: pytest.MonkeyPatch, condition: str
) -> None:
    monkeypatch.setattr("app.clinic.catalogue.advice.SLOW_RULE_SECONDS", 0.05)
    await any_database.sql.execute(TWO_CLINICS + LOGINS)
    clinics = any_database.clinics(rules={"login": f"(SELECT u.clinica_id FROM usuario u WHERE {condition})"})
    (slow,) = await _advice(clinics)
    assert (slow.kind, str(slow.table), slow.statements) == (AdviceKind.RULE, "login", (INDEX,))
    assert re.search(r"tarda \d+\.\d segundos en el respaldo de cada clínica", slow.reason)
    assert "por cada registro lee una tabla entera (usuario, donde (" in slow.reason
    await _follow(any_database, [slow])
    await any_database.sql.execute("ANALYZE usuario")
    assert await _advice(clinics) == []


@pytest.mark.parametrize("condition", ['upper(u."Correo Ñ") = upper(t.email)', "u.id::text = t.usuario"])
async def test_no_index_is_advised_that_would_not_serve_the_rule(
    any_database: Database, monkeypatch: pytest.MonkeyPatch, condition: str
) -> None:
    monkeypatch.setattr("app.clinic.catalogue.advice.SLOW_RULE_SECONDS", 0.05)
    await any_database.sql.execute(TWO_CLINICS + LOGINS)
    rule = f"(SELECT u.clinica_id FROM usuario u WHERE {condition})"
    (slow,) = await _advice(any_database.clinics(rules={"login": rule}))
    assert (slow.kind, slow.statements) == (AdviceKind.RULE, ())


async def test_a_rule_is_not_watched_for_longer_than_it_takes_to_call_it_slow(
    any_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.clinic.catalogue.advice.RULE_SECONDS", 0.2)
    await any_database.sql.execute(TWO_CLINICS + LOGINS)
    # It takes its time wherever time is limited: not where the rows are counted.
    sleep = "CASE WHEN current_setting('statement_timeout') = '0' THEN 1 ELSE (SELECT 1 FROM pg_sleep(60 + t.id)) END"
    async with asyncio.timeout(20):
        (slow,) = await _advice(any_database.clinics(rules={"login": sleep}))
    assert "tarda más de 0.2 segundos" in slow.reason


async def test_clinics_with_a_schema_each_are_advised_nothing(tenant_sample: Database) -> None:
    assert await _advice(tenant_sample.clinics(kind="schema", table="clinica")) == []


async def test_a_link_to_a_big_table_wants_an_index_on_the_text_without_its_case(any_database: Database) -> None:
    await any_database.sql.execute(
        """
        CREATE TABLE clinica (id int PRIMARY KEY); INSERT INTO clinica VALUES (1), (2);
        CREATE TABLE persona (id int PRIMARY KEY, clinica_id int NOT NULL REFERENCES clinica, "Correo" varchar(90));
        CREATE INDEX ON persona (clinica_id);
        INSERT INTO persona SELECT n, 1 + n % 2, n || '@x.example' FROM generate_series(1, 10000) AS n;
        CREATE TABLE boletin (id int PRIMARY KEY, correo text); INSERT INTO boletin VALUES (1, '7@X.example');
        """
    )
    clinics = any_database.clinics(rules={"boletin": {"correo": "persona.Correo"}})
    (advice,) = (await clinics.census()).advice
    assert str(advice) == (
        "persona: falta un índice en Correo, por donde OWNERSHIP_RULES enlaza dos tablas; sin él, el respaldo de cada"
        " clínica lee la tabla entera (10,000 registros)"
    )
    # Without it PostgreSQL would go on reading the table whole.
    assert advice.statements[-1] == 'ANALYZE "public"."persona";'
    for statement in advice.statements:
        await any_database.sql.execute(statement)
    assert (await clinics.census()).advice == []
    assert (await back_up(clinics, 2)).ids("boletin") == [1]
