"""Which shared rows go into `referencias`: those that the clinic's rows point to, and so on upward."""

from tests.clinic.conftest import Database
from tests.support.clinic_backup import back_up, back_up_all
from tests.support.two_clinics import TWO_CLINICS

CATALOGUES = """
CREATE TABLE pais (id int PRIMARY KEY, nombre text);
CREATE TABLE ciudad (id int PRIMARY KEY, pais_id int REFERENCES pais);
CREATE TABLE barrio (id int PRIMARY KEY, ciudad_id int NOT NULL REFERENCES ciudad);
ALTER TABLE persona ADD barrio_id int REFERENCES barrio, ADD nacida_en int REFERENCES pais;
INSERT INTO pais VALUES (1, 'Bolivia'), (2, 'Perú'), (3, 'Chile'), (4, 'Nadie');
INSERT INTO ciudad VALUES (1, 1), (2, 2), (3, NULL), (4, 4);
INSERT INTO barrio VALUES (1, 1), (2, 2), (3, 3), (4, 4);
"""


async def test_references_go_upward_over_every_level(any_database: Database) -> None:
    await any_database.sql.execute(
        TWO_CLINICS
        + CATALOGUES
        + """
        UPDATE persona SET barrio_id = 1, nacida_en = 3 WHERE id = 11;
        UPDATE persona SET barrio_id = 2, nacida_en = 2 WHERE id = 21;
        """
    )
    backups = await back_up_all(any_database.clinics())
    assert [backups[1].referenced(model) for model in ("pais", "ciudad", "barrio")] == [[1, 3], [1], [1]]
    assert [backups[2].referenced(model) for model in ("pais", "ciudad", "barrio")] == [[2], [2], [2]]
    assert backups[1].verified.records == 3
    assert list(backups[1].verified.reference_totals) == ["pais", "ciudad", "barrio"]
    assert backups[1].verified.header.models["pais"].owner is None


async def test_a_tree_of_shared_categories(any_database: Database) -> None:
    await any_database.sql.execute(
        TWO_CLINICS
        + """
        CREATE TABLE categoria (id int PRIMARY KEY, padre int REFERENCES categoria);
        CREATE TABLE producto (id int PRIMARY KEY, clinica_id int NOT NULL REFERENCES clinica,
            categoria_id int REFERENCES categoria);
        INSERT INTO categoria VALUES (1, NULL), (2, 1), (3, 2), (4, 2), (5, NULL), (6, 6), (7, 5);
        INSERT INTO producto VALUES (1, 1, 3), (2, 1, 6), (3, 2, 7), (4, 2, NULL);
        """
    )
    backups = await back_up_all(any_database.clinics())
    assert (backups[1].referenced("categoria"), backups[2].referenced("categoria")) == ([1, 2, 3, 6], [5, 7])


async def test_shared_tables_that_point_to_each_other(any_database: Database) -> None:
    await any_database.sql.execute(
        TWO_CLINICS
        + """
        CREATE TABLE region (id int PRIMARY KEY, capital int);
        CREATE TABLE ciudad (id int PRIMARY KEY, region_id int REFERENCES region);
        ALTER TABLE region ADD FOREIGN KEY (capital) REFERENCES ciudad;
        ALTER TABLE persona ADD ciudad_id int REFERENCES ciudad;
        INSERT INTO region VALUES (1, NULL), (2, NULL);
        INSERT INTO ciudad VALUES (1, 1), (2, 1), (3, 2), (4, NULL);
        UPDATE region SET capital = 2 WHERE id = 1;
        UPDATE persona SET ciudad_id = 1 WHERE id = 11; UPDATE persona SET ciudad_id = 3 WHERE id = 21;
        """
    )
    backups = await back_up_all(any_database.clinics())
    assert (backups[1].referenced("region"), backups[1].referenced("ciudad")) == ([1], [1, 2])
    assert (backups[2].referenced("region"), backups[2].referenced("ciudad")) == ([2], [3])


async def test_rows_that_no_clinic_owns_are_references_where_pointed_to(any_database: Database) -> None:
    await any_database.sql.execute(
        TWO_CLINICS
        + CATALOGUES
        + """
        -- Price lists: the platform's (nobody's), each based on another; and the clinics' own.
        CREATE TABLE lista (id int PRIMARY KEY, clinica_id int REFERENCES clinica, base int REFERENCES lista,
            pais_id int REFERENCES pais);
        CREATE TABLE precio (id int PRIMARY KEY, persona_id int NOT NULL REFERENCES persona,
            lista_id int REFERENCES lista);
        INSERT INTO lista VALUES (1, NULL, NULL, 1), (2, NULL, 1, 2), (3, NULL, NULL, 3), (4, 1, 2, NULL),
            (5, 2, NULL, NULL);
        INSERT INTO precio VALUES (1, 11, 4), (2, 21, 3), (3, 21, 5), (4, 12, 5);
        """
    )
    backups = await back_up_all(any_database.clinics())
    assert (backups[1].ids("lista"), backups[2].ids("lista")) == ([4], [5])
    # Of 5, clinic 2's, which a row of clinic 1 points to, nothing but a count.
    assert (backups[1].referenced("lista"), backups[2].referenced("lista")) == ([1, 2], [3])
    assert (backups[1].referenced("pais"), backups[2].referenced("pais")) == ([1, 2], [3])
    assert [(str(s.table), s.rows) for s in backups[1].cross_tenant] == [("precio", 1)]
    assert [count.rows for count in backups[1].unowned] == [3]


