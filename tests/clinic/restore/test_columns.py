"""Columns and keys that PostgreSQL treats in a way of its own."""

from tests.clinic.conftest import Database
from tests.clinic.restore.conftest import Writer, crossed, ordinary
from tests.support.clinic_backup import back_up
from tests.support.clinic_restore import counts, restore
from tests.support.odd_names import NAMES
from tests.support.restore_cases import Case, come_back, create, goes_back

CASES = [
    Case(
        "always_key",
        """
        CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text, clinica_id int NOT NULL);
        INSERT INTO t (v, clinica_id) VALUES ('a', 1), ('b', 1), ('c', 2), ('d', 1);
        """,
        "DELETE FROM t WHERE id = 1; UPDATE t SET v = 'z' WHERE id = 2; INSERT INTO t (v,"
        " clinica_id) VALUES ('e', 1)",
        {"t": (1, 1, 1)},
    ),
    Case(
        "always_beside",
        """
        CREATE TABLE t (id int PRIMARY KEY, n int GENERATED ALWAYS AS IDENTITY UNIQUE, clinica_id int NOT NULL);
        CREATE TABLE h (id int PRIMARY KEY, n int NOT NULL REFERENCES t (n));
        INSERT INTO t (id, clinica_id) VALUES (1, 1), (2, 1), (3, 2); INSERT INTO h SELECT n * 10, n FROM t;
        """,
        "DELETE FROM h WHERE n = 1; UPDATE t SET n = DEFAULT WHERE id = 1; INSERT INTO h SELECT 10, n FROM t"
        " WHERE id = 1",
        {"t": (0, 1, 0), "h": (0, 1, 0)},
    ),
    Case(
        "generated",
        """
        CREATE TABLE t (id int PRIMARY KEY, v int, doble int GENERATED ALWAYS AS (v * 2) STORED UNIQUE,
            clinica_id int NOT NULL);
        CREATE TABLE h (id int PRIMARY KEY, mitad int,
            t int GENERATED ALWAYS AS (mitad * 2) STORED REFERENCES t (doble));
        INSERT INTO t (id, v, clinica_id) VALUES (1, 1, 1), (2, 2, 1), (3, 3, 2);
        INSERT INTO h (id, mitad) VALUES (1, 1), (2, 2), (3, 3), (4, 2);
        """,
        "DELETE FROM h WHERE id IN (1, 2); UPDATE h SET mitad = NULL WHERE id = 4;"
        " UPDATE t SET v = v + 100 WHERE clinica_id = 1; UPDATE t SET v = CASE id WHEN 1 THEN 2 ELSE 1 END"
        " WHERE clinica_id = 1; UPDATE h SET mitad = 1 WHERE id = 4",
        {"t": (0, 2, 0), "h": (2, 1, 0)},
    ),
    Case(
        "composite",
        """
        CREATE TABLE caja (sede text, numero numeric, clinica_id int NOT NULL, saldo money, PRIMARY KEY (sede,
            numero));
        CREATE TABLE turno (sede text, numero numeric, dia date, nota text, PRIMARY KEY (dia, numero, sede),
            FOREIGN KEY (sede, numero) REFERENCES caja ON DELETE CASCADE ON UPDATE CASCADE);
        INSERT INTO caja VALUES ('ñ', 1.0, 1, 1), ('ñ', 2.00, 1, 2), ('ñ', 3, 2, 3);
        INSERT INTO turno VALUES ('ñ', 1.0, '2026-01-01', 'x'), ('ñ', 1.0, '2026-01-02', NULL), ('ñ', 2.00,
            '2026-01-01', 'y'), ('ñ', 3, '2026-01-01', 'z');
        """,
        # The first keeps its key, printed otherwise, and what hangs from it is what it was.
        "UPDATE caja SET numero = 1.00 WHERE numero = 1; UPDATE turno SET numero = 1.0 WHERE numero = 1;"
        " DELETE FROM caja WHERE numero = 2; UPDATE turno SET nota = 'w' WHERE dia = '2026-01-02' AND numero = 1",
        {"caja": (1, 1, 0), "turno": (1, 1, 0)},
    ),
    Case(
        "many_to_many",
        """
        CREATE TABLE alergia (id int PRIMARY KEY, nombre text);
        CREATE TABLE con_clave (persona_id int REFERENCES persona, alergia_id int REFERENCES alergia, PRIMARY KEY
            (alergia_id, persona_id));
        CREATE TABLE sin_clave (una int NOT NULL REFERENCES persona, otra int NOT NULL REFERENCES persona);
        INSERT INTO alergia VALUES (1, 'polen'), (2, 'látex');
        INSERT INTO con_clave VALUES (11, 1), (12, 1), (21, 1), (21, 2); INSERT INTO sin_clave VALUES (11, 12),
            (11, 12),
            (21, 21), (12, 11);
        """,
        "DELETE FROM con_clave WHERE persona_id = 11; INSERT INTO con_clave VALUES (12, 2);"
        " DELETE FROM sin_clave WHERE una = 11; INSERT INTO sin_clave VALUES (11, 12), (12, 11)",
        {"con_clave": (1, 0, 1), "sin_clave": (1, 0, 1)},
    ),
    Case(
        "without_equality",
        """
        CREATE TABLE t (clinica_id int NOT NULL, j json, p point, b jsonb, c char(4));
        INSERT INTO t VALUES (1, '1', '(1,2)', '1.0', 'a'), (1, '1', '(1,2)', '1.0', 'a'), (1, '1 ', '(1,2)',
            '1.00', 'a'),
            (1, NULL, NULL, 'null', ''), (1, NULL, NULL, NULL, NULL), (2, 'null', '(NaN,-0)', '{}', 'ñ');
        """,
        "DELETE FROM t WHERE ctid IN (SELECT min(ctid) FROM t WHERE j::text = '1');"
        " UPDATE t SET b = NULL WHERE b = 'null'; INSERT INTO t VALUES (1, '1 ', '(1,2)', '1.00', 'a')",
        {"t": (2, 0, 2)},
    ),
    Case(
        "nothing_differs_but_its_printing",
        """
        CREATE TABLE t (id int PRIMARY KEY, n numeric, j jsonb, i interval, f float8, b bpchar,
            clinica_id int NOT NULL);
        INSERT INTO t VALUES (1, 1.0, '[1.0]', '1 day', '-0', 'a', 1), (2, 0, '{}', '0', 0, '', 2);
        """,
        "UPDATE t SET n = 1.00, j = '[1.00]', i = '24:00', f = 0, b = 'a ' WHERE id = 1",
        {"t": (0, 1, 0)},
    ),
    Case(
        "default_of_a_domain",
        """
        CREATE DOMAIN folio AS text NOT NULL DEFAULT 'sin folio';
        CREATE SEQUENCE numeros; CREATE TABLE t (id int PRIMARY KEY, v folio, codigo text NOT NULL
            DEFAULT 'F-' || nextval('numeros'), clinica_id int NOT NULL);
        INSERT INTO t VALUES (1, 'a', 'F-9', 1), (2, 'b', DEFAULT, 1), (3, 'c', DEFAULT, 2);
        """,
        "DELETE FROM t WHERE id = 1; UPDATE t SET v = DEFAULT WHERE id = 2",
        {"t": (1, 1, 0)},
    ),
]

