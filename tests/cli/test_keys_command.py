"""Encrypted backups at the command line, from the first one to the day on which their key is destroyed."""

import gzip
import json
from pathlib import Path

import asyncpg

from app.respaldos.audit import COMMAND_LINE
from app.respaldos.keys.destroy import pedir_destruccion
from tests.cli.conftest import addresses_of
from tests.respaldos.conftest import SMALL, opened
from tests.storage.conftest import Store
from tests.support.encrypting import master
from tests.support.program import Ran, respaldos

OLD, NEW = f"2025:{master('2025')}", f"2026:{master('2026')}"


async def test_from_the_first_backup_to_the_end_of_its_key(store: Store, own_database: str, tmp_path: Path) -> None:
    settings = addresses_of(store, own_database) | {"ENCRYPTION": "on", "MASTER_KEYS": OLD}

    def run(*arguments: str, code: int = 0, **more: str) -> Ran:
        ran = respaldos(*arguments, cwd=tmp_path, **settings | more)
        assert ran.code == code, ran
        return ran

    made = run("crear", "--clinica", str(SMALL), "--json").json
    key = made["metadata"]["cifrado"]
    assert made["cifrado"]
    assert f"con la clave «{key}» de la clínica {SMALL}" in run("ver", "1").out

    # What is fetched is decrypted, or wanted as it is; and a file of either is as good as the object.
    assert run("descargar", "1", "--json").json["archivo"].endswith(".json.gz")
    plain = next(tmp_path.glob("*.json.gz"))
    assert json.loads(gzip.decompress(plain.read_bytes()))["respaldo"]["id"] == 1
    run("descargar", "1", "--cifrado")
    (raw,) = tmp_path.glob("*.json.gz.cifrado")
    assert raw.read_bytes().startswith(b'{"formato":"respaldo-cifrado"')
    assert run("verificar", plain.name, "--json", MASTER_KEYS="").json["cifrado"] is None
    found = run("verificar", raw.name, "--json").json
    assert (found["cifrado"], found["hash_md5"], found["numero_registros"]) == (
        *(key, made["hash_md5"], made["numero_registros"]),
    )
    assert "que este proceso no tiene en MASTER_KEYS" in run("verificar", raw.name, code=1, MASTER_KEYS=NEW).err
    run("exportar", raw.name, "--formato", "json", "-o", "copia.json.gz")
    assert (tmp_path / "copia.json.gz").read_bytes() == plain.read_bytes()

    # Another master key.
    (tmp_path / "maestras").write_text(f"{NEW}\n{OLD}\n")
    assert (
        "1 clave de una clínica está envuelta con «2025», que ya no es la primera"
        in run("revisar", code=1, MASTER_KEYS="", MASTER_KEYS_FILE="maestras").out
    )
    assert run("claves", "rotar", "--json", MASTER_KEYS="", MASTER_KEYS_FILE="maestras").json == {
        "clave_maestra": "2026",
        "envueltas": [key],
        "copiadas": [key],
        "fallidas": {},
    }
    settings |= {"MASTER_KEYS": NEW}
    run("verificar", "1")
    (listed,) = run("claves", "--json").json
    assert (listed["id"], listed["clave_maestra"], listed["destruida"]) == (key, "2026", None)

    # The end of it.
    of = ("claves", "destruir", "--clinica", str(SMALL))
    assert "diga con --nombre" in run(*of, code=2).err
    assert "no es el nombre de la clínica" in run(*of, "--nombre", "otra", code=1).err
    assert run(*of, "--nombre", "Clínica pequeña", "--json").json["etapa"] == "pedida"
    assert "lo pidió la misma persona" in run(*of, "--nombre", "Clínica pequeña", "--confirmar", code=1).err
    run(*of, "--retirar")
    async with opened(store, service=own_database) as resources:
        await pedir_destruccion(
            resources, clinica_id=SMALL, nombre="Clínica pequeña", por="eva@plataforma.example", actor=COMMAND_LINE
        )
    assert "eva@plataforma.example pidió destruirla" in run("claves").out
    gone = run(*of, "--nombre", "Clínica pequeña", "--confirmar").out
    assert f"destruida ({key}): nadie puede leer" in gone
    assert (
        "nadie puede leer el respaldo 1: la clave con que se cifró se destruyó" in run("verificar", "1", code=1).err
    )
    assert "se destruyó: nadie puede leer" in run("verificar", raw.name, code=1).err


async def test_no_master_key_is_told_before_anything_is_made(
    store: Store, database: str, conn: asyncpg.Connection, tmp_path: Path
) -> None:
    settings = addresses_of(store, database) | {"ENCRYPTION": "on"}
    ran = respaldos("crear", "--clinica", str(SMALL), cwd=tmp_path, **settings)
    assert (ran.code, ran.err) == (1, "✗ MASTER_KEYS: falta, y sin clave maestra no se cifra ningún respaldo\n")
    assert "ENCRYPTION=on y falta la clave maestra" in respaldos("revisar", cwd=tmp_path, **settings).out
    for wrong, said in (("x:y", "la clave «x» no es base64 de 32 bytes"), ("x", "debe ser id:clave")):
        ran = respaldos("crear", "--clinica", str(SMALL), cwd=tmp_path, **settings | {"MASTER_KEYS": wrong})
        assert ran.err.startswith(f"✗ MASTER_KEYS, MASTER_KEYS_FILE: {said}"), ran
    ran = respaldos("crear", "--clinica", "2", cwd=tmp_path, **settings | {"MASTER_KEYS_FILE": "no-hay"})
    assert ran.err.startswith("✗ MASTER_KEYS_FILE: no se puede leer «no-hay»"), ran
    assert [item.key async for item in store.storage.list()] == []
    assert await conn.fetchval("SELECT count(*) FROM respaldos.clave") == 0
