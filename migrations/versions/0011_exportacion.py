"""Exports for people to download, made through the queue.

A worker of the version before that claims one does not know what it is, and its lease runs out.

Revision ID: 0011
Revises: 0010
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

JOBS = ("respaldo", "restauracion", "simulacion", "verificacion", "comparacion")
ACTIONS = (
    *("creacion", "cancelacion", "enlace_descarga", "descarga", "verificacion", "restauracion", "comparacion"),
    *("eliminacion", "recuperacion", "aceptacion", "reindexacion", "ingreso", "ingreso_rechazado"),
    *("emision_token", "acceso_rechazado"),
)


def _one_of(table: str, column: str, values: tuple[str, ...], *, not_valid: bool = False) -> None:
    name = f"ck_{table}_{column}"
    op.drop_constraint(op.f(name), table, schema="respaldos", type_="check")
    op.create_check_constraint(
        op.f(name),
        table,
        f"{column} IN ({', '.join(map(repr, values))})",
        schema="respaldos",
        postgresql_not_valid=not_valid,
    )


def upgrade() -> None:
    op.create_table(
        "exportacion",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("respaldo_id", sa.BigInteger(), nullable=False),
        sa.Column("clinica_id", sa.BigInteger(), nullable=True),
        sa.Column("formato", sa.Text(), nullable=False),
        sa.Column("horas", sa.Integer(), nullable=False),
        sa.Column("archivo", sa.Text(), nullable=True),
        sa.Column("archivo_s3", sa.Text(), nullable=True),
        sa.Column("tamaño_bytes", sa.BigInteger(), nullable=True),
        sa.Column("hash_md5", sa.CHAR(length=32), nullable=True),
        sa.Column("vence", sa.DateTime(timezone=True), nullable=True),
        sa.Column("enlace", sa.CHAR(length=64), nullable=True),
        sa.Column("enlace_usuario", sa.Text(), nullable=True),
        sa.Column("descarga", sa.CHAR(length=32), nullable=True),
        sa.Column("descargado", sa.DateTime(timezone=True), nullable=True),
        sa.Column("limpiado", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("formato IN ('csv', 'excel', 'sqlite', 'parquet')", name=op.f("ck_exportacion_formato")),
        sa.ForeignKeyConstraint(
            ["respaldo_id"],
            ["respaldos.respaldo.id"],
            name=op.f("fk_exportacion_respaldo_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_exportacion")),
        sa.UniqueConstraint("archivo_s3", name=op.f("uq_exportacion_archivo_s3")),
        sa.UniqueConstraint("enlace", name=op.f("uq_exportacion_enlace")),
        schema="respaldos",
    )
    for columns in (["respaldo_id"], ["clinica_id", "id"], ["limpiado"]):
        op.create_index(op.f(f"ix_exportacion_{'_'.join(columns)}"), "exportacion", columns, schema="respaldos")
    op.create_index(
        "ix_exportacion_por_limpiar",
        "exportacion",
        ["id"],
        schema="respaldos",
        postgresql_where=sa.text("limpiado IS NULL"),
    )
    op.add_column("trabajo", sa.Column("exportacion_id", sa.BigInteger(), nullable=True), schema="respaldos")
    op.create_foreign_key(
        op.f("fk_trabajo_exportacion_id"),
        "trabajo",
        "exportacion",
        ["exportacion_id"],
        ["id"],
        source_schema="respaldos",
        referent_schema="respaldos",
        ondelete="CASCADE",
    )
    op.create_unique_constraint(op.f("uq_trabajo_exportacion_id"), "trabajo", ["exportacion_id"], schema="respaldos")
    _one_of("trabajo", "clase", (*JOBS, "exportacion"))
    # After a downgrade, lines of later versions are in the trail; the next revision checks them all.
    _one_of("evento", "accion", (*ACTIONS, "exportacion"), not_valid=True)


def downgrade() -> None:
    # What they have in the bucket, the bucket's own lifecycle removes.
    op.execute("DELETE FROM respaldos.trabajo WHERE clase = 'exportacion'")
    op.drop_column("trabajo", "exportacion_id", schema="respaldos")
    op.drop_table("exportacion", schema="respaldos")
    # Nothing can take its lines out of the trail.
    _one_of("evento", "accion", ACTIONS, not_valid=True)
    _one_of("trabajo", "clase", JOBS)
