"""What restoring adds: its request, its transaction, what is said of it; the trial of a backup.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

NOTICES = ("fallo", "recuperacion", "exito", "sospechoso", "atrasado", "verificacion_fallida")
MORE_NOTICES = (*NOTICES, "restauracion", "restauracion_fallida")


def _one_of(table: str, column: str, values: tuple[str, ...]) -> None:
    name = f"ck_{table}_{column}"
    op.drop_constraint(op.f(name), table, schema="respaldos", type_="check")
    op.create_check_constraint(op.f(name), table, f"{column} IN ({', '.join(map(repr, values))})", schema="respaldos")


def upgrade() -> None:
    _one_of("restauracion", "tipo", ("verificacion", "restauracion"))
    _one_of("restauracion", "profundidad", ("rapida", "completa", "ensayo"))
    _one_of("aviso", "tipo", MORE_NOTICES)
    for column in (
        sa.Column("registro", sa.Text(), nullable=True),
        sa.Column("destino", sa.Text(), nullable=True),
        sa.Column("sin_respaldo_previo", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("transaccion", sa.Text(), nullable=True),
        sa.Column(
            "avisos",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'"),
            nullable=False,
        ),
    ):
        op.add_column("restauracion", column, schema="respaldos")
    op.alter_column(
        "restauracion",
        "resultado",
        type_=postgresql.JSON(none_as_null=True, astext_type=sa.Text()),
        postgresql_using="resultado::json",
        schema="respaldos",
    )
    op.create_index(
        "uq_restauracion_en_curso",
        "restauracion",
        ["clinica_id"],
        unique=True,
        schema="respaldos",
        postgresql_where=sa.text(
            "tipo = 'restauracion' AND destino IS NULL AND estado IN ('pendiente', 'procesando')"
        ),
    )
    op.add_column("operacion", sa.Column("restauracion_id", sa.BigInteger(), nullable=True), schema="respaldos")
    op.create_foreign_key(
        op.f("fk_operacion_restauracion_id"),
        "operacion",
        "restauracion",
        ["restauracion_id"],
        ["id"],
        source_schema="respaldos",
        referent_schema="respaldos",
        ondelete="CASCADE",
    )
    op.create_index(
        op.f("ix_operacion_restauracion_id"), "operacion", ["restauracion_id"], unique=False, schema="respaldos"
    )


def downgrade() -> None:
    op.drop_index(op.f("ix_operacion_restauracion_id"), table_name="operacion", schema="respaldos")
    op.drop_constraint(op.f("fk_operacion_restauracion_id"), "operacion", schema="respaldos", type_="foreignkey")
    op.drop_column("operacion", "restauracion_id", schema="respaldos")
    op.drop_index(
        "uq_restauracion_en_curso",
        table_name="restauracion",
        schema="respaldos",
        postgresql_where=sa.text(
            "tipo = 'restauracion' AND destino IS NULL AND estado IN ('pendiente', 'procesando')"
        ),
    )
    op.alter_column(
        "restauracion",
        "resultado",
        type_=postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
        postgresql_using="resultado::jsonb",
        schema="respaldos",
    )
    for column in ("avisos", "transaccion", "sin_respaldo_previo", "destino", "registro"):
        op.drop_column("restauracion", column, schema="respaldos")
    # What only this revision knows.
    op.execute("DELETE FROM respaldos.aviso WHERE tipo IN ('restauracion', 'restauracion_fallida')")
    op.execute("DELETE FROM respaldos.restauracion WHERE tipo = 'restauracion' OR profundidad = 'ensayo'")
    _one_of("aviso", "tipo", NOTICES)
    _one_of("restauracion", "profundidad", ("rapida", "completa"))
    _one_of("restauracion", "tipo", ("verificacion",))
