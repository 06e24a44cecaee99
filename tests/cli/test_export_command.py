"""`respaldos exportar` as a person and as a program see it."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from app.export.format import Formato
from tests.cli.conftest import Demo
from tests.support.exporting import FORMATOS, backup_of, csv_rows, left_in, model, parquet_columns, sqlite_rows
from tests.support.nowhere import NOWHERE
from tests.support.program import PROGRAM, Ran, ended, environment, on_a_terminal, respaldos, start

every_format = pytest.mark.parametrize("formato", FORMATOS)

T = model(("id", "integer"), ("t", "text"), key=("id",))


@pytest.fixture(scope="session")
def downloaded(demo: Demo) -> Path:
    """A backup's file, with its hash beside it."""
    target = demo.folder / "para-exportar.json.gz"
    assert respaldos("descargar", "2", "-o", str(target), cwd=demo.folder).code == 0
    return target


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A backup's file that takes some seconds to export."""
    folder = tmp_path / "origen"
    folder.mkdir()
    path = folder / "grande.json.gz"
    line = '{{"id":{},"t":"' + "x" * 40 + '"}}'
    path.write_bytes(backup_of({"t": T}, {"t": [line.format(number) for number in range(200_000)]}, {}))
    return path


def alone(*arguments: str, cwd: Path, **settings: str) -> Ran:
    """A command with no service to be had."""
    return respaldos(*arguments, cwd=cwd, HOME="/nada", RESPALDOS_HOME="/nada/x", **(NOWHERE | settings))


@every_format
def test_an_id_and_its_file_give_the_same(demo: Demo, downloaded: Path, tmp_path: Path, formato: Formato) -> None:
    home = str(demo.folder / ".respaldos")
    by_id = respaldos("exportar", "2", "--formato", formato, "--json", cwd=tmp_path, RESPALDOS_HOME=home)
    assert by_id.code == 0, by_id
    key = respaldos("ver", "2", "--json", cwd=demo.folder).json["archivo_s3"]
    name = formato.name_for(key.rpartition("/")[2])
    assert left_in(tmp_path) == [name]
    assert by_id.json["salida"] == name
    by_file = alone("exportar", str(downloaded), "--formato", formato.upper(), "-o", "x", "--json", cwd=tmp_path)
    assert by_file.code == 0, by_file
    assert by_file.json == by_id.json | {"salida": "x"}
    assert (
        by_file.json["numero_registros"] == respaldos("ver", "2", "--json", cwd=demo.folder).json["numero_registros"]
    )
    assert left_in(tmp_path) == sorted([name, "x"])


def test_what_a_person_reads(downloaded: Path, tmp_path: Path) -> None:
    ran = alone("exportar", str(downloaded), "--formato", "csv", cwd=tmp_path)
    assert (ran.code, ran.err) == (0, "")
    assert "✓ para-exportar_csv (" in ran.out
    assert "registros de la clínica 2 y " in ran.out
    assert "referencias/tipodeusuario.csv" in ran.out
    names, rows = csv_rows(tmp_path / "para-exportar_csv" / "clinica.csv")
    assert rows[0][names.index("id")] == "2"


def test_a_column_that_became_text_is_told(tmp_path: Path) -> None:
    file = backup_of({"t": model(("hasta", "date"))}, {"t": ['{"hasta":"infinity"}']}, {})
    (tmp_path / "r.json.gz").write_bytes(file)
    ran = alone("exportar", "r.json.gz", "--formato", "parquet", cwd=tmp_path)
    assert ran.code == 0
    assert "«hasta» de «t» salió como texto" in ran.err
    assert parquet_columns(tmp_path / "r_parquet" / "t.parquet") == {"hasta": ["infinity"]}


@every_format
def test_what_is_there_is_not_replaced_without_a_yes(downloaded: Path, tmp_path: Path, formato: Formato) -> None:
    arguments = ("exportar", str(downloaded), "--formato", formato, "-o", "x")
    assert alone(*arguments, cwd=tmp_path).code == 0
    before = (tmp_path / "x").stat().st_ino
    ran = alone(*arguments, cwd=tmp_path)
    assert ran.code == 2
    assert "«x» ya existe; use --si" in ran.err
    asked = on_a_terminal(*arguments, cwd=tmp_path, typed=b"n\n", awaited="¿Reemplazarlo? [s/N]".encode())
    assert asked.code == 130
    assert (tmp_path / "x").stat().st_ino == before
    assert alone(*arguments, "--si", cwd=tmp_path).code == 0
    assert (tmp_path / "x").stat().st_ino != before
    assert left_in(tmp_path) == ["x"]


def test_a_folder_of_somebodys_is_refused_even_with_a_yes(downloaded: Path, tmp_path: Path) -> None:
    (tmp_path / "mía").mkdir()
    (tmp_path / "mía" / "tesis.docx").write_text("años")
    ran = alone("exportar", str(downloaded), "--formato", "csv", "-o", "mía", "--si", "--json", cwd=tmp_path)
    assert ran.code == 1
    assert ran.json["error_type"] == "archivo_local"
    assert left_in(tmp_path / "mía") == ["tesis.docx"]


