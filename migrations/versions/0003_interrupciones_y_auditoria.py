"""Attempts that were interrupted, counted apart from those that failed; more that the audit trail records.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


ACTIONS = (
    *("creacion", "cancelacion", "enlace_descarga", "verificacion", "restauracion", "eliminacion"),
    *("recuperacion", "aceptacion", "reindexacion", "ingreso", "ingreso_rechazado", "acceso_rechazado"),
)
NEW_ACTIONS = ("descarga", "emision_token")


def _allow(actions: tuple[str, ...], *, not_valid: bool) -> None:
    op.drop_constraint(op.f("ck_evento_accion"), "evento", schema="respaldos", type_="check")
    op.create_check_constraint(
        op.f("ck_evento_accion"),
        "evento",
        f"accion IN ({', '.join(repr(action) for action in actions)})",
        schema="respaldos",
        postgresql_not_valid=not_valid,
    )


def upgrade() -> None:
    _allow((*ACTIONS, *NEW_ACTIONS), not_valid=False)
    for table in ("respaldo", "restauracion"):
        op.add_column(
            table,
            sa.Column("interrupciones", sa.Integer(), server_default="0", nullable=False),
            schema="respaldos",
        )


def downgrade() -> None:
    # Nothing can take its lines out of the trail.
    _allow(ACTIONS, not_valid=True)
    for table in ("respaldo", "restauracion"):
        op.drop_column(table, "interrupciones", schema="respaldos")