# The text of two keys that PostgreSQL holds for one, and of one that is neither.
KEYS = {
    "numeric": ("1.0", "1.00", "2"),
    "char(6)": ("a", "a  ", "b"),
    "bpchar": ("a", "a  ", "b"),
    "text": ("Ñ", "Ñ", "ñ"),
    "animo": ("triste", "triste", "feliz"),
    "citado": ("x", "x", "Y"),
    "timestamptz": ("2026-01-02 03:04:05+00", "2026-01-02 00:04:05-03", "infinity"),
    "uuid": ("00000000-0000-0000-0000-0000000000aa", "00000000-0000-0000-0000-0000000000AA", "f" * 32),
    "inet": ("10.0.0.1/8", "10.0.0.1/8", "10.0.0.1"),
    "interval": ("1 day", "24:00", "1 mon"),
    "float8": ("0", "-0", "NaN"),
    "bytea": ("\\x00", "\\000", "\\xff"),
    "jsonb": ("[1.0]", "[1.00]", "null"),
    "integer[]": ("{1}", "[1:1]={1}", "[0:0]={1}"),
}


def _key_case(number: int, type_: str, one: str, same: str, other: str) -> Case:
    return Case(
        f"clave_{number}",
        f"""
        CREATE TABLE t (k {type_} PRIMARY KEY, v int, clinica_id int NOT NULL);
        CREATE TABLE h (k {type_} REFERENCES t ON UPDATE CASCADE ON DELETE SET NULL, v int, PRIMARY KEY (k));
        INSERT INTO t VALUES ('{one}', 1, 1), ('{other}', 2, 1); INSERT INTO h SELECT k, 1 FROM t;
        """,
        f"DELETE FROM h WHERE k = '{other}'; DELETE FROM t WHERE k = '{other}'; UPDATE t SET k = '{same}', v = 9;"
        " UPDATE h SET v = 9",
        {"t": (1, 1, 0), "h": (1, 1, 0)},
    )


TYPES = """
CREATE TYPE animo AS ENUM ('triste', 'feliz');
CREATE DOMAIN citado AS varchar(9) COLLATE "C" CHECK (value <> '');
"""


