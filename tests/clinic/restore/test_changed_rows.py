"""What people are shown of rows that differ: whatever is in them, short, and no secret."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from tests.clinic.conftest import Database
from tests.support.clinic_backup import clinic_file
from tests.support.clinic_restore import restore

HIDDEN = "(no se muestra)"
FIRST = "a" * 1000


async def examples(
    database: Database, columns: str, before: str, after: str, *, key: str = "id int PRIMARY KEY", **settings: Any
) -> dict[str, list[dict[str, Any]]]:
    """What a preview shows of the table `t` where its one row has `after` in the backup, and `before` today."""
    await database.sql.execute(
        "CREATE TABLE clinica (id int PRIMARY KEY); INSERT INTO clinica VALUES (1);"
        f" CREATE TABLE t ({key}, clinica_id int NOT NULL REFERENCES clinica, {columns});"
        f" INSERT INTO t VALUES (1, 1, {after})"
    )
    clinics = database.clinics(**settings)
    file = await clinic_file(clinics, 1)
    await database.sql.execute(f"TRUNCATE t; INSERT INTO t VALUES (1, 1, {before})")
    plan = await restore(clinics, file, simulate=True)
    found = plan.models["t"].examples
    # As the service keeps it.
    kept: dict[str, list[dict[str, Any]]] = json.loads(json.dumps(found, allow_nan=False))
    assert kept == found
    return found


async def shown(database: Database, values: Sequence[tuple[str, str, str]], **settings: Any) -> list[tuple[Any, Any]]:
    """What it shows, `antes` and `despues`, of a row with columns of these types, today's values and the backup's."""
    found = await examples(
        database,
        ", ".join(f"v{n} {type_}" for n, (type_, _, _) in enumerate(values)),
        ", ".join(f"{before}::{type_}" for type_, before, _ in values),
        ", ".join(f"{after}::{type_}" for type_, _, after in values),
        **settings,
    )
    (row,) = found["actualizados"]
    fields = [row["campos"][f"v{n}"] for n in range(len(values))]
    return [(field["antes"], field["despues"]) for field in fields]


# Type, value of today, the backup's, and what is shown of either.
VALUES: list[tuple[str, str, str, Any, Any]] = [
    ("jsonb", "'{\"n\": 1}'", f"'{'7' * 5000}'", '{"n": 1}', f"{'7' * 200}…"),
    ("jsonb", "NULL", f"'{'[' * 3000}{']' * 3000}'", None, f"{'[' * 200}…"),
    ("jsonb", "'1'", f"'{{\"{'k' * 5000}\": 1}}'", "1", f'{{"{"k" * 198}…'),
    ("jsonb", "'null'", "NULL", "null", None),
    ("jsonb", "'1.0'", "'1.00'", "1.0", "1.00"),
    ("jsonb", "'{\"a\": 1.0}'", '\'{"a": "1.0"}\'', '{"a": 1.0}', '{"a": "1.0"}'),
    ("json", '\'{"a":1,"a":2}\'', '\'{"a":3,"a":2}\'', '{"a":1,"a":2}', '{"a":3,"a":2}'),
    ("json", "'\"\\ud800\"'", "'\"\\u0000\"'", '"\\ud800"', '"\\u0000"'),
    ("json", "'1e2'", f"'{'7' * 200_000}'", "1e2", f"{'7' * 200}…"),
    ("text", "'1'", "'ñ\t\u0001😀'", "1", "ñ\t\u0001😀"),
    ("numeric", "5", "repeat('9', 100000)::numeric", 5, f"{'9' * 200}…"),
    ("numeric", "'NaN'", "1e2", "NaN", 100),
    ("bigint", "9007199254740993", "-7", "9007199254740993", -7),
    ("float8", "'-0'", "0", "-0", 0),
    ("float8", "'-Infinity'", "0.1", "-Infinity", "0.1"),
    ("boolean", "true", "false", True, False),
    ("bytea", "'\\x00ff'", "decode(repeat('ab', 10000000), 'hex')", "\\x00ff", f"\\x{'ab' * 99}…"),
    ("jsonb[]", "'{}'", "ARRAY[NULL, 'null', '[1.50]']::jsonb[]", "{}", '{NULL,"null",[1.50]}'),
    ("bpchar", "'a'", "'a '", "a", "a "),
    ("point", "'(1,2)'", "'(1,3)'", "(1,2)", "(1,3)"),
]


async def test_any_value(database: Database) -> None:
    found = await shown(database, [(type_, before, after) for type_, before, after, *_ in VALUES])
    assert found == [(antes, despues) for *_, antes, despues in VALUES]


UNITS = ("x", "ñ", "€", "😀")


async def test_the_part_that_differs(database: Database) -> None:
    lengths = [length for length in (0, 150, 199, 200, 201, 799, 801, 5000) for _ in UNITS]
    # Two of many megabytes, the second of characters of two bytes; how the others are cut is seen above.
    lengths += [3_000_000, 3_000_000]
    same = [f"repeat('{UNITS[n % len(UNITS)]}', {length})" for n, length in enumerate(lengths)]
    found = await shown(
        database, [("text", f"{each} || 'UNO' || {each}", f"{each} || 'DOS' || {each}") for each in same]
    )
    for length, (antes, despues) in zip(lengths, found, strict=True):
        assert antes.replace("UNO", "DOS") == despues
        assert "DOS" in despues
        assert len(antes.strip("…")) == min(200, 2 * length + 3 - (max(0, length - 40) if length >= 160 else 0))
        # The ellipsis says where something was left out.
        assert (antes[0] == "…", antes[-1] == "…") == (length >= 160, 2 * length + 3 > 200)


async def test_a_longer_one_with_the_same_beginning(any_database: Database) -> None:
    found = await shown(any_database, [("text", f"'{FIRST}'", f"'{FIRST}' || repeat('b', 300)")])
    assert found == [(f"…{'a' * 40}", f"…{'a' * 40}{'b' * 160}…")]


async def test_both_begin_at_the_same_place(database: Database) -> None:
    found = await shown(database, [("text", "repeat('a', 170)", "repeat('a', 170) || repeat('b', 300)")])
    assert found == [(f"…{'a' * 40}", f"…{'a' * 40}{'b' * 160}…")]


# A table's key, type and value of another column, or of the key, and what is shown of it.
KEYS = [
    ("id int", "jsonb", f"'{'7' * 5000}'", f"{'7' * 200}…"),
    ("id int", "jsonb", f"'{'[' * 3000}{']' * 3000}'", f"{'[' * 200}…"),
    ("id int", "json", "'\"\\ud800\\u0000\"'", '"\\ud800\\u0000"'),
    ("id int", "bytea", "decode(repeat('ab', 1000000), 'hex')", f"\\x{'ab' * 99}…"),
    ("id int", "numeric", "repeat('9', 100000)::numeric", f"{'9' * 200}…"),
    ("id int", "text", "NULL", None),
    ("id int", "text PRIMARY KEY", f"'{FIRST}'", f"{'a' * 200}…"),
    ("id int", "numeric PRIMARY KEY", "repeat('9', 1000)::numeric", f"{'9' * 200}…"),
    ("id int", "jsonb PRIMARY KEY", "'{\"a\": [1.0]}'", '{"a": [1.0]}'),
]


async def test_any_key(database: Database) -> None:
    tables = {f"t{n}": key for n, key in enumerate(KEYS)}
    await database.sql.execute(
        "CREATE TABLE clinica (id int PRIMARY KEY); INSERT INTO clinica VALUES (1);"
        + "".join(
            f"CREATE TABLE {name} ({key}, clinica_id int NOT NULL REFERENCES clinica, v {type_});"
            f" INSERT INTO {name} VALUES (1, 1, {value});"
            for name, (key, type_, value, _) in tables.items()
        )
    )
    expected = {
        name: {"v": clave} if "PRIMARY" in type_ else {"id": 1, "clinica_id": 1, "v": clave}
        for name, (_, type_, _, clave) in tables.items()
    }
    clinics = database.clinics()
    there = await clinic_file(clinics, 1)
    await database.sql.execute(f"TRUNCATE {', '.join(tables)}")
    empty = await clinic_file(clinics, 1)

    async def told(file: bytes, *, simulate: bool = False) -> dict[str, Any]:
        plan = await restore(clinics, file, simulate=simulate)
        return {name: model.examples for name, model in plan.models.items() if model.examples}

    assert await told(there) == {name: {"insertados": [{"clave": key}]} for name, key in expected.items()}
    assert await told(empty, simulate=True) == {
        name: {"eliminados": [{"clave": key}]} for name, key in expected.items()
    }
    keyed = [name for name, (_, type_, _, _) in tables.items() if "PRIMARY" in type_]
    await database.sql.execute("".join(f"UPDATE {name} SET id = 2;" for name in keyed))
    assert await told(there, simulate=True) == {
        name: {"actualizados": [{"clave": expected[name], "campos": {"id": {"antes": 2, "despues": 1}}}]}
        for name in keyed
    }


async def test_secret_columns(any_database: Database) -> None:
    names = (
        "password", "PassWord2", "contraseña", "contrasena", "api_token", "apiKey", "clave_privada", "secreto",
        "nit", "NotaPrivada", "secretaria", "opinion", "clave",
    )  # fmt: skip
    found = await examples(
        any_database,
        ", ".join(f'"{name}" text' for name in names),
        ", ".join("'antes de todo'" for _ in names),
        ", ".join("NULL" if name == "password" else "'después'" for name in names),
        secret_columns=("nit", "T.notaprivada", "u.clave"),
    )
    (row,) = found["actualizados"]
    hidden = {"antes": HIDDEN, "despues": HIDDEN}
    told = {"antes": "antes de todo", "despues": "después"}
    assert row == {
        "clave": {"id": 1},
        "campos": {name: told if name in ("secretaria", "opinion", "clave") else hidden for name in names},
    }


@pytest.mark.parametrize("key", ['"Token" int PRIMARY KEY', '"Token" int'])
async def test_a_secret_in_a_key(database: Database, key: str) -> None:
    found = await examples(database, "v int", "2", "3", key=key)
    if "PRIMARY" in key:
        assert found == {"actualizados": [{"clave": {"Token": HIDDEN}, "campos": {"v": {"antes": 2, "despues": 3}}}]}
    else:
        row = {"Token": HIDDEN, "clinica_id": 1}
        assert found == {
            "insertados": [{"clave": {**row, "v": 3}}],
            "eliminados": [{"clave": {**row, "v": 2}}],
        }


SECRETS: list[tuple[Any, ...]] = [
    ("jsonb", '{"n": 1, "api_token": "uno"}', '{"n": 2, "api_token": "dos"}', *(
        f'{{"n": {n}, "api_token": "{HIDDEN}"}}' for n in (1, 2))),
    ("jsonb", '{"api_token": "uno"}', '{"api_token": "dos"}', HIDDEN, HIDDEN),
    ("json", '{"API_TOKEN" : {"a": ["uno", {"b": 1}]}, "n":1}', "1", f'{{"API_TOKEN" : "{HIDDEN}", "n":1}}', 1),
    ("json", '[{"\\u0074oken":"uno","n":1}]', "[]", f'[{{"\\u0074oken": "{HIDDEN}","n":1}}]', "[]"),
    ("jsonb", '{"a": "olvidó su contraseña", "nota": "x"}', "1",
        '{"a": "olvidó su contraseña", "nota": "x"}', "1"),
    ("jsonb", '{"cuerpo": "{\\"token\\": \\"uno\\"}"}', "1", HIDDEN, "1"),
    ("text", '{"n": 1, "password": "uno"}', "x", f'{{"n": 1, "password": "{HIDDEN}"}}', "x"),
    ("text", '{"password": "uno', "x", HIDDEN, "x"),
    ("jsonb[]", '{"{\\"token\\": \\"uno\\"}"}', "{}", HIDDEN, "{}"),
    ("jsonb", '{"Nit": "uno", "n": 1}', '{"Nit": "dos", "n": 2}', *(
        f'{{"n": {n}, "Nit": "{HIDDEN}"}}' for n in (1, 2))),
]  # fmt: skip


async def test_a_secret_in_a_document(database: Database) -> None:
    found = await shown(
        database,
        [(type_, f"$q${before}$q$", f"$q${after}$q$") for type_, before, after, *_ in SECRETS],
        secret_columns=("nit",),
    )
    assert [(str(antes), str(despues)) for antes, despues in found] == [
        (str(antes), str(despues)) for *_, antes, despues in SECRETS
    ]


@pytest.mark.parametrize(
    ("length", "antes", "despues"), [(500, "UNO", "DOS"), (100_000, HIDDEN, HIDDEN), (3_000_000, HIDDEN, HIDDEN)]
)
async def test_a_secret_in_a_long_document(database: Database, length: int, antes: str, despues: str) -> None:
    """What comes before the part that differs may say that it is a secret."""

    def document(secret: str, end: str) -> str:
        return f"""(repeat(' ', {length}) || '{{"token": "' || repeat('x', 5000) || '{secret}", "nota": "{end}"}}')"""

    (found,) = await shown(database, [("json", document("SECRETO1", "UNO"), document("SECRETO2", "DOS"))])
    assert "SECRETO" not in str(found)
    assert antes in found[0]
    assert despues in found[1]


async def test_a_long_document_without_secrets(database: Database) -> None:
    one, other = (f"(repeat(' ', 3000000) || '{{\"nota\": \"{end}\"}}')" for end in ("UNO", "DOS"))
    assert await shown(database, [("json", one, other)]) == [
        (f'…{" " * 30}{{"nota": "UNO"}}', f'…{" " * 30}{{"nota": "DOS"}}')
    ]
