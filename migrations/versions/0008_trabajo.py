"""One table of leased jobs: what the rows of backups and of restores each had of it, and `operacion`, go into it.

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

JOBS = "('respaldo', 'restauracion', 'simulacion', 'verificacion', 'comparacion')"
STATES = "('pendiente', 'procesando', 'completado', 'fallido', 'cancelado')"
UNDER_WAY = "estado IN ('pendiente', 'procesando')"
HOLDING = "exclusiva AND estado = 'procesando'"
BACKING_UP = f"clase = 'respaldo' AND exclusiva AND {UNDER_WAY}"
RESTORING = f"tipo = 'restauracion' AND destino IS NULL AND {UNDER_WAY}"

# To a unique index every NULL is another; what PostgreSQL 15 has against that, 13 has not.
ONE = sa.text("(clinica_id IS NULL)")

# A safety backup is made under its restore's operation.
BACKUPS_UP = """
INSERT INTO respaldos.trabajo (clase, clinica_id, respaldo_id, estado, prioridad, exclusiva, reintentable, intento,
    interrupciones, lease_until, progreso, cancelacion, error, error_type, usuario, fecha_creacion, fecha_fin)
SELECT 'respaldo', r.clinica_id, r.id, r.estado, CASE r.tipo_respaldo WHEN 'automatico' THEN 30 ELSE 20 END,
    NOT (r.estado = 'procesando' AND EXISTS (
        SELECT FROM respaldos.operacion o WHERE o.clinica_id IS NOT DISTINCT FROM r.clinica_id
            AND o.restauracion_id IS NOT NULL)),
    r.tipo_respaldo <> 'manual', r.intento, r.interrupciones, r.lease_until,
    CASE WHEN r.fecha_eliminacion IS NULL THEN r.progreso END, r.cancelacion, r.metadata ->> 'error',
    r.metadata ->> 'error_type', r.usuario, r.fecha_creacion,
    CASE WHEN r.estado NOT IN ('pendiente', 'procesando') THEN coalesce(
        (SELECT max(i.fin) FROM respaldos.intento i WHERE i.respaldo_id = r.id), r.fecha_creacion) END
FROM respaldos.respaldo r ORDER BY r.id
"""
# Its restore is gone where its process dies.
SAFETY_BACKUPS_UP = "UPDATE respaldos.trabajo SET reintentable = false WHERE NOT exclusiva"
READINGS_UP = """
INSERT INTO respaldos.trabajo (clase, clinica_id, respaldo_id, restauracion_id, estado, prioridad, exclusiva,
    reintentable, intento, interrupciones, lease_until, progreso, error, error_type, usuario, direccion,
    fecha_creacion, fecha_fin)
SELECT CASE WHEN tipo = 'restauracion' AND simulada THEN 'simulacion' ELSE tipo END, clinica_id, respaldo_id, id,
    estado, CASE WHEN tipo = 'restauracion' AND NOT simulada THEN 10 WHEN profundidad = 'ensayo' AND usuario IS NULL
        THEN 50 ELSE 40 END,
    tipo = 'restauracion' AND destino IS NULL, tipo <> 'restauracion', intento, interrupciones, lease_until, progreso,
    error, error_type, usuario, direccion, fecha_creacion, fecha_fin
FROM respaldos.restauracion ORDER BY id
"""

# A clinic had but one backup under way: a safety backup beside another one ends.
SAFETY_BACKUPS_DOWN = """
WITH ended AS (
    UPDATE respaldos.trabajo t SET estado = 'fallido', lease_until = NULL, progreso = NULL
    WHERE clase = 'respaldo' AND NOT exclusiva AND estado IN ('pendiente', 'procesando') AND EXISTS (
        SELECT FROM respaldos.trabajo o WHERE o.clinica_id IS NOT DISTINCT FROM t.clinica_id
            AND o.clase = 'respaldo' AND o.exclusiva AND o.estado IN ('pendiente', 'procesando'))
    RETURNING respaldo_id), attempts AS (
    UPDATE respaldos.intento SET fin = now() WHERE fin IS NULL AND respaldo_id IN (SELECT respaldo_id FROM ended))
