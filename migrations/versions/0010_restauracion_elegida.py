"""Restores of any set of records, in three modes, with their reason; and why some cannot be made.

A process of the version before would take a restore of what is missing for one of everything. It reads a column that
is gone, and so takes none.

Revision ID: 0010
Revises: 0009
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# The version before would make something else of a restore that it cannot say. One that runs may have been committed
# by now: it is ended by whoever asks the clinics' database.
END_UNKNOWN = """
UPDATE respaldos.trabajo AS t
SET estado = 'fallido', fecha_fin = now(), lease_until = NULL, error_type = 'restauracion_interrumpida',
    error = 'la versión anterior del servicio no sabe restaurar así'
FROM respaldos.restauracion AS r
WHERE r.id = t.restauracion_id AND t.estado = 'pendiente'
  AND (r.modo <> 'todo' OR jsonb_array_length(r.registros) > 1)
"""


def upgrade() -> None:
    op.add_column("restauracion", sa.Column("registros", postgresql.JSONB(astext_type=sa.Text())), schema="respaldos")
    op.execute("UPDATE respaldos.restauracion SET registros = jsonb_build_array(registro) WHERE registro IS NOT NULL")
    op.drop_column("restauracion", "registro", schema="respaldos")
    op.add_column(
        "restauracion", sa.Column("modo", sa.Text(), server_default="todo", nullable=False), schema="respaldos"
    )
    op.create_check_constraint(
        op.f("ck_restauracion_modo"),
        "restauracion",
        "modo IN ('faltantes', 'cambiados', 'todo')",
        schema="respaldos",
    )
    op.add_column("restauracion", sa.Column("motivo", sa.Text()), schema="respaldos")
    op.add_column("restauracion", sa.Column("conflictos", postgresql.JSON(astext_type=sa.Text())), schema="respaldos")


def downgrade() -> None:
    op.execute(END_UNKNOWN)
    op.drop_column("restauracion", "conflictos", schema="respaldos")
    op.drop_column("restauracion", "motivo", schema="respaldos")
    op.drop_constraint(op.f("ck_restauracion_modo"), "restauracion", schema="respaldos", type_="check")
    op.drop_column("restauracion", "modo", schema="respaldos")
    op.add_column("restauracion", sa.Column("registro", sa.Text()), schema="respaldos")
    op.execute("UPDATE respaldos.restauracion SET registro = registros ->> 0")
    op.drop_column("restauracion", "registros", schema="respaldos")
