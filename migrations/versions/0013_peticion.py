"""Requests that carry a key, and what came of them, so that one that is sent again is not done again.

And a day of the audit trail is found without going through all days since.

Revision ID: 0013
Revises: 0012
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "peticion",
        sa.Column("quien", sa.Text(), nullable=False),
        sa.Column("clave", sa.Text(), nullable=False),
        sa.Column("huella", sa.Text(), nullable=False),
        sa.Column("respaldo_id", sa.BigInteger()),
        sa.Column("restauracion_id", sa.BigInteger()),
        sa.Column("fecha", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("quien", "clave", name=op.f("pk_peticion")),
        schema="respaldos",
    )
    op.create_index(op.f("ix_peticion_fecha"), "peticion", ["fecha"], schema="respaldos")
    op.create_index(op.f("ix_evento_fecha"), "evento", ["fecha"], schema="respaldos")


def downgrade() -> None:
    op.drop_index(op.f("ix_evento_fecha"), table_name="evento", schema="respaldos")
    op.drop_table("peticion", schema="respaldos")
