"""What each command says to people and to programs, and the code that it ends with."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import asyncpg
import click
import pytest

from app.cli.main import LINES, load
from app.demo.embedded.programs import postgres_bin
from app.dump.seal import public_setting
from tests.cli.conftest import Demo, addresses_of
from tests.respaldos.conftest import SMALL, connected
from tests.storage.conftest import Store
from tests.support.backup_file import keys_of
from tests.support.nowhere import NOWHERE
from tests.support.program import PROGRAM, Ran, environment, on_a_terminal, respaldos

STAYING = ("serve", "worker")
"""Commands that answer nothing to programs: they run until they are stopped."""

ANSWERING = [name for name in LINES if name not in STAYING]


def shown(text: str, *, before: str) -> str:
    """The part of a text up to there."""
    return text.partition(before)[0]


# The demo


def test_the_demo_backs_up_every_active_clinic(demo: Demo) -> None:
    assert re.findall(r"^Clínica (\d+)$", demo.said.out, re.MULTILINE) == ["1", "2", "3"]
    assert demo.said.out.count("✓ Respaldo creado exitosamente!") == 3
    assert str(demo.folder / ".respaldos") in demo.said.out
    assert "unset" not in demo.said.err


def printed_commands(said: Ran) -> list[str]:
    return [line.strip() for line in said.out.splitlines() if re.match(r"  \S*(respaldos|psql) ", line)]


def test_the_commands_that_the_demo_prints_work_as_they_are_printed(demo: Demo) -> None:
    commands = printed_commands(demo.said)
    assert len(commands) == 14
    for number, command in enumerate(commands):
        program, *arguments = shlex.split(command, comments=True)
        # A shell starts the first, and what is no command of ours; it would make the same words of the others, whose
        # program takes longer to start than to do what it is told.
        if number and Path(program).name == PROGRAM.name and not set(command) & set("$`|&;<>*?~"):
            ran = respaldos(*arguments, cwd=demo.folder)
        else:
            shell = ["sh", "-c", command]
            done = subprocess.run(shell, cwd=demo.folder, env=environment(), capture_output=True, text=True)
            ran = Ran(done.returncode, done.stdout, done.stderr)
        # psql is quiet, as it is asked to be.
        assert (ran.code, ran.out != "") == (0, "psql" not in command), (command, ran)
    assert ran.out == "✓ No hay ninguna diferencia\n"


def test_the_demo_again_is_deaf_to_inherited_addresses(demo: Demo) -> None:
    nonsense = NOWHERE | {
        "CLINIC_DATABASE_URL": "postgresql://x:y@127.0.0.1:9/z",
        "REDIS_URL": "no-es-una-dirección",
        "AWS_ACCESS_KEY_ID": "otra",
        "AWS_SECRET_ACCESS_KEY": "otra-clave",
        "TENANT_COLUMN": "empresa_id",
        "TIME_ZONE": "Marte/Olimpo",
        "EMBEDDED": "oracle",
    }
    ran = respaldos("demo", "--una-vez", cwd=demo.folder, **nonsense)
    assert ran.code == 0, ran
    assert ran.out.count("✓ Respaldo creado exitosamente!") == 3
    assert "unset DATABASE_URL CLINIC_DATABASE_URL REDIS_URL" in ran.err


def test_the_demo_in_json(demo: Demo) -> None:
    ran = respaldos("demo", "--json", cwd=demo.folder)
    assert [respaldo["clinica_id"] for respaldo in ran.json] == [1, 2, 3]


# crear


def test_crear_says_what_was_made_in_this_order(demo: Demo) -> None:
    ran = respaldos("crear", "--clinica", "2", "--descripcion", "Antes de «todo»", cwd=demo.folder)
    assert ran.code == 0
    expected = (
        r"✓ Respaldo creado exitosamente!\n  ID: \d+\n"
        r"  Archivo S3: backups/2/\d{4}/\d\d/backup_\d{8}_\d{6}\.json\.gz\n"
        r"  Tamaño: [\d.,]+ KB\n  Registros: 2,0\d\d\n  Tiempo: \d\d?\.\d s\n  Hash MD5: [0-9a-f]{32}\n"
        r"Detalles de compresión:\n  Original: [\d.,]+ KB\n  Comprimido: [\d.,]+ KB\n  Reducción: \d\d\.\d %\n"
    )
    assert re.fullmatch(expected, ran.out), ran.out


def test_crear_in_json_is_the_detail(demo: Demo) -> None:
    made = respaldos("crear", "--clinica", "3", "--json", cwd=demo.folder).json
    assert (made["clinica_id"], made["estado"], made["tipo_respaldo"]) == (3, "completado", "manual")
    assert respaldos("ver", str(made["id"]), "--json", cwd=demo.folder).json == made


async def test_crear_of_an_unknown_clinic(
    addresses: dict[str, str], conn: asyncpg.Connection, tmp_path: Path
) -> None:
    ran = respaldos("crear", "--clinica", "77", cwd=tmp_path, **addresses)
    assert (ran.code, ran.out, ran.err) == (1, "", "✗ no existe la clínica 77\n")
    assert await conn.fetchval("SELECT metadata->>'error_type' FROM respaldos.respaldo") == "clinica_inexistente"


def test_success_on_a_terminal_that_has_no_check_mark(addresses: dict[str, str], tmp_path: Path) -> None:
    ran = respaldos("crear", "--clinica", str(SMALL), cwd=tmp_path, PYTHONIOENCODING="ascii", **addresses)
    assert ran.code == 0, ran
    assert "Respaldo creado exitosamente!" in ran.out


# listar, ver, estadisticas, catalogo


def test_listar_is_newest_first_and_by_clinic(demo: Demo) -> None:
    rows = respaldos("listar", "--json", cwd=demo.folder).json
    assert [row["id"] for row in rows] == sorted((row["id"] for row in rows), reverse=True)
    assert {row["clinica_id"] for row in rows} == {1, 2, 3}
    mine = respaldos("listar", "--clinica", "1", "--limite", "1", "--json", cwd=demo.folder).json
    assert [row["clinica_id"] for row in mine] == [1]
    table = respaldos("listar", cwd=demo.folder)
    assert "Primer respaldo de la demo" in table.out
    assert "Completado" in table.out


def test_listar_where_there_is_nothing(addresses: dict[str, str], tmp_path: Path) -> None:
    assert respaldos("listar", "--json", cwd=tmp_path, **addresses).json == []
    assert "No hay respaldos todavía" in respaldos("listar", cwd=tmp_path, **addresses).out


def test_listar_of_an_unknown_clinic_is_an_error(addresses: dict[str, str], tmp_path: Path) -> None:
    assert respaldos("listar", "--clinica", "77", cwd=tmp_path, **addresses).code == 1


def test_listar_does_not_need_s3(addresses: dict[str, str], tmp_path: Path) -> None:
    ran = respaldos("listar", cwd=tmp_path, **(addresses | {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"}))
    assert ran.code == 0


def test_ver_shows_a_failed_backups_reason(addresses: dict[str, str], tmp_path: Path) -> None:
    assert respaldos("crear", "--clinica", "77", cwd=tmp_path, **addresses).code == 1
    ran = respaldos("ver", "1", cwd=tmp_path, **addresses)
    assert ran.code == 0
    assert "Estado: Fallido" in ran.out
    assert "Error: no existe la clínica 77 (clinica_inexistente)" in ran.out
    assert "Tamaño: —\nRegistros: —\n" in ran.out
    assert respaldos("ver", "1", "--json", cwd=tmp_path, **addresses).json["numero_registros"] == 0
    assert "bytes" not in respaldos("listar", cwd=tmp_path, **addresses).out


@pytest.mark.parametrize("command", ["ver", "descargar", "verificar"])
def test_an_unknown_id(command: str, addresses: dict[str, str], tmp_path: Path) -> None:
    ran = respaldos(command, "4711", cwd=tmp_path, **addresses)
    assert (ran.code, ran.err) == (1, "✗ no existe el respaldo 4711\n")
    answer = respaldos(command, "4711", "--json", cwd=tmp_path, **addresses)
    assert answer.json == {"error": "no existe el respaldo 4711", "error_type": "respaldo_inexistente"}


@pytest.mark.parametrize("number", ["99999999999999999999", "-1", "²", "uno"])
def test_a_number_that_is_none(number: str, addresses: dict[str, str], tmp_path: Path) -> None:
    assert respaldos("ver", "--", number, cwd=tmp_path, **addresses).code == 2
    assert respaldos("verificar", "--", number, cwd=tmp_path, **addresses).code in (1, 2)


def test_catalogo_with_estricto_ends_with_an_error_only_where_a_table_is_unclassified(
    demo: Demo, addresses: dict[str, str], tmp_path: Path
) -> None:
    assert respaldos("catalogo", "--estricto", cwd=demo.folder).code == 0
    answer = respaldos("catalogo", "--json", "--estricto", cwd=tmp_path, **addresses)
    assert answer.code == 0
    assert {table["tabla"]: table["clase"] for table in answer.json["tablas"]}["auth_user"] == "acceso"
    addresses |= {"ACCESS_TABLES": "-auth_user"}
    ran = respaldos("catalogo", "--estricto", cwd=tmp_path, **addresses)
    assert ran.code == 1
    assert "auth_user: tabla sin clasificar" in ran.err
    assert respaldos("catalogo", cwd=tmp_path, **addresses).code == 0
    answer = respaldos("catalogo", "--json", "--estricto", cwd=tmp_path, **addresses)
    assert answer.code == 1
    assert {table["tabla"]: table["clase"] for table in answer.json["tablas"]}["auth_user"] == "sin clasificar"


# A table of 12,000 X-rays, of which a clinic's are found by reading them all.
RADIOGRAPHS = """
CREATE TABLE radiografia (id int PRIMARY KEY, clinica_id bigint REFERENCES clinica, ruta text);
INSERT INTO radiografia SELECT n, 1, 'rx/' || n || '.jpg' FROM generate_series(1, 12000) n;
"""


async def test_catalogo_advises(own_database: str, store: Store, tmp_path: Path) -> None:
    async with connected(own_database) as connection:
        await connection.execute(RADIOGRAPHS)
    addresses = addresses_of(store, own_database)
    ran = respaldos("catalogo", cwd=tmp_path, **addresses)
    answer = respaldos("catalogo", "--json", cwd=tmp_path, **addresses).json
    # What is printed for people is a script that psql takes as it stands.
    script = "".join(ran.out.partition("-- Para que los respaldos tarden menos:")[1:])
    psql = [str(postgres_bin() / "psql"), addresses["DATABASE_URL"], "-Xq", "-v", "ON_ERROR_STOP=1"]
    followed = subprocess.run(psql, input=script, capture_output=True, text=True)
    after = respaldos("catalogo", "--json", cwd=tmp_path, **addresses).json
    said = "radiografia.ruta: nombra archivos que no están en ningún respaldo: 12,000"
    assert f"⚠ {said}\n" in ran.err
    assert said in answer["avisos"]
    assert {table["tabla"]: table["archivos_sin_respaldo"] for table in answer["tablas"]}["radiografia"] == {
        "ruta": 12000
    }
    index = [one for one in answer["consejos"] if (one["tipo"], one["tabla"]) == ("falta_indice", "radiografia")]
    assert index == [
        {
            "tipo": "falta_indice",
            "tabla": "radiografia",
            "motivo": "falta un índice en clinica_id; sin él, el respaldo de cada clínica lee la tabla entera"
            " (12,000 registros)",
            "sql": ['CREATE INDEX CONCURRENTLY ON "public"."radiografia" ("clinica_id");'],
        }
    ]
    assert (followed.returncode, followed.stdout, followed.stderr) == (0, "", "")
    assert after["consejos"] == []


def test_estadisticas(demo: Demo, addresses: dict[str, str], tmp_path: Path) -> None:
    found = respaldos("estadisticas", "--clinica", "1", "--json", cwd=demo.folder).json
    assert found["total_respaldos"] == found["completados"] >= 1
    assert "Tasa de éxito: 100.0 %" in respaldos("estadisticas", "--clinica", "1", cwd=demo.folder).out
    # Of none that ended, no share succeeded or failed.
    assert "Tasa de éxito: —" in respaldos("estadisticas", "--clinica", "1", cwd=tmp_path, **addresses).out


# descargar and verificar


@pytest.fixture(scope="session")
def downloaded(demo: Demo) -> Path:
    """A backup's file, with its hash beside it, for all tests."""
    target = demo.folder / "para-todos.json.gz"
    ran = respaldos("descargar", "2", "-o", str(target), "--json", cwd=demo.folder)
    assert ran.json == {"archivo": str(target), "md5": f"{target}.md5", "tamaño_bytes": target.stat().st_size}
    return target


