"""Triggers of the clinic's own: switched off where the role may, else what they change takes the restore back."""

import asyncio

import asyncpg
import pytest

from app.clinic.restore import session as restore_session
from app.errors import OperationInProgress, RespaldosError, RestoreDiffers, RestoreRefused
from tests.clinic.conftest import Database
from tests.clinic.restore.conftest import ROLE, Writer, crossed, ordinary, superuser
from tests.support.clinic_backup import back_up
from tests.support.clinic_restore import WHOLE, loaded, models, restore
from tests.support.meanwhile import Meanwhile
from tests.support.restore_cases import assert_unchanged, goes_back, leftovers
from tests.support.two_clinics import TWO_CLINICS

TABLES = """
CREATE TABLE ficha (id int PRIMARY KEY, texto text, clinica_id int NOT NULL);
CREATE TABLE historia (que text, clinica_id int NOT NULL);
INSERT INTO ficha VALUES (1, 'a', 1), (2, 'b', 1), (3, 'c', 1), (4, 'd', 2);
"""
DAMAGE = (
    "DELETE FROM ficha WHERE id = 1; UPDATE ficha SET texto = 'z' WHERE id = 2; INSERT INTO ficha VALUES (9, 'n', 1)"
)

# What it is called, when it acts, what it does; the error where it acts, and what that says.
TRIGGERS: list[tuple[str, str, str, type[RespaldosError], str]] = [
    ("cambia", "BEFORE INSERT", "NEW.texto = 'cambiado'; RETURN NEW", RestoreDiffers, "«ficha».*: 1;.*cambia"),
    ("cambia", "BEFORE UPDATE", "NEW.texto = 'cambiado'; RETURN NEW", RestoreDiffers, "«ficha».*: 2;.*cambia"),
    ("salta", "BEFORE INSERT", "RETURN NULL", RestoreRefused, "insertar en «ficha» .*: 1.*salta"),
    ("salta", "BEFORE UPDATE", "RETURN NULL", RestoreRefused, "actualizar en «ficha» .*: 2.*salta"),
    ("salta", "BEFORE DELETE", "RETURN NULL", RestoreRefused, "eliminar en «ficha» .*: 9.*salta"),
    ("niega", "BEFORE INSERT", "RAISE EXCEPTION 'hoy no'", RestoreRefused, "«ficha».*niega.*hoy no"),
    (
        "niega",
        "AFTER DELETE",
        "RAISE EXCEPTION USING ERRCODE = 'ZZ001', MESSAGE = 'hoy no'",
        RestoreRefused,
        "«ficha».*niega.*hoy no",
    ),
    (
        "anota",
        "AFTER UPDATE",
        "INSERT INTO public.historia VALUES ('x', NEW.clinica_id); RETURN NULL",
        RestoreDiffers,
        "«historia».*: .*ficha: anota",
    ),
    (
        "toca",
        "AFTER INSERT",
        "UPDATE public.ficha SET texto = 'tocado' WHERE id = 3; RETURN NULL",
        RestoreDiffers,
        "«ficha».*: 3;.*toca",
    ),
]
STATEMENT = (
    "CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {does}; END $$;"
    " CREATE TRIGGER {name} {when} ON ficha FOR EACH ROW EXECUTE FUNCTION {name}();"
)


async def test_a_trigger_that_acts_takes_everything_back(any_database: Database) -> None:
    sql = any_database.sql
    await sql.execute(f"SET search_path = public; {TWO_CLINICS} {TABLES}")
    by_role = {"O": await ordinary(any_database), "A": await superuser(any_database)}
    backup = await back_up(by_role["O"], 1)
    await sql.execute(DAMAGE)
    damaged = {clinica_id: await back_up(by_role["O"], clinica_id) for clinica_id in (1, 2)}
    for name, when, does, error, says in TRIGGERS:
        await sql.execute(STATEMENT.format(name=name, when=when, does=does))
        for enabled, clinics in by_role.items():
            if enabled == "A":
                # Switched off for the session, unless it says always.
                await restore(clinics, backup.file, simulate=True)
                await sql.execute(f"ALTER TABLE ficha ENABLE ALWAYS TRIGGER {name}")
            with pytest.raises(RespaldosError, match=says) as caught:
                await restore(clinics, backup.file)
            assert type(caught.value) is error
            assert await leftovers(sql) == []
        await sql.execute(f"DROP FUNCTION {name} CASCADE")
    await assert_unchanged(by_role["O"], damaged)


