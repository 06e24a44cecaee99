"""`python -m app.demo.sample`, as a person runs it."""

import asyncio
import os
import sys

import asyncpg

from app.demo.sample.generate import Connection, create_schema, fill, numbered_clinics
from tests.conftest import plain_url
from tests.support.sample_ownership import digest


async def _run(*arguments: str) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "app.demo.sample",
        *arguments,
        env={**os.environ, "PYTHONHASHSEED": "1", "PYTHONIOENCODING": "utf-8"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    return process.returncode, output.decode(), errors.decode()


async def _digest_of(url: str) -> dict[str, str]:
    conn = await asyncpg.connect(url)
    try:
        return await digest(conn)
    finally:
        await conn.close()


async def test_command_makes_what_the_library_makes_in_another_database(
    conn: Connection, empty_database: str
) -> None:
    url = plain_url(empty_database)
    other = url.rsplit("/", 1)[0] + "/" + url.rsplit("/", 1)[1] + "-b"
    await conn.execute(f'CREATE DATABASE "{other.rsplit("/", 1)[1]}"')
    try:
        code, output, errors = await _run(other, "--clinics", "2", "--records", "300", "--seed", "7")
        assert (code, errors) == (0, "")
        assert output.startswith("✓ 2 clínicas, 607 filas")
        assert "admin@clinica2.example (Administrador)" in output
        await create_schema(conn)
        await fill(conn, numbered_clinics(2, 300), 7)
        made = await _digest_of(other)
        assert made == await digest(conn)
        code, output, errors = await _run(other, "--clinics", "1", "--records", "50")
        assert (code, output) == (1, "")
        assert "ya tiene la tabla" in errors
        assert await _digest_of(other) == made
    finally:
        await conn.execute(f'DROP DATABASE "{other.rsplit("/", 1)[1]}" WITH (FORCE)')


async def test_wrong_arguments_are_answered_in_spanish() -> None:
    code, _, errors = await _run("postgresql://127.0.0.1:1/nada", "--records", "5")
    assert code == 1
    assert errors == "La clínica 1 no puede tener 5 registros: debe tener 1, o 8 o más\n"
    code, _, errors = await _run()
    assert code == 2
    assert errors.startswith("Falta un argumento, o uno no vale. Uso: python -m app.demo.sample URL")
    code, _, errors = await _run("postgresql://127.0.0.1:1/nada")
    assert code == 1
    assert errors.startswith("No se puede conectar con la base")


async def test_command_makes_the_grown_schema(conn: Connection, empty_database: str) -> None:
    url = plain_url(empty_database)
    options = ("--schema", "grown", "--clinics", "2", "--records", "150")
    code, output, errors = await _run(url, *options, "--null-fraction", "0.1", "--orphans", "2")
    assert (code, errors) == (0, "")
    # Two clinics of 150, two rows of nobody, eight who log in.
    assert output.startswith("✓ 2 clínicas, 310 filas")
    found = await conn.fetchrow("SELECT count(*), count(*) - count(clinica_id) FROM consulta")
    assert found is not None
    assert found[0] > found[1] > 0
    code, _, errors = await _run(url, *options)
    assert code == 1
    assert "ya tiene la tabla" in errors


async def test_options_that_do_not_go_together_are_named() -> None:
    nowhere = "postgresql://127.0.0.1:1/nada"
    for options, says in (
        (("--null-fraction", "0.1"), "solo valen con --schema grown"),
        (("--schema", "grown", "--tenancy", "schema"), "no vale con --tenancy schema"),
        (("--schema", "grown", "--tenant-not-null", "--null-fraction", "0.1"), "deben ser 0"),
        (("--schema", "grown", "--null-fraction", "2"), "entre 0 y 1"),
    ):
        code, output, errors = await _run(nowhere, *options)
        assert (code, output) == (1, ""), options
        assert says in errors