@pytest.fixture
def fetched(downloaded: Path, tmp_path: Path) -> Path:
    """A backup's file, with its hash beside it, to be spoilt."""
    target = tmp_path / downloaded.name
    shutil.copy(downloaded, target)
    shutil.copy(f"{downloaded}.md5", f"{target}.md5")
    return target


def test_what_is_there_is_not_replaced_without_a_yes(demo: Demo, fetched: Path) -> None:
    fetched.write_text("otra cosa")
    ran = respaldos("descargar", "2", "-o", str(fetched), cwd=demo.folder)
    assert ran.code == 2
    assert "ya existe; use --si" in ran.err
    assert fetched.read_text() == "otra cosa"
    fetched.unlink()
    assert respaldos("descargar", "2", "-o", str(fetched), cwd=demo.folder).code == 2, "the hash is a file too"
    assert respaldos("descargar", "2", "-o", str(fetched), "--si", cwd=demo.folder).code == 0
    assert subprocess.run(["md5sum", "-c", f"{fetched}.md5"], cwd=fetched.parent, capture_output=True).returncode == 0


@pytest.mark.parametrize(
    ("typed", "code", "kept"),
    [(b"s\n", 0, False), ("sí\n".encode(), 0, False), (b"n\n", 130, True), (b"\n", 130, True), (b"\x03", 130, True)],
)
def test_on_a_terminal_the_question_is_asked_in_spanish(
    demo: Demo, fetched: Path, typed: bytes, code: int, kept: bool
) -> None:
    fetched.write_text("otra cosa")
    arguments = ("descargar", "2", "-o", str(fetched))
    ran = on_a_terminal(*arguments, cwd=demo.folder, typed=typed, awaited="¿Reemplazarlo? [s/N]".encode())
    assert ran.code == code, ran
    assert (fetched.read_bytes() == b"otra cosa") is kept
    assert "Traceback" not in ran.out


