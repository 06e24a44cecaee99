"""The tables of schema `respaldos`. A change here needs a migration; a test compares the two."""

from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Any, Self

from sqlalchemy import (
    CHAR,
    BigInteger,
    CheckConstraint,
    ColumnElement,
    Date,
    DateTime,
    FetchedValue,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Interval,
    MetaData,
    SmallInteger,
    Text,
    Time,
    and_,
    false,
    func,
    literal_column,
    or_,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSON, JSONB
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from app.clinic.restore.mode import Modo
from app.export.format import Formato

SCHEMA = "respaldos"


class Estado(StrEnum):
    """Where a backup is in its life: pendiente → procesando → completado | fallido | cancelado."""

    PENDIENTE = "pendiente"
    PROCESANDO = "procesando"
    COMPLETADO = "completado"
    FALLIDO = "fallido"
    CANCELADO = "cancelado"


class TipoRespaldo(StrEnum):
    """Who asked: a person at the command line, the nightly cron, the API (and safety backups), or the day's cron.

    Points of the day are a kind of their own: retention thins them sooner, nobody is written to of each that went
    well, and they alone may have another backup's object.
    """

    MANUAL = "manual"
    AUTOMATICO = "automatico"
    POR_DEMANDA = "por_demanda"
    PUNTO = "punto"


class Clase(StrEnum):
    """What a job does. `kinds.py` says everything else about each of them."""

    RESPALDO = "respaldo"
    RESTAURACION = "restauracion"
    SIMULACION = "simulacion"
    VERIFICACION = "verificacion"
    COMPARACION = "comparacion"
    EXPORTACION = "exportacion"
    COPIA = "copia"


class EstadoCopia(StrEnum):
    """How a second copy is: until it is made, then until it is removed.

    `conservada`: its time is over, and our keys may not delete it; that is left to the life cycle of its bucket.
    """

    PENDIENTE = "pendiente"
    COMPLETA = "completa"
    FALLIDA = "fallida"
    BORRANDO = "borrando"
    BORRADA = "borrada"
    CONSERVADA = "conservada"


class TipoOperacion(StrEnum):
    """What may be under way for a clinic, as its front end is told."""

    RESPALDO = "respaldo"
    RESTAURACION = "restauracion"


class Profundidad(StrEnum):
    """How much a verification proves, from the least to the most.

    The object is there and has its size and checksum; all of its content; it can be restored.
    """

    RAPIDA = "rapida"
    COMPLETA = "completa"
    ENSAYO = "ensayo"


class TipoRestauracion(StrEnum):
    """What is done with a backup's file."""

    VERIFICACION = "verificacion"
    RESTAURACION = "restauracion"
    COMPARACION = "comparacion"


class Accion(StrEnum):
    """What the audit trail records."""

    CREACION = "creacion"
    CANCELACION = "cancelacion"
    ENLACE_DESCARGA = "enlace_descarga"
    DESCARGA = "descarga"
    VERIFICACION = "verificacion"
    RESTAURACION = "restauracion"
    COMPARACION = "comparacion"
    EXPORTACION = "exportacion"
    ELIMINACION = "eliminacion"
    RECUPERACION = "recuperacion"
    ACEPTACION = "aceptacion"
    REINDEXACION = "reindexacion"
    INGRESO = "ingreso"
    INGRESO_RECHAZADO = "ingreso_rechazado"
    EMISION_TOKEN = "emision_token"  # noqa: S105 (a word, and no secret)
    ACCESO_RECHAZADO = "acceso_rechazado"
    PROGRAMACION = "programacion"
    RETENCION = "retencion"
    LIBERACION = "liberacion"
    SALIDA = "salida"
    CIERRE_SESIONES = "cierre_sesiones"
    DESTRUCCION_CLAVE = "destruccion_clave"
    ROTACION_CLAVES = "rotacion_claves"
    CREACION_CLAVE = "creacion_clave"
    REVOCACION_CLAVE = "revocacion_clave"
    POLITICA = "politica"
    PURGA = "purga"


class Alcance(StrEnum):
    """What a key is for: to list and look, and of what an administrator may, one kind of thing each."""

    MIRAR = "mirar"
    CREAR = "crear"
    VERIFICAR = "verificar"
    DESCARGAR = "descargar"
    EXPORTAR = "exportar"


class Dia(StrEnum):
    """A day of the week, from Monday on."""

    LUNES = "lunes"
    MARTES = "martes"
    MIERCOLES = "miércoles"
    JUEVES = "jueves"
    VIERNES = "viernes"
    SABADO = "sábado"
    DOMINGO = "domingo"

    @property
    def number(self) -> int:
        """As Python counts them: 0 is Monday."""
        return list(Dia).index(self)

    @property
    def plural(self) -> str:
        """`lunes`, `sábados`: all of them."""
        return self if self.endswith("s") else f"{self}s"


class TipoAviso(StrEnum):
    """What people are told about."""

    FALLO = "fallo"
    RECUPERACION = "recuperacion"
    EXITO = "exito"
    SOSPECHOSO = "sospechoso"
    ATRASADO = "atrasado"
    VERIFICACION_FALLIDA = "verificacion_fallida"
    RESTAURACION = "restauracion"
    RESTAURACION_FALLIDA = "restauracion_fallida"
    ELIMINACION = "eliminacion"
    COPIA_FALLIDA = "copia_fallida"


def _one_of(column: str, values: type[StrEnum]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


def in_words(value: StrEnum) -> ColumnElement[str]:
    """The value as it stands in the predicate of a partial index: PostgreSQL takes none for a parameter."""
    return literal_column(f"'{value}'", Text)


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


_LIVE = "fecha_eliminacion IS NULL"
_GOOD = (
    f"estado = 'completado' AND {_LIVE} AND verificado_error IS NULL"
    " AND (sospechoso IS FALSE OR aceptado IS NOT NULL) AND clave_destruida IS NULL"
)

# Whether a copy is still to be made; whether one is there. For the same words alone PostgreSQL uses an index.
UNCOPIED = """jsonb_path_exists(copias, '$.* ? (@.estado == "pendiente" || @.estado == "fallida")')"""
COPIED = """jsonb_path_exists(copias, '$.* ? (@.estado == "completa" || @.estado == "borrando")')"""


class Respaldo(Base):
    """One backup of one clinic; of the platform where `clinica_id` is NULL, here and in all tables below.

    `estado` is its job's (`Trabajo`), copied in the same transaction; a backup found in the bucket has no job.
    `verificado` is the last verification, failed where `verificado_error` says why. `purga_iniciada` and `purgado`
    are when the removal of the deleted one's object from S3 began and ended.

    `retenido` is when a person had it held, for `retenido_motivo`, until `retenido_hasta` or, where that is NULL,
    until somebody releases it. An end that has come releases it, too, and stays in the row.

    `huella` is the digest of all that its file says but when and for whom it was made. A point that would say nothing
    else has the object of `respaldo_base_id`, which was taken at `sin_cambios_desde`: its key, size and hash stand in
    this row, too, and what is found of the object is written into every row that has it.

    `clave_destruida` is since when nobody can read it, because its clinic's key was destroyed.

    `copias` has of each second copy of the object, by the name of its bucket, `estado` (EstadoCopia), `fecha` of that
    and `error`. `solo_en_copia` is since when the object itself is known to be gone or damaged while a copy is whole:
    it is read from that then.
    """

    __tablename__ = "respaldo"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    clinica_id: Mapped[int | None] = mapped_column(BigInteger)
    archivo_s3: Mapped[str | None] = mapped_column(Text)
    fecha_respaldo: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    tamaño_bytes: Mapped[int | None] = mapped_column(BigInteger)
    hash_md5: Mapped[str | None] = mapped_column(CHAR(32))
    numero_registros: Mapped[int | None] = mapped_column(BigInteger)
    tiempo_ejecucion: Mapped[timedelta | None] = mapped_column(Interval)
    estado: Mapped[Estado] = mapped_column(Text, server_default=Estado.PENDIENTE)
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
    usuario_nombre: Mapped[str | None] = mapped_column(Text)
    sospechoso: Mapped[bool] = mapped_column(server_default=false())
    aceptado: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    verificado: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    verificado_profundidad: Mapped[Profundidad | None] = mapped_column(Text)
    verificado_error: Mapped[str | None] = mapped_column(Text)
    purga_iniciada: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    purgado: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    huella: Mapped[str | None] = mapped_column(CHAR(64))
    respaldo_base_id: Mapped[int | None] = mapped_column(ForeignKey("respaldo.id"))
    sin_cambios_desde: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    retenido: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    retenido_hasta: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    retenido_motivo: Mapped[str | None] = mapped_column(Text)
    retenido_por: Mapped[str | None] = mapped_column(Text)

    def held(self, now: datetime) -> bool:
        """Whether a person wants it kept at that moment, whatever its age is."""
        return self.retenido is not None and (self.retenido_hasta is None or self.retenido_hasta > now)

    @property
    def hold(self) -> Self | None:
        """Itself, where it is held just now: four of its columns tell why."""
        return self if self.held(datetime.now(UTC)) else None

    clave_destruida: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    copias: Mapped[dict[str, dict[str, Any]]] = mapped_column(JSONB, server_default=text("'{}'"))
    solo_en_copia: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    @property
    def copies(self) -> list[dict[str, Any]]:
        """Its second copies that are wanted or there, by the names of their buckets."""
        gone = EstadoCopia.BORRADA
        return [{"destino": name, **copy} for name, copy in sorted(self.copias.items()) if copy["estado"] != gone]

    def has_copy(self, name: str) -> bool:
        """Whether the bucket of that name has a whole copy."""
        return bool(self.copias.get(name, {}).get("estado") == EstadoCopia.COMPLETA)

    @property
    def key_id(self) -> str | None:
        """The clinic's key (`Clave`) that its file is encrypted with, if it is."""
        key_id: str | None = self.metadata_.get("cifrado")
        return key_id

    @property
    def encrypted(self) -> bool:
        """Whether its file is."""
        return self.key_id is not None

    @property
    def made_as(self) -> int:
        """Which backup its file says that it is."""
        # Of a point with the object of another one, and of what was found in the bucket when its id was taken.
        original: int = self.metadata_.get("id_original", self.id)
        return original

    @property
    def in_doubt(self) -> bool:
        """Whether it has far less in it than the one before, and nobody has accepted it."""
        return self.sospechoso and self.aceptado is None

    @property
    def restorable(self) -> bool:
        """Whether it can be restored from, as far as its row tells."""
        return self.estado == Estado.COMPLETADO and self.fecha_eliminacion is None and self.clave_destruida is None

    @property
    def last_verification(self) -> Self | None:
        """Itself, where it has ever been verified: three of its columns tell how."""
        return self if self.verificado is not None else None

    @property
    def being_purged(self) -> bool:
        """Whether the deleted backup's object is gone, or may be: its removal has begun."""
        return self.purgado is not None or self.purga_iniciada is not None

    @hybrid_property
    def failed(self) -> bool:
        """Failed for good, and not deleted. In a query, `Respaldo.failed` asks PostgreSQL the same."""
        return self.estado == Estado.FALLIDO and self.fecha_eliminacion is None

    @failed.inplace.expression
    @classmethod
    def _failed_in_sql(cls) -> ColumnElement[bool]:
        return and_(cls.estado == in_words(Estado.FALLIDO), cls.fecha_eliminacion.is_(None))

    @hybrid_property
    def good(self) -> bool:
        """Completed, not deleted, its last verification not failed, its key not destroyed, and not suspicious unless
        a person accepted it.

        Only such a backup counts for retention, and the newest one is never aged out. In a query,
        `Respaldo.good` asks PostgreSQL the same.
        """
        return self.restorable and self.verificado_error is None and not self.in_doubt

    @good.inplace.expression
    @classmethod
    def _good_in_sql(cls) -> ColumnElement[bool]:
        return and_(
            cls.estado == in_words(Estado.COMPLETADO),
            cls.fecha_eliminacion.is_(None),
            cls.verificado_error.is_(None),
            or_(cls.sospechoso.is_(False), cls.aceptado.is_not(None)),
            cls.clave_destruida.is_(None),
        )

    __table_args__ = (
        _one_of("estado", Estado),
        _one_of("tipo_respaldo", TipoRespaldo),
        Index(
            "ix_respaldo_sin_purgar",
            "fecha_eliminacion",
            postgresql_include=["tamaño_bytes", "respaldo_base_id"],
            postgresql_where=text("purgado IS NULL"),
        ),
        Index("uq_respaldo_archivo_s3", "archivo_s3", unique=True, postgresql_where=text("respaldo_base_id IS NULL")),
        Index(None, "respaldo_base_id", postgresql_where=text("respaldo_base_id IS NOT NULL")),
        Index(None, "clinica_id", "fecha_respaldo"),
        # Those that are not deleted, by age and by what is counted of them.
        Index("ix_respaldo_vivo", "fecha_respaldo", postgresql_where=text(_LIVE)),
        Index(None, "estado", "tipo_respaldo", postgresql_where=text(_LIVE)),
        # A clinic's newest good one, its failed ones, and its last proof.
        Index(
            "ix_respaldo_bueno",
            *("clinica_id", "fecha_respaldo", "id"),
            postgresql_where=text(_GOOD),
        ),
        # What retention thins; empty where there are no points.
        Index(
            "ix_respaldo_punto",
            *("clinica_id", "fecha_respaldo", "id"),
            postgresql_where=text(f"tipo_respaldo = 'punto' AND {_GOOD}"),
        ),
        Index(
            "ix_respaldo_fallido",
            *("clinica_id", "fecha_respaldo"),
            postgresql_where=text(f"estado = 'fallido' AND {_LIVE}"),
        ),
        Index(
            "ix_respaldo_verificado",
            *("clinica_id", "verificado"),
            postgresql_where=text(f"verificado IS NOT NULL AND {_LIVE}"),
        ),
        # Empty where copies are made in time, and where nothing is deleted.
        Index("ix_respaldo_sin_copia", "fecha_respaldo", postgresql_where=text(f"{_LIVE} AND {UNCOPIED}")),
        Index(
            "ix_respaldo_copia_por_borrar",
            "fecha_eliminacion",
            postgresql_where=text(f"fecha_eliminacion IS NOT NULL AND {COPIED}"),
        ),
    )


class Clave(Base):
    """A clinic's key, wrapped: what the keys of its files are wrapped with.

    `envoltura` is its envelope (docs/format.md) by the master key `maestra`, and `copiada` since when the bucket has
    the same: None where that is still to be written. New files are encrypted with the newest that is not destroyed.

    Of a `destruida` one nothing is left here but its id, and nothing in the bucket once `copiada` is None.
    `destruccion_pedida` is when the first of the two people asked for that.
    """

    __tablename__ = "clave"

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    clinica_id: Mapped[int | None] = mapped_column(BigInteger, index=True)
    maestra: Mapped[str | None] = mapped_column(Text)
    envoltura: Mapped[str | None] = mapped_column(Text)
    fecha_creacion: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    copiada: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    destruccion_pedida: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    destruccion_pedida_por: Mapped[str | None] = mapped_column(Text)
    destruida: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    destruida_por: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (CheckConstraint("(destruida IS NULL) = (envoltura IS NOT NULL)", name="envoltura"),)


class Intento(Base):
    """One attempt at a backup and the object key that is its alone, recorded before the first byte is sent.

    `fin` is set when the attempt has ended, `vencido` where that was because its lease ran out; `limpiado` when what
    a failed one left in S3 has been removed.
    """

    __tablename__ = "intento"

    respaldo_id: Mapped[int] = mapped_column(ForeignKey(Respaldo.id, ondelete="CASCADE"), primary_key=True)
    numero: Mapped[int] = mapped_column(Integer, primary_key=True)
    archivo_s3: Mapped[str] = mapped_column(Text, unique=True)
    inicio: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    fin: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    vencido: Mapped[bool] = mapped_column(server_default=false())
    limpiado: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    __table_args__ = (
        Index("ix_intento_por_limpiar", "respaldo_id", postgresql_where=text("limpiado IS NULL")),
        Index("ix_intento_limpiado", "limpiado", postgresql_where=text("NOT vencido")),
        Index("ix_intento_vencido", "respaldo_id", postgresql_where=text("vencido")),
    )


class Restauracion(Base):
    """Something done with a backup's file: what a verification, a restore or a comparison is to do, and its result.

    Its job (`trabajo`) says who asked, and how it goes.

    Of a restore: `modelos` or `registros` where it is about a part, `modo` which differences it applies, `motivo` why
    it was asked for, `destino` where it is about another database (its host and name), `actualizar` where rows of the
    platform that differ are changed, too, `respaldo_previo` the safety backup unless `sin_respaldo_previo`,
    `transaccion` the number of the transaction that is about to be committed, `avisos` what a person should know of
    the plan, `conflictos` why some rows cannot come back, `etiquetas` what the first of `registros` are called. Of a
    comparison: `comparado_con` the backup since which the changes are told. `copia` is the second copy that was read.
    """

    __tablename__ = "restauracion"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    respaldo_id: Mapped[int] = mapped_column(ForeignKey(Respaldo.id, ondelete="CASCADE"), index=True)
    clinica_id: Mapped[int | None] = mapped_column(BigInteger)
    tipo: Mapped[TipoRestauracion] = mapped_column(Text)
    profundidad: Mapped[Profundidad | None] = mapped_column(Text)
    simulada: Mapped[bool] = mapped_column(server_default=false())
    modelos: Mapped[list[str] | None] = mapped_column(JSONB(none_as_null=True))
    # Not jsonb, which would forget in which order the models stand.
    resultado: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    respaldo_previo: Mapped[int | None] = mapped_column(ForeignKey(Respaldo.id, ondelete="SET NULL"))
    registros: Mapped[list[str] | None] = mapped_column(JSONB(none_as_null=True))
    modo: Mapped[Modo] = mapped_column(Text, server_default=Modo.TODO)
    motivo: Mapped[str | None] = mapped_column(Text)
    destino: Mapped[str | None] = mapped_column(Text)
    sin_respaldo_previo: Mapped[bool] = mapped_column(server_default=false())
    actualizar: Mapped[bool] = mapped_column(server_default=false())
    con_accesos: Mapped[bool] = mapped_column(server_default=false())
    con_clinica: Mapped[bool] = mapped_column(server_default=false())
    transaccion: Mapped[str | None] = mapped_column(Text)
    avisos: Mapped[list[str]] = mapped_column(JSONB, server_default=text("'[]'"))
    # Not jsonb, which would forget in which order a key's columns stand.
    conflictos: Mapped[list[dict[str, Any]] | None] = mapped_column(JSON(none_as_null=True))
    etiquetas: Mapped[dict[str, str]] = mapped_column(JSONB, server_default=text("'{}'"))
    comparado_con: Mapped[int | None] = mapped_column(ForeignKey(Respaldo.id, ondelete="CASCADE"), index=True)
    copia: Mapped[str | None] = mapped_column(Text)

    # Every reader wants to know how it goes, so it comes along.
    trabajo: Mapped["Trabajo"] = relationship(lazy="joined", innerjoin=True, foreign_keys="Trabajo.restauracion_id")

    @property
    def registro(self) -> str | None:
        """The record, where it is about one alone."""
        return self.registros[0] if self.registros is not None and len(self.registros) == 1 else None

    __table_args__ = (
        _one_of("tipo", TipoRestauracion),
        _one_of("profundidad", Profundidad),
        _one_of("modo", Modo),
        Index(None, "clinica_id", "id"),
    )


class Exportacion(Base):
    """A backup's data in another format, made by a job for a person to download once.

    `horas` is how long it can be. Of one that was made: `archivo` what the person's file is called, `archivo_s3` its
    object until `vence`, `enlace` the SHA-256 of the one link that is good and `enlace_usuario` who asked for that,
    `descarga` which download has used it up, `descargado` when the last byte was last sent to anybody. `limpiado` is
    when nothing of it was left in S3.
    """

    __tablename__ = "exportacion"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    respaldo_id: Mapped[int] = mapped_column(ForeignKey(Respaldo.id, ondelete="CASCADE"), index=True)
    clinica_id: Mapped[int | None] = mapped_column(BigInteger)
    formato: Mapped[Formato] = mapped_column(Text)
    horas: Mapped[int] = mapped_column(Integer)
    archivo: Mapped[str | None] = mapped_column(Text)
    archivo_s3: Mapped[str | None] = mapped_column(Text, unique=True)
    tamaño_bytes: Mapped[int | None] = mapped_column(BigInteger)
    hash_md5: Mapped[str | None] = mapped_column(CHAR(32))
    vence: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    enlace: Mapped[str | None] = mapped_column(CHAR(64), unique=True)
    enlace_usuario: Mapped[str | None] = mapped_column(Text)
    descarga: Mapped[str | None] = mapped_column(CHAR(32))
    descargado: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    limpiado: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    trabajo: Mapped["Trabajo"] = relationship(lazy="joined", innerjoin=True, foreign_keys="Trabajo.exportacion_id")
    respaldo: Mapped[Respaldo] = relationship(lazy="joined", innerjoin=True)

    @property
    def available(self) -> bool:
        """Whether it is there to be downloaded, by this process's clock."""
        return (
            self.trabajo.estado == Estado.COMPLETADO
            and self.limpiado is None
            and self.respaldo.fecha_eliminacion is None
            and self.vence is not None
            and self.vence > datetime.now(UTC)
        )

    __table_args__ = (
        _one_of("formato", Formato),
        Index(None, "clinica_id", "id"),
        Index("ix_exportacion_por_limpiar", "id", postgresql_where=text("limpiado IS NULL")),
        Index(None, "limpiado"),
    )


_BACKUP_UNDER_WAY = "clase = 'respaldo' AND exclusiva AND estado IN ('pendiente', 'procesando')"


class Trabajo(Base):
    """A job: work that a process claims for a lease, on a backup, or on a `restauracion` or an `exportacion` of it.

    While one works on attempt number `intento`, `lease_until` is set. `interrupciones` are the attempts that a worker
    gave up because it was told to stop; they count for nothing else. `exclusiva`: while it runs, no other such job of
    the clinic does, and of such backups a clinic has one under way. `reintentable`: after an attempt that died, or
    failed for a reason that may pass, there may be another, not before `proximo`. `cancelacion` is when a person
    asked for it to be stopped. `error` is the last attempt's. `prioridad`: the least number comes first. `destino` is
    the bucket of a second copy, by its name.
    """

    __tablename__ = "trabajo"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    clase: Mapped[Clase] = mapped_column(Text)
    clinica_id: Mapped[int | None] = mapped_column(BigInteger)
    respaldo_id: Mapped[int] = mapped_column(ForeignKey(Respaldo.id, ondelete="CASCADE"), index=True)
    restauracion_id: Mapped[int | None] = mapped_column(ForeignKey(Restauracion.id, ondelete="CASCADE"), unique=True)
    exportacion_id: Mapped[int | None] = mapped_column(ForeignKey(Exportacion.id, ondelete="CASCADE"), unique=True)
    estado: Mapped[Estado] = mapped_column(Text, server_default=Estado.PENDIENTE)
    prioridad: Mapped[int] = mapped_column(Integer)
    exclusiva: Mapped[bool] = mapped_column()
    reintentable: Mapped[bool] = mapped_column()
    intento: Mapped[int] = mapped_column(Integer, server_default="0")
    interrupciones: Mapped[int] = mapped_column(Integer, server_default="0")
    proximo: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    lease_until: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    progreso: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    cancelacion: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    error: Mapped[str | None] = mapped_column(Text)
    error_type: Mapped[str | None] = mapped_column(Text)
    usuario: Mapped[str | None] = mapped_column(Text)
    direccion: Mapped[str | None] = mapped_column(Text)
    fecha_creacion: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    fecha_fin: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    destino: Mapped[str | None] = mapped_column(Text)

    @property
    def tries(self) -> int:
        """The attempts so far, without those that were interrupted."""
        return self.intento - self.interrupciones

    __table_args__ = (
        _one_of("clase", Clase),
        _one_of("estado", Estado),
        Index(None, "clinica_id"),
        Index(None, "estado", "prioridad", "id"),
        Index(
            "uq_trabajo_exclusivo",
            "clinica_id",
            unique=True,
            postgresql_where=text("exclusiva AND estado = 'procesando'"),
        ),
        # To an index every NULL is another.
        Index(
            "uq_trabajo_plataforma_exclusivo",
            text("(clinica_id IS NULL)"),
            unique=True,
            postgresql_where=text("clinica_id IS NULL AND exclusiva AND estado = 'procesando'"),
        ),
        # A safety backup, which is not exclusive, is made under its restore, whatever backup waits for that to end.
        Index("uq_trabajo_respaldo", "clinica_id", unique=True, postgresql_where=text(_BACKUP_UNDER_WAY)),
        Index(
            "uq_trabajo_plataforma_respaldo",
            text("(clinica_id IS NULL)"),
            unique=True,
            postgresql_where=text(f"clinica_id IS NULL AND {_BACKUP_UNDER_WAY}"),
        ),
        Index("ix_trabajo_respaldo_terminado", "fecha_fin", postgresql_where=text("clase = 'respaldo'")),
        Index("ix_trabajo_copia_terminada", "fecha_fin", postgresql_where=text("clase = 'copia'")),
        Index(
            "uq_trabajo_copia",
            *("respaldo_id", "destino"),
            unique=True,
            postgresql_where=text("clase = 'copia' AND estado IN ('pendiente', 'procesando')"),
        ),
    )


class Evento(Base):
    """One line of the audit trail: who did what to which backup, when and from where.

    Triggers number it without a gap, put the hash of the line before (`anterior`) and its own (`huella`) into it, and
    refuse to change or delete it. No foreign key: it outlives what it is about.
    """

    __tablename__ = "evento"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    fecha: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.clock_timestamp())
    clinica_id: Mapped[int | None] = mapped_column(BigInteger)
    accion: Mapped[Accion] = mapped_column(Text)
    respaldo_id: Mapped[int | None] = mapped_column(BigInteger)
    usuario: Mapped[str | None] = mapped_column(Text)
    direccion: Mapped[str | None] = mapped_column(Text)
    detalle: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    anterior: Mapped[str] = mapped_column(CHAR(64), server_default=FetchedValue())
    huella: Mapped[str] = mapped_column(CHAR(64), server_default=FetchedValue())

    __table_args__ = (_one_of("accion", Accion), Index(None, "clinica_id", "id"), Index(None, "fecha"))


class Programacion(Base):
    """A clinic's backup of one night: whoever inserts the row schedules it, so that no two do."""

    __tablename__ = "programacion"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    clinica_id: Mapped[int | None] = mapped_column(BigInteger)
    dia: Mapped[date] = mapped_column(Date)
    respaldo_id: Mapped[int | None] = mapped_column(ForeignKey(Respaldo.id, ondelete="SET NULL"), index=True)
    previsto: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    intentos: Mapped[int] = mapped_column(Integer, server_default="0")

    __table_args__ = (
        Index("uq_programacion_clinica_id", "clinica_id", "dia", unique=True),
        Index("uq_programacion_plataforma", "dia", unique=True, postgresql_where=text("clinica_id IS NULL")),
        Index(None, "dia"),
    )


class Politica(Base):
    """What a superadmin has said of one clinic: when it is backed up, what is kept, and who is told.

    None is as for all clinics. `dias` are days of the week from 0, Monday; `minutos` (0: never) and `horario` are of
    the points of the day; `avisar` are e-mail addresses.
    """

    __tablename__ = "politica"

    clinica_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    hora: Mapped[time | None] = mapped_column(Time)
    dias: Mapped[list[int] | None] = mapped_column(ARRAY(SmallInteger))
    minutos: Mapped[int | None] = mapped_column(Integer)
    horario: Mapped[str | None] = mapped_column(Text)
    retencion_dias: Mapped[int | None] = mapped_column(Integer)
    retencion_puntos_dias: Mapped[int | None] = mapped_column(Integer)
    retencion_minimo: Mapped[int | None] = mapped_column(Integer)
    retencion_diarios: Mapped[int | None] = mapped_column(Integer)
    retencion_semanales: Mapped[int | None] = mapped_column(Integer)
    retencion_mensuales: Mapped[int | None] = mapped_column(Integer)
    retencion_anuales: Mapped[int | None] = mapped_column(Integer)
    avisar: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    avisar_administradores: Mapped[bool | None]


class Punto(Base):
    """The turn of a clinic's last point of the day."""

    __tablename__ = "punto"

    clinica_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    ultimo: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class Aviso(Base):
    """Something that people are to be told, written in the transaction in which it happened.

    `terminado` is set once every channel that wants it has it, or no one does. `clave` makes an aviso that would
    repeat itself unique.
    """

    __tablename__ = "aviso"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    clinica_id: Mapped[int | None] = mapped_column(BigInteger)
    tipo: Mapped[TipoAviso] = mapped_column(Text)
    respaldo_id: Mapped[int | None] = mapped_column(ForeignKey(Respaldo.id, ondelete="CASCADE"), index=True)
    clave: Mapped[str | None] = mapped_column(Text, unique=True)
    datos: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    fecha_creacion: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    correo: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    webhook: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    terminado: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    intentos: Mapped[int] = mapped_column(Integer, server_default="0")
    proximo: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    error: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (
        _one_of("tipo", TipoAviso),
        Index("ix_aviso_por_enviar", "proximo", postgresql_where=text("terminado IS NULL")),
        Index(None, "terminado"),
    )


class Peticion(Base):
    """A request for a job under a key of its asker's, and what came of it: asked again, that is the answer.

    `quien` tells askers apart, `huella` what they ask for. No foreign key: what came of it may be gone.
    """

    __tablename__ = "peticion"

    quien: Mapped[str] = mapped_column(Text, primary_key=True)
    clave: Mapped[str] = mapped_column(Text, primary_key=True)
    huella: Mapped[str] = mapped_column(Text)
    respaldo_id: Mapped[int | None] = mapped_column(BigInteger)
    restauracion_id: Mapped[int | None] = mapped_column(BigInteger)
    fecha: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())

    __table_args__ = (Index(None, "fecha"),)


