"""`revisar`: each thing that is broken is named, with the line that mends it, and the lines that are SQL do."""

import asyncio
import json
import re
import secrets
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from app.demo.sample.generate import SampleClinic, create_schema, create_tenant_schema, fill
from app.settings import DEMO_RULES
from tests.cli.conftest import addresses_of
from tests.clinic.conftest import SAMPLE
from tests.conftest import unique_name
from tests.respaldos.conftest import connected
from tests.storage.conftest import Store
from tests.support.hook import hook_server
from tests.support.mail_server import mail_server
from tests.support.program import Ran, respaldos
from tests.support.redis import RedisServer
from tests.support.roles import three_roles
from tests.support.signing import public_pem, rsa_key


@dataclass(slots=True)
class Setup:
    """The documented roles over a sample, and the program set up for them."""

    sql: asyncpg.Connection
    prefix: str
    folder: Path
    settings: dict[str, str]

    def run(self, *arguments: str, **more: str) -> Ran:
        return respaldos(*arguments, cwd=self.folder, **self.settings | more)

    def found(self, **more: str) -> dict[str, list[dict[str, Any]]]:
        """What is not as it should be, by subject."""
        ran = self.run("revisar", "--json", **more)
        by_subject: dict[str, list[dict[str, Any]]] = {}
        for each in json.loads(ran.out):
            if each["estado"] != "bien":
                by_subject.setdefault(each["tema"], []).append(each)
        wrong = any(each["estado"] == "mal" for some in by_subject.values() for each in some)
        assert ran.code == int(wrong), ran
        return by_subject


@pytest.fixture
async def setup(empty_database: str, store: Store, redis: RedisServer, tmp_path: Path) -> AsyncIterator[Setup]:
    """All as the README says, but that no worker runs and nobody is told."""
    async with connected(empty_database) as sql:
        yield await set_up(sql, empty_database, store, redis, tmp_path)


async def set_up(sql: asyncpg.Connection, url: str, store: Store, redis: RedisServer, tmp_path: Path) -> Setup:
    """The roles, the sample, the migrations."""
    await create_schema(sql)
    await fill(sql, SAMPLE)
    prefix = unique_name("rev").replace("-", "_")
    given = re.sub(r"\brespaldos(?=\b|_)", prefix, re.sub(r"--.*", "", three_roles()))
    await sql.execute(
        given.replace("'…'", "'clave'").replace("DATABASE clinicas", f'DATABASE "{urlsplit(url).path[1:]}"')
    )
    place = urlsplit(url).netloc.rpartition("@")[2] + urlsplit(url).path
    settings = addresses_of(store, url) | {
        "DATABASE_URL": f"postgresql://{prefix}:clave@{place}",
        "CLINIC_DATABASE_URL": f"postgresql://{prefix}_lector:clave@{place}",
        "CLINIC_RESTORE_DATABASE_URL": f"postgresql://{prefix}_escritor:clave@{place}",
        "OWNERSHIP_RULES": DEMO_RULES,
        "REDIS_URL": redis.url,
        "JWT_SECRET": secrets.token_hex(32),
        "FORWARDED_ALLOW_IPS": "127.0.0.1",
        "SEAL_KEYS": f"2026:{b64encode(secrets.token_bytes(32)).decode()}",
    }
    folder = tmp_path / "carpeta"
    folder.mkdir()
    made = Setup(sql, prefix, folder, settings)
    assert made.run("migrar").code == 0
    return made


async def test_all_as_the_documentation_says_is_well_but_for_the_worker(setup: Setup, redis: RedisServer) -> None:
    found = setup.found()
    # The embedded store knows nothing of what a bucket can be set to.
    assert {each["estado"] for each in found.pop("bucket")} == {"aviso"}
    assert {each["estado"] for each in found.pop("correo")} == {"aviso"}
    assert [(subject, [each["arreglo"] for each in some]) for subject, some in found.items()] == [
        ("trabajador", ["respaldos worker"])
    ]
    with redis.client() as client:
        client.set("arq:queue:health-check", "", ex=60)
        client.set("respaldos:periodic:health-check", "", ex=60)
    ran = setup.run("revisar")
    assert ran.code == 0, ran.out
    assert "✗" not in ran.out
    assert "✓ reloj: el de PostgreSQL" in ran.out
    assert "✓ reloj: el de S3" in ran.out


async def test_seals_are_told_with_what_those_who_only_read_need(setup: Setup) -> None:
    ran = setup.run("revisar")
    said = re.search(r"✓ sellos: se sella con «2026», .* SEAL_PUBLIC_KEYS=(\S+)", " ".join(ran.out.split()))
    assert said is not None, ran.out
    public = said[1]
    assert "sellos" not in setup.found(SEAL_KEYS="", SEAL_PUBLIC_KEYS=public)
    assert [each["estado"] for each in setup.found(SEAL_KEYS="")["sellos"]] == ["aviso"]
    (wrong,) = setup.found(SEAL_KEYS="2026:corta")["sellos"]
    assert "la clave «2026» no es base64 de 32 bytes" in wrong["detalle"]


