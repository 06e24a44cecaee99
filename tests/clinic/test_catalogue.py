"""Settings that say whose a table is, and what is refused because nobody could say."""

from typing import Any

import pytest

from app.clinic.reading.checks import unclassified
from app.errors import CatalogError, ClinicNotFound
from tests.clinic.conftest import Database
from tests.support.clinic_backup import back_up, back_up_all
from tests.support.two_clinics import TWO_CLINICS

LOGINS = """
ALTER TABLE persona ADD correo text;
UPDATE persona SET correo = id || '@x.example';
CREATE TABLE cuenta (id int PRIMARY KEY, email text);
CREATE TABLE cuenta_log (id int PRIMARY KEY, user_id int NOT NULL REFERENCES cuenta);
INSERT INTO cuenta VALUES (1, '11@x.example'), (2, '21@x.example'), (3, 'root@x.example');
INSERT INTO cuenta_log VALUES (1, 1), (2, 2), (3, 3), (4, 1);
"""
RULE = {"cuenta": "(SELECT clinica_id FROM persona WHERE correo = t.email)"}


async def test_a_rule_ties_a_table_and_what_hangs_from_it_to_clinics(any_database: Database) -> None:
    await any_database.sql.execute(TWO_CLINICS + LOGINS)
    backups = await back_up_all(any_database.clinics(rules=RULE))
    assert (backups[1].ids("cuenta"), backups[2].ids("cuenta")) == ([1], [2])
    assert (backups[1].ids("cuenta_log"), backups[2].ids("cuenta_log")) == ([1, 4], [2])
    assert {str(count.table): count.rows for count in backups[1].unowned} == {"cuenta": 1, "cuenta_log": 1}


async def test_a_rule_comes_before_the_tenant_column(any_database: Database) -> None:
    await any_database.sql.execute(
        TWO_CLINICS
        + """
        CREATE TABLE prestamo (id int PRIMARY KEY, clinica_id int REFERENCES clinica, para int);
        INSERT INTO prestamo VALUES (1, 1, 2), (2, 2, NULL), (3, 2, 99), (4, NULL, 1);
        """
    )
    backups = await back_up_all(any_database.clinics(rules={"prestamo": "t.para"}))
    assert (backups[1].ids("prestamo"), backups[2].ids("prestamo")) == ([4], [1])
    # Without owner, and of a clinic that does not exist.
    assert [count.rows for count in backups[1].unowned] == [2]


async def test_a_table_that_nobody_classified_is_told_and_left_out(any_database: Database) -> None:
    await any_database.sql.execute(TWO_CLINICS + LOGINS)
    async with any_database.clinics(exclude=("cuenta_log",)).snapshot(1) as snapshot:
        assert unclassified(snapshot.catalogue) == [
            "cuenta: tabla sin clasificar, no está en el respaldo (use OWNERSHIP_RULES o EXCLUDE_TABLES)"
        ]
    backup = await back_up(any_database.clinics(exclude=("cuenta_log", "public.cuenta")), 1)
    assert set(backup.verified.header.models) == {"clinica", "persona"}