def test_on_a_terminal_progress_is_shown(demo: Demo) -> None:
    ran = on_a_terminal("crear", "--clinica", "3", cwd=demo.folder)
    assert ran.code == 0, ran
    assert "Respaldando" in ran.out
    assert "✓ Respaldo creado exitosamente!" in ran.out


def test_without_a_name_the_file_is_called_as_its_object(demo: Demo, tmp_path: Path) -> None:
    home = str(demo.folder / ".respaldos")
    ran = respaldos("descargar", "3", cwd=tmp_path, RESPALDOS_HOME=home)
    assert ran.code == 0, ran
    key = respaldos("ver", "3", "--json", cwd=demo.folder).json["archivo_s3"]
    name = key.rpartition("/")[2]
    assert sorted(path.name for path in tmp_path.iterdir()) == [name, f"{name}.md5"]
    assert respaldos("descargar", "3", cwd=tmp_path, RESPALDOS_HOME=home).code == 2


def verified_alone(path: Path, *options: str) -> Ran:
    """`verificar` with no service to be had."""
    return respaldos(
        "verificar", str(path), *options, cwd=path.parent, HOME="/nada", RESPALDOS_HOME="/nada/x", **NOWHERE
    )


def test_a_file_is_verified_without_any_service(fetched: Path) -> None:
    ran = verified_alone(fetched)
    assert (ran.code, ran.err) == (0, "")
    assert "está completo y sano" in ran.out
    fetched.with_name(fetched.name + ".md5").unlink()
    assert verified_alone(fetched).code == 0