async def test_a_writer_that_cannot_write_is_told_with_grants_that_mend_it(setup: Setup) -> None:
    writer = f"{setup.prefix}_escritor"
    await setup.sql.execute(f"REVOKE pg_write_all_data FROM {writer}")
    await setup.sql.execute(f"GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {writer}")
    await setup.sql.execute(f"GRANT UPDATE ON ALL SEQUENCES IN SCHEMA public TO {writer}")
    await setup.sql.execute(f"REVOKE UPDATE, DELETE ON factura FROM {writer}")
    await setup.sql.execute(f"REVOKE UPDATE ON SEQUENCE factura_id_seq FROM {writer}")
    name = await setup.sql.fetchval("SELECT current_database()")
    await setup.sql.execute(f'REVOKE TEMPORARY ON DATABASE "{name}" FROM PUBLIC, {writer}')
    (found,) = setup.found()["rol que restaura"]
    for said in ("TEMPORARY", "DELETE en «factura»", "UPDATE en «factura»", "UPDATE en «factura_id_seq»"):
        assert said in found["detalle"]
    await setup.sql.execute(found["arreglo"])
    assert "rol que restaura" not in setup.found()


async def test_a_writer_that_is_the_reader_is_told(setup: Setup) -> None:
    (found,) = setup.found(CLINIC_RESTORE_DATABASE_URL="")["rol que restaura"]
    assert "falta CLINIC_RESTORE_DATABASE_URL" in found["detalle"]
    assert "GRANT" not in found["arreglo"]


async def test_a_reader_of_all_but_one_table_is_told_with_what_mends_it(setup: Setup) -> None:
    reader = f"{setup.prefix}_lector"
    await setup.sql.execute(f"REVOKE pg_read_all_data FROM {reader}")
    await setup.sql.execute(f"GRANT USAGE ON SCHEMA public TO {reader}")
    await setup.sql.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {reader}")
    await setup.sql.execute('CREATE TABLE "Nota\x1b rara" (id int PRIMARY KEY, clinica_id bigint REFERENCES clinica)')
    await setup.sql.execute(f'REVOKE ALL ON "Nota\x1b rara" FROM {reader}')
    (found,) = setup.found()["rol que lee"]
    assert "SELECT en «Nota\x1b rara»" in found["detalle"]
    assert "\x1b" not in setup.run("revisar").out
    await setup.sql.execute(found["arreglo"])
    assert "rol que lee" not in setup.found()


async def test_triggers_that_a_restore_could_not_switch_off_are_told(setup: Setup) -> None:
    await setup.sql.execute(
        "CREATE FUNCTION nada() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
        "CREATE TRIGGER nada BEFORE UPDATE ON factura FOR EACH ROW EXECUTE FUNCTION nada()"
    )
    (found,) = setup.found()["rol que restaura"]
    assert found["estado"] == "aviso"
    assert "«factura»" in found["detalle"]
    (owned,) = setup.found(RESTORE_DISABLE_TRIGGERS="true")["rol que restaura"]
    assert (owned["estado"], "dueño de «factura»" in owned["detalle"]) == ("mal", True)
    await setup.sql.execute(found["arreglo"].partition(";")[0])
    assert "rol que restaura" not in setup.found()


async def test_each_clinics_schema_is_looked_at(
    empty_database: str, store: Store, redis: RedisServer, tmp_path: Path
) -> None:
    reader = unique_name("lee").replace("-", "_")
    async with connected(empty_database) as sql:
        for number in (1, 2):
            await create_tenant_schema(sql, SampleClinic(number, f"Clínica {number}", 1))
        await sql.execute(f"CREATE ROLE {reader} LOGIN PASSWORD 'clave'")
        for schema in ("public", "clinica1", "clinica2"):
            await sql.execute(f"GRANT USAGE ON SCHEMA {schema} TO {reader}")
            await sql.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {reader}")
        await sql.execute(f"REVOKE SELECT ON clinica2.paciente FROM {reader}")
        await sql.execute(f"REVOKE ALL ON SCHEMA clinica2 FROM {reader}")
        url = urlsplit(empty_database)
        settings = addresses_of(store, empty_database) | {
            "TENANCY": "schema",
            "REDIS_URL": redis.url,
            "CLINIC_DATABASE_URL": f"postgresql://{reader}:clave@{url.netloc.rpartition('@')[2]}{url.path}",
        }
        made = Setup(sql, "", tmp_path, settings)
        (found,) = made.found()["rol que lee"]
        assert "USAGE en «clinica2»" in found["detalle"]
        assert "SELECT en «clinica2.paciente»" in found["detalle"]
        await sql.execute(found["arreglo"])
        assert "rol que lee" not in made.found()