async def test_triggers_that_do_not_act_disturb_nobody(database: Database) -> None:
    sql = database.sql
    await sql.execute(f"SET search_path = public; {TWO_CLINICS} {TABLES}")
    await sql.execute(
        STATEMENT.format(name="niega", when="BEFORE INSERT OR UPDATE OR DELETE", does="RAISE EXCEPTION 'no'")
    )
    # One that acts on replicas only, in a session that is none.
    await sql.execute("ALTER TABLE ficha ENABLE REPLICA TRIGGER niega")
    await goes_back(sql, await ordinary(database), DAMAGE)
    with pytest.raises(RestoreRefused, match="niega"):
        await goes_back(sql, await superuser(database), DAMAGE.replace("9", "8"))


async def test_what_waits_for_the_end_of_the_transaction_is_seen(database: Database) -> None:
    """A deferred trigger acts before the rows are read again, not after."""
    sql = database.sql
    await sql.execute(f"SET search_path = public; {TWO_CLINICS} {TABLES}")
    clinics = {"ordinary": await ordinary(database), "superuser": await superuser(database)}
    backup = await back_up(clinics["ordinary"], 1)
    await sql.execute(DAMAGE)
    await sql.execute(
        """
        CREATE FUNCTION tarde() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            UPDATE public.ficha SET texto = 'tarde' WHERE id = 3; RETURN NULL; END $$;
        CREATE CONSTRAINT TRIGGER tarde AFTER INSERT ON ficha DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION tarde(); ALTER TABLE ficha ENABLE ALWAYS TRIGGER tarde;
        """
    )
    for each in clinics.values():
        with pytest.raises(RestoreDiffers, match=r"«ficha».*: 3;.*tarde"):
            await restore(each, backup.file)


ELSEWHERE = """
CREATE TABLE suelta (que text); INSERT INTO suelta VALUES ('a'); GRANT TRUNCATE ON suelta TO PUBLIC;
CREATE TABLE tipo (id int PRIMARY KEY); INSERT INTO tipo VALUES (1);
CREATE TABLE parte (que int, clinica_id int) PARTITION BY LIST (que);
CREATE TABLE parte_1 PARTITION OF parte FOR VALUES IN (1);
"""

# What a trigger does when a row of «ficha» is inserted, and what is said of it.
WRITES = {
    "UPDATE public.ficha SET texto = 'x' WHERE id = 4": "«ficha» .1 actualizados.",
    "INSERT INTO public.suelta VALUES ('x')": "«suelta» .1 insertados.",
    "TRUNCATE public.suelta": "«suelta» .vaciada.",
    "DELETE FROM public.tipo": "«tipo» .1 eliminados.",
    "INSERT INTO public.parte VALUES (1, 2)": "«parte» .1 insertados.",
    "INSERT INTO public.historia VALUES ('x', NEW.clinica_id)": "«historia» .1 insertados.",
}