class Tarea(Base):
    """When a periodic task that one worker does for all was last begun: `nombre` is that of its cron job."""

    __tablename__ = "tarea"

    nombre: Mapped[str] = mapped_column(Text, primary_key=True)
    inicio: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class TokenTerminado(Base):
    """A token that was ended before its time, or, with `momento`, all tokens that a person had by then.

    `clave` is `token:` and the token's digest, or `persona:`, the clinic and what the tokens call the person. A
    token's row is needed until `vence`, when the token ends by itself; a person's always.
    """

    __tablename__ = "token_terminado"

    clave: Mapped[str] = mapped_column(Text, primary_key=True)
    momento: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    vence: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    __table_args__ = (Index(None, "vence"),)


class ClaveApi(Base):
    """A key of one clinic's for a program; of the key itself the digest of its secret alone, found by `publica`."""

    __tablename__ = "clave_api"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    clinica_id: Mapped[int] = mapped_column(BigInteger)
    nombre: Mapped[str] = mapped_column(Text)
    alcances: Mapped[list[str]] = mapped_column(ARRAY(Text))
    publica: Mapped[str] = mapped_column(Text, unique=True)
    huella: Mapped[str] = mapped_column(CHAR(64))
    creada_por: Mapped[str | None] = mapped_column(Text)
    fecha_creacion: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    vence: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    revocada: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    __table_args__ = (Index(None, "clinica_id", "id"),)
