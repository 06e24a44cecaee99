"""Indexes by which what is asked of all clinics reads no more rows than it answers; and who does what is done once.

They are made in the one transaction of all migrations, and not CONCURRENTLY, which is for no transaction: what is
interrupted leaves nothing behind. Until they are there, what would write to these tables waits.
Whoever has so many rows that this takes too long makes them beforehand, CONCURRENTLY and by the same names: what is
there is left as it is, unless it is invalid, as a CREATE INDEX CONCURRENTLY that was interrupted leaves it.

Revision ID: 0009
Revises: 0008
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

LIVE = "fecha_eliminacion IS NULL"
GOOD = (
    f"estado = 'completado' AND {LIVE} AND verificado_error IS NULL AND (sospechoso IS FALSE OR aceptado IS NOT NULL)"
)

# Name, table, columns, and which rows are in it.
ADDED = (
    ("ix_respaldo_vivo", "respaldo", ["fecha_respaldo"], LIVE),
    ("ix_respaldo_estado_tipo_respaldo", "respaldo", ["estado", "tipo_respaldo"], LIVE),
    ("ix_respaldo_bueno", "respaldo", ["clinica_id", "fecha_respaldo", "id"], GOOD),
    ("ix_respaldo_fallido", "respaldo", ["clinica_id", "fecha_respaldo"], f"estado = 'fallido' AND {LIVE}"),
    ("ix_respaldo_verificado", "respaldo", ["clinica_id", "verificado"], f"verificado IS NOT NULL AND {LIVE}"),
    ("ix_respaldo_sin_purgar", "respaldo", ["fecha_eliminacion"], "purgado IS NULL"),
    ("ix_intento_limpiado", "intento", ["limpiado"], "NOT vencido"),
    ("ix_intento_vencido", "intento", ["respaldo_id"], "vencido"),
    ("ix_trabajo_respaldo_terminado", "trabajo", ["fecha_fin"], "clase = 'respaldo'"),
    ("ix_programacion_dia", "programacion", ["dia"], None),
    ("ix_aviso_terminado", "aviso", ["terminado"], None),
)

# What those do better.
REPLACED = (
    ("ix_respaldo_fecha_respaldo", "respaldo", ["fecha_respaldo"], None),
    ("ix_respaldo_estado", "respaldo", ["estado"], None),
    ("ix_respaldo_por_purgar", "respaldo", ["fecha_eliminacion"], "purgado IS NULL"),
)


def upgrade() -> None:
    _drop_invalid(ADDED)
    _create(ADDED)
    op.create_table(
        "tarea",
        sa.Column("nombre", sa.Text(), nullable=False),
        sa.Column("inicio", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("nombre", name=op.f("pk_tarea")),
        schema="respaldos",
    )
    # Last: from then on nobody reads either.
    _drop(REPLACED)


def downgrade() -> None:
    op.drop_table("tarea", schema="respaldos")
    _create(REPLACED)
    _drop(ADDED)


def _drop_invalid(indexes: tuple[Any, ...]) -> None:
    found = op.get_bind().execute(
        sa.text(
            "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
            " WHERE c.relnamespace = 'respaldos'::regnamespace AND NOT i.indisvalid AND c.relname = ANY (:names)"
        ),
        {"names": [name for name, *_ in indexes]},
    )
    for name in found.scalars().all():
        op.drop_index(name, schema="respaldos")


def _create(indexes: tuple[Any, ...]) -> None:
    for name, table, columns, where in indexes:
        op.create_index(
            name,
            table,
            columns,
            schema="respaldos",
            if_not_exists=True,
            postgresql_include=["tamaño_bytes"] if name == "ix_respaldo_sin_purgar" else [],
            postgresql_where=sa.text(where) if where is not None else None,
        )


def _drop(indexes: tuple[Any, ...]) -> None:
    for name, table, _, _ in indexes:
        op.drop_index(name, table_name=table, schema="respaldos")