@pytest.mark.parametrize("name", ["SEAL_PUBLIC_KEYS", "seal_public_keys"])
def test_a_file_that_somebody_else_sealed_is_refused(fetched: Path, name: str) -> None:
    for options in ((), ("--sin-sello",)):
        ran = respaldos(
            *("verificar", str(fetched), *options),
            cwd=fetched.parent,
            **NOWHERE | {"RESPALDOS_HOME": "/nada/x", name: public_setting(keys_of("otra"))},
        )
        assert ran.code == 1, ran
        assert "está sellado con la clave «demo-" in " ".join(ran.err.split())


def test_verifying_a_file_imports_nothing_heavy(fetched: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", PROGRAM, "verificar", fetched],
        capture_output=True,
        text=True,
        cwd=fetched.parent,
        env=environment(RESPALDOS_HOME="/nada/x"),
    )
    assert ran.returncode == 0, ran
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in ran.stderr.splitlines()}
    heavy = {"sqlalchemy", "asyncpg", "aiobotocore", "botocore", "pydantic", "alembic", "fastapi", "rich", "uvloop"}
    assert not imported & heavy


@pytest.mark.parametrize(
    ("arguments", "unwanted"),
    [
        (
            ("--help",),
            {"sqlalchemy", "asyncpg", "botocore", "pydantic", "alembic", "fastapi", "rich", "uvloop", "arq"},
        ),
        (("listar",), {"botocore", "aioboto3", "alembic", "fastapi", "rich", "jinja2", "mako", "arq", "zlib_ng"}),
        (("exportar", "--help"), {"sqlalchemy", "asyncpg", "pydantic", "pyarrow", "sqlite3", "csv", "rich"}),
        (
            ("crear", "--clinica", "2"),
            {"pyarrow", "sqlite3", "alembic", "fastapi", "rich", "jinja2", "mako", "arq", "redis", "uvicorn"},
        ),
    ],
)
def test_a_command_imports_what_it_needs(
    arguments: tuple[str, ...], unwanted: set[str], addresses: dict[str, str], tmp_path: Path
) -> None:
    # aiobotocore imports httpx, and with it rich, where it is installed; only the tests have it.
    (tmp_path / "httpx.py").write_text("raise ImportError")
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", PROGRAM, *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment(**addresses, PYTHONPATH=str(tmp_path)),
    )
    assert ran.returncode == 0, ran
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in ran.stderr.splitlines()}
    assert not imported & unwanted


