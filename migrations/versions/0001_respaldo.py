"""Backups, their attempts, and what is under way for a clinic.

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "respaldo",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("clinica_id", sa.BigInteger(), nullable=False),
        sa.Column("archivo_s3", sa.Text(), nullable=True),
        sa.Column("fecha_respaldo", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("tamaño_bytes", sa.BigInteger(), nullable=True),
        sa.Column("hash_md5", sa.CHAR(length=32), nullable=True),
        sa.Column("numero_registros", sa.BigInteger(), nullable=True),
        sa.Column("tiempo_ejecucion", sa.Interval(), nullable=True),
        sa.Column("estado", sa.Text(), server_default="pendiente", nullable=False),
        sa.Column("tipo_respaldo", sa.Text(), nullable=False),
        sa.Column("descripcion", sa.Text(), server_default="", nullable=False),
        sa.Column(
            "metadata", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False
        ),
        sa.Column("usuario", sa.Text(), nullable=True),
        sa.Column("fecha_creacion", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("fecha_actualizacion", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("fecha_eliminacion", sa.DateTime(timezone=True), nullable=True),
        sa.Column("intento", sa.Integer(), server_default="0", nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sospechoso", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.CheckConstraint(
            "estado IN ('pendiente', 'procesando', 'completado', 'fallido', 'cancelado')",
            name=op.f("ck_respaldo_estado"),
        ),
        sa.CheckConstraint(
            "tipo_respaldo IN ('manual', 'automatico', 'por_demanda')", name=op.f("ck_respaldo_tipo_respaldo")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_respaldo")),
        sa.UniqueConstraint("archivo_s3", name=op.f("uq_respaldo_archivo_s3")),
        schema="respaldos",
    )
    op.create_index(
        op.f("ix_respaldo_clinica_id_fecha_respaldo"),
        "respaldo",
        ["clinica_id", "fecha_respaldo"],
        unique=False,
        schema="respaldos",
    )
    op.create_index(op.f("ix_respaldo_estado"), "respaldo", ["estado"], unique=False, schema="respaldos")
    op.create_index(
        op.f("ix_respaldo_fecha_respaldo"), "respaldo", ["fecha_respaldo"], unique=False, schema="respaldos"
    )
    op.create_index(
        "uq_respaldo_en_curso",
        "respaldo",
        ["clinica_id"],
        unique=True,
        schema="respaldos",
        postgresql_where=sa.text("estado IN ('pendiente', 'procesando')"),
    )
    op.create_table(
        "intento",
        sa.Column("respaldo_id", sa.BigInteger(), nullable=False),
        sa.Column("numero", sa.Integer(), nullable=False),
        sa.Column("archivo_s3", sa.Text(), nullable=False),
        sa.Column("inicio", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("fin", sa.DateTime(timezone=True), nullable=True),
        sa.Column("limpiado", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["respaldo_id"], ["respaldos.respaldo.id"], name=op.f("fk_intento_respaldo_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("respaldo_id", "numero", name=op.f("pk_intento")),
        sa.UniqueConstraint("archivo_s3", name=op.f("uq_intento_archivo_s3")),
        schema="respaldos",
    )
    op.create_index(
        "ix_intento_por_limpiar",
        "intento",
        ["respaldo_id"],
        unique=False,
        schema="respaldos",
        postgresql_where=sa.text("limpiado IS NULL"),
    )
    op.create_table(
        "operacion",
        sa.Column("clinica_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("tipo", sa.Text(), nullable=False),
        sa.Column("respaldo_id", sa.BigInteger(), nullable=False),
        sa.Column("inicio", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("tipo IN ('respaldo', 'restauracion')", name=op.f("ck_operacion_tipo")),
        sa.ForeignKeyConstraint(
            ["respaldo_id"], ["respaldos.respaldo.id"], name=op.f("fk_operacion_respaldo_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("clinica_id", name=op.f("pk_operacion")),
        schema="respaldos",
    )
    op.create_index(op.f("ix_operacion_respaldo_id"), "operacion", ["respaldo_id"], unique=False, schema="respaldos")


def downgrade() -> None:
    op.drop_table("operacion", schema="respaldos")
    op.drop_table("intento", schema="respaldos")
    op.drop_table("respaldo", schema="respaldos")