@every_format
def test_a_changed_file_gives_nothing(downloaded: Path, tmp_path: Path, formato: Formato) -> None:
    content = bytearray(downloaded.read_bytes())
    content[-1] ^= 1
    (tmp_path / "r.json.gz").write_bytes(content)
    (tmp_path / "r.json.gz.md5").write_bytes(downloaded.with_name(downloaded.name + ".md5").read_bytes())
    ran = alone("exportar", "r.json.gz", "--formato", formato, "-o", "x", cwd=tmp_path)
    assert (ran.code, ran.out) == (1, "")
    assert "✗ el archivo cambió: su hash MD5 es" in ran.err
    assert left_in(tmp_path) == ["r.json.gz", "r.json.gz.md5"]


@every_format
def test_a_file_that_is_not_there(tmp_path: Path, formato: Formato) -> None:
    ran = alone("exportar", "no-hay.json.gz", "--formato", formato, cwd=tmp_path)
    assert ran.code == 1
    assert "no se puede leer «no-hay.json.gz»" in ran.err
    assert left_in(tmp_path) == []


@every_format
def test_a_full_disk_is_told_and_leaves_nothing(downloaded: Path, tmp_path: Path, formato: Formato) -> None:
    """A limit on the size of files stands for it; what is written of the demo is larger."""
    limited = f"ulimit -f 8; exec {PROGRAM} exportar {downloaded} --formato {formato}"
    ran = subprocess.run(
        ["bash", "-c", limited], cwd=tmp_path, env=environment(**NOWHERE), capture_output=True, text=True
    )
    assert ran.returncode == 1, ran
    assert "✗ no se puede escribir «para-exportar" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert left_in(tmp_path) == []


@every_format
@pytest.mark.parametrize(
    "signals", [(signal.SIGINT,), (signal.SIGTERM,), (signal.SIGINT, signal.SIGINT, signal.SIGTERM)], ids=str
)
async def test_an_interrupted_export_leaves_nothing(
    large: Path, tmp_path: Path, formato: Formato, signals: tuple[signal.Signals, ...]
) -> None:
    folder = tmp_path / "salida"
    folder.mkdir()
    process = await start("exportar", str(large), "--formato", formato, cwd=folder, **NOWHERE)
    async with asyncio.timeout(60):
        while not any(path.is_file() and path.stat().st_size for path in folder.rglob("*")):
            assert process.returncode is None, await ended(process)
            await asyncio.sleep(0.005)
    for number in signals:
        # It may have ended by the last of them; `send_signal` would then wait for it itself, and asyncio, which waits
        # as well, would not learn its code.
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)
        await asyncio.sleep(0.02)
    ran = await ended(process)
    assert (ran.code, ran.out, ran.err.strip()) == (130, "", "✗ se interrumpió la orden")
    assert left_in(folder) == []


async def test_without_pyarrow_it_is_said_what_to_install(downloaded: Path, tmp_path: Path) -> None:
    """As where only the program has been installed; the other formats need nothing."""
    hidden = tmp_path / "sin" / "sitecustomize.py"
    hidden.parent.mkdir()
    hidden.write_text("import sys; sys.modules['pyarrow'] = None")
    without = {"PYTHONPATH": str(hidden.parent)}
    parquet = ("exportar", str(downloaded), "--formato", "parquet", "--json")
    ran = await ended(await start(*parquet, cwd=tmp_path, **NOWHERE, **without))
    assert ran.code == 1
    assert ran.json["error_type"] == "biblioteca_faltante"
    assert "pip install 'respaldos[parquet]'" in ran.json["error"]
    for formato in ("csv", "sqlite"):
        other = await start("exportar", str(downloaded), "--formato", formato, cwd=tmp_path, **NOWHERE, **without)
        assert (await ended(other)).code == 0
    assert sqlite_rows(tmp_path / "para-exportar.sqlite", "SELECT id FROM clinica") == [(2,)]


@pytest.mark.parametrize("formato", [Formato.CSV, Formato.SQLITE])
def test_a_file_is_exported_without_the_weight_of_the_service(
    downloaded: Path, tmp_path: Path, formato: Formato
) -> None:
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", PROGRAM, "exportar", downloaded, "--formato", formato, "--json"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment(**NOWHERE),
    )
    assert ran.returncode == 0, ran
    assert json.loads(ran.stdout)["clinica_id"] == 2
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in ran.stderr.splitlines()}
    assert not imported & {"sqlalchemy", "asyncpg", "botocore", "pydantic", "fastapi", "rich", "uvloop", "pyarrow"}


def test_on_a_terminal_progress_is_shown(large: Path, tmp_path: Path) -> None:
    ran = on_a_terminal("exportar", str(large), "--formato", "csv", "-o", "x", cwd=tmp_path)
    assert ran.code == 0, ran
    assert "Exportando" in ran.out
    assert "200,000 registros de la clínica 1" in ran.out