UPDATE respaldos.respaldo SET estado = 'fallido', metadata = metadata || '{"error":
    "el respaldo se interrumpió antes de terminar", "error_type": "interrumpido", "avisos": []}'
WHERE id IN (SELECT respaldo_id FROM ended)
"""
BACKUPS_DOWN = """
UPDATE respaldos.respaldo r SET intento = t.intento, interrupciones = t.interrupciones, lease_until = t.lease_until,
    progreso = CASE WHEN r.purga_iniciada IS NOT NULL AND r.purgado IS NULL THEN '{"etapa": "purgando"}'::jsonb
        ELSE t.progreso END, cancelacion = t.cancelacion
FROM respaldos.trabajo t WHERE t.respaldo_id = r.id AND t.clase = 'respaldo'
"""
# What was found in the bucket has no job; its one attempt has the number that its file says.
REINDEXED_DOWN = """
UPDATE respaldos.respaldo r SET intento = coalesce(
        (SELECT max(i.numero) FROM respaldos.intento i WHERE i.respaldo_id = r.id), 0),
    progreso = CASE WHEN r.purga_iniciada IS NOT NULL AND r.purgado IS NULL THEN '{"etapa": "purgando"}'::jsonb END
WHERE NOT EXISTS (SELECT FROM respaldos.trabajo t WHERE t.respaldo_id = r.id AND t.clase = 'respaldo')
"""
# A clinic had but one restore or preview of its own database under way: others end, previews first.
RESTORES_DOWN = """
UPDATE respaldos.trabajo SET estado = 'fallido', lease_until = NULL, progreso = NULL, fecha_fin = now(),
    error = 'la restauración se interrumpió y no cambió nada', error_type = 'restauracion_interrumpida'
WHERE id IN (SELECT id FROM (
    SELECT id, row_number() OVER (PARTITION BY clinica_id
        ORDER BY clase = 'restauracion' DESC, estado = 'procesando' DESC, id) AS place
    FROM respaldos.trabajo
    WHERE clase IN ('restauracion', 'simulacion') AND exclusiva AND estado IN ('pendiente', 'procesando')) AS mine
    WHERE place > 1)
"""
READINGS_DOWN = """
UPDATE respaldos.restauracion r SET estado = t.estado, progreso = t.progreso, error = t.error,
    error_type = t.error_type, usuario = t.usuario, direccion = t.direccion, fecha_creacion = t.fecha_creacion,
    fecha_fin = t.fecha_fin, intento = t.intento, interrupciones = t.interrupciones, lease_until = t.lease_until
