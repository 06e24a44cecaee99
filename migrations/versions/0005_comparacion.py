"""Comparisons of two backups, asked for through the queue.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

KINDS = ("verificacion", "restauracion")
ACTIONS = (
    *("creacion", "cancelacion", "enlace_descarga", "descarga", "verificacion", "restauracion"),
    *("eliminacion", "recuperacion", "aceptacion", "reindexacion", "ingreso", "ingreso_rechazado"),
    *("emision_token", "acceso_rechazado"),
)


def _one_of(table: str, column: str, values: tuple[str, ...], *, not_valid: bool = False) -> None:
    name = f"ck_{table}_{column}"
    op.drop_constraint(op.f(name), table, schema="respaldos", type_="check")
    op.create_check_constraint(
        op.f(name),
        table,
        f"{column} IN ({', '.join(map(repr, values))})",
        schema="respaldos",
        postgresql_not_valid=not_valid,
    )


def upgrade() -> None:
    _one_of("restauracion", "tipo", (*KINDS, "comparacion"))
    _one_of("evento", "accion", (*ACTIONS, "comparacion"))
    op.add_column("restauracion", sa.Column("comparado_con", sa.BigInteger(), nullable=True), schema="respaldos")
    op.create_foreign_key(
        op.f("fk_restauracion_comparado_con"),
        "restauracion",
        "respaldo",
        ["comparado_con"],
        ["id"],
        source_schema="respaldos",
        referent_schema="respaldos",
        ondelete="CASCADE",
    )
    op.create_index(
        op.f("ix_restauracion_comparado_con"), "restauracion", ["comparado_con"], unique=False, schema="respaldos"
    )


def downgrade() -> None:
    op.execute("DELETE FROM respaldos.restauracion WHERE tipo = 'comparacion'")
    op.drop_index(op.f("ix_restauracion_comparado_con"), table_name="restauracion", schema="respaldos")
    op.drop_constraint(op.f("fk_restauracion_comparado_con"), "restauracion", schema="respaldos", type_="foreignkey")
    op.drop_column("restauracion", "comparado_con", schema="respaldos")
    # Nothing can take its lines out of the trail.
    _one_of("evento", "accion", ACTIONS, not_valid=True)
    _one_of("restauracion", "tipo", KINDS)
