"""Backups of what no clinic owns: rows whose `clinica_id` is NULL.

Going back deletes what is the platform's here; its files stay in the bucket.

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

UNDER_WAY = "estado IN ('pendiente', 'procesando')"

# To a unique index every NULL is another; what PostgreSQL 15 has against that, 13 has not.
ONE = sa.text("(clinica_id IS NULL)")


def upgrade() -> None:
    for table in ("respaldo", "restauracion", "aviso"):
        op.alter_column(table, "clinica_id", existing_type=sa.BigInteger(), nullable=True, schema="respaldos")
    for table in ("operacion", "programacion"):
        op.drop_constraint(op.f(f"pk_{table}"), table, schema="respaldos", type_="primary")
        op.add_column(
            table, sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False), schema="respaldos"
        )
        op.create_primary_key(op.f(f"pk_{table}"), table, ["id"], schema="respaldos")
        op.alter_column(table, "clinica_id", existing_type=sa.BigInteger(), nullable=True, schema="respaldos")
    op.create_unique_constraint(op.f("uq_operacion_clinica_id"), "operacion", ["clinica_id"], schema="respaldos")
    op.create_index(
        "uq_operacion_plataforma",
        "operacion",
        [ONE],
        unique=True,
        schema="respaldos",
        postgresql_where=sa.text("clinica_id IS NULL"),
    )
    op.create_index(
        "uq_programacion_clinica_id", "programacion", ["clinica_id", "dia"], unique=True, schema="respaldos"
    )
    op.create_index(
        "uq_programacion_plataforma",
        "programacion",
        ["dia"],
        unique=True,
        schema="respaldos",
        postgresql_where=sa.text("clinica_id IS NULL"),
    )
    op.create_index(
        "uq_respaldo_plataforma_en_curso",
        "respaldo",
        [ONE],
        unique=True,
        schema="respaldos",
        postgresql_where=sa.text(f"clinica_id IS NULL AND {UNDER_WAY}"),
    )
    op.create_index(
        "uq_restauracion_plataforma_en_curso",
        "restauracion",
        [ONE],
        unique=True,
        schema="respaldos",
        postgresql_where=sa.text(f"clinica_id IS NULL AND tipo = 'restauracion' AND destino IS NULL AND {UNDER_WAY}"),
    )
    op.add_column(
        "restauracion",
        sa.Column("actualizar", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        schema="respaldos",
    )


def downgrade() -> None:
    for table in ("aviso", "programacion", "operacion", "restauracion", "respaldo"):
        rows = sa.table(table, sa.column("clinica_id"), schema="respaldos")
        op.execute(rows.delete().where(rows.c.clinica_id.is_(None)))
    op.drop_column("restauracion", "actualizar", schema="respaldos")
    op.drop_index("uq_restauracion_plataforma_en_curso", table_name="restauracion", schema="respaldos")
    op.drop_index("uq_respaldo_plataforma_en_curso", table_name="respaldo", schema="respaldos")
    op.drop_index("uq_programacion_plataforma", table_name="programacion", schema="respaldos")
    op.drop_index("uq_programacion_clinica_id", table_name="programacion", schema="respaldos")
    op.drop_index("uq_operacion_plataforma", table_name="operacion", schema="respaldos")
    op.drop_constraint(op.f("uq_operacion_clinica_id"), "operacion", schema="respaldos", type_="unique")
    for table, key in (("operacion", ["clinica_id"]), ("programacion", ["clinica_id", "dia"])):
        op.drop_constraint(op.f(f"pk_{table}"), table, schema="respaldos", type_="primary")
        op.drop_column(table, "id", schema="respaldos")
        op.create_primary_key(op.f(f"pk_{table}"), table, key, schema="respaldos")
    for table in ("aviso", "restauracion", "respaldo"):
        op.alter_column(table, "clinica_id", existing_type=sa.BigInteger(), nullable=False, schema="respaldos")
