"""Restoring, comparing and proving, as the engineer who runs the platform does it."""

import re
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from app.respaldos.resources import Resources
from app.settings import DEMO_RULES
from tests.cli.conftest import addresses_of
from tests.respaldos.conftest import SMALL, back_up, connected
from tests.storage.conftest import Store
from tests.support.program import on_a_terminal, respaldos
from tests.support.restores import DAMAGE, RELEASE, RELEASED, conn, everybody, resources

__all__ = ["conn", "resources"]

CHANGED = "facturas"


@pytest.fixture
def addresses(store: Store, own_database: str) -> dict[str, str]:
    """The same for the commands."""
    return addresses_of(store, own_database) | {"OWNERSHIP_RULES": DEMO_RULES}


@pytest.fixture
def run(addresses: dict[str, str], tmp_path: Path) -> Any:
    """Run a command on those servers, without a terminal."""

    return partial(respaldos, cwd=tmp_path, **addresses)


async def test_what_is_the_platforms(conn: asyncpg.Connection, run: Any, resources: Resources) -> None:
    await conn.execute("CREATE TABLE suelta (dato text); INSERT INTO suelta VALUES ('x')")
    await back_up(resources)
    assert run("crear", "--plataforma", "--clinica", "1").code == 2
    made = run("crear", "--plataforma", "--json").json
    assert made["clinica_id"] is None
    assert made["archivo_s3"].startswith("backups/plataforma/")
    id_ = str(made["id"])
    assert [row["id"] for row in run("listar", "--plataforma", "--json").json] == [made["id"]]
    assert "plataforma" in run("listar").out
    assert run("listar", "--plataforma", "--clinica", "1").code == 2
    assert "plataforma" in run("ver", id_).out
    assert f"Respaldo {id_} de la plataforma: está completo y sano" in run("verificar", id_).out
    assert run("estadisticas", "--plataforma", "--json").json["situacion"] == "al_dia"

    await conn.execute("DELETE FROM suelta; UPDATE clinica SET nombre = 'Otro nombre' WHERE id = 1")
    told = run("restaurar", id_, "--simular").out
    assert "así quedaría la plataforma" in told
    assert run("restaurar", id_, "--si").out.startswith(f"✓ Plataforma restaurada desde el respaldo {id_}\n")
    assert await conn.fetchval("SELECT dato FROM suelta") == "x"
    assert await conn.fetchval("SELECT nombre FROM clinica WHERE id = 1") == "Otro nombre"
    assert run("restaurar", id_, "--actualizar", "--si").code == 0
    assert await conn.fetchval("SELECT nombre FROM clinica WHERE id = 1") != "Otro nombre"
    assert run("eliminar", id_, "--si").code == 0


async def test_the_way_back(resources: Resources, conn: asyncpg.Connection, run: Any) -> None:
    before = await everybody(resources)
    respaldo = await back_up(resources)
    id_ = str(respaldo.id)
    assert run("comparar", id_).out == "✓ No hay ninguna diferencia\n"
    await conn.execute(DAMAGE)
    await conn.execute(
        "INSERT INTO bitacora (accion, modelo, descripcion, ip_address, user_agent, fecha, clinica_id)"
        f" SELECT 'x', 'y', 'z', '10.0.0.1', 'w', now(), {SMALL} FROM generate_series(1, 24)"
    )
    damaged = await everybody(resources)

    told = run("comparar", id_).out
    assert re.search(r"^\+ .*\(bitacoras \d+\)$", told, re.MULTILINE)
    assert re.search(r"^- .*\(pagos_online \d+\)$", told, re.MULTILINE)
    assert re.search(r"^~ .*\(facturas \d+\)  ", told, re.MULTILINE)
    assert "razon_social: " in told
    shown = run("restaurar", id_, "--simular", "--json").json
    assert (shown["estado"], shown["simulada"]) == ("completado", True)
    shown = run("restaurar", id_, "--simular").out
    assert shown.startswith("Simulación: así quedaría la clínica")
    # The counts first, then twenty of each model; of the bitácora there are more.
    rows = shown.splitlines()
    bitacora = [place for place, line in enumerate(rows) if "(bitacoras " in line]
    more = rows.index("  … y 5 más de bitacoras: con --detalle se ven todos")
    assert (len(bitacora), more) == (20, bitacora[-1] + 1)
    assert max(place for place, line in enumerate(rows) if "─" in line) < bitacora[0]
    whole = run("restaurar", id_, "--simular", "--detalle").out
    assert (whole.count("(bitacoras "), "--detalle" in whole) == (25, False)
    refused = run("restaurar", id_)
    assert (refused.code, "use --si" in refused.err) == (2, True)
    assert await everybody(resources) == damaged

    part = run("restaurar", id_, "--modelos", CHANGED, "--si", "--json").json
    assert [name for name, each in part["resultado"].items() if each["actualizados"]] == [CHANGED]
    done = run("restaurar", id_, "--si")
    assert done.code == 0
    assert (
        f"✓ Clínica {SMALL} restaurada desde el respaldo {id_}\n  Cómo estaba antes quedó en el respaldo" in done.out
    )
    assert await everybody(resources) == before
    assert "Todo estaba ya como en el respaldo" in run("restaurar", id_, "--sin-respaldo-previo", "--si").out
    changed = run(
        "comparar", id_, part["respaldo_previo"] and str(part["respaldo_previo"]), "--json", "--resumen"
    ).json
    assert changed["cambios"] == changed["avisos"] == []
    assert changed["modelos"]["bitacoras"] == {"agregados": 25, "cambiados": 0, "quitados": 0}


