"""What people's programs are shown: each answer's keys, their meaning and an example, once for all who give them.

The HTTP API, its OpenAPI document, the command line's `--json` and the webhook take them from here.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AliasChoices,
    AliasPath,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)

from app.clinic.restore.mode import Modo
from app.export.format import Formato
from app.record_names import without_names
from app.respaldos.models import (
    Accion,
    Alcance,
    Dia,
    Estado,
    EstadoCopia,
    Evento,
    Profundidad,
    Respaldo,
    Restauracion,
    TipoAviso,
    TipoOperacion,
    TipoRespaldo,
    TipoRestauracion,
)
from app.respaldos.retention.expiry import kept_until
from app.respaldos.status.health import Situacion

ESTADO_DISPLAY = {
    Estado.PENDIENTE: "Pendiente",
    Estado.PROCESANDO: "Procesando",
    Estado.COMPLETADO: "Completado",
    Estado.FALLIDO: "Fallido",
    Estado.CANCELADO: "Cancelado",
}
TIPO_DISPLAY = {
    TipoRespaldo.MANUAL: "Manual",
    TipoRespaldo.AUTOMATICO: "Automático",
    TipoRespaldo.POR_DEMANDA: "Por demanda",
    TipoRespaldo.PUNTO: "Punto del día",
}

COPIA_DISPLAY = {
    EstadoCopia.PENDIENTE: "Pendiente",
    EstadoCopia.COMPLETA: "Completa",
    EstadoCopia.FALLIDA: "Falló",
    EstadoCopia.BORRANDO: "Borrándose",
    EstadoCopia.BORRADA: "Borrada",
    EstadoCopia.CONSERVADA: "Hasta que venza allí",
}

MIB = 1 << 20

# How avisos begin that name people, or say values: they are for those who may see what backups hold.
WHO, WHAT = "Accesos: ", "Valores: "

# How many of the records that a restore names stand in a list of restores.
LISTED_RECORDS = 20

# ISO 8601 with its offset; what is stored is UTC.
Fecha = Annotated[
    datetime,
    PlainSerializer(datetime.isoformat, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-07-03T06:00:00Z"]}),
]

# What is not known yet, or never will be because it failed: programs count with it as it comes.
Cuenta = Annotated[int, BeforeValidator(lambda stored: stored or 0)]


def eg(example: Any) -> Any:
    """The key's value in the example that the document shows."""
    return Field(examples=[example])


class Answer(BaseModel):
    """What is sent. A key more or less than these would be a mistake of this service.

    Its example is made of those of its keys.
    """

    model_config = ConfigDict(
        extra="forbid",
        from_attributes=True,
        populate_by_name=True,
        json_schema_serialization_defaults_required=True,
        # A command needs one or two of them, and waits for those alone.
        defer_build=True,
    )

    @classmethod
    def example(cls) -> dict[str, Any]:
        """The example of the whole."""
        return {name: field.examples[0] for name, field in cls.model_fields.items() if field.examples}


def mib(size: int | None) -> float:
    """A size in MiB, to two places."""
    return round((size or 0) / MIB, 2)