@pytest.mark.parametrize(
    ("tenancy", "message"),
    [
        ({"access": ("-no_hay",)}, "ACCESS_TABLES nombra la tabla «no_hay», que no existe"),
        ({"exclude": ("no_hay",)}, "EXCLUDE_TABLES nombra la tabla «no_hay», que no existe"),
        ({"rules": {"no_hay": "1"}}, "OWNERSHIP_RULES nombra la tabla «no_hay», que no existe"),
        (
            {"rules": {"cuenta": "1", "public.cuenta": "2"}},
            "OWNERSHIP_RULES da dos reglas a la tabla «cuenta»: «cuenta» y «public.cuenta»",
        ),
        ({"table": "no_hay"}, "TENANT_TABLE nombra la tabla «no_hay», que no existe"),
        ({"table": "pareja"}, "TENANT_TABLE: la tabla «pareja» no tiene una clave de una sola columna"),
        ({"column": "sucursal_id"}, "TENANT_COLUMN: ninguna tabla tiene una columna «sucursal_id»"),
        ({"column": "email"}, "no se sabe cuál es la tabla de clínicas .candidatas: ninguna.*TENANT_TABLE"),
        ({"column": "persona_id"}, "no se sabe cuál es la tabla de clínicas .candidatas: cuenta, persona."),
    ],
)
async def test_settings_that_do_not_fit_are_named(database: Database, tenancy: dict[str, Any], message: str) -> None:
    await database.sql.execute(
        TWO_CLINICS
        + LOGINS
        + """
        CREATE TABLE pareja (a int, b int, PRIMARY KEY (a, b));
        CREATE TABLE x (persona_id int REFERENCES persona); CREATE TABLE y (persona_id int REFERENCES cuenta);
        """
    )
    with pytest.raises(CatalogError, match=message):
        await back_up(database.clinics(**tenancy), 1)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("t.no_hay", "la regla de «cuenta» no vale: column t.no_hay does not exist"),
        ("1 +", "la regla de «cuenta» no vale: "),
        ("ARRAY[1]", "la regla de «cuenta» no vale: "),
        ("max(t.id)", "la regla de «cuenta» no vale: "),
        ({"email": "no_hay.correo"}, "el enlace de «cuenta» lleva a «no_hay.correo»: no existe la tabla «no_hay»"),
        (
            {"email": "persona.telefono"},
            "el enlace de «cuenta» lleva a «persona.telefono»: «persona» no tiene la columna «telefono»",
        ),
        ({"correo": "persona.id"}, "el enlace de «cuenta» nombra la columna «correo», que «cuenta» no tiene"),
        ({"email": "persona"}, "el enlace de «cuenta» lleva a «persona», y se escribe tabla.columna"),
        (
            {"email": "persona.id"},
            "el enlace de «cuenta» une «email», de tipo text, con «persona.id», de tipo integer",
        ),
        (
            {"email": "cuenta_log.que"},
            "el enlace de «cuenta» lleva a «cuenta_log», que no dice en una columna suya de qué clínica es",
        ),
        ({"id": "persona.id", "email": "persona.id"}, "el enlace de «cuenta» tiene que ser de una sola columna"),
    ],
)
async def test_a_rule_that_cannot_be_followed_is_an_error_of_its_table(
    database: Database, rule: str | dict[str, str], message: str
) -> None:
    await database.sql.execute(TWO_CLINICS + LOGINS + "ALTER TABLE cuenta_log ADD que text;")
    clinics = database.clinics(rules={"cuenta": rule})
    async with clinics.snapshot(1) as snapshot:
        (said, *others) = unclassified(snapshot.catalogue)
    assert said.startswith(f"OWNERSHIP_RULES: {message}")
    assert said.endswith("; la tabla no está en el respaldo")
    assert [other.split(":")[0] for other in others] == ["cuenta_log"]
    assert (await back_up(clinics, 1)).ids("persona") == [11, 12]


async def test_the_tenant_table_can_be_named_where_two_look_like_it(any_database: Database) -> None:
    await any_database.sql.execute(
        TWO_CLINICS
        + """
        CREATE TABLE ficha (id int PRIMARY KEY, sede int NOT NULL REFERENCES clinica);
        CREATE TABLE nota (id int PRIMARY KEY, clinica_id int NOT NULL REFERENCES ficha);
        INSERT INTO ficha VALUES (1, 2), (2, 1); INSERT INTO nota VALUES (1, 1), (2, 2);
        """
    )
    with pytest.raises(CatalogError, match="candidatas: clinica, ficha"):
        await back_up(any_database.clinics(), 1)
    backups = await back_up_all(any_database.clinics(table="clinica"))
    # nota.clinica_id is a ficha's number, whatever its name says.
    assert (backups[1].ids("nota"), backups[2].ids("nota")) == ([2], [1])


async def test_clinics_are_known_by_whole_numbers(any_database: Database) -> None:
    await any_database.sql.execute(
        """
        CREATE TABLE clinica (id uuid PRIMARY KEY, nombre text);
        CREATE TABLE persona (id int PRIMARY KEY, clinica_id uuid REFERENCES clinica);
        """
    )
    with pytest.raises(CatalogError, match="«id» de la tabla de clínicas «clinica» no es un número entero"):
        await any_database.clinics().clinics()