async def test_what_is_missing_of_some_records(
    resources: Resources, conn: asyncpg.Connection, run: Any, tmp_path: Path
) -> None:
    respaldo = str((await back_up(resources)).id)
    ids = [
        row["id"]
        for row in await conn.fetch(f"SELECT id FROM factura WHERE clinica_id = {SMALL} ORDER BY id LIMIT 3")
    ]
    await conn.execute("UPDATE factura SET razon_social = 'corregida' WHERE id = ANY ($1::int[])", ids[:1])
    before = await everybody(resources)
    listed = tmp_path / "lista.txt"
    listed.write_text("\ufeff" + "".join(f"  facturas:{id_}\r\n\r\n" for id_ in ids), encoding="utf-8")
    shown = run("restaurar", respaldo, "--registros-de", str(listed), "--solo", "faltantes", "--simular")
    assert shown.code == 0
    assert "No falta nada de lo que tiene el respaldo." in shown.out
    assert "con los 3 registros pedidos va lo que apunta a ellos" in shown.err
    assert "registros que se dejan como están hoy: «facturas» (1 con otro contenido)" in shown.err
    assert await everybody(resources) == before
    ran = run(
        *("restaurar", respaldo, "--registro", f"facturas:{ids[0]}", "--registro", f"facturas:{ids[1]}"),
        *("--solo", "cambiados", "--motivo", "Ñandú «x»", "--si", "--json"),
    )
    assert ran.code == 0, ran
    done = ran.json
    assert (done["modo"], done["motivo"], done["registro"]) == ("cambiados", "Ñandú «x»", None)
    assert done["registros"] == [f"facturas:{ids[0]}", f"facturas:{ids[1]}"]
    assert done["resultado"]["facturas"]["actualizados"] == 1
    told = run("ver", respaldo).out
    assert "Restaurado (America/La_Paz)" in told
    assert ["Completado", "cambiados", "Ñandú", "«x»"] in [line.split()[2:] for line in told.splitlines()]
    given = run(
        *("restaurar", respaldo, "--registros-de", "-", "--simular", "--json"), given=f"facturas:{ids[2]}\n"
    ).json
    assert given["registro"] == f"facturas:{ids[2]}"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "«registros» está vacío"),
        (b"\n \n", "«registros» está vacío"),
        (b"facturas:1\nfacturas\n", "«facturas» no es un registro"),
        (b"facturas:1\xff", "no es texto en UTF-8"),
        (b"\n".join(b"a:%d\n" % n for n in range(5001)), "pueden ser 5,000 como máximo"),
    ],
    ids=["empty", "blank", "no key", "no text", "too many"],
)
def test_a_list_of_records_that_is_none(run: Any, tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "lista.txt").write_bytes(content)
    ran = run("restaurar", "1", "--registros-de", "lista.txt", "--si")
    assert (ran.code in {1, 2}, says in ran.err) == (True, True), ran