@pytest.mark.parametrize("where", [0, 9, 0.1, 0.5, -8, -1])
@pytest.mark.parametrize("with_hash", [True, False])
def test_one_byte_changed_anywhere_is_told(fetched: Path, where: float, with_hash: bool) -> None:
    content = bytearray(fetched.read_bytes())
    content[int(where * len(content)) if isinstance(where, float) else where] ^= 0x10
    fetched.write_bytes(content)
    if not with_hash:
        fetched.with_name(fetched.name + ".md5").unlink()
    # Without its hash, what a changed bit makes of the text is any of the reader's complaints.
    ran = verified_alone(fetched, "--json")
    assert ran.code == 1
    assert ran.json["error_type"] == "archivo_invalido"
    assert "hash MD5" in ran.json["error"] or not with_hash


def test_what_else_may_be_wrong_with_a_file(fetched: Path, tmp_path: Path) -> None:
    whole = fetched.read_bytes()
    hash_file = fetched.with_name(fetched.name + ".md5")
    for content, said in (
        (b"", "cortado"),
        (whole[:-1], "hash MD5"),
        (whole + b"\0", "hash MD5"),
        (b"hola", "encabezado"),
    ):
        fetched.write_bytes(content)
        ran = verified_alone(fetched)
        assert ran.code == 1
        assert said in ran.err or "hash MD5" in ran.err
    fetched.write_bytes(whole)
    for text in (b"", b"no es un hash\n", b"\xff\xfe", b"MD5 (x) = 0123"):
        hash_file.write_bytes(text)
        ran = verified_alone(fetched)
        assert ran.code == 1
        assert f"{hash_file.name}» no empieza con un hash" in ran.err
    ran = verified_alone(tmp_path / "no-hay.json.gz")
    assert ran.code == 1
    assert "no-hay.json.gz" in ran.err
    assert verified_alone(tmp_path).code == 1


def test_verificar_by_id_in_json(demo: Demo) -> None:
    found = respaldos("verificar", "1", "--json", cwd=demo.folder).json
    assert (found["correcto"], found["respaldo"], found["clinica_id"]) == (True, 1, 1)
    assert sum(found["detalles_registros"].values()) == found["numero_registros"]


def test_verificar_of_a_changed_object(addresses: dict[str, str], store: Store, tmp_path: Path) -> None:
    made = respaldos("crear", "--clinica", str(SMALL), "--json", cwd=tmp_path, **addresses).json
    assert store.folder is not None
    path = store.folder / made["archivo_s3"]
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)
    ran = respaldos("verificar", "1", cwd=tmp_path, **addresses)
    assert ran.code == 1
    assert made["hash_md5"] in ran.err