async def test_a_tenant_column_that_is_not_a_number_needs_a_rule(any_database: Database) -> None:
    await any_database.sql.execute(
        TWO_CLINICS
        + """
        CREATE TABLE vieja (id int PRIMARY KEY, clinica_id text);
        INSERT INTO vieja VALUES (1, '1'), (2, '2');
        """
    )
    with pytest.raises(CatalogError, match="la columna «clinica_id» de «vieja» es de tipo text"):
        await back_up(any_database.clinics(), 1)
    backups = await back_up_all(any_database.clinics(rules={"vieja": "t.clinica_id::int"}))
    assert (backups[1].ids("vieja"), backups[2].ids("vieja")) == ([1], [2])


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        (("usuario", "usuarios"), "las tablas «usuario» y «usuarios» tendrían el mismo nombre.*«usuarios»"),
        (('"otro.x"', "otro.x"), "«otro.x» y «otro.x» tendrían el mismo nombre"),
        (('nota (id int, "$jsonnull" int,',), r"la tabla «nota» tiene una columna «\$jsonnull»"),
    ],
)
async def test_what_the_file_cannot_hold_is_refused(
    database: Database, tables: tuple[str, ...], message: str
) -> None:
    await database.sql.execute(TWO_CLINICS + "CREATE SCHEMA otro")
    for table in tables:
        head = table if "(" in table else f"{table} (id int,"
        await database.sql.execute(f"CREATE TABLE {head} clinica_id int REFERENCES clinica)")
    with pytest.raises(CatalogError, match=message):
        await back_up(database.clinics(), 1)


async def test_the_services_own_schema_and_extensions_are_no_clinics_tables(any_database: Database) -> None:
    await any_database.sql.execute(
        TWO_CLINICS
        + """
        CREATE SCHEMA respaldos; CREATE TABLE respaldos.respaldo (id int PRIMARY KEY, clinica_id int);
        CREATE SCHEMA respaldos_ensayo_1;
        CREATE TABLE respaldos_ensayo_1.persona (id int, clinica_id int REFERENCES clinica);
        CREATE EXTENSION vector;
        SET search_path = public;
        CREATE TABLE de_extension (id int, clinica_id int REFERENCES clinica);
        ALTER EXTENSION vector ADD TABLE de_extension;
        CREATE TABLE alembic_version (version_num text); INSERT INTO alembic_version VALUES ('b2'), ('a1');
        CREATE TABLE django_migrations (id int, app text, name text);
        INSERT INTO django_migrations VALUES (1, 'x', '0001'), (3, 'x', '0002'), (2, 'y', '0001');
        """
    )
    backup = await back_up(any_database.clinics(), 1)
    assert set(backup.verified.header.models) == {"clinica", "persona"}
    assert backup.verified.header.migrations == {
        "alembic_version": ["a1", "b2"],
        "django_migrations": ["x.0002", "y.0001"],
    }


async def test_clinics_say_their_name_and_whether_they_are_active(any_database: Database) -> None:
    await any_database.sql.execute(
        TWO_CLINICS + "ALTER TABLE clinica ADD activa bool; UPDATE clinica SET activa = id = 1"
    )
    clinics = await any_database.clinics().clinics()
    assert [(clinic.id, clinic.name, clinic.active) for clinic in clinics] == [(1, "Uno", True), (2, "Dos", False)]
    with pytest.raises(ClinicNotFound, match="no existe la clínica 3"):
        await any_database.clinics().clinic(3)
    with pytest.raises(ClinicNotFound, match="no existe la clínica 3"):
        await back_up(any_database.clinics(), 3)


async def test_a_table_added_after_the_catalogue_was_read_is_in_the_next_backup(any_database: Database) -> None:
    await any_database.sql.execute(TWO_CLINICS)
    clinics = any_database.clinics()
    async with clinics.snapshot(1) as before, clinics.snapshot(2) as again:
        assert before.catalogue is again.catalogue
    await any_database.sql.execute(
        "CREATE TABLE nueva (id int, clinica_id int REFERENCES clinica); INSERT INTO nueva VALUES (1, 1)"
    )
    assert (await back_up(clinics, 1)).records("nueva") == [{"id": 1, "clinica_id": 1}]


async def test_data_with_the_name_of_an_access_table_is_told_until_somebody_says_what_it_is(
    database: Database,
) -> None:
    await database.sql.execute(
        TWO_CLINICS + "CREATE TABLE auth_hours (id int PRIMARY KEY, persona_id int NOT NULL REFERENCES persona);"
        " CREATE TABLE portero (id int PRIMARY KEY, persona_id int NOT NULL REFERENCES persona);"
        " INSERT INTO auth_hours VALUES (1, 11); INSERT INTO portero VALUES (1, 11)"
    )
    for access, told, models in (
        ((), True, {"portero"}),
        (("auth_hours",), False, {"portero"}),
        (("-auth_hours",), False, {"portero", "auth_hours"}),
        (("-public.auth_hours", "portero"), False, {"auth_hours"}),
    ):
        async with database.clinics(access=access).snapshot(1) as snapshot:
            said = unclassified(snapshot.catalogue)
        assert [aviso.startswith("auth_hours: por su nombre") for aviso in said] == ([True] if told else [])
        assert set((await back_up(database.clinics(access=access), 1)).lines) == {"clinica", "persona"} | models