async def test_a_preview_of_what_cannot_be_shows_it(resources: Resources, conn: asyncpg.Connection, run: Any) -> None:
    await conn.execute(
        "CREATE TABLE caja (id int PRIMARY KEY, clinica_id bigint NOT NULL REFERENCES clinica, turno int UNIQUE);"
        f" INSERT INTO caja VALUES (1, {SMALL}, 7)"
    )
    respaldo = str((await back_up(resources)).id)
    await conn.execute("UPDATE caja SET id = 2")
    says = "✗ «caja» 1 no puede volver: «caja» 2 tiene hoy turno = 7, y no pueden estar los dos (caja_turno_key)."
    shown = run("restaurar", respaldo, "--solo", "faltantes", "--simular")
    assert shown.code == 1
    assert shown.out.startswith(f"Simulación: la clínica {SMALL} no se puede restaurar así.")
    assert says in shown.err
    found = run("restaurar", respaldo, "--solo", "faltantes", "--simular", "--json")
    assert (found.code, found.json["estado"]) == (1, "completado")
    assert [each["ocupado_por"] for each in found.json["conflictos"]] == [{"id": "2"}]
    refused = run("restaurar", respaldo, "--solo", "faltantes", "--si")
    assert (refused.code, says in refused.err) == (1, True)
    assert await conn.fetchval("SELECT array_agg(id) FROM caja") == [2]


async def test_values_that_are_long_or_secret(resources: Resources, conn: asyncpg.Connection, run: Any) -> None:
    await conn.execute(
        "CREATE TABLE raro (id int PRIMARY KEY, clinica_id bigint NOT NULL REFERENCES clinica, j jsonb, nit text,"
        f" PassWord text); INSERT INTO raro VALUES (1, {SMALL}, '{{}}', 'NIT1', 's3cr3t')"
    )
    respaldo = str((await back_up(resources)).id)
    long = f"[{'7' * 5000}, {'[' * 3000}{']' * 3000}]"
    await conn.execute(f"UPDATE raro SET j = '{long}', nit = 'NIT2', password = 'S3CR3T'")

    hidden = "(no se muestra)"
    told = run("comparar", respaldo, SECRET_COLUMNS="raro.nit")
    assert told.out.splitlines()[-1] == (
        f"~ raro 1  j: {{}} → [{'7' * 199}…; nit: {hidden} → {hidden}; password: {hidden} → {hidden}"
    )
    changed = run("comparar", respaldo, "--json", SECRET_COLUMNS="raro.nit").json["cambios"]
    secret = {"antes": hidden, "despues": hidden}
    assert changed == [
        {
            "modelo": "raro",
            "cambio": "cambiado",
            "clave": {"id": 1},
            "campos": {"j": {"antes": "{}", "despues": long}, "nit": secret, "password": secret},
        }
    ]
    for shown in (run("restaurar", respaldo, "--simular"), run("restaurar", respaldo, "--si")):
        assert "NIT2 → NIT1" in shown.out
        assert f"password: {hidden} → {hidden}" in shown.out
    assert run("comparar", respaldo).out == "✓ No hay ninguna diferencia\n"


@pytest.mark.parametrize(("typed", "code"), [(b"s\n", 0), (b"n\n", 130)])
async def test_on_a_terminal_it_shows_what_would_change_and_asks(
    resources: Resources,
    conn: asyncpg.Connection,
    addresses: dict[str, str],
    tmp_path: Path,
    typed: bytes,
    code: int,
) -> None:
    before = await everybody(resources)
    respaldo = await back_up(resources)
    await conn.execute(DAMAGE)
    damaged = await everybody(resources)
    ran = on_a_terminal(
        "restaurar", str(respaldo.id), cwd=tmp_path, typed=typed, awaited="¿Restaurar".encode(), **addresses
    )
    assert ran.code == code
    assert ran.out.index("Simulación") < ran.out.index("¿Restaurar el respaldo")
    assert await everybody(resources) == (before if code == 0 else damaged)


async def test_after_a_release_it_says_what_has_come_since_before_it_asks(
    resources: Resources, conn: asyncpg.Connection, addresses: dict[str, str], tmp_path: Path
) -> None:
    respaldo = await back_up(resources)
    await conn.execute(RELEASE)
    ran = on_a_terminal(
        "restaurar", str(respaldo.id), cwd=tmp_path, typed=b"n\n", awaited="¿Restaurar".encode(), **addresses
    )
    asked = ran.out.index("¿Restaurar el respaldo")
    assert all(0 < ran.out.find(f"⚠ {aviso}") < asked for aviso in RELEASED), ran.out