def clock(seconds: float) -> str:
    """A duration as `HH:MM:SS.ffffff`."""
    micros = round(seconds * 1_000_000)
    minutes, micros = divmod(micros, 60_000_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{micros / 1_000_000:09.6f}"


# Backups


class Verificacion(Answer):
    """La última comprobación: cuándo, cuánto se comprobó, y por qué falló si falló."""

    fecha: Annotated[Fecha, eg("2026-07-05T07:00:00+00:00")] = Field(validation_alias="verificado")
    profundidad: Annotated[Profundidad | None, eg("completa")] = Field(validation_alias="verificado_profundidad")
    error: Annotated[str | None, eg(None)] = Field(validation_alias="verificado_error")


class Retencion(Answer):
    """Que una persona lo hizo conservar: desde cuándo y hasta cuándo (null: hasta que se libere), por qué y quién."""

    desde: Annotated[Fecha, eg("2026-07-05T07:00:00+00:00")] = Field(validation_alias="retenido")
    hasta: Annotated[Fecha | None, eg(None)] = Field(validation_alias="retenido_hasta")
    motivo: Annotated[str, eg("Lo pide la auditoría del Ministerio")] = Field(validation_alias="retenido_motivo")
    usuario: Annotated[str | None, eg("Ana María Peñaranda")] = Field(validation_alias="retenido_por")


class Copia(BaseModel):
    """Una segunda copia del archivo en otro almacén, cómo está y desde cuándo.

    `fallida` se vuelve a intentar cada hora. `conservada` es la de un respaldo eliminado que el servicio no puede
    borrar: la borra el almacén cuando le toca.
    """

    model_config = ConfigDict(extra="ignore", json_schema_serialization_defaults_required=True)

    destino: Annotated[str, eg("oficina")]
    estado: Annotated[EstadoCopia, eg("completa")]
    estado_display: Annotated[str, eg("Completa")] = ""
    fecha: Annotated[Fecha, eg("2026-07-03T06:01:40+00:00")]

    @model_validator(mode="after")
    def _in_words(self) -> Self:
        self.estado_display = COPIA_DISPLAY[self.estado]
        return self


class Progreso(BaseModel):
    """Hasta dónde ha llegado lo que está en curso."""

    model_config = ConfigDict(extra="allow")

    etapa: str | None = None
    modelo: str | None = None
    registros: int | None = None
    registros_esperados: int | None = None
    bytes: int | None = None
    bytes_esperados: int | None = None
    porcentaje: float | None = None


class RespaldoAvisado(Answer):
    """El respaldo de un aviso. `tamaño_mb` está en MiB. Lo que no se sabrá porque falló es 0."""

    id: Annotated[int, eg(7)]
    clinica_id: Annotated[int | None, eg(1)] = Field(description="Vacío en los de la plataforma.")
    fecha_respaldo: Annotated[Fecha, eg("2026-07-03T06:00:12+00:00")]
    tamaño_bytes: Annotated[Cuenta, eg(1572864)]
    tamaño_mb: Annotated[float, BeforeValidator(mib), eg(1.5)] = Field(validation_alias="tamaño_bytes")
    numero_registros: Annotated[Cuenta, eg(15000)]
    estado: Annotated[Estado, eg("completado")]
    estado_display: Annotated[str, BeforeValidator(ESTADO_DISPLAY.get), eg("Completado")] = Field(
        validation_alias="estado"
    )
    tipo_respaldo: Annotated[TipoRespaldo, eg("automatico")]
    tipo_respaldo_display: Annotated[str, BeforeValidator(TIPO_DISPLAY.get), eg("Automático")] = Field(
        validation_alias="tipo_respaldo"
    )
    descripcion: Annotated[str, eg("")]
    usuario: Annotated[str | None, eg(None)] = Field(description="El código de quien lo pidió.")
    fecha_creacion: Annotated[Fecha, eg("2026-07-03T06:00:00+00:00")]
    puede_restaurar: Annotated[bool, eg(True)] = Field(validation_alias="restorable")
    verificado: Annotated[Verificacion | None, eg(Verificacion.example())] = Field(
        validation_alias="last_verification"
    )
    sospechoso: Annotated[bool, eg(False)] = Field(
        validation_alias="in_doubt",
        description="Está vacío o tiene menos de la mitad que el anterior, y nadie lo aceptó.",
    )


class RespaldoEnLista(RespaldoAvisado):
    """Un respaldo. `tamaño_mb` está en MiB. Lo que todavía no se sabe, o no se sabrá porque falló, es 0."""

    respaldo_base_id: Annotated[int | None, eg(None)] = Field(
        description=(
            "Si es un punto igual a otro respaldo, de qué respaldo es el archivo, que no se guardó dos veces;"
            " puede estar eliminado."
        )
    )
    sin_cambios_desde: Annotated[Fecha | None, eg(None)] = Field(
        description="Si el archivo es de otro respaldo, de cuándo es ese: desde entonces no cambió nada."
    )
    retenido: Annotated[Retencion | None, eg(None)] = Field(
        validation_alias="hold", description="Si una persona lo hizo conservar: entonces nadie lo elimina."
    )
    cifrado: Annotated[bool, eg(False)] = Field(
        validation_alias="encrypted",
        description="Su archivo está cifrado con una clave que es solo de la clínica; `metadata.cifrado` dice cuál.",
    )
    clave_destruida: Annotated[Fecha | None, eg(None)] = Field(
        description="Desde cuándo nadie puede leer el respaldo, porque se destruyó la clave con que se cifró."
    )
    copias: Annotated[
        list[Copia],
        eg(
            [
                {
                    "destino": "oficina",
                    "estado": "completa",
                    "estado_display": "Completa",
                    "fecha": "2026-07-03T06:01:40+00:00",
                }
            ]
        ),
    ] = Field(validation_alias="copies", description="Las copias del archivo en otros almacenes, si hay alguno.")
    solo_en_copia: Annotated[Fecha | None, eg(None)] = Field(
        description="Desde cuándo se sabe que el archivo falta o está dañado, y que se lee de una copia."
    )
    fecha_expiracion: Annotated[Fecha | None, eg("2026-08-02T06:00:12+00:00")] = Field(
        None,
        description=(
            "Hasta cuándo se conserva por lo menos: `fecha_respaldo` más RETENTION_DAYS. Después lo elimina la"
            " limpieza de la noche, salvo que sea el último bueno o que otra regla lo conserve. Una persona lo puede"
            " eliminar antes. null si no está completado, ya está eliminado, está retenido sin fin o es un punto, de"
            " los que pronto queda solo el último de cada día."
        ),
    )

    @classmethod
    def of(cls, respaldo: Respaldo, *, retention_days: int) -> Self:
        """The backup, where RETENTION_DAYS is so many."""
        answer = cls.model_validate(respaldo)
        answer.fecha_expiracion = kept_until(respaldo, retention_days)
        return answer


class Metadata(BaseModel):
    """Qué contiene el archivo; sin archivo, nada y 0. Si el respaldo falló, `error` y `error_type` dicen por qué.

    Si falló y se vuelve a intentar, está otra vez `pendiente` con ellos; `intentos_fallidos` dice cuántas veces falló
    ya, e `intentos_maximos` cuántas se intenta en total. `hash_sha256` es del archivo comprimido, y `sello` la
    clave con que se firmó; nulos en los de antes de que se anotaran. `cifrado` es la clave de la clínica con que
    se cifró, nulo si no se cifró; lo guardado es entonces el archivo cifrado.
    """

    model_config = ConfigDict(extra="allow", json_schema_serialization_defaults_required=True)

    modelos_respaldados: list[str] = []
    detalles_registros: dict[str, int] = {}
    tamaño_original_mb: float = 0.0
    tamaño_comprimido_mb: float = 0.0
    compresion_porcentaje: float = 0.0
    avisos: list[str] = []
    hash_sha256: str | None = None
    sello: str | None = None
    cifrado: str | None = None


class RespaldoCompleto(RespaldoEnLista):
    """Un respaldo con todo lo que se sabe de él."""

    archivo_s3: Annotated[str | None, eg("backups/1/2026/07/backup_20260703_020012.json.gz")]
    hash_md5: Annotated[str | None, eg("9e107d9d372bb6826bd81d3542a419d6")] = Field(
        description="MD5 del archivo comprimido, tal como está guardado."
    )
    tiempo_ejecucion: Annotated[
        str | None,
        BeforeValidator(lambda elapsed: clock(elapsed.total_seconds()) if elapsed is not None else None),
        eg("00:00:04.381000"),
    ]
    tiempo_ejecucion_segundos: Annotated[
        float, BeforeValidator(lambda elapsed: elapsed.total_seconds() if elapsed is not None else 0.0), eg(4.381)
    ] = Field(validation_alias="tiempo_ejecucion")
    metadata: Annotated[
        Metadata,
        eg(
            {
                "modelos_respaldados": ["usuarios", "pacientes", "consultas"],
                "detalles_registros": {"usuarios": 40, "pacientes": 2960, "consultas": 12000},
                "tamaño_original_mb": 9.0,
                "tamaño_comprimido_mb": 1.5,
                "compresion_porcentaje": 83.3,
                "avisos": [],
                "hash_sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                "sello": "2026",
                "cifrado": None,
            }
        ),
    ] = Field(validation_alias="metadata_")
    usuario_nombre: Annotated[str | None, eg(None)]
    fecha_actualizacion: Annotated[Fecha, eg("2026-07-05T07:00:00+00:00")]
    progreso: Annotated[Progreso | None, eg(None)] = None

    @classmethod
    def of(cls, respaldo: Respaldo, *, retention_days: int, progreso: Mapping[str, Any] | None = None) -> Self:
        """The backup; `progreso` is that of its job while it runs."""
        answer = super().of(respaldo, retention_days=retention_days)
        answer.progreso = Progreso.model_validate(progreso) if progreso is not None else None
        return answer


class RespaldoConMensaje(Answer):
    """Qué pasó, y cómo está el respaldo ahora."""

    mensaje: Annotated[str, eg("El respaldo empezará en un momento")]
    respaldo: Annotated[
        RespaldoCompleto,
        eg(
            {
                **RespaldoCompleto.example(),
                "id": 8,
                "tamaño_bytes": 0,
                "tamaño_mb": 0.0,
                "numero_registros": 0,
                "estado": "pendiente",
                "estado_display": "Pendiente",
                "tipo_respaldo": "por_demanda",
                "tipo_respaldo_display": "Por demanda",
                "descripcion": "Antes de la actualización",
                "usuario": "12",
                "puede_restaurar": False,
                "fecha_expiracion": None,
                "copias": [],
                "verificado": None,
                "archivo_s3": None,
                "hash_md5": None,
                "tiempo_ejecucion": None,
                "tiempo_ejecucion_segundos": 0.0,
                "metadata": Metadata().model_dump(),
                "usuario_nombre": "Ana María Peñaranda",
            }
        ),
    ]


class Enlace(Answer):
    """Una dirección con que se descarga el archivo, sin token, mientras no venza."""

    url: Annotated[
        str,
        eg("https://respaldos.s3.us-east-1.amazonaws.com/backups/1/2026/07/backup_20260703_020012.json.gz?X-Amz-…"),
    ]
    expira_en_segundos: Annotated[int, eg(3600)]
    archivo: Annotated[str, eg("backup_20260703_020012.json.gz")]
    tamaño_mb: Annotated[float, eg(1.5)]
    cifrado: Annotated[bool, eg(False)] = Field(
        description=(
            "El archivo llega cifrado, y sin las claves nadie lo abre. Descifrado se lo pide con"
            " `POST /respaldos/{id}/exportaciones/`, en formato `json`."
        )
    )
    copia: Annotated[str | None, eg(None)] = Field(
        None, description="Si el enlace es a una copia en otro almacén, porque el archivo no está: cómo se llama."
    )


# How backups stand


class UltimoRespaldo(Answer):
    """El respaldo completado más nuevo."""

    id: Annotated[int, eg(7)]
    fecha: Annotated[Fecha, eg("2026-07-03T06:00:12+00:00")]
    tamaño_mb: Annotated[float, eg(1.5)]


class UltimoBueno(UltimoRespaldo):
    """El respaldo bueno más nuevo: completado, sin verificación fallida, y no sospechoso o ya aceptado."""


class UltimaVerificacion(Answer):
    """La última vez que se leyó y comprobó lo que hay dentro de un respaldo; `error` dice por qué falló, si falló."""

    respaldo_id: Annotated[int, eg(5)]
    fecha: Annotated[Fecha, eg("2026-06-30T11:20:41+00:00")]
    profundidad: Annotated[Profundidad, eg("ensayo")]
    error: Annotated[str | None, eg(None)]


class PuntoDeSerie(Answer):
    """Un día: cómo terminó, cuánto ocupa y cuánto tardó; si no hubo respaldo, `estado` es null y lo demás 0."""

    # `completado` if any backup of that local day was, else `fallido` if any failed. The others are of the day's
    # last one in that state. Backups deleted since count: the series says what happened.
    dia: Annotated[date, eg("2026-07-03")]
    estado: Annotated[Literal["completado", "fallido"] | None, eg("completado")]
    tamaño_mb: Annotated[float, eg(1.5)]
    segundos: Annotated[float, eg(4.381)]


class Estadisticas(Answer):
    """Cómo han ido los respaldos de la clínica. `tasa_exito` es un porcentaje, 0 si no terminó ninguno.

    `situacion` dice en una palabra si los datos están a salvo. El costo es de `tamaño_almacenado_mb`, que incluye lo
    eliminado mientras se puede recuperar, a `precio_gb_mes_usd`; en AWS, con los 128 KB y los días que STANDARD_IA
    cobra por objeto como mínimo.
    """

    total_respaldos: Annotated[int, eg(92)]
    completados: Annotated[int, eg(91)]
    fallidos: Annotated[int, eg(1)]
    tamaño_total_mb: Annotated[float, eg(136.5)]
    ultimo_respaldo: Annotated[UltimoRespaldo | None, eg(UltimoRespaldo.example())]
    tasa_exito: Annotated[float, eg(98.9)]
    proximo_respaldo: Annotated[Fecha | None, eg("2026-07-04T06:00:00+00:00")]
    costo_mensual_estimado_usd: Annotated[float, eg(0.001667)]
    serie: Annotated[
        list[PuntoDeSerie],
        eg(
            [
                {"dia": "2026-07-02", "estado": "fallido", "tamaño_mb": 0.0, "segundos": 0.0},
                PuntoDeSerie.example(),
            ]
        ),
    ]
    situacion: Annotated[Situacion, eg("al_dia")]
    ultimo_bueno: Annotated[UltimoBueno | None, eg(UltimoBueno.example())]
    ultima_verificacion: Annotated[UltimaVerificacion | None, eg(UltimaVerificacion.example())]
    fallos_seguidos: Annotated[int, eg(0)]
    tamaño_almacenado_mb: Annotated[float, eg(136.5)]
    precio_gb_mes_usd: Annotated[float, eg(0.0125)]


class ReglasDePolitica(Answer):
    """Cuándo se respalda una clínica, qué se guarda y a quién se avisa; sin valor, como en todas.

    De noche, a la `hora` de los `dias`; de día, cada tantos `minutos` (0: nunca) en el `horario`. Se guarda cada
    respaldo `retencion_dias`; además, uno por día, semana, mes y año de los últimos, y los últimos buenos.
    Se avisa a las direcciones de `avisar`, y a quienes administran la clínica si `avisar_administradores`.
    """

    hora: Annotated[str | None, eg("22:30")] = None
    dias: Annotated[list[Dia] | None, eg(["lunes", "martes", "miércoles", "jueves", "viernes", "sábado"])] = None
    minutos: Annotated[int | None, eg(60)] = None
    horario: Annotated[str | None, eg("08:00-19:00")] = None
    retencion_dias: Annotated[int | None, eg(60)] = None
    retencion_puntos_dias: Annotated[int | None, eg(2)] = None
    retencion_minimo: Annotated[int | None, eg(3)] = None
    retencion_diarios: Annotated[int | None, eg(0)] = None
    retencion_semanales: Annotated[int | None, eg(8)] = None
    retencion_mensuales: Annotated[int | None, eg(12)] = None
    retencion_anuales: Annotated[int | None, eg(5)] = None
    avisar: Annotated[list[str] | None, eg(["sistemas@clinica.example"])] = None
    avisar_administradores: Annotated[bool | None, eg(True)] = None


class PoliticaDeClinica(Answer):
    """Lo que `vale` para una clínica, en palabras y por partes; `propia` es lo que se dijo solo de ella.

    Las horas son de `zona_horaria`. `como_todas` dice que no se dijo nada de ella.
    """

    clinica_id: Annotated[int, eg(3)]
    zona_horaria: Annotated[str, eg("America/La_Paz")]
    en_palabras: Annotated[
        str,
        eg("Se respalda de lunes a sábado a las 22:30. Se guarda cada respaldo 60 días."),
    ]
    como_todas: Annotated[bool, eg(False)]
    propia: Annotated[ReglasDePolitica, eg(ReglasDePolitica.example())]
    vale: Annotated[ReglasDePolitica, eg(ReglasDePolitica.example())]


class RespaldoPorEliminar(Answer):
    """Un respaldo que la limpieza eliminaría, y por qué."""

    id: Annotated[int, eg(7)]
    fecha_respaldo: Annotated[Fecha, eg("2026-05-03T06:00:12+00:00")]
    tamaño_mb: Annotated[float, eg(1.5)]
    razon: Annotated[str, eg("hay otros más nuevos y tiene 60 días o más")]


class CambioDePolitica(Answer):
    """La política, y lo que la próxima limpieza eliminaría con ella: cuántos respaldos, y los más nuevos de ellos.

    Con `simulada` no se cambió nada. `huella` es de esa lista: para guardar menos que antes, se envía de vuelta.
    """

    politica: Annotated[PoliticaDeClinica, eg(PoliticaDeClinica.example())]
    simulada: Annotated[bool, eg(True)]
    se_eliminarian: Annotated[int, eg(1)]
    se_liberarian_mb: Annotated[float, eg(1.5)]
    ejemplos: Annotated[list[RespaldoPorEliminar], eg([RespaldoPorEliminar.example()])]
    huella: Annotated[str, eg("5f0c1d7e9a3b2c44")]


class ClinicaPropia(Answer):
    """La clínica de quien pregunta, y qué puede hacer en ella. `respaldo_diario` es una hora de `zona_horaria`."""

    clinica_id: Annotated[int, eg(1)]
    nombre: Annotated[str | None, eg("Clínica Dental Illimani — La Paz")]
    activa: Annotated[bool, eg(True)]
    zona_horaria: Annotated[str, eg("America/La_Paz")]
    respaldo_diario: Annotated[str, eg("02:00")] = Field(description="HH:MM")
    politica: Annotated[str, eg("Se respalda todos los días a las 2:00. Se guarda cada respaldo 30 días.")] = Field(
        description="Cuándo se respalda, qué se guarda y a quién se avisa, en palabras."
    )
    puede_administrar: Annotated[bool, eg(True)]
    puede_programar: Annotated[bool, eg(False)] = Field(description="Si puede cambiar `politica`.")


class ClinicaEnLista(Answer):
    """Una clínica y cómo están sus respaldos.

    `fallos_seguidos` son los que hubo desde el último completado; `ultimo_error` es por qué falló el último de ellos.
    """

    clinica_id: Annotated[int, eg(3)]
    nombre: Annotated[str | None, eg("Sonrisas del Tunari — Cochabamba")]
    activa: Annotated[bool, eg(True)]
    zona_horaria: Annotated[str, eg("America/La_Paz")]
    situacion: Annotated[Situacion, eg("atrasada")]
    ultimo_bueno: Annotated[UltimoBueno | None, eg({"id": 4, "fecha": "2026-06-30T06:00:09+00:00", "tamaño_mb": 0.4})]
    ultima_verificacion: Annotated[UltimaVerificacion | None, eg(None)]
    en_curso: Annotated[TipoOperacion | None, eg(None)]
    fallos_seguidos: Annotated[int, eg(3)]
    ultimo_error: Annotated[str | None, eg("no hay conexión con la base de datos (DATABASE_URL)")]


class DestruccionDeClave(Answer):
    """En qué está la destrucción de la clave de una clínica: `pedida` por una persona, `retirada`, o `hecha`, como
    otra confirmó.

    `claves` son las destruidas; `pendiente` dice qué queda por borrar del bucket, que el servicio sigue intentando.
    """

    clinica_id: Annotated[int | None, eg(3)] = Field(description="Vacío en la de la plataforma.")
    etapa: Annotated[Literal["pedida", "retirada", "hecha"], eg("hecha")]
    persona: Annotated[str, eg("otra@plataforma.example")]
    claves: Annotated[Sequence[str], eg(["7d0f0b7ca9c1e0d2"])] = ()
    pendiente: Annotated[Sequence[str], eg([])] = ()


# What is done with a backup's file


class Conflicto(Answer):
    """Un registro del respaldo que no puede volver, porque otro de hoy tiene algo que no pueden tener dos.

    `ocupado_por` es la clave del que hoy lo tiene; vacía si no es de la clínica, o si no tiene clave. `explicacion`
    dice todo en una frase, y qué se puede hacer.
    """

    modelo: Annotated[str, eg("consultas")]
    clave: Annotated[dict[str, Any], eg({"id": 81})]
    etiqueta: Annotated[str | None, eg("2026-07-02 · Ana María Muñoz")] = None
    restriccion: Annotated[str, eg("consulta_turno_key")]
    valor: Annotated[dict[str, Any], eg({"turno": 4})]
    ocupado_por: Annotated[dict[str, Any] | None, eg({"id": 95})]
    etiqueta_ocupado_por: Annotated[str | None, eg("2026-07-02 · Luis Paz")] = None
    explicacion: Annotated[
        str,
        eg(
            "“2026-07-02 · Ana María Muñoz” («consultas» 81) no puede volver: “2026-07-02 · Luis Paz”"
            " («consultas» 95) tiene hoy turno = 4, y no pueden estar los dos (consulta_turno_key). Cambie eso en"
            " “2026-07-02 · Luis Paz” («consultas» 95), o quítelo; o restaure sin “2026-07-02 · Ana María Muñoz”"
            " («consultas» 81)"
        ),
    ]


class RestauracionEnLista(Answer):
    """Una verificación, una restauración o una comparación de un respaldo, hecha o por hacer.

    `resultado` de una restauración dice de cada modelo cuántos registros se insertan, actualizan y eliminan, con
    ejemplos para quien administra. `compartidos`, si está, son los que se insertan y no son de ninguna clínica;
    `restaurado`, si es falso, dice que lo que difiere se queda como está. `respaldo_previo` es el respaldo de cómo
    estaba todo antes; `avisos` son frases con lo que hay que saber además: qué se agrega sin pedirlo, qué no se
    restaura, y qué migraciones, tablas y columnas conoce el sistema hoy y el respaldo no. Con `conflictos` no se
    puede restaurar así: una simulación los muestra, y una restauración falla. El resultado de una comparación dice lo
    mismo de lo que cambió desde el respaldo `comparado_con`.
    """

    id: Annotated[int, eg(3)]
    respaldo_id: Annotated[int, eg(7)]
    clinica_id: Annotated[int | None, eg(1)] = Field(description="Vacío en los de la plataforma.")
    tipo: Annotated[TipoRestauracion, eg("restauracion")]
    profundidad: Annotated[Profundidad | None, eg(None)]
    estado: Annotated[Estado, eg("completado")] = Field(validation_alias=AliasPath("trabajo", "estado"))
    simulada: Annotated[bool, eg(True)]
    modelos: Annotated[list[str] | None, eg(None)]
    registro: Annotated[str | None, eg("pacientes:15")] = Field(description="Si se pidió uno solo.")
    registros: Annotated[list[str] | None, eg(["pacientes:15"])] = Field(
        description="En listas, los primeros; al pedir una sola, todos."
    )
    registros_total: Annotated[
        int | None, BeforeValidator(lambda named: len(named) if named is not None else None), eg(1)
    ] = Field(validation_alias="registros", description="Cuántos registros se pidieron.")
    etiquetas: Annotated[
        dict[str, str], BeforeValidator(lambda stored: stored or {}), eg({"pacientes:15": "Ana María Muñoz"})
    ] = Field(description="Cómo se llaman los primeros de `registros`, para quien administra.")
    modo: Annotated[Modo, eg("todo")]
    motivo: Annotated[str | None, eg("Se borró por error la ficha de la paciente")]
    destino: Annotated[str | None, eg(None)]
    con_accesos: Annotated[bool, eg(False)]
    con_clinica: Annotated[bool, eg(False)]
    progreso: Annotated[Progreso | None, eg(None)] = Field(validation_alias=AliasPath("trabajo", "progreso"))
    resultado: Annotated[
        dict[str, Any] | None,
        eg(
            {
                "pacientes": {
                    "insertados": 0,
                    "actualizados": 1,
                    "eliminados": 0,
                    "ejemplos": {
                        "actualizados": [
                            {
                                "clave": {"codusuario": 15},
                                "etiqueta": "Ana María Muñoz",
                                "campos": {"direccion": {"antes": "Calle 9", "despues": "Av. Busch 1234"}},
                            }
                        ]
                    },
                },
                "consultas": {
                    "insertados": 2,
                    "actualizados": 0,
                    "eliminados": 0,
                    "ejemplos": {"insertados": [{"clave": {"id": 81}}, {"clave": {"id": 82}}]},
                },
            }
        ),
    ]
    avisos: Annotated[list[str], eg([])]
    conflictos: Annotated[list[Conflicto], BeforeValidator(lambda stored: stored or []), eg([])]
    respaldo_previo: Annotated[int | None, eg(None)]
    comparado_con: Annotated[int | None, eg(None)]
    copia: Annotated[str | None, eg(None)] = Field(
        description="Cómo se llama la copia en otro almacén de la que se leyó, si el archivo no se podía leer."
    )
    error: Annotated[str | None, eg(None)] = Field(validation_alias=AliasPath("trabajo", "error"))
    usuario: Annotated[str | None, eg("12")] = Field(validation_alias=AliasPath("trabajo", "usuario"))
    fecha_creacion: Annotated[Fecha, eg("2026-07-05T06:59:55+00:00")] = Field(
        validation_alias=AliasPath("trabajo", "fecha_creacion")
    )
    fecha_fin: Annotated[Fecha | None, eg("2026-07-05T07:00:00+00:00")] = Field(
        validation_alias=AliasPath("trabajo", "fecha_fin")
    )

    @classmethod
    def of(cls, restauracion: Restauracion, *, examples: bool = True, listed: bool = False) -> Self:
        """What was done; without `examples` of rows, or names, for who may not see what backups hold.

        Where many are `listed`, each with the first of its `registros`: there may be thousands.
        """
        answer = cls.model_validate(restauracion)
        if listed and answer.registros is not None:
            answer.registros = answer.registros[:LISTED_RECORDS]
        if not examples:
            if answer.conflictos and answer.error is not None:
                # The sentence has the values that are in each other's way.
                answer.error = "hay registros que no pueden volver; quien administra la clínica ve cuáles"
            answer.conflictos, answer.etiquetas = [], {}
            # It may name a patient.
            answer.motivo = None
            answer.avisos = [without_names(each) for each in answer.avisos if not each.startswith((WHO, WHAT))]
            answer.error = without_names(answer.error) if answer.error is not None else None
            if answer.resultado is not None and answer.tipo != TipoRestauracion.VERIFICACION:
                answer.resultado = {model: {**changes, "ejemplos": {}} for model, changes in answer.resultado.items()}
        return answer


class ExportacionEnLista(Answer):
    """Los datos de un respaldo en otro formato, hechos o por hacer. `tamaño_mb` está en MiB.

    Mientras está `disponible` se puede pedir un enlace para descargarla. `vence` dice hasta cuándo; después de
    `descargado` quedan quince minutos, por si la descarga se cortó al final.
    """

    id: Annotated[int, eg(3)]
    respaldo_id: Annotated[int, eg(7)]
    clinica_id: Annotated[int | None, eg(1)] = Field(description="Vacío en los de la plataforma.")
    formato: Annotated[Formato, eg("excel")]
    estado: Annotated[Estado, eg("completado")] = Field(validation_alias=AliasPath("trabajo", "estado"))
    progreso: Annotated[Progreso | None, eg(None)] = Field(validation_alias=AliasPath("trabajo", "progreso"))
    archivo: Annotated[str | None, eg("backup_20260703_020012_excel.zip")]
    tamaño_bytes: Annotated[Cuenta, eg(2097152)]
    tamaño_mb: Annotated[float, BeforeValidator(mib), eg(2.0)] = Field(validation_alias="tamaño_bytes")
    disponible: Annotated[bool, eg(True)] = Field(validation_alias="available")
    vence: Annotated[Fecha | None, eg("2026-07-06T07:00:00+00:00")]
    descargado: Annotated[Fecha | None, eg(None)]
    error: Annotated[str | None, eg(None)] = Field(validation_alias=AliasPath("trabajo", "error"))
    usuario: Annotated[str | None, eg("12")] = Field(validation_alias=AliasPath("trabajo", "usuario"))
    fecha_creacion: Annotated[Fecha, eg("2026-07-05T06:59:55+00:00")] = Field(
        validation_alias=AliasPath("trabajo", "fecha_creacion")
    )
    fecha_fin: Annotated[Fecha | None, eg("2026-07-05T07:00:00+00:00")] = Field(
        validation_alias=AliasPath("trabajo", "fecha_fin")
    )


# The audit trail


class ClaveEnLista(Answer):
    """Una clave para un programa, sin la clave."""

    id: Annotated[int, eg(3)]
    clinica_id: Annotated[int, eg(1)]
    nombre: Annotated[str, eg("Copia nocturna")]
    permisos: Annotated[list[Alcance], eg(["descargar", "mirar"])] = Field(
        validation_alias=AliasChoices("alcances", "permisos")
    )
    publica: Annotated[str, eg("5f0c1d7e9a3b2c44")]
    creada_por: Annotated[str | None, eg("12")]
    fecha_creacion: Annotated[Fecha, eg("2026-07-05T06:59:55.120000+00:00")]
    vence: Annotated[Fecha, eg("2026-10-03T06:59:55.120000+00:00")]
    revocada: Annotated[Fecha | None, eg(None)]


class ClaveNueva(ClaveEnLista):
    """Con la clave, que no se vuelve a mostrar."""

    clave: Annotated[str, eg("rsp_5f0c1d7e9a3b2c44_3q2-7w…")]


class EventoEnLista(Answer):
    """Una línea de la auditoría: quién hizo qué, cuándo y desde dónde. Nadie puede cambiarla ni borrarla."""

    id: Annotated[int, eg(41)]
    fecha: Annotated[Fecha, eg("2026-07-05T06:59:55.120000+00:00")]
    clinica_id: Annotated[int | None, eg(1)]
    accion: Annotated[Accion, eg("enlace_descarga")]
    respaldo_id: Annotated[int | None, eg(7)]
    usuario: Annotated[str | None, eg("12")]
    direccion: Annotated[str | None, eg("203.0.113.9")]
    detalle: Annotated[dict[str, Any], eg({"archivo": "backup_20260703_020012.json.gz", "segundos": 3600})]


class EventoDeClinica(EventoEnLista):
    """Con el nombre de quien lo hizo, si hoy es alguien de la clínica."""

    usuario_nombre: Annotated[str | None, eg("Ana María Peñaranda")] = None

    @classmethod
    def of(cls, evento: Evento, names: Mapping[str, str]) -> Self:
        """One line of a clinic's own trail; `names` are those of its people."""
        answer = cls.model_validate(evento)
        answer.usuario_nombre = names.get(evento.usuario or "")
        return answer


# Notices


class AvisoEnviado(Answer):
    """Lo que se envía a WEBHOOK_URL."""

    id: Annotated[int, eg(31)] = Field(description="El mismo si llega otra vez.")
    tipo: Annotated[TipoAviso, eg("fallo")]
    clinica_id: Annotated[int | None, eg(1)] = Field(description="Vacío en los de la plataforma.")
    clinica: Annotated[str | None, eg("Clínica Dental Illimani")] = Field(description="Su nombre, si se pudo leer.")
    respaldo: Annotated[RespaldoAvisado | None, eg(RespaldoAvisado.example())] = Field(
        description="De cuál se trata, si es de uno."
    )
    datos: Annotated[
        dict[str, Any], eg({"error": "El almacenamiento no responde", "error_type": "almacenamiento_no_disponible"})
    ] = Field(description="Lo propio de cada tipo.")
    fecha: Annotated[Fecha, eg("2026-07-03T06:00:12+00:00")] = Field(description="Cuándo sucedió.")
    enviado: Annotated[Fecha, eg("2026-07-03T06:00:40+00:00")] = Field(description="Cuándo se envía esta vez.")