FROM respaldos.trabajo t WHERE t.restauracion_id = r.id
"""
OPERATIONS_DOWN = """
INSERT INTO respaldos.operacion (clinica_id, tipo, respaldo_id, restauracion_id)
SELECT clinica_id, CASE clase WHEN 'respaldo' THEN 'respaldo' ELSE 'restauracion' END, respaldo_id, restauracion_id
FROM respaldos.trabajo WHERE exclusiva AND estado = 'procesando'
"""


def upgrade() -> None:
    op.create_table(
        "trabajo",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("clase", sa.Text(), nullable=False),
        sa.Column("clinica_id", sa.BigInteger(), nullable=True),
        sa.Column("respaldo_id", sa.BigInteger(), nullable=False),
        sa.Column("restauracion_id", sa.BigInteger(), nullable=True),
        sa.Column("estado", sa.Text(), server_default="pendiente", nullable=False),
        sa.Column("prioridad", sa.Integer(), nullable=False),
        sa.Column("exclusiva", sa.Boolean(), nullable=False),
        sa.Column("reintentable", sa.Boolean(), nullable=False),
        sa.Column("intento", sa.Integer(), server_default="0", nullable=False),
        sa.Column("interrupciones", sa.Integer(), server_default="0", nullable=False),
        sa.Column("proximo", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("progreso", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("cancelacion", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("error_type", sa.Text(), nullable=True),
        sa.Column("usuario", sa.Text(), nullable=True),
        sa.Column("direccion", sa.Text(), nullable=True),
        sa.Column("fecha_creacion", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("fecha_fin", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(f"clase IN {JOBS}", name=op.f("ck_trabajo_clase")),
        sa.CheckConstraint(f"estado IN {STATES}", name=op.f("ck_trabajo_estado")),
        sa.ForeignKeyConstraint(
            ["respaldo_id"],
            ["respaldos.respaldo.id"],
            name=op.f("fk_trabajo_respaldo_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["restauracion_id"],
            ["respaldos.restauracion.id"],
            name=op.f("fk_trabajo_restauracion_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trabajo")),
        sa.UniqueConstraint("restauracion_id", name=op.f("uq_trabajo_restauracion_id")),
        schema="respaldos",
    )
    op.execute(BACKUPS_UP)
    op.execute(SAFETY_BACKUPS_UP)
    op.execute(READINGS_UP)
    for column in ("clinica_id", "respaldo_id"):
        op.create_index(op.f(f"ix_trabajo_{column}"), "trabajo", [column], schema="respaldos")
    op.create_index(
        op.f("ix_trabajo_estado_prioridad_id"), "trabajo", ["estado", "prioridad", "id"], schema="respaldos"
    )
    op.create_index(
        "uq_trabajo_exclusivo",
        "trabajo",
        ["clinica_id"],
        unique=True,
        schema="respaldos",
        postgresql_where=sa.text(HOLDING),
    )
    op.create_index(
        "uq_trabajo_plataforma_exclusivo",
        "trabajo",
        [ONE],
        unique=True,
        schema="respaldos",
        postgresql_where=sa.text(f"clinica_id IS NULL AND {HOLDING}"),
    )
    op.drop_index("uq_respaldo_plataforma_en_curso", table_name="respaldo", schema="respaldos")
    op.drop_index("uq_respaldo_en_curso", table_name="respaldo", schema="respaldos")
    op.create_index(
        "uq_trabajo_respaldo",
        "trabajo",
        ["clinica_id"],
        unique=True,
        schema="respaldos",
        postgresql_where=sa.text(BACKING_UP),
    )
    op.create_index(
        "uq_trabajo_plataforma_respaldo",
        "trabajo",
        [ONE],
        unique=True,
        schema="respaldos",
        postgresql_where=sa.text(f"clinica_id IS NULL AND {BACKING_UP}"),
    )
    op.add_column(
        "respaldo", sa.Column("purga_iniciada", sa.DateTime(timezone=True), nullable=True), schema="respaldos"
    )
    op.execute(
        "UPDATE respaldos.respaldo SET purga_iniciada = coalesce(purgado, fecha_actualizacion)"
        " WHERE purgado IS NOT NULL OR (fecha_eliminacion IS NOT NULL AND progreso IS NOT NULL)"
    )
    op.drop_table("operacion", schema="respaldos")
    for column in ("intento", "interrupciones", "lease_until", "progreso", "cancelacion"):
        op.drop_column("respaldo", column, schema="respaldos")
    # The indexes that a column is in go with it.
    for column in (
        *("estado", "progreso", "error", "error_type", "usuario", "direccion", "fecha_creacion", "fecha_fin"),
        *("intento", "interrupciones", "lease_until"),
    ):
        op.drop_column("restauracion", column, schema="respaldos")
    op.create_index(op.f("ix_restauracion_clinica_id_id"), "restauracion", ["clinica_id", "id"], schema="respaldos")


def downgrade() -> None:
    _restore_columns()
    op.create_table(
        "operacion",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("clinica_id", sa.BigInteger(), nullable=True),
        sa.Column("tipo", sa.Text(), nullable=False),
        sa.Column("respaldo_id", sa.BigInteger(), nullable=False),
        sa.Column("inicio", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("restauracion_id", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("tipo IN ('respaldo', 'restauracion')", name=op.f("ck_operacion_tipo")),
        sa.ForeignKeyConstraint(
            ["respaldo_id"],
            ["respaldos.respaldo.id"],
            name=op.f("fk_operacion_respaldo_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["restauracion_id"],
            ["respaldos.restauracion.id"],
            name=op.f("fk_operacion_restauracion_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_operacion")),
        sa.UniqueConstraint("clinica_id", name=op.f("uq_operacion_clinica_id")),
        schema="respaldos",
    )
    for column in ("respaldo_id", "restauracion_id"):
        op.create_index(op.f(f"ix_operacion_{column}"), "operacion", [column], schema="respaldos")
    op.create_index(
        "uq_operacion_plataforma",
        "operacion",
        [ONE],
        unique=True,
        schema="respaldos",
        postgresql_where=sa.text("clinica_id IS NULL"),
    )
    for statement in (
        *(SAFETY_BACKUPS_DOWN, BACKUPS_DOWN, REINDEXED_DOWN),
        *(RESTORES_DOWN, READINGS_DOWN, OPERATIONS_DOWN),
    ):
        op.execute(statement)
    op.drop_column("respaldo", "purga_iniciada", schema="respaldos")
    op.create_index(
        "uq_respaldo_en_curso",
        "respaldo",
        ["clinica_id"],
        unique=True,
        schema="respaldos",
        postgresql_where=sa.text(UNDER_WAY),
    )
    op.create_index(
        "uq_respaldo_plataforma_en_curso",
        "respaldo",
        [ONE],
        unique=True,
        schema="respaldos",
        postgresql_where=sa.text(f"clinica_id IS NULL AND {UNDER_WAY}"),
    )
    op.drop_index(op.f("ix_restauracion_clinica_id_id"), table_name="restauracion", schema="respaldos")
    op.create_index(
        op.f("ix_restauracion_clinica_id_fecha_creacion"),
        "restauracion",
        ["clinica_id", "fecha_creacion"],
        schema="respaldos",
    )
    op.create_index(
        "ix_restauracion_en_curso",
        "restauracion",
        ["id"],
        schema="respaldos",
        postgresql_where=sa.text(UNDER_WAY),
    )
    op.create_index(
        "uq_restauracion_en_curso",
        "restauracion",
        ["clinica_id"],
        unique=True,
        schema="respaldos",
        postgresql_where=sa.text(RESTORING),
    )
    op.create_index(
        "uq_restauracion_plataforma_en_curso",
        "restauracion",
        [ONE],
        unique=True,
        schema="respaldos",
        postgresql_where=sa.text(f"clinica_id IS NULL AND {RESTORING}"),
    )
    op.drop_table("trabajo", schema="respaldos")


def _restore_columns() -> None:
    for table in ("respaldo", "restauracion"):
        for column in (
            sa.Column("intento", sa.Integer(), server_default="0", nullable=False),
            sa.Column("interrupciones", sa.Integer(), server_default="0", nullable=False),
            sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
            sa.Column("progreso", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        ):
            op.add_column(table, column, schema="respaldos")
    op.add_column("respaldo", sa.Column("cancelacion", sa.DateTime(timezone=True), nullable=True), schema="respaldos")
    for name in ("error", "error_type", "usuario", "direccion"):
        op.add_column("restauracion", sa.Column(name, sa.Text(), nullable=True), schema="respaldos")
    op.add_column(
        "restauracion", sa.Column("estado", sa.Text(), server_default="pendiente", nullable=False), schema="respaldos"
    )
    op.add_column(
        "restauracion",
        sa.Column("fecha_creacion", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        schema="respaldos",
    )
    op.add_column(
        "restauracion", sa.Column("fecha_fin", sa.DateTime(timezone=True), nullable=True), schema="respaldos"
    )
    op.create_check_constraint(
        op.f("ck_restauracion_estado"), "restauracion", f"estado IN {STATES}", schema="respaldos"
    )