LINK = {"cuenta": {"email": "persona.correo"}}


async def test_a_link_is_followed_whatever_the_case_and_several_clinics_make_a_row_nobodys(
    any_database: Database,
) -> None:
    await any_database.sql.execute(
        TWO_CLINICS
        + LOGINS
        + """
        UPDATE cuenta SET email = upper(email) WHERE id = 1;
        -- A person of both clinics; a person twice in one; an empty e-mail; a person of nobody.
        ALTER TABLE persona ALTER clinica_id DROP NOT NULL;
        INSERT INTO persona VALUES (13, 1, 'dos@x.example'), (23, 2, 'DOS@x.example'), (14, 1, 'una@x.example'),
            (15, 1, 'Una@x.example'), (16, 1, ''), (31, NULL, 'nadie@x.example'), (32, 1, 'nadie@x.example');
        INSERT INTO cuenta VALUES (4, 'dos@x.example'), (5, 'una@x.example'), (6, ''), (7, NULL),
            (8, 'nadie@x.example');
        """
    )
    backups = await back_up_all(any_database.clinics(rules=LINK))
    assert (backups[1].ids("cuenta"), backups[2].ids("cuenta")) == ([1, 5], [2])
    assert (backups[1].ids("cuenta_log"), backups[2].ids("cuenta_log")) == ([1, 4], [2])
    unowned = {str(count.table): count.rows for count in backups[1].unowned}
    assert unowned == {"cuenta": 5, "cuenta_log": 1, "persona": 1}
    assert backups[1].verified.header.models["cuenta"].owner == ("cuenta.email = persona.correo → persona.clinica_id")


async def test_a_rule_that_finds_several_clinics_makes_the_row_nobodys(any_database: Database) -> None:
    await any_database.sql.execute(
        TWO_CLINICS + LOGINS + "UPDATE persona SET correo = '11@x.example' WHERE id IN (12, 21);"
    )
    backups = await back_up_all(any_database.clinics(rules=RULE))
    assert (backups[1].ids("cuenta"), backups[2].ids("cuenta")) == ([], [])
    await any_database.sql.execute("UPDATE persona SET correo = NULL WHERE id = 21")
    backups = await back_up_all(any_database.clinics(rules=RULE))
    assert (backups[1].ids("cuenta"), backups[2].ids("cuenta")) == ([1], [])


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("12 / (t.id - 3)", "division by zero"),
        ("(t.email || 'x')::int", "invalid input syntax for type integer"),
        ("1 + (SELECT clinica_id FROM persona WHERE t.id > 0)", "more than one row returned by a subquery"),
    ],
)
async def test_a_rule_that_fails_with_one_row_takes_no_backup_down(database: Database, rule: str, says: str) -> None:
    await database.sql.execute(TWO_CLINICS + LOGINS)
    clinics = database.clinics(rules={"cuenta": rule})
    for clinica_id, people in ((1, [11, 12]), (2, [21])):
        backup = await back_up(clinics, clinica_id)
        assert (backup.ids("persona"), set(backup.lines)) == (people, {"clinica", "persona"})
    said = unclassified((await clinics.census()).catalogue)
    assert said[0].startswith(f"OWNERSHIP_RULES: la regla de «cuenta» falla con un registro: {says}")
    assert said[1].startswith("cuenta_log: su dueño lo dice «cuenta», de cuyos registros no se sabe")
    # Once the row is mended, so is the backup.
    await database.sql.execute("DELETE FROM cuenta_log; DELETE FROM cuenta")
    assert "cuenta" in (await back_up(clinics, 1)).lines


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"rules": {"otra": "t.clinica_id"}}, "cuyo dueño dice otra regla"),
        ({"rules": {"otra": "shared"}}, "que es de todas las clínicas"),
        ({"rules": {"otra": "no_hay"}}, "de cuyos registros no se sabe de quién son"),
        ({"rules": {"otra": {"correo": "persona.correo"}}}, "cuyo dueño dice otra regla"),
        ({"exclude": ("otra",)}, "que está excluida"),
    ],
)
async def test_a_link_to_a_table_that_does_not_say_its_clinic_itself(
    database: Database, settings: dict[str, Any], why: str
) -> None:
    await database.sql.execute(
        TWO_CLINICS
        + LOGINS
        + "CREATE TABLE otra (id int, clinica_id int, correo text); INSERT INTO otra VALUES (1, 1)"
    )
    link = {"cuenta": {"email": "otra.correo"}}
    clinics = database.clinics(**{**settings, "rules": {**link, **settings.get("rules", {})}})
    assert (await back_up(clinics, 1)).ids("persona") == [11, 12]
    said = unclassified((await clinics.census()).catalogue)
    assert any(aviso.startswith(f"OWNERSHIP_RULES: el enlace de «cuenta» lleva a «otra», {why}") for aviso in said), (
        said
    )


