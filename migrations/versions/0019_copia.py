"""Second copies of backups in buckets of other stores.

Revision ID: 0019
Revises: 0018
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

JOBS = ("respaldo", "restauracion", "simulacion", "verificacion", "comparacion", "exportacion")
NOTICES = (
    *("fallo", "recuperacion", "exito", "sospechoso", "atrasado", "verificacion_fallida", "restauracion"),
    *("restauracion_fallida", "eliminacion"),
)

UNCOPIED = """jsonb_path_exists(copias, '$.* ? (@.estado == "pendiente" || @.estado == "fallida")')"""
COPIED = """jsonb_path_exists(copias, '$.* ? (@.estado == "completa" || @.estado == "borrando")')"""


def upgrade() -> None:
    op.add_column(
        "respaldo",
        sa.Column("copias", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        schema="respaldos",
    )
    op.add_column("respaldo", sa.Column("solo_en_copia", sa.DateTime(timezone=True)), schema="respaldos")
    op.add_column("trabajo", sa.Column("destino", sa.Text()), schema="respaldos")
    op.add_column("restauracion", sa.Column("copia", sa.Text()), schema="respaldos")
    for name, column, predicate in (
        ("ix_respaldo_sin_copia", "fecha_respaldo", f"fecha_eliminacion IS NULL AND {UNCOPIED}"),
        ("ix_respaldo_copia_por_borrar", "fecha_eliminacion", f"fecha_eliminacion IS NOT NULL AND {COPIED}"),
    ):
        op.create_index(name, "respaldo", [column], schema="respaldos", postgresql_where=sa.text(predicate))
    op.create_index(
        "ix_trabajo_copia_terminada",
        "trabajo",
        ["fecha_fin"],
        schema="respaldos",
        postgresql_where=sa.text("clase = 'copia'"),
    )
    op.create_index(
        "uq_trabajo_copia",
        "trabajo",
        ["respaldo_id", "destino"],
        unique=True,
        schema="respaldos",
        postgresql_where=sa.text("clase = 'copia' AND estado IN ('pendiente', 'procesando')"),
    )
    _may_be("trabajo", "clase", (*JOBS, "copia"))
    _may_be("aviso", "tipo", (*NOTICES, "copia_fallida"))


def downgrade() -> None:
    op.execute("DELETE FROM respaldos.aviso WHERE tipo = 'copia_fallida'")
    op.execute("DELETE FROM respaldos.trabajo WHERE clase = 'copia'")
    _may_be("aviso", "tipo", NOTICES)
    _may_be("trabajo", "clase", JOBS)
    for name in ("uq_trabajo_copia", "ix_trabajo_copia_terminada"):
        op.drop_index(name, table_name="trabajo", schema="respaldos")
    for name in ("ix_respaldo_copia_por_borrar", "ix_respaldo_sin_copia"):
        op.drop_index(name, table_name="respaldo", schema="respaldos")
    op.drop_column("restauracion", "copia", schema="respaldos")
    op.drop_column("trabajo", "destino", schema="respaldos")
    op.drop_column("respaldo", "solo_en_copia", schema="respaldos")
    op.drop_column("respaldo", "copias", schema="respaldos")


def _may_be(table: str, column: str, values: tuple[str, ...]) -> None:
    name = f"ck_{table}_{column}"
    op.drop_constraint(op.f(name), table, schema="respaldos", type_="check")
    op.create_check_constraint(op.f(name), table, f"{column} IN ({', '.join(map(repr, values))})", schema="respaldos")