def test_a_held_backup_is_not_deleted(demo: Demo) -> None:
    made = str(respaldos("crear", "--clinica", "2", "--json", cwd=demo.folder).json["id"])
    for wrong in ((), ("--motivo", " "), ("--motivo", "x", "--liberar"), ("--motivo", "x", "--hasta", "mañana")):
        assert respaldos("retener", made, *wrong, cwd=demo.folder).code == 2
    held = respaldos("retener", made, "--motivo", "Auditoría", "--hasta", "2999-12-31", "--json", cwd=demo.folder)
    assert held.json["retenido"]["hasta"] == "3000-01-01T04:00:00+00:00"
    assert re.search(
        r"Retenido: hasta el 3000-01-01 00:00:00: Auditoría", respaldos("ver", made, cwd=demo.folder).out
    )
    refused = respaldos("eliminar", made, "--si", cwd=demo.folder)
    assert (refused.code, "está retenido (Auditoría)" in refused.err) == (1, True)
    assert respaldos("retener", made, "--liberar", cwd=demo.folder).code == 0
    assert respaldos("retener", made, "--liberar", cwd=demo.folder).code == 1


# Errors, help, codes


# What `revisar` finds wrong is its answer.
@pytest.mark.parametrize("name", [name for name in ANSWERING if name not in ("demo", "revisar")])
def test_an_error_is_json_where_json_is_asked_for(name: str, tmp_path: Path) -> None:
    needed = {
        "buscar": ["--clinica", "1", "ana"],
        "constancia": ["1"],
        "crear": ["--clinica", "1"],
        "estadisticas": ["--clinica", "1"],
        "ver": ["1"],
        "descargar": ["1"],
        "verificar": ["1"],
        "restaurar": ["1", "--simular"],
        "comparar": ["1"],
        "exportar": ["1", "--formato", "csv"],
        "historia": ["--clinica", "1", "pacientes:1"],
        "eliminar": ["1", "--si"],
        "recuperar": ["1"],
        "retener": ["1", "--motivo", "auditoría"],
        "politica": ["--clinica", "1"],
        "aceptar": ["1"],
        "token": ["--clinica", "1"],
        "acceso": ["cerrar-sesiones", "--clinica", "1", "--usuario", "1"],
    }
    ran = respaldos(name, *needed.get(name, []), "--json", cwd=tmp_path, JWT_SECRET="s" * 32, **NOWHERE)
    assert ran.code == 1
    assert set(ran.json) == {"error", "error_type"}
    assert ran.json["error_type"] in ("base_de_datos_no_disponible", "almacenamiento_no_disponible")
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("name", ANSWERING)
def test_a_wrong_call_is_json_where_json_is_asked_for(name: str, tmp_path: Path) -> None:
    ran = respaldos(name, "--json", "--no-hay-tal", cwd=tmp_path)
    assert ran.code == 2
    assert ran.json["error_type"] == "uso_incorrecto"


# What click says by itself, where it is not translated.
ENGLISH = re.compile(
    r"\b(usage|options?|commands?|arguments?|show|this|message|exit|missing|invalid|value|try|for|help|such|"
    r"default|the|is|not|required|range|version|file|directory|path|integer|text|boolean|got|unexpected|extra|takes?)\b",
    re.IGNORECASE,
)


def spanish(text: str) -> str:
    """The text without what is the same in both languages: names of options and of things in code."""
    return re.sub(r"--?[\w-]+|«[^»]*»|'[^']*'|\S*respaldos\S*", "", text)


@pytest.mark.parametrize("name", ["", *LINES])
def test_help_is_spanish(name: str, tmp_path: Path) -> None:
    ran = respaldos(*name.split(), "--help", cwd=tmp_path, LANG="en_US.UTF-8", LANGUAGE="en")
    assert ran.code == 0
    assert not ENGLISH.findall(spanish(ran.out)), ran.out
    assert ran.out.startswith("Uso: ")