async def test_what_is_not_migrated_is_told(setup: Setup) -> None:
    await setup.sql.execute("UPDATE respaldos.alembic_version SET version_num = '0007'")
    (found,) = setup.found()["base del servicio"]
    assert ("0007" in found["detalle"], found["arreglo"]) == (True, "respaldos migrar")
    await setup.sql.execute("UPDATE respaldos.alembic_version SET version_num = '9999'")
    (found,) = setup.found()["base del servicio"]
    assert "más nuevo" in found["detalle"]
    await setup.sql.execute("DROP SCHEMA respaldos CASCADE")
    (found,) = setup.found()["base del servicio"]
    assert found["arreglo"] == "respaldos migrar"


async def test_a_schema_of_somebody_elses_is_told_with_what_mends_it(setup: Setup) -> None:
    await setup.sql.execute("ALTER TABLE respaldos.aviso OWNER TO CURRENT_USER")
    (found,) = setup.found()["base del servicio"]
    assert "«respaldos.aviso»" in found["detalle"]
    await setup.sql.execute(found["arreglo"])
    assert "base del servicio" not in setup.found()


async def test_servers_that_do_not_answer_keep_nothing_else_from_being_told(setup: Setup) -> None:
    found = setup.found(
        REDIS_URL="redis://127.0.0.1:9/0",
        AWS_BACKUP_BUCKET_NAME="no-existe",
        EMAIL_HOST="127.0.0.1",
        EMAIL_PORT="9",
        WEBHOOK_URL="http://127.0.0.1:9/Secreta9",
        WEBHOOK_SECRET="x",
        CLINIC_DATABASE_URL="postgresql://x:Secreta9@127.0.0.1:9/b",
    )
    assert {"Redis", "bucket", "correo", "webhook", "rol que lee"} <= set(found)
    for subject in ("Redis", "bucket", "correo", "webhook", "rol que lee"):
        assert found[subject][0]["estado"] == "mal"
        assert found[subject][0]["arreglo"].startswith("revise ")
    assert "Secreta9" not in json.dumps(found)
    assert "base del servicio" not in found


async def test_a_redis_that_forgets_is_told(setup: Setup, redis: RedisServer) -> None:
    with redis.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.config_set("appendonly", "no")
    found = {each["estado"]: each["arreglo"] for each in setup.found()["Redis"]}
    assert found == {
        "mal": "redis-cli CONFIG SET maxmemory-policy noeviction",
        "aviso": "redis-cli CONFIG SET appendonly yes",
    }


async def test_mail_and_webhook_are_asked(setup: Setup) -> None:
    async with mail_server() as mail, hook_server() as hook:
        given = {"EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": str(mail.port), "EMAIL_USE_TLS": "false"}
        given |= {"WEBHOOK_URL": hook.url, "WEBHOOK_SECRET": "x"}
        # They answer in this loop.
        ran = await asyncio.to_thread(setup.run, "revisar", "--json", **given)
    said = {each["tema"]: each for each in json.loads(ran.out)}
    assert said["correo"]["arreglo"] == "EMAIL_USE_TLS=true"
    assert said["webhook"]["estado"] == "bien"
    assert mail.received == []


async def test_misspelt_settings_are_told_with_what_was_meant(setup: Setup) -> None:
    (setup.folder / ".env").write_text("RETENTION_DAY=90\nOTRA_COSA=1\n")
    found = {each["detalle"].partition(",")[0]: each for each in setup.found()["ajustes"]}
    assert (found["RETENTION_DAY"]["estado"], found["RETENTION_DAY"]["arreglo"]) == ("mal", "¿RETENTION_DAYS?")
    assert found["OTRA_COSA"]["estado"] == "aviso"


async def test_tokens_that_nobody_or_anybody_could_make_are_told(setup: Setup) -> None:
    assert "faltan JWT_SECRET" in setup.found(JWT_SECRET="")["tokens"][0]["detalle"]
    assert "se adivina" in setup.found(JWT_SECRET="s" * 40)["tokens"][0]["detalle"]
    assert "JWT_PUBLIC_KEY" in setup.found(JWT_PUBLIC_KEY="-----BEGIN PUBLIC KEY-----\nx")["tokens"][0]["detalle"]
    assert [each["estado"] for each in setup.found(FORWARDED_ALLOW_IPS="")["proxy"]] == ["aviso"]
    theirs = {"JWT_PUBLIC_KEY": public_pem(rsa_key())}
    (unsaid,) = setup.found(**theirs, JWT_ISSUER="https://clinica.example")["tokens"]
    assert (unsaid["estado"], unsaid["detalle"].partition(":")[0]) == ("mal", "JWT_AUDIENCE")
    (waived,) = setup.found(**theirs, JWT_UNCHECKED="iss,aud")["tokens"]
    assert (waived["estado"], "JWT_UNCHECKED" in waived["detalle"]) == ("aviso", True)