async def test_into_another_database(
    resources: Resources, own_database: str, conn: asyncpg.Connection, run: Any
) -> None:
    """An empty one with the same tables, as to move a clinic."""
    respaldo = await back_up(resources)
    name = own_database.rsplit("/", 1)[1]
    plain = own_database.replace("+asyncpg", "")
    async with connected(own_database.rsplit("/", 1)[0] + "/postgres") as admin:
        await conn.close()
        await resources.sessions.kw["bind"].dispose()
        await admin.execute(f'CREATE DATABASE "{name}-destino" TEMPLATE "{name}"')
    target = f"{plain}-destino"
    try:
        async with connected(target) as there:
            await there.execute("TRUNCATE clinica, usuario, auth_user, tipopago RESTART IDENTITY CASCADE")
        wrong = run("restaurar", str(respaldo.id), "--destino", "mysql://x/y", "--si")
        assert (wrong.code, "postgresql://" in wrong.err) == (2, True)
        platforms = run("restaurar", str(respaldo.id), "--destino", target, "--si")
        assert (platforms.code, "--con-clinica" in platforms.err) == (1, True)
        done = run("restaurar", str(respaldo.id), "--destino", target, "--con-clinica", "--si", "--json").json
        assert (done["estado"], done["respaldo_previo"]) == ("completado", None)
        assert done["destino"].endswith(f"/{name}-destino")
        assert "@" not in done["destino"]
        assert any("tipopago" in aviso for aviso in done["avisos"])
        assert done["resultado"]["tipopago"]["compartidos"] == done["resultado"]["tipopago"]["insertados"] > 0
        assert done["resultado"]["tipopago"]["ejemplos"]["insertados"]
        async with connected(target) as there:
            assert await there.fetchval("SELECT count(*) FROM clinica") == 1
            assert await there.fetchval(
                "SELECT nextval(pg_get_serial_sequence('factura', 'id'))"
            ) > await there.fetchval("SELECT max(id) FROM factura")
            await there.execute("UPDATE tipopago SET nombrepago = nombrepago || '!'")
        refused = run("restaurar", str(respaldo.id), "--destino", target, "--si")
        assert (refused.code, "«tipopago», que es de todas las clínicas, tiene otro contenido" in refused.err) == (
            1,
            True,
        )
    finally:
        async with connected(own_database) as admin:
            await admin.execute(f'DROP DATABASE "{name}-destino" WITH (FORCE)')


async def test_triggers_are_disabled_where_somebody_asks_for_it(
    resources: Resources, conn: asyncpg.Connection, run: Any
) -> None:
    id_ = str((await back_up(resources)).id)
    await conn.execute(
        f"DELETE FROM bitacora WHERE clinica_id = {SMALL};"
        " CREATE FUNCTION salta() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;"
        " CREATE TRIGGER salta BEFORE INSERT ON bitacora FOR EACH ROW EXECUTE FUNCTION salta();"
        " ALTER TABLE bitacora ENABLE ALWAYS TRIGGER salta"
    )
    shown = run("restaurar", id_, "--simular", RESTORE_DISABLE_TRIGGERS="true")
    assert "«bitacora»: sus disparadores (salta) se deshabilitan" in " ".join(shown.err.split())
    assert run("restaurar", id_, "--sin-disparadores", "--sin-respaldo-previo", "--si").code == 0
    assert await conn.fetchval(f"SELECT count(*) FROM bitacora WHERE clinica_id = {SMALL}") > 0
    assert await conn.fetchval("SELECT tgenabled::text FROM pg_trigger WHERE tgname = 'salta'") == "A"


