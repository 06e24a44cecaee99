"""Backups that a person has held, and notices of deletions.

Revision ID: 0014
Revises: 0013
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

ACTIONS = (
    *("creacion", "cancelacion", "enlace_descarga", "descarga", "verificacion", "restauracion", "comparacion"),
    *("exportacion", "eliminacion", "recuperacion", "aceptacion", "reindexacion", "ingreso", "ingreso_rechazado"),
    *("emision_token", "acceso_rechazado", "programacion"),
)
HELD = ("retencion", "liberacion")
NOTICES = (
    *("fallo", "recuperacion", "exito", "sospechoso", "atrasado", "verificacion_fallida", "restauracion"),
    "restauracion_fallida",
)
DELETED = ("eliminacion",)


def upgrade() -> None:
    for name, kind in (
        ("retenido", sa.DateTime(timezone=True)),
        ("retenido_hasta", sa.DateTime(timezone=True)),
        ("retenido_motivo", sa.Text()),
        ("retenido_por", sa.Text()),
    ):
        op.add_column("respaldo", sa.Column(name, kind), schema="respaldos")
    _may_be("evento", "accion", (*ACTIONS, *HELD))
    _may_be("aviso", "tipo", (*NOTICES, *DELETED))


def downgrade() -> None:
    op.execute("DELETE FROM respaldos.aviso WHERE tipo = 'eliminacion'")
    _may_be("aviso", "tipo", NOTICES)
    # Lines of the trail stay, also of what the older service does not know.
    _may_be("evento", "accion", ACTIONS, not_valid=True)
    for name in ("retenido_por", "retenido_motivo", "retenido_hasta", "retenido"):
        op.drop_column("respaldo", name, schema="respaldos")


def _may_be(table: str, column: str, values: tuple[str, ...], *, not_valid: bool = False) -> None:
    name = f"ck_{table}_{column}"
    op.drop_constraint(op.f(name), table, schema="respaldos", type_="check")
    op.create_check_constraint(
        op.f(name),
        table,
        f"{column} IN ({', '.join(map(repr, values))})",
        schema="respaldos",
        postgresql_not_valid=not_valid,
    )
