"""Restores that also restore logins and privileges, or the clinic's row in the table of clinics.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

COLUMNS = ("con_accesos", "con_clinica")


def upgrade() -> None:
    for name in COLUMNS:
        op.add_column(
            "restauracion",
            sa.Column(name, sa.Boolean(), server_default=sa.false(), nullable=False),
            schema="respaldos",
        )


def downgrade() -> None:
    for name in COLUMNS:
        op.drop_column("restauracion", name, schema="respaldos")
