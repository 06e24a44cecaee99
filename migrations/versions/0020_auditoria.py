"""Each line of the audit trail carries the hash of the one before, and no session may change one.

The lines that are there get their place. A process of the version before goes on writing lines, which the triggers
chain as well.

Revision ID: 0020
Revises: 0019
"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

ACTIONS = (
    *("creacion", "cancelacion", "enlace_descarga", "descarga", "verificacion", "restauracion", "comparacion"),
    *("exportacion", "eliminacion", "recuperacion", "aceptacion", "reindexacion", "ingreso", "ingreso_rechazado"),
    *("emision_token", "acceso_rechazado", "programacion", "retencion", "liberacion", "salida", "cierre_sesiones"),
    *("destruccion_clave", "rotacion_claves", "creacion_clave", "revocacion_clave", "politica"),
)

# What a line says, as one text. app.respaldos.audit has it again, to compute the hashes without these functions.
CONTENT = """
jsonb_build_array({line}.id, to_char({line}.fecha AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'),
    {line}.clinica_id, {line}.accion, {line}.respaldo_id, {line}.usuario, {line}.direccion, {line}.detalle)::text
"""

HASH = "encode(sha256(convert_to({line}.anterior || " + CONTENT.strip() + ", 'UTF8')), 'hex')"

# Of the statement: who has to wait has drawn nothing yet, so that lines come in the order of their numbers.
WAIT = """
CREATE FUNCTION respaldos.evento_espera() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('respaldos.evento'));
    RETURN NULL;
END $$
"""

# Whatever number and hashes somebody would give it. Numbers have no gap, and begin where they are.
CHAIN = f"""
CREATE FUNCTION respaldos.evento_encadena() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    last respaldos.evento;
BEGIN
    SELECT * INTO last FROM respaldos.evento ORDER BY id DESC LIMIT 1;
    NEW.id := coalesce(last.id, 0) + 1;
    NEW.anterior := coalesce(last.huella, repeat('0', 64));
    NEW.huella := {HASH.format(line="NEW")};
    RETURN NEW;
END $$
"""  # noqa: S608 (all of it stands in this file)

CHAIN_ALL = f"""
DO $$
DECLARE
    line respaldos.evento;
    hash text := repeat('0', 64);
BEGIN
    FOR line IN SELECT * FROM respaldos.evento ORDER BY id LOOP
        line.anterior := hash;
        hash := {HASH.format(line="line")};
        UPDATE respaldos.evento SET anterior = line.anterior, huella = hash WHERE id = line.id;
    END LOOP;
END $$
"""  # noqa: S608 (all of it stands in this file)


def upgrade() -> None:
    op.add_column("evento", sa.Column("anterior", sa.CHAR(64)), schema="respaldos")
    op.add_column("evento", sa.Column("huella", sa.CHAR(64)), schema="respaldos")
    op.execute("ALTER TABLE respaldos.evento DISABLE TRIGGER evento_no_cambia")
    op.execute(CHAIN_ALL)
    op.alter_column("evento", "anterior", nullable=False, schema="respaldos")
    op.alter_column("evento", "huella", nullable=False, schema="respaldos")
    op.execute(WAIT)
    op.execute(CHAIN)
    op.execute(
        "CREATE TRIGGER evento_espera BEFORE INSERT ON respaldos.evento"
        " FOR EACH STATEMENT EXECUTE FUNCTION respaldos.evento_espera()"
    )
    op.execute(
        "CREATE TRIGGER evento_encadena BEFORE INSERT ON respaldos.evento"
        " FOR EACH ROW EXECUTE FUNCTION respaldos.evento_encadena()"
    )
    _may_be((*ACTIONS, "purga"))
    # Also for a session that has set session_replication_role.
    for trigger in ("evento_no_cambia", "evento_espera", "evento_encadena"):
        op.execute(f"ALTER TABLE respaldos.evento ENABLE ALWAYS TRIGGER {trigger}")


def downgrade() -> None:
    # Lines of the trail stay, also of what the older service does not know.
    _may_be(ACTIONS, not_valid=True)
    op.execute("DROP TRIGGER evento_encadena ON respaldos.evento")
    op.execute("DROP TRIGGER evento_espera ON respaldos.evento")
    op.execute("DROP FUNCTION respaldos.evento_encadena()")
    op.execute("DROP FUNCTION respaldos.evento_espera()")
    op.execute("ALTER TABLE respaldos.evento ENABLE TRIGGER evento_no_cambia")
    op.drop_column("evento", "huella", schema="respaldos")
    op.drop_column("evento", "anterior", schema="respaldos")
    # From now on the sequence gives the numbers again.
    op.execute(
        "SELECT setval(pg_get_serial_sequence('respaldos.evento', 'id'), max(id)) FROM respaldos.evento"
        " HAVING max(id) > 0"
    )


def _may_be(values: tuple[str, ...], *, not_valid: bool = False) -> None:
    op.drop_constraint(op.f("ck_evento_accion"), "evento", schema="respaldos", type_="check")
    op.create_check_constraint(
        op.f("ck_evento_accion"),
        "evento",
        f"accion IN ({', '.join(map(repr, values))})",
        schema="respaldos",
        postgresql_not_valid=not_valid,
    )
