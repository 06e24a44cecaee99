"""Attempts that were interrupted, counted apart from those that failed.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("respaldo", "restauracion"):
        op.add_column(
            table,
            sa.Column("interrupciones", sa.Integer(), server_default="0", nullable=False),
            schema="respaldos",
        )


def downgrade() -> None:
    for table in ("respaldo", "restauracion"):
        op.drop_column(table, "interrupciones", schema="respaldos")
