"""Tokens that were ended before their time, and keys for programs.

Revision ID: 0016
Revises: 0015
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

ACTIONS = (
    "'creacion', 'cancelacion', 'enlace_descarga', 'descarga', 'verificacion', 'restauracion', 'comparacion',"
    " 'exportacion', 'eliminacion', 'recuperacion', 'aceptacion', 'reindexacion', 'ingreso', 'ingreso_rechazado',"
    " 'emision_token', 'acceso_rechazado', 'programacion', 'retencion', 'liberacion'"
)


def upgrade() -> None:
    op.create_table(
        "token_terminado",
        sa.Column("clave", sa.Text(), nullable=False),
        sa.Column("momento", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("vence", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("clave", name=op.f("pk_token_terminado")),
        schema="respaldos",
    )
    op.create_index(op.f("ix_token_terminado_vence"), "token_terminado", ["vence"], schema="respaldos")
    op.create_table(
        "clave_api",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("clinica_id", sa.BigInteger(), nullable=False),
        sa.Column("nombre", sa.Text(), nullable=False),
        sa.Column("alcances", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("publica", sa.Text(), nullable=False),
        sa.Column("huella", sa.CHAR(64), nullable=False),
        sa.Column("creada_por", sa.Text()),
        sa.Column("fecha_creacion", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("vence", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revocada", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clave_api")),
        sa.UniqueConstraint("publica", name=op.f("uq_clave_api_publica")),
        schema="respaldos",
    )
    op.create_index(op.f("ix_clave_api_clinica_id_id"), "clave_api", ["clinica_id", "id"], schema="respaldos")
    _allow(f"{ACTIONS}, 'salida', 'cierre_sesiones', 'creacion_clave', 'revocacion_clave'")


def downgrade() -> None:
    # The trail refuses to be changed, and what it says stays said: only new lines are checked.
    _allow(ACTIONS, not_valid=True)
    op.drop_table("clave_api", schema="respaldos")
    op.drop_table("token_terminado", schema="respaldos")


def _allow(actions: str, *, not_valid: bool = False) -> None:
    op.drop_constraint(op.f("ck_evento_accion"), "evento", schema="respaldos", type_="check")
    op.create_check_constraint(
        op.f("ck_evento_accion"),
        "evento",
        f"accion IN ({actions})",
        schema="respaldos",
        postgresql_not_valid=not_valid,
    )
