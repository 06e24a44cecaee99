"""Encrypted backups: the clinics' keys, and backups that nobody can read since their key was destroyed.

A process of the version before cannot read what is encrypted, and says that it is no backup; it counts one whose key
was destroyed as good.

Revision ID: 0017
Revises: 0016
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

ACTIONS = (
    *("creacion", "cancelacion", "enlace_descarga", "descarga", "verificacion", "restauracion", "comparacion"),
    *("eliminacion", "recuperacion", "aceptacion", "reindexacion", "ingreso", "ingreso_rechazado"),
    *("emision_token", "acceso_rechazado", "exportacion", "programacion", "retencion", "liberacion"),
    *("salida", "cierre_sesiones", "creacion_clave", "revocacion_clave"),
)
FORMATS = ("csv", "excel", "sqlite", "parquet")

GOOD = (
    "estado = 'completado' AND fecha_eliminacion IS NULL AND verificado_error IS NULL"
    " AND (sospechoso IS FALSE OR aceptado IS NOT NULL)"
)


def upgrade() -> None:
    op.create_table(
        "clave",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("clinica_id", sa.BigInteger()),
        sa.Column("maestra", sa.Text()),
        sa.Column("envoltura", sa.Text()),
        sa.Column("fecha_creacion", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("copiada", sa.DateTime(timezone=True)),
        sa.Column("destruccion_pedida", sa.DateTime(timezone=True)),
        sa.Column("destruccion_pedida_por", sa.Text()),
        sa.Column("destruida", sa.DateTime(timezone=True)),
        sa.Column("destruida_por", sa.Text()),
        sa.CheckConstraint("(destruida IS NULL) = (envoltura IS NOT NULL)", name=op.f("ck_clave_envoltura")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clave")),
        schema="respaldos",
    )
    op.create_index(op.f("ix_clave_clinica_id"), "clave", ["clinica_id"], schema="respaldos")
    op.add_column("respaldo", sa.Column("clave_destruida", sa.DateTime(timezone=True)), schema="respaldos")
    _index_good(f"{GOOD} AND clave_destruida IS NULL")
    _one_of("evento", "accion", (*ACTIONS, "destruccion_clave", "rotacion_claves"))
    _one_of("exportacion", "formato", (*FORMATS, "json"))


def downgrade() -> None:
    op.execute(
        "DELETE FROM respaldos.trabajo t USING respaldos.exportacion e"
        " WHERE e.id = t.exportacion_id AND e.formato = 'json'"
    )
    op.execute("DELETE FROM respaldos.exportacion WHERE formato = 'json'")
    _one_of("exportacion", "formato", FORMATS)
    # The trail refuses to be changed, and what it says stays said.
    _one_of("evento", "accion", ACTIONS, not_valid=True)
    # To that version they would be good.
    op.execute(
        "UPDATE respaldos.respaldo SET verificado = clave_destruida, verificado_profundidad = 'ensayo',"
        " verificado_error = 'su clave se destruyó' WHERE clave_destruida IS NOT NULL"
    )
    _index_good(GOOD)
    op.drop_column("respaldo", "clave_destruida", schema="respaldos")
    # Without it nobody reads what is encrypted; the bucket has the same keys, unless they were destroyed.
    op.drop_table("clave", schema="respaldos")


def _index_good(good: str) -> None:
    points = f"tipo_respaldo = 'punto' AND {good}"
    for name, predicate in (("ix_respaldo_bueno", good), ("ix_respaldo_punto", points)):
        op.drop_index(name, table_name="respaldo", schema="respaldos")
        op.create_index(
            name,
            "respaldo",
            ["clinica_id", "fecha_respaldo", "id"],
            schema="respaldos",
            postgresql_where=sa.text(predicate),
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