async def test_nobody_gets_a_login_or_a_plan_back_without_asking(
    resources: Resources, conn: asyncpg.Connection, run: Any
) -> None:
    id_ = str((await back_up(resources)).id)
    login = await conn.fetchval(
        f"SELECT username FROM auth_user JOIN usuario ON correoelectronico = email WHERE clinica_id = {SMALL} LIMIT 1"
    )
    await conn.execute(f"UPDATE clinica SET nombre = 'Otro nombre' WHERE id = {SMALL}")
    await conn.execute("DELETE FROM auth_user WHERE username = $1", login)
    shown = run("restaurar", id_, "--simular")
    assert shown.code == 0
    assert "Todo estaba ya" not in shown.out
    assert "Se queda como está hoy: ~ Otro nombre (clinica " in shown.out
    assert "la fila de la clínica es de la plataforma y se queda como está hoy; difiere en: nombre" in shown.err
    assert "faltan 1 accesos, y se agregan inactivos, sin privilegios y con una contraseña que no sirve" in shown.err
    assert f"Accesos: «auth_user», los que se agregan: {login} (" in shown.err
    told = run("restaurar", id_, "--con-accesos", "--si", "--json").json
    assert told["resultado"]["clinica"] | {"ejemplos": {}} == {
        "insertados": 0,
        "actualizados": 0,
        "eliminados": 0,
        "ejemplos": {},
        "restaurado": False,
    }
    assert told["resultado"]["auth_user"]["compartidos"] == 1
    assert any("el archivo no tiene accesos que sean de la clínica" in aviso for aviso in told["avisos"])
    assert await conn.fetchval(f"SELECT nombre FROM clinica WHERE id = {SMALL}") == "Otro nombre"
    assert await conn.fetchval("SELECT is_active FROM auth_user WHERE username = $1", login) is False
    run("restaurar", id_, "--con-clinica", "--si")
    assert await conn.fetchval(f"SELECT nombre FROM clinica WHERE id = {SMALL}") != "Otro nombre"


async def test_the_three_depths(resources: Resources, run: Any) -> None:
    respaldo = await back_up(resources)
    id_ = str(respaldo.id)
    assert run("verificar", id_, "--profundidad", "rapida").out.endswith("no se leyó su contenido\n")
    assert "(rapida)" in run("ver", id_).out
    assert "se pudo restaurar en tablas aparte" in run("verificar", id_, "--profundidad", "ensayo").out
    assert "(ensayo)" in run("ver", id_).out
    assert "(ensayo)" in run("listar").out
    assert run("verificar", id_, "--profundidad", "rapida", "--json").json == {
        "correcto": True,
        "respaldo": respaldo.id,
        "copia": None,
    }
    wrong = run("verificar", "no-hay.json.gz", "--profundidad", "ensayo")
    assert (wrong.code, "vale para un ID" in wrong.err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--registro", "pacientes:999999"], 1, "no tiene el registro «pacientes:999999»"),
        (["--registro", "pacientes"], 1, "modelo:clave"),
        (["--modelos", "nada"], 1, "no tiene el modelo «nada»"),
        (["--modelos", "pagos,auth_user"], 1, "«auth_user» es una tabla con que se ingresa, y es de la plataforma"),
        (["--registro", "auth_user:1", "--con-accesos"], 1, "«auth_user» es una tabla con que se ingresa"),
        (["--modelos", "pagos", "--registro", "pagos:1"], 1, "no las dos cosas"),
    ],
)
async def test_what_cannot_be_meant(
    resources: Resources, run: Any, arguments: list[str], code: int, said: str
) -> None:
    respaldo = await back_up(resources)
    ran = run("restaurar", str(respaldo.id), *arguments, "--si")
    assert (ran.code, said in ran.err) == (code, True), ran.err
    assert "Traceback" not in ran.err


async def test_a_certificate(run: Any, resources: Resources, conn: asyncpg.Connection, tmp_path: Path) -> None:
    respaldo = await back_up(resources)
    id_, name = str(respaldo.id), f"constancia_respaldo_{respaldo.id}.pdf"
    assert run("constancia", id_, "--json").json == {
        "archivo": name,
        "tamaño_bytes": (tmp_path / name).stat().st_size,
    }
    assert (tmp_path / name).read_bytes().startswith(b"%PDF")
    refused = run("constancia", id_)
    assert refused.code == 2
    assert f"«{name}» ya existe; use --si para reemplazarlo" in refused.err
    assert run("constancia", id_, "-o", "nada/x.pdf").code == 1
    await conn.execute(DAMAGE)
    assert run("restaurar", id_, "--si").code == 0
    done = await conn.fetchval("SELECT max(id) FROM respaldos.restauracion")
    assert run("constancia", id_, "--restauracion", str(done)).code == 0
    assert (tmp_path / f"constancia_restauracion_{done}.pdf").exists()
    other = str((await back_up(resources)).id)
    said = run("constancia", other, "--restauracion", str(done)).err
    assert f"la restauración {done} no es del respaldo {other}, sino del {id_}" in said
