"""What the service adds: audit trail, verifications, nightly schedule, notices.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


NO_CHANGE = """
CREATE FUNCTION respaldos.evento_no_cambia() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'la auditoría solo se agrega: no se puede cambiar ni borrar un evento';
END $$
"""

# Of the statement, not the row: one that would change no row is refused as well.
REFUSE = """
CREATE TRIGGER evento_no_cambia BEFORE UPDATE OR DELETE OR TRUNCATE ON respaldos.evento
FOR EACH STATEMENT EXECUTE FUNCTION respaldos.evento_no_cambia()
"""

ACTIONS = (
    *("creacion", "cancelacion", "enlace_descarga", "verificacion", "restauracion", "eliminacion"),
    *("recuperacion", "aceptacion", "reindexacion", "ingreso", "ingreso_rechazado", "acceso_rechazado"),
)


def upgrade() -> None:
    op.create_table(
        "evento",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("fecha", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("clinica_id", sa.BigInteger(), nullable=True),
        sa.Column("accion", sa.Text(), nullable=False),
        sa.Column("respaldo_id", sa.BigInteger(), nullable=True),
        sa.Column("usuario", sa.Text(), nullable=True),
        sa.Column("direccion", sa.Text(), nullable=True),
        sa.Column("detalle", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.CheckConstraint(
            f"accion IN ({', '.join(repr(action) for action in ACTIONS)})",
            name=op.f("ck_evento_accion"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evento")),
        schema="respaldos",
    )
    op.create_index(op.f("ix_evento_clinica_id_id"), "evento", ["clinica_id", "id"], unique=False, schema="respaldos")
    op.execute(NO_CHANGE)
    op.execute(REFUSE)
    op.create_table(
        "aviso",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("clinica_id", sa.BigInteger(), nullable=False),
        sa.Column("tipo", sa.Text(), nullable=False),
        sa.Column("respaldo_id", sa.BigInteger(), nullable=True),
        sa.Column("clave", sa.Text(), nullable=True),
        sa.Column("datos", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("fecha_creacion", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("correo", sa.DateTime(timezone=True), nullable=True),
        sa.Column("webhook", sa.DateTime(timezone=True), nullable=True),
        sa.Column("terminado", sa.DateTime(timezone=True), nullable=True),
        sa.Column("intentos", sa.Integer(), server_default="0", nullable=False),
        sa.Column("proximo", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "tipo IN ('fallo', 'recuperacion', 'exito', 'sospechoso', 'atrasado', 'verificacion_fallida')",
            name=op.f("ck_aviso_tipo"),
        ),
        sa.ForeignKeyConstraint(
            ["respaldo_id"], ["respaldos.respaldo.id"], name=op.f("fk_aviso_respaldo_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_aviso")),
        sa.UniqueConstraint("clave", name=op.f("uq_aviso_clave")),
        schema="respaldos",
    )
    op.create_index(
        "ix_aviso_por_enviar",
        "aviso",
        ["proximo"],
        unique=False,
        schema="respaldos",
        postgresql_where=sa.text("terminado IS NULL"),
    )
    op.create_index(op.f("ix_aviso_respaldo_id"), "aviso", ["respaldo_id"], unique=False, schema="respaldos")
    op.create_table(
        "programacion",
        sa.Column("clinica_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("dia", sa.Date(), nullable=False),
        sa.Column("respaldo_id", sa.BigInteger(), nullable=True),
        sa.Column("previsto", sa.DateTime(timezone=True), nullable=False),
        sa.Column("intentos", sa.Integer(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["respaldo_id"], ["respaldos.respaldo.id"], name=op.f("fk_programacion_respaldo_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("clinica_id", "dia", name=op.f("pk_programacion")),
        schema="respaldos",
    )
    op.create_index(
        op.f("ix_programacion_respaldo_id"), "programacion", ["respaldo_id"], unique=False, schema="respaldos"
    )
    op.create_table(
        "restauracion",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("respaldo_id", sa.BigInteger(), nullable=False),
        sa.Column("clinica_id", sa.BigInteger(), nullable=False),
        sa.Column("tipo", sa.Text(), nullable=False),
        sa.Column("profundidad", sa.Text(), nullable=True),
        sa.Column("simulada", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("modelos", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("estado", sa.Text(), server_default="pendiente", nullable=False),
        sa.Column("progreso", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("resultado", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("respaldo_previo", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("error_type", sa.Text(), nullable=True),
        sa.Column("usuario", sa.Text(), nullable=True),
        sa.Column("direccion", sa.Text(), nullable=True),
        sa.Column("fecha_creacion", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("fecha_fin", sa.DateTime(timezone=True), nullable=True),
        sa.Column("intento", sa.Integer(), server_default="0", nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "estado IN ('pendiente', 'procesando', 'completado', 'fallido', 'cancelado')",
            name=op.f("ck_restauracion_estado"),
        ),
        sa.CheckConstraint("profundidad IN ('rapida', 'completa')", name=op.f("ck_restauracion_profundidad")),
        sa.CheckConstraint("tipo IN ('verificacion')", name=op.f("ck_restauracion_tipo")),
        sa.ForeignKeyConstraint(
            ["respaldo_id"], ["respaldos.respaldo.id"], name=op.f("fk_restauracion_respaldo_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["respaldo_previo"],
            ["respaldos.respaldo.id"],
            name=op.f("fk_restauracion_respaldo_previo"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_restauracion")),
        schema="respaldos",
    )
    op.create_index(
        op.f("ix_restauracion_clinica_id_fecha_creacion"),
        "restauracion",
        ["clinica_id", "fecha_creacion"],
        unique=False,
        schema="respaldos",
    )
    op.create_index(
        "ix_restauracion_en_curso",
        "restauracion",
        ["id"],
        unique=False,
        schema="respaldos",
        postgresql_where=sa.text("estado IN ('pendiente', 'procesando')"),
    )
    op.create_index(
        op.f("ix_restauracion_respaldo_id"), "restauracion", ["respaldo_id"], unique=False, schema="respaldos"
    )
    op.add_column(
        "respaldo",
        sa.Column("progreso", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        schema="respaldos",
    )
    op.add_column("respaldo", sa.Column("usuario_nombre", sa.Text(), nullable=True), schema="respaldos")
    op.add_column("respaldo", sa.Column("cancelacion", sa.DateTime(timezone=True), nullable=True), schema="respaldos")
    op.add_column("respaldo", sa.Column("aceptado", sa.DateTime(timezone=True), nullable=True), schema="respaldos")
    op.add_column("respaldo", sa.Column("verificado", sa.DateTime(timezone=True), nullable=True), schema="respaldos")
    op.add_column("respaldo", sa.Column("verificado_profundidad", sa.Text(), nullable=True), schema="respaldos")
    op.add_column("respaldo", sa.Column("verificado_error", sa.Text(), nullable=True), schema="respaldos")
    op.add_column("respaldo", sa.Column("purgado", sa.DateTime(timezone=True), nullable=True), schema="respaldos")
    op.add_column(
        "intento",
        sa.Column("vencido", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        schema="respaldos",
    )
    op.create_index(
        "ix_respaldo_por_purgar",
        "respaldo",
        ["fecha_eliminacion"],
        unique=False,
        schema="respaldos",
        postgresql_where=sa.text("purgado IS NULL"),
    )


def downgrade() -> None:
    op.drop_index(
        "ix_respaldo_por_purgar",
        table_name="respaldo",
        schema="respaldos",
        postgresql_where=sa.text("purgado IS NULL"),
    )
    op.drop_column("intento", "vencido", schema="respaldos")
    op.drop_column("respaldo", "purgado", schema="respaldos")
    op.drop_column("respaldo", "verificado_error", schema="respaldos")
    op.drop_column("respaldo", "verificado_profundidad", schema="respaldos")
    op.drop_column("respaldo", "verificado", schema="respaldos")
    op.drop_column("respaldo", "aceptado", schema="respaldos")
    op.drop_column("respaldo", "cancelacion", schema="respaldos")
    op.drop_column("respaldo", "usuario_nombre", schema="respaldos")
    op.drop_column("respaldo", "progreso", schema="respaldos")
    op.drop_index(op.f("ix_restauracion_respaldo_id"), table_name="restauracion", schema="respaldos")
    op.drop_index(
        "ix_restauracion_en_curso",
        table_name="restauracion",
        schema="respaldos",
        postgresql_where=sa.text("estado IN ('pendiente', 'procesando')"),
    )
    op.drop_index(op.f("ix_restauracion_clinica_id_fecha_creacion"), table_name="restauracion", schema="respaldos")
    op.drop_table("restauracion", schema="respaldos")
    op.drop_index(op.f("ix_programacion_respaldo_id"), table_name="programacion", schema="respaldos")
    op.drop_table("programacion", schema="respaldos")
    op.drop_index(op.f("ix_aviso_respaldo_id"), table_name="aviso", schema="respaldos")
    op.drop_index(
        "ix_aviso_por_enviar", table_name="aviso", schema="respaldos", postgresql_where=sa.text("terminado IS NULL")
    )
    op.drop_table("aviso", schema="respaldos")
    op.drop_index(op.f("ix_evento_clinica_id_id"), table_name="evento", schema="respaldos")
    op.drop_table("evento", schema="respaldos")
    op.execute("DROP FUNCTION respaldos.evento_no_cambia()")
