"""What a superadmin says of one clinic: when it is backed up, what is kept, and who is told.

Revision ID: 0018
Revises: 0017
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

ACTIONS = (
    *("creacion", "cancelacion", "enlace_descarga", "descarga", "verificacion", "restauracion", "comparacion"),
    *("exportacion", "eliminacion", "recuperacion", "aceptacion", "reindexacion", "ingreso", "ingreso_rechazado"),
    *("emision_token", "acceso_rechazado", "programacion", "retencion", "liberacion", "salida", "cierre_sesiones"),
    *("destruccion_clave", "rotacion_claves", "creacion_clave", "revocacion_clave"),
)


def upgrade() -> None:
    op.create_table(
        "politica",
        sa.Column("clinica_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hora", sa.Time()),
        sa.Column("dias", ARRAY(sa.SmallInteger())),
        sa.Column("minutos", sa.Integer()),
        sa.Column("horario", sa.Text()),
        *(
            sa.Column(f"retencion_{what}", sa.Integer())
            for what in ("dias", "puntos_dias", "minimo", "diarios", "semanales", "mensuales", "anuales")
        ),
        sa.Column("avisar", ARRAY(sa.Text())),
        sa.Column("avisar_administradores", sa.Boolean()),
        sa.PrimaryKeyConstraint("clinica_id", name=op.f("pk_politica")),
        schema="respaldos",
    )
    op.execute(
        "INSERT INTO respaldos.politica (clinica_id, minutos, horario) SELECT clinica_id, minutos, horario"
        " FROM respaldos.punto WHERE minutos IS NOT NULL OR horario IS NOT NULL"
    )
    op.drop_column("punto", "minutos", schema="respaldos")
    op.drop_column("punto", "horario", schema="respaldos")
    _may_be((*ACTIONS, "politica"))


def downgrade() -> None:
    # Lines of the trail stay, also of what the older service does not know.
    _may_be(ACTIONS, not_valid=True)
    op.add_column("punto", sa.Column("minutos", sa.Integer()), schema="respaldos")
    op.add_column("punto", sa.Column("horario", sa.Text()), schema="respaldos")
    op.execute(
        "INSERT INTO respaldos.punto (clinica_id, minutos, horario) SELECT clinica_id, minutos, horario"
        " FROM respaldos.politica WHERE minutos IS NOT NULL OR horario IS NOT NULL"
        " ON CONFLICT (clinica_id) DO UPDATE SET minutos = excluded.minutos, horario = excluded.horario"
    )
    op.drop_table("politica", schema="respaldos")


def _may_be(values: tuple[str, ...], *, not_valid: bool = False) -> None:
    op.drop_constraint(op.f("ck_evento_accion"), "evento", schema="respaldos", type_="check")
    op.create_check_constraint(
        op.f("ck_evento_accion"),
        "evento",
        f"accion IN ({', '.join(map(repr, values))})",
        schema="respaldos",
        postgresql_not_valid=not_valid,
    )