async def test_where_each_clinic_has_a_schema_a_link_leads_to_no_table_of_it(database: Database) -> None:
    await database.sql.execute(
        "CREATE TABLE clinica (id int PRIMARY KEY, schema_name text); CREATE SCHEMA a;"
        "INSERT INTO clinica VALUES (1, 'a'); CREATE TABLE cuenta (id int PRIMARY KEY, email text);"
        "CREATE TABLE a.persona (id int PRIMARY KEY, correo text, clinica_id int REFERENCES public.clinica)"
    )
    clinics = database.clinics(kind="schema", rules={"cuenta": {"email": "a.persona.correo"}})
    async with clinics.snapshot(1) as snapshot:
        (said,) = unclassified(snapshot.catalogue)
    assert said.startswith("OWNERSHIP_RULES: el enlace de «cuenta» lleva a «a.persona», que no dice en una columna")


async def test_while_a_rule_is_broken_no_row_goes_to_whoever_comes_next(database: Database) -> None:
    await database.sql.execute(
        TWO_CLINICS
        + """
        CREATE TABLE evento (id int PRIMARY KEY, de int);
        CREATE TABLE detalle (id int PRIMARY KEY, evento_id int NOT NULL REFERENCES evento,
            visto_por int REFERENCES persona);
        CREATE TABLE nota (id int PRIMARY KEY, clinica_id int REFERENCES clinica, evento_id int REFERENCES evento,
            visto_por int REFERENCES persona);
        CREATE TABLE hoja (id int PRIMARY KEY, nota_id int NOT NULL REFERENCES nota,
            persona_id int REFERENCES persona);
        CREATE TABLE antes (id int PRIMARY KEY, persona_id int NOT NULL REFERENCES persona, evento_id int
            REFERENCES evento);
        INSERT INTO evento VALUES (1, 1); INSERT INTO detalle VALUES (1, 1, 21);
        INSERT INTO nota VALUES (1, NULL, 1, 21), (2, 2, 1, 11); INSERT INTO hoja VALUES (1, 1, 21), (2, 2, NULL);
        INSERT INTO antes VALUES (1, 21, 1);
        """
    )
    models = ("detalle", "nota", "hoja", "antes")
    whole = await back_up_all(database.clinics(rules={"evento": "t.de"}))
    assert [whole[1].ids(model) for model in models] == [[1], [1], [1], []]
    for rule in ("no_hay", "1 / (t.de - 1)"):
        clinics = database.clinics(rules={"evento": rule})
        one, two = [await back_up(clinics, clinica_id) for clinica_id in (1, 2)]
        assert "detalle" not in {**one.lines, **two.lines}
        assert [two.ids(model) for model in models[1:]] == [[2], [2], [1]]
        assert [one.ids(model) for model in models[1:]] == [[], [], []]
        said = unclassified((await clinics.census()).catalogue)
        assert said[1].startswith("detalle: su dueño lo dice «evento», de cuyos registros no se sabe de quién son")


async def test_a_key_to_the_table_of_clinics_is_a_tenant_column_whatever_it_is_called(any_database: Database) -> None:
    await any_database.sql.execute(
        TWO_CLINICS
        + """
        CREATE TABLE dominio (id int PRIMARY KEY, tenant_id int NOT NULL REFERENCES clinica, nombre text);
        CREATE TABLE visita (id int PRIMARY KEY, dominio_id int NOT NULL REFERENCES dominio);
        CREATE TABLE derivacion (id int PRIMARY KEY, a_clinica int REFERENCES clinica, de int REFERENCES clinica);
        INSERT INTO dominio VALUES (1, 1, 'uno.example'), (2, 2, 'dos.example');
        INSERT INTO visita VALUES (1, 1), (2, 2); INSERT INTO derivacion VALUES (1, 1, 2), (2, NULL, 2), (3, 2, NULL);
        """
    )
    backups = await back_up_all(any_database.clinics())
    assert [backups[1].ids(model) for model in ("dominio", "visita", "derivacion")] == [[1], [1], [1]]
    assert [backups[2].ids(model) for model in ("dominio", "visita", "derivacion")] == [[2], [2], [2, 3]]
    assert backups[1].verified.header.models["visita"].owner == "visita → dominio.tenant_id"
