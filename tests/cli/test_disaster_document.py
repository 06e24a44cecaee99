"""Every command of docs/disaster.md, page by page, on a platform to which just that has happened."""

import os
import re
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import asyncpg
import pytest

from app.clinic.clinic import Tenancy
from app.dump.seal import seal_keys
from app.respaldos.resources import Resources
from tests.cli.conftest import addresses_of
from tests.conftest import plain_url
from tests.respaldos.conftest import back_up, connected, opened
from tests.storage.conftest import Store
from tests.support.killed import killed_at_the_end
from tests.support.program import PROGRAM, Ran, ended, environment, respaldos, start
from tests.support.redis import RedisServer
from tests.support.stored import keys
from tests.support.whole_database import empty, everything, grown, migrated

__all__ = ["migrated"]

DOCUMENT = (Path(__file__).parents[2] / "docs" / "disaster.md").read_text(encoding="utf-8")

KEYS = {"SEAL_KEYS": f"2026:{'A' * 43}=", "MASTER_KEYS": f"2026:{'B' * 43}=", "ENCRYPTION": "on"}


def pages() -> dict[str, list[str]]:
    """The commands of each page, in their order; those before the first page say what is called how."""
    found = {}
    for page in DOCUMENT.split("\n## ")[1:]:
        title, _, text = page.partition("\n")
        found[title] = re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return found


@dataclass(frozen=True, slots=True)
class Stricken:
    """A platform of three clinics with their backups; `before` is what its tables have."""

    sql: asyncpg.Connection
    resources: Resources
    folder: Path
    settings: dict[str, str]
    names: dict[str, str]
    before: dict[str, str]

    def run(self, *arguments: str) -> Ran:
        return respaldos(*arguments, cwd=self.folder, **self.settings)

    def follow(self, lines: str) -> str:
        """As a person does it; what they are shown."""
        path = os.pathsep.join([str(PROGRAM.parent), os.environ["PATH"]])
        ran = subprocess.run(
            ["bash", "-e", "-u", "-o", "pipefail", "-c", lines],
            cwd=self.folder,
            env=environment(**(self.settings | self.names | {"PATH": path})),
            capture_output=True,
            text=True,
        )
        assert ran.returncode == 0, (lines, ran)
        return ran.stdout

    async def forget(self) -> None:
        await self.sql.execute("DROP SCHEMA respaldos CASCADE")

    async def as_before(self) -> bool:
        return await everything(self.sql) == self.before


@pytest.fixture
async def stricken(migrated: str, store: Store, redis: RedisServer, tmp_path: Path) -> AsyncIterator[Stricken]:
    settings = addresses_of(store, migrated) | KEYS | {"REDIS_URL": redis.url, "JWT_SECRET": "s" * 32}
    async with connected(plain_url(migrated)) as sql, opened(store, service=migrated, tenancy=Tenancy()) as resources:
        sealed = replace(resources, seals=seal_keys(KEYS["SEAL_KEYS"], ""))
        await grown(sql)
        code = await sql.fetchval("SELECT min(codusuario) FROM paciente WHERE clinica_id = 1")
        names = {"CLINICA": "1", "REGISTRO": f"pacientes:{code}", "USUARIO": "7"}
        found = Stricken(sql, resources, tmp_path, settings, names, await everything(sql))
        names["ID"] = str(found.run("crear", "--clinica", "1", "--json").json["id"])
        for clinica_id in (2, 3, None):
            await back_up(sealed, clinica_id)
        yield found


@pytest.mark.timeout(300)  # some thirty programs, each from its first byte on
async def test_what_is_lost_comes_back(stricken: Stricken) -> None:
    (service,), (whole,) = pages()["The service's database is lost"], pages()["The whole database is lost"]
    assert stricken.run("descargar", stricken.names["ID"], "-o", "bajado.json.gz").code == 0
    await stricken.forget()
    assert "✓ Respaldos reconstruidos: 4; ya registrados: 0" in stricken.follow(service)

    await stricken.forget()
    await empty(stricken.sql, list(stricken.before))
    assert "✓ Restaurados: 4 de 4" in stricken.follow(whole)
    assert await stricken.as_before()

    look, anew, at_hand = pages()["The bucket is lost"]
    for key in await keys(stricken.resources):
        await stricken.resources.storage.delete(key)
    assert "✓" not in stricken.follow(look)
    # The night is no matter of this page.
    await stricken.sql.execute(
        "INSERT INTO respaldos.programacion (clinica_id, dia, previsto, intentos) SELECT whose.id, day::date, day, 1"
        " FROM (SELECT id FROM clinica UNION ALL SELECT NULL) AS whose,"
        " generate_series(now() - interval '2 days', now() + interval '1 day', '1 day') AS day"
    )
    command = await start("worker", cwd=stricken.folder, **stricken.settings)
    async with killed_at_the_end(command) as worker:
        assert "✓ Respaldos hechos: 3 de 3" in stricken.follow(anew)
        worker.kill()
        await ended(worker)
    assert "es el respaldo" in stricken.follow(at_hand)
    assert any(key.startswith("claves/1/") for key in await keys(stricken.resources))

    (elsewhere,) = pages()["A worker's machine is lost"]
    assert "Uno" in stricken.follow(elsewhere)


@pytest.mark.timeout(300)  # as many
async def test_what_is_in_the_wrong_hands_or_wrong(stricken: Stricken) -> None:
    person, seal, master = pages()["A key is compromised"]
    stricken.names["CLAVE"] = str(
        stricken.run(
            *("acceso", "crear-clave", "--clinica", "1", "--nombre", "copia", "--para", "mirar", "--json")
        ).json["id"]
    )
    stricken.follow(person)
    assert await stricken.sql.fetchval("SELECT revocada IS NOT NULL FROM respaldos.clave_api")
    assert await stricken.sql.fetchval("SELECT count(*) FROM respaldos.token_terminado") == 1
    stricken.follow(seal)
    assert (
        await stricken.sql.fetchval("SELECT metadata->>'sello' FROM respaldos.respaldo ORDER BY id DESC") == "nueva"
    )
    *shown, stricken.settings["MASTER_KEYS"] = stricken.follow(f'{master}\necho "$MASTER_KEYS"').splitlines()
    assert "está completo y sano" in "".join(shown)
    assert await stricken.sql.fetchval("SELECT array_agg(DISTINCT maestra) FROM respaldos.clave") == ["nueva"]
    look, mend = pages()["A clinic says that its data is wrong since Tuesday"]
    code = stricken.names["REGISTRO"].partition(":")[2]
    await stricken.sql.execute(f"UPDATE paciente SET alergias = '{{mal}}' WHERE codusuario = {code}")
    await stricken.sql.execute("UPDATE factura SET razon_social = 'mal' WHERE clinica_id = 1")
    assert f"(pacientes {code})" in stricken.follow(look)
    assert "restaurada desde el respaldo" in stricken.follow(mend)
    assert await stricken.as_before()


def test_each_page_is_tried() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    for title, commands in pages().items():
        assert commands, title
        assert f'pages()["{title}"]' in source
