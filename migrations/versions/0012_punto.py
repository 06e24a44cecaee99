"""Points of the day: backups that may have another one's object, and how often a clinic has one.

A process of the version before knows of no shared object: it would remove one that another backup has. So it is to be
stopped before the first point is made, and a downgrade leaves it none.

Revision ID: 0012
Revises: 0011
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

KINDS = "'manual', 'automatico', 'por_demanda'"
ACTIONS = (
    "'creacion', 'cancelacion', 'enlace_descarga', 'descarga', 'verificacion', 'restauracion', 'comparacion',"
    " 'eliminacion', 'recuperacion', 'aceptacion', 'reindexacion', 'ingreso', 'ingreso_rechazado', 'emision_token',"
    " 'acceso_rechazado', 'exportacion'"
)

GOOD = (
    "estado = 'completado' AND fecha_eliminacion IS NULL AND verificado_error IS NULL"
    " AND (sospechoso IS FALSE OR aceptado IS NOT NULL)"
)

# That an object is shared cannot be said any more. It is another row's, which is taken back where it is deleted: what
# was in the points is in it.
TAKE_BASES_BACK = """
UPDATE respaldos.respaldo AS base SET fecha_eliminacion = NULL
WHERE base.fecha_eliminacion IS NOT NULL AND EXISTS (
    SELECT FROM respaldos.respaldo p WHERE p.respaldo_base_id = base.id AND p.fecha_eliminacion IS NULL)
"""


def upgrade() -> None:
    op.add_column("respaldo", sa.Column("huella", sa.CHAR(64)), schema="respaldos")
    op.add_column("respaldo", sa.Column("respaldo_base_id", sa.BigInteger()), schema="respaldos")
    op.add_column("respaldo", sa.Column("sin_cambios_desde", sa.DateTime(timezone=True)), schema="respaldos")
    op.create_foreign_key(
        op.f("fk_respaldo_respaldo_base_id"),
        *("respaldo", "respaldo", ["respaldo_base_id"], ["id"]),
        source_schema="respaldos",
        referent_schema="respaldos",
    )
    op.create_index(
        op.f("ix_respaldo_respaldo_base_id"),
        "respaldo",
        ["respaldo_base_id"],
        schema="respaldos",
        postgresql_where=sa.text("respaldo_base_id IS NOT NULL"),
    )
    op.drop_constraint(op.f("uq_respaldo_archivo_s3"), "respaldo", schema="respaldos", type_="unique")
    op.create_index(
        "uq_respaldo_archivo_s3",
        "respaldo",
        ["archivo_s3"],
        unique=True,
        schema="respaldos",
        postgresql_where=sa.text("respaldo_base_id IS NULL"),
    )
    _index_unpurged(["tamaño_bytes", "respaldo_base_id"])
    op.create_index(
        "ix_respaldo_punto",
        "respaldo",
        ["clinica_id", "fecha_respaldo", "id"],
        schema="respaldos",
        postgresql_where=sa.text(f"tipo_respaldo = 'punto' AND {GOOD}"),
    )
    _allow("respaldo", "tipo_respaldo", f"{KINDS}, 'punto'")
    _allow("evento", "accion", f"{ACTIONS}, 'programacion'")
    op.create_table(
        "punto",
        sa.Column("clinica_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("minutos", sa.Integer()),
        sa.Column("horario", sa.Text()),
        sa.Column("ultimo", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("clinica_id", name=op.f("pk_punto")),
        schema="respaldos",
    )


def downgrade() -> None:
    op.drop_table("punto", schema="respaldos")
    op.execute(TAKE_BASES_BACK)
    op.execute("DELETE FROM respaldos.respaldo WHERE respaldo_base_id IS NOT NULL")
    op.execute("UPDATE respaldos.respaldo SET tipo_respaldo = 'automatico' WHERE tipo_respaldo = 'punto'")
    _allow("respaldo", "tipo_respaldo", KINDS)
    # The trail refuses to be changed, and what it says stays said: only new lines are checked.
    op.drop_constraint(op.f("ck_evento_accion"), "evento", schema="respaldos", type_="check")
    op.create_check_constraint(
        op.f("ck_evento_accion"), "evento", f"accion IN ({ACTIONS})", schema="respaldos", postgresql_not_valid=True
    )
    op.drop_index("ix_respaldo_punto", table_name="respaldo", schema="respaldos")
    _index_unpurged(["tamaño_bytes"])
    op.drop_index("uq_respaldo_archivo_s3", table_name="respaldo", schema="respaldos")
    op.create_unique_constraint(op.f("uq_respaldo_archivo_s3"), "respaldo", ["archivo_s3"], schema="respaldos")
    op.drop_column("respaldo", "sin_cambios_desde", schema="respaldos")
    op.drop_column("respaldo", "respaldo_base_id", schema="respaldos")
    op.drop_column("respaldo", "huella", schema="respaldos")


def _index_unpurged(included: list[str]) -> None:
    op.drop_index("ix_respaldo_sin_purgar", table_name="respaldo", schema="respaldos")
    op.create_index(
        "ix_respaldo_sin_purgar",
        "respaldo",
        ["fecha_eliminacion"],
        schema="respaldos",
        postgresql_include=included,
        postgresql_where=sa.text("purgado IS NULL"),
    )


def _allow(table: str, column: str, values: str) -> None:
    op.drop_constraint(op.f(f"ck_{table}_{column}"), table, schema="respaldos", type_="check")
    op.create_check_constraint(op.f(f"ck_{table}_{column}"), table, f"{column} IN ({values})", schema="respaldos")