async def test_a_shared_table_that_nothing_points_to_points_to_another(any_database: Database) -> None:
    await any_database.sql.execute(
        TWO_CLINICS
        + """
        CREATE TABLE tipo (id int PRIMARY KEY);
        CREATE TABLE permiso (id int PRIMARY KEY, tipo_id int NOT NULL REFERENCES tipo);
        CREATE TABLE bitacora (id int PRIMARY KEY, clinica_id int REFERENCES clinica, tipo_id int REFERENCES tipo);
        INSERT INTO tipo VALUES (1), (2), (3); INSERT INTO permiso VALUES (1, 1);
        INSERT INTO bitacora VALUES (1, 1, 2), (2, NULL, 3);
        """
    )
    clinics = any_database.clinics(rules={"permiso": "shared", "tipo": "shared"})
    backups = await back_up_all(clinics)
    # Only what the clinic's own entry points to: not what nobody's entry does, nor the permission.
    assert (backups[1].referenced("tipo"), backups[2].referenced("tipo")) == ([2], [])
    assert "permiso" not in backups[1].document["referencias"]


async def test_a_reference_by_a_unique_key_and_one_by_the_primary_key_of_one_table(any_database: Database) -> None:
    await any_database.sql.execute(
        TWO_CLINICS
        + """
        CREATE TABLE moneda (id int PRIMARY KEY, codigo char(3) UNIQUE, nombre text);
        CREATE TABLE cobro (id int PRIMARY KEY, persona_id int NOT NULL REFERENCES persona,
            moneda_id int REFERENCES moneda, cambio char(3) REFERENCES moneda (codigo));
        INSERT INTO moneda VALUES (1, 'BOB'), (2, 'USD'), (3, 'EUR');
        INSERT INTO cobro VALUES (1, 11, 1, 'EUR'), (2, 11, 1, NULL), (3, 21, NULL, 'USD');
        """
    )
    backups = await back_up_all(any_database.clinics())
    assert (backups[1].referenced("moneda"), backups[2].referenced("moneda")) == ([1, 3], [2])


async def test_a_shared_table_with_a_creator_is_owned_by_whoever_made_it_unless_a_rule_says_shared(
    any_database: Database,
) -> None:
    await any_database.sql.execute(
        TWO_CLINICS
        + """
        CREATE TABLE servicio (id int PRIMARY KEY, creado_por int REFERENCES persona);
        CREATE TABLE item (id int PRIMARY KEY, persona_id int NOT NULL REFERENCES persona,
            servicio_id int NOT NULL REFERENCES servicio);
        INSERT INTO servicio VALUES (1, 11), (2, NULL); INSERT INTO item VALUES (1, 11, 1), (2, 21, 1), (3, 21, 2);
        """
    )
    # The catalogue says that other clinics use it.
    census = await any_database.clinics().census()
    assert [str(stray) for stray in census.cross_tenant] == [
        "item: registros cuyo servicio_id apunta a servicio de otra clínica: 1"
        " (si servicio es de todas, dígalo en OWNERSHIP_RULES)"
    ]
    backup = await back_up(any_database.clinics(rules={"servicio": "shared"}), 2)
    assert backup.referenced("servicio") == [1, 2]
    # Upward from a shared row: its creator is clinic 1's, and stays there.
    assert "persona" not in backup.document["referencias"]
    assert backup.ids("persona") == [21]


async def test_what_the_first_way_to_an_owner_leads_to_is_a_reference_where_it_is_nobodys(
    any_database: Database,
) -> None:
    await any_database.sql.execute(
        TWO_CLINICS
        + """
        CREATE TABLE campana (id int PRIMARY KEY, clinica_id int REFERENCES clinica);
        CREATE TABLE envio (id int PRIMARY KEY, campana_id int REFERENCES campana, persona_id int REFERENCES persona);
        INSERT INTO campana VALUES (1, NULL), (2, 1);
        INSERT INTO envio VALUES (1, 1, 11), (2, 2, 21), (3, 1, NULL);
        """
    )
    backups = await back_up_all(any_database.clinics())
    assert (backups[1].ids("envio"), backups[1].referenced("campana")) == ([1, 2], [1])
    assert backups[2].ids("envio") == []
    assert "campana" not in backups[2].document["referencias"]