@pytest.mark.parametrize(
    "arguments",
    [
        ("no-hay-tal",),
        ("crea",),
        ("crear",),
        ("crear", "--clinica"),
        ("crear", "--clinica", " "),
        ("crear", "--clinica", "99999999999999999999"),
        ("crear", "--clinica", "-5"),
        ("crear", "--clinica", "1", "--descripcio", "x"),
        ("crear", "--clinica", "1", "de", "más"),
        ("crear", "--clinica", "1", "uno-de-más"),
        ("crear", "--json=1", "--clinica", "1"),
        ("listar", "--limite", "0"),
        ("listar", "--limite", "diez"),
        ("ver",),
        ("ver", "uno"),
        ("descargar", "1", "-o", "/"),
        ("configurar-s3", "--bloqueo", "0"),
        ("serve", "--puerto", "99999"),
        ("verificar", "99999999999999999999"),
        ("exportar", "1"),
        ("exportar", "1", "--formato", "xls"),
        ("exportar", "99999999999999999999", "--formato", "csv"),
        ("--no-hay-tal",),
    ],
    ids=" ".join,
)
def test_a_wrong_call_is_told_in_spanish(arguments: tuple[str, ...], tmp_path: Path) -> None:
    ran = respaldos(*arguments, cwd=tmp_path, LANG="en_US.UTF-8")
    assert (ran.code, ran.out) == (2, "")
    assert not ENGLISH.findall(spanish(ran.err).replace("Error:", "")), ran.err


def test_without_a_command_the_help_is_shown(tmp_path: Path) -> None:
    ran = respaldos(cwd=tmp_path)
    assert ran.code == 2
    assert "Órdenes" in ran.out + ran.err


def test_the_version(tmp_path: Path) -> None:
    ran = respaldos("--version", cwd=tmp_path)
    assert ran.code == 0
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", ran.out)


def test_every_command_answers_programs_too() -> None:
    for name in ANSWERING:
        command = load(name)
        for each in command.commands.values() if isinstance(command, click.Group) else [command]:
            options = [option for parameter in each.params for option in parameter.opts]
            assert "--json" in options, (name, each.name)


def test_a_wrong_setting_is_one_line(tmp_path: Path) -> None:
    ran = respaldos("listar", cwd=tmp_path, **(NOWHERE | {"TIME_ZONE": "Marte/Olimpo"}))
    assert ran.code == 1
    assert ran.err == "✗ TIME_ZONE: «Marte/Olimpo» no vale; debe ser una zona horaria, por ejemplo America/La_Paz\n"


def test_a_secret_is_never_printed(tmp_path: Path) -> None:
    secrets = {
        "DATABASE_URL": "postgresql://u:secretisimo1@127.0.0.1:9/nada",
        "AWS_BACKUP_BUCKET_NAME": "nada",
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "secretisimo2",
        "AWS_SECRET_ACCESS_KEY": "secretisimo3",
    }
    for arguments in (("listar",), ("configurar-s3",), ("catalogo", "--json")):
        ran = respaldos(*arguments, cwd=tmp_path, **secrets)
        assert ran.code == 1
        assert "secretisimo" not in ran.out + ran.err


def test_migrar_and_configurar_s3(demo: Demo) -> None:
    assert re.fullmatch(r"\d{4}", respaldos("migrar", "--json", cwd=demo.folder).json["revision"])
    settings = respaldos("configurar-s3", "--json", cwd=demo.folder).json
    assert {"ajuste", "resultado", "detalle"} == set(settings[0])
    assert "✓ funciona      prueba" in respaldos("configurar-s3", cwd=demo.folder).out
    unlocked = respaldos("configurar-s3", "--bloqueo", "3", cwd=demo.folder)
    assert (unlocked.code, "no quedó bloqueado" in unlocked.err) == (1, True)


def test_the_compiled_sentences_are_those_of_the_source(tmp_path: Path) -> None:
    folder = Path("app/cli/locale/es/LC_MESSAGES")
    compiled = tmp_path / "click.mo"
    made = subprocess.run(
        [Path(sys.executable).with_name("pybabel"), "compile", "-i", folder / "click.po", "-o", compiled],
        capture_output=True,
    )
    assert made.returncode == 0
    assert compiled.read_bytes() == (folder / "click.mo").read_bytes()


def test_click_still_says_what_is_translated() -> None:
    """A sentence that a new click words otherwise would come out in English."""
    source = "".join(path.read_text() for path in Path(click.__file__).parent.glob("*.py"))
    sentences = re.findall(
        r'^msgid(?:_plural)? "(.+)"$', Path("app/cli/locale/es/LC_MESSAGES/click.po").read_text(), re.M
    )
    assert sentences
    for sentence in sentences:
        assert json.dumps(sentence)[1:-1] in source, sentence