@crossed
async def test_what_a_trigger_writes_elsewhere_takes_everything_back(any_database: Database, writer: Writer) -> None:
    """Also where every row of the restored model is as in the file."""
    sql = any_database.sql
    await sql.execute(f"SET search_path = public; {TWO_CLINICS} {TABLES} {ELSEWHERE}")
    clinics = await writer(any_database)
    backup = await back_up(clinics, 1)
    await sql.execute(DAMAGE)
    tables = ("ficha", "suelta", "tipo", "parte", "historia")
    before = [await sql.fetch(f"TABLE {table}") for table in tables]
    for does, says in WRITES.items():
        await sql.execute(STATEMENT.format(name="hace", when="AFTER INSERT", does=f"{does}; RETURN NULL"))
        if writer is superuser:
            await sql.execute("ALTER TABLE ficha ENABLE ALWAYS TRIGGER hace")
        with pytest.raises(RestoreRefused, match=f"Registros de más: {says}\\. .*ficha: hace"):
            await restore(clinics, backup.file, scope=models("ficha"))
        await sql.execute("DROP FUNCTION hace CASCADE")
    assert [await sql.fetch(f"TABLE {table}") for table in tables] == before


async def test_the_action_of_a_foreign_key_takes_no_row_that_came_late(database: Database) -> None:
    sql = database.sql
    await sql.execute(f"SET search_path = public; {TWO_CLINICS} {TABLES}")
    await sql.execute("CREATE TABLE sello (ficha_id int REFERENCES ficha ON DELETE CASCADE)")
    clinics = await ordinary(database)
    backup = await back_up(clinics, 1)
    await sql.execute(DAMAGE)
    await sql.execute("INSERT INTO historia VALUES ('x', 1)")
    async with loaded(clinics, backup.file) as (session, verified):
        await session.begin(WHOLE)
        await session.compare(lambda _model: None)
        await session.apply(Meanwhile(database.url, ["INSERT INTO sello VALUES (9)"]))
        with pytest.raises(RestoreRefused, match=r"Registros de más: «sello» \(1 eliminados\)"):
            await session.prove(verified, lambda _model, _size: None)
    assert await sql.fetchval("SELECT count(*) FROM sello") == 1


STATES = """
SELECT tgrelid::regclass::text, tgname::text, tgenabled::text FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1, 2
"""

# As a program keeps the moment of the last change; each in a state of its own, also on a partition.
STAMPS = """
CREATE TABLE nota (id int, texto text, clinica_id int NOT NULL) PARTITION BY LIST (clinica_id);
CREATE TABLE nota_1 PARTITION OF nota FOR VALUES IN (1);
CREATE TABLE nota_2 PARTITION OF nota FOR VALUES IN (2);
CREATE FUNCTION sella() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    UPDATE public.tipo SET id = id; NEW.texto = 'sellado'; RETURN NEW; END $$;
CREATE TRIGGER sella BEFORE INSERT OR UPDATE ON ficha FOR EACH ROW EXECUTE FUNCTION sella();
CREATE TRIGGER "Duerme" BEFORE INSERT OR UPDATE ON ficha FOR EACH ROW EXECUTE FUNCTION sella();
CREATE TRIGGER lejos BEFORE UPDATE ON ficha FOR EACH ROW EXECUTE FUNCTION sella();
CREATE CONSTRAINT TRIGGER tarde AFTER INSERT ON ficha DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION sella();
CREATE TRIGGER sella BEFORE INSERT OR UPDATE ON nota FOR EACH ROW EXECUTE FUNCTION sella();
CREATE TRIGGER aparte BEFORE INSERT ON historia FOR EACH ROW EXECUTE FUNCTION sella();
INSERT INTO nota VALUES (1, 'a', 1), (2, 'b', 2);
ALTER TABLE ficha DISABLE TRIGGER "Duerme", ENABLE REPLICA TRIGGER lejos, ENABLE ALWAYS TRIGGER tarde;
ALTER TABLE nota_1 ENABLE ALWAYS TRIGGER sella; ALTER TABLE nota_2 DISABLE TRIGGER sella;
"""


