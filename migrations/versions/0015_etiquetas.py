"""What the records that a restore names are called, as the backup has them.

Revision ID: 0015
Revises: 0014
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "restauracion",
        sa.Column("etiquetas", JSONB(), server_default=sa.text("'{}'"), nullable=False),
        schema="respaldos",
    )


def downgrade() -> None:
    op.drop_column("restauracion", "etiquetas", schema="respaldos")