@crossed
async def test_columns_of_every_kind(any_database: Database, writer: Writer) -> None:
    await come_back(any_database, writer, *CASES)


async def test_keys_of_every_type(database: Database, writer: Writer) -> None:
    keys = [_key_case(number, type_, *values) for number, (type_, values) in enumerate(KEYS.items())]
    await database.sql.execute(f"SET search_path = public; {TYPES}")
    await come_back(database, writer, *keys)


async def test_names_of_every_kind(database: Database, writer: Writer) -> None:
    def quote(name: str) -> str:
        return '"' + name.replace('"', '""') + '"'

    names = [*NAMES, "line", "$at", "$linea", "place", "f", "c", "p", "s", "l", "rel", "tid", "respaldos$"]
    table, child = quote(NAMES[0]), quote("hijo's")
    columns = ", ".join(f"{quote(name)} jsonb" for name in names)
    case = Case(
        'Clínica "Ñ"'.replace('"', '""'),
        f"""
        CREATE TABLE {table} ("clave ñ" int PRIMARY KEY, {columns}, clinica_id int NOT NULL);
        CREATE TABLE {child} (line int PRIMARY KEY, "Niño" int NOT NULL REFERENCES {table}, "$at" text UNIQUE);
        INSERT INTO {table} ("clave ñ", clinica_id, "r", "line") VALUES (1, 1, 'null', '1'), (2, 2, '{{}}', 'null'),
            (3, 1, NULL, NULL);
        INSERT INTO {child} VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 1, 'c');
        """,
        f"""
        DELETE FROM {child} WHERE line = 3; INSERT INTO {child} VALUES (4, 1, 'c');
        UPDATE {table} SET {quote(NAMES[0])} = '1', "r" = NULL, "line" = NULL WHERE "clave ñ" = 1;
        DELETE FROM {table} WHERE "clave ñ" = 3;
        """,
        {},
    )
    await create(database.sql, case)
    damage = f'SET search_path = "{case.name}"; {case.damage}'
    plan = await goes_back(database.sql, await writer(database), damage)
    assert counts(plan) == {'Clínica "Ñ".' + NAMES[0]: (1, 1, 0), 'Clínica "Ñ".hijo\'s': (1, 0, 1)}


async def test_1500_columns(database: Database) -> None:
    names = ", ".join(f"c{number} jsonb" for number in range(1500))
    case = Case(
        "ancha",
        f"CREATE TABLE t (id int PRIMARY KEY, clinica_id int NOT NULL, {names}); INSERT INTO t (id, clinica_id,"
        " c0, c1499)"
        " VALUES (1, 1, 'null', 'null'), (2, 1, NULL, '{}'), (3, 2, '1', NULL)",
        "UPDATE t SET c0 = NULL, c700 = '1' WHERE id = 1; DELETE FROM t WHERE id = 2;"
        " INSERT INTO t (id, clinica_id) VALUES (9, 1)",
        {"t": (1, 1, 1)},
    )
    await come_back(database, ordinary, case)


async def test_what_a_person_is_shown(database: Database) -> None:
    case = Case(
        "mostrada",
        """
        CREATE TABLE t (id int PRIMARY KEY, n numeric, j jsonb, texto text, clinica_id int NOT NULL);
        CREATE TABLE s (que json, clinica_id int NOT NULL); INSERT INTO s VALUES ('{ }', 1);
        INSERT INTO t SELECT n, 1.0, 'null', repeat('ñ', 300), 1 FROM generate_series(1, 9) AS n;
        """,
        "",
        {},
    )
    await create(database.sql, case)
    clinics = database.clinics()
    backup = await back_up(clinics, 1)
    await database.sql.execute(
        "UPDATE mostrada.t SET n = 1.00, j = NULL WHERE id > 2; DELETE FROM mostrada.t WHERE id = 1;"
        " INSERT INTO mostrada.t VALUES (10, 1, '1', '', 1); DELETE FROM mostrada.s"
    )
    plan = await restore(clinics, backup.file, simulate=True)
    examples = plan.models["mostrada.t"].examples
    assert (examples["insertados"], examples["eliminados"]) == ([{"clave": {"id": 1}}], [{"clave": {"id": 10}}])
    assert [example["clave"]["id"] for example in examples["actualizados"]] == [3, 4, 5, 6, 7]
    assert examples["actualizados"][0]["campos"] == {
        "n": {"antes": "1.00", "despues": "1.0"},
        "j": {"antes": None, "despues": "null"},
    }
    assert plan.models["mostrada.s"].examples == {"insertados": [{"clave": {"que": "{ }", "clinica_id": 1}}]}