@crossed
async def test_the_owner_of_the_tables_disables_what_would_act(any_database: Database, writer: Writer) -> None:
    """And leaves every trigger in the state that it had; a preview says on which tables nobody can work meanwhile."""
    sql = any_database.sql
    await sql.execute(f"SET search_path = public; {TWO_CLINICS} {TABLES} {ELSEWHERE} {STAMPS}")
    clinics = await writer(any_database, disable_triggers=True)
    backup, other = await back_up(clinics, 1), await back_up(clinics, 2)
    await sql.execute(f"SET session_replication_role = replica; {DAMAGE}; DELETE FROM nota WHERE id = 1")
    before = await sql.fetch(STATES)
    with pytest.raises(RestoreDiffers, match="--sin-disparadores"):
        await restore(await writer(any_database), backup.file)
    if writer is ordinary:
        with pytest.raises(RestoreRefused, match=r"public\.ficha.* su dueño, .*GRANT .* TO restaurador"):
            await restore(clinics, backup.file)
        await sql.execute(f"ALTER TABLE ficha OWNER TO {ROLE}; ALTER TABLE nota OWNER TO {ROLE};")
        await sql.execute(f"ALTER TABLE nota_1 OWNER TO {ROLE}; ALTER TABLE nota_2 OWNER TO {ROLE};")
    async with loaded(clinics, backup.file) as (session, verified):
        await session.begin(WHOLE)
        plan = await session.compare(lambda _model: None)
        acting = "sella" if writer is ordinary else "lejos"
        said = [aviso for aviso in plan.avisos if "se deshabilitan" in aviso]
        assert [aviso.split(")")[0] for aviso in said] == [
            f"«ficha»: sus disparadores ({acting}, tarde",
            "«nota»: sus disparadores (sella",
        ]
        await session.apply(lambda _model: None)
        with pytest.raises(asyncpg.LockNotAvailableError):
            await sql.execute("SET lock_timeout = '50ms'; INSERT INTO ficha VALUES (50, 'x', 2)")
        await session.prove(verified, lambda _model, _size: None)
        await session.commit()
    await assert_unchanged(clinics, {1: backup, 2: other})
    assert await sql.fetch(STATES) == before
    # Where nothing has to be written, nobody is kept waiting.
    assert (await restore(clinics, backup.file)).avisos == ()


async def test_two_clinics_that_disable_triggers_of_the_same_tables(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after the other; who would wait for longer than others are kept waiting changes nothing."""
    sql = database.sql
    await sql.execute(f"SET search_path = public; {TWO_CLINICS} {TABLES} {ELSEWHERE} {STAMPS}")
    clinics = await superuser(database, disable_triggers=True)
    backups = {clinica_id: await back_up(clinics, clinica_id) for clinica_id in (1, 2)}
    damage = "SET session_replication_role = replica; UPDATE ficha SET texto = '?'; UPDATE nota SET texto = '?'"
    compared, applied, go_on = asyncio.Barrier(2), asyncio.Event(), asyncio.Event()

    async def restored(clinica_id: int) -> None:
        async with loaded(clinics, backups[clinica_id].file, clinica_id) as (session, verified):
            await session.begin(WHOLE)
            await session.compare(lambda _model: None)
            if not applied.is_set():
                await compared.wait()
            await session.apply(lambda _model: None)
            applied.set()
            await go_on.wait()
            await session.prove(verified, lambda _model, _size: None)
            await session.commit()

    await sql.execute(damage)
    both = asyncio.gather(restored(1), restored(2))
    await applied.wait()
    go_on.set()
    await both
    await assert_unchanged(clinics, backups)
    await sql.execute(damage)
    damaged = await back_up(clinics, 2)
    monkeypatch.setattr(restore_session, "LOCK_SECONDS", 0.2)
    go_on.clear()
    first = asyncio.create_task(restored(1))
    while not await sql.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE mode = 'ShareRowExclusiveLock')"):
        await asyncio.sleep(0.01)
    with pytest.raises(OperationInProgress, match="otra restauración tiene deshabilitados disparadores"):
        await restored(2)
    go_on.set()
    await first
    await assert_unchanged(clinics, {1: backups[1], 2: damaged})
