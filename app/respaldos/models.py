"""The tables of schema `respaldos`. A change here needs a migration; a test compares the two."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    CHAR,
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Interval,
    MetaData,
    Text,
    false,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SCHEMA = "respaldos"


class Estado(StrEnum):
    """Where a backup is in its life: pendiente → procesando → completado | fallido | cancelado."""

    PENDIENTE = "pendiente"
    PROCESANDO = "procesando"
    COMPLETADO = "completado"
    FALLIDO = "fallido"
    CANCELADO = "cancelado"


class TipoRespaldo(StrEnum):
    """Who asked: a person at the command line, the nightly cron, or the API (and safety backups)."""

    MANUAL = "manual"
    AUTOMATICO = "automatico"
    POR_DEMANDA = "por_demanda"


class TipoOperacion(StrEnum):
    """What may be under way for a clinic."""

    RESPALDO = "respaldo"
    RESTAURACION = "restauracion"


def _one_of(column: str, values: type[StrEnum]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


class Base(DeclarativeBase):
    """All tables live in a schema of their own, apart from the clinics' data."""

    metadata = MetaData(
        schema=SCHEMA,
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
        },
    )


class Respaldo(Base):
    """One backup of one clinic. `lease_until` is set while a process works on attempt number `intento`."""

    __tablename__ = "respaldo"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    clinica_id: Mapped[int] = mapped_column(BigInteger)
    archivo_s3: Mapped[str | None] = mapped_column(Text, unique=True)
    fecha_respaldo: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now(), index=True)
    tamaño_bytes: Mapped[int | None] = mapped_column(BigInteger)
    hash_md5: Mapped[str | None] = mapped_column(CHAR(32))
    numero_registros: Mapped[int | None] = mapped_column(BigInteger)
    tiempo_ejecucion: Mapped[timedelta | None] = mapped_column(Interval)
    estado: Mapped[Estado] = mapped_column(Text, server_default=Estado.PENDIENTE, index=True)
    tipo_respaldo: Mapped[TipoRespaldo] = mapped_column(Text)
    descripcion: Mapped[str] = mapped_column(Text, server_default="")
    # SQLAlchemy's own `metadata` has the name.
    metadata_: Mapped[dict[str, Any]] = mapped_column("metadata", JSONB, server_default=text("'{}'"))
    usuario: Mapped[str | None] = mapped_column(Text)
    fecha_creacion: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    fecha_actualizacion: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now(), onupdate=func.now()
    )
    fecha_eliminacion: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    intento: Mapped[int] = mapped_column(Integer, server_default="0")
    lease_until: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    sospechoso: Mapped[bool] = mapped_column(server_default=false())

    __table_args__ = (
        _one_of("estado", Estado),
        _one_of("tipo_respaldo", TipoRespaldo),
        Index(None, "clinica_id", "fecha_respaldo"),
        Index(
            "uq_respaldo_en_curso",
            "clinica_id",
            unique=True,
            postgresql_where=text("estado IN ('pendiente', 'procesando')"),
        ),
    )


class Intento(Base):
    """One attempt at a backup and the object key that is its alone, recorded before the first byte is sent.

    `fin` is set when the attempt has ended; `limpiado` when what a failed one left in S3 has been removed.
    """

    __tablename__ = "intento"

    respaldo_id: Mapped[int] = mapped_column(ForeignKey(Respaldo.id, ondelete="CASCADE"), primary_key=True)
    numero: Mapped[int] = mapped_column(Integer, primary_key=True)
    archivo_s3: Mapped[str] = mapped_column(Text, unique=True)
    inicio: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    fin: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    limpiado: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    __table_args__ = (Index("ix_intento_por_limpiar", "respaldo_id", postgresql_where=text("limpiado IS NULL")),)


class Operacion(Base):
    """What is under way for a clinic: at most one row each, so that backups and restores exclude each other."""

    __tablename__ = "operacion"

    clinica_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    tipo: Mapped[TipoOperacion] = mapped_column(Text)
    respaldo_id: Mapped[int] = mapped_column(ForeignKey(Respaldo.id, ondelete="CASCADE"), index=True)
    inicio: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())

    __table_args__ = (_one_of("tipo", TipoOperacion),)
