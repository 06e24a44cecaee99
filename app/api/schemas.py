"""The shapes of the contract, as the API's page shows them and as each answer is checked against them."""

from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, WithJsonSchema
from pydantic_core import PydanticKnownError

from app.respaldos.models import Accion, Estado, Profundidad, TipoOperacion, TipoRespaldo, TipoRestauracion
from app.respaldos.status.health import Situacion

# What the operations give is text already; the page is to say which kind.
Fecha = Annotated[
    str, WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-07-03T06:00:00Z"]})
]

# PostgreSQL cannot store a NUL.
WITHOUT_NUL = r"^[^\x00]*$"

# A model and a key.
A_RECORD = r"^[^:\x00]+:[^\x00]+$"

LONGEST_DESCRIPTION = 500

# Up to here all JSON parsers read the same (RFC 8259, 6), the one that makes the page among them.
LARGEST_NUMBER = 2**53 - 1


class Answer(BaseModel):
    """What is sent. A key more or less than these would be a mistake of this service."""

    model_config = ConfigDict(extra="forbid", json_schema_serialization_defaults_required=True)


# What is asked for


class Ingreso(BaseModel):
    """Quién quiere entrar. `email` y `password` valen también, en lugar de `correo` y `contraseña`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"correo": "admin@clinica1.example", "contraseña": "demo1234"}],
        }
    )

    correo: str = Field(
        validation_alias=AliasChoices("correo", "email"),
        min_length=1,
        max_length=254,
        pattern=WITHOUT_NUL,
        description="El correo, o el nombre de usuario.",
    )
    contraseña: str = Field(
        validation_alias=AliasChoices("contraseña", "password"),
        min_length=1,
        max_length=1024,
        pattern=WITHOUT_NUL,
        json_schema_extra={"format": "password"},
    )
    clinica: str | None = Field(
        None,
        max_length=63,
        pattern=WITHOUT_NUL,
        description="El esquema de la clínica, donde cada una tiene el suyo; o la cabecera `X-Tenant-Subdomain`.",
    )


class PedidoRespaldo(BaseModel):
    """Para qué se hace el respaldo."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"descripcion": "Antes de la actualización"}]})

    descripcion: str = Field("", max_length=LONGEST_DESCRIPTION, pattern=WITHOUT_NUL)


class PedidoVerificacion(BaseModel):
    """Cuánto se comprueba: que el archivo esté y tenga su tamaño (rapida), todo su contenido (completa), o que se
    pueda restaurar (ensayo)."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"profundidad": "completa"}]})

    profundidad: Profundidad = Profundidad.RAPIDA


class PedidoRestauracion(BaseModel):
    """Qué se restaura: todo, unos modelos, o un registro con lo que depende de él.

    Con `simular` solo se muestra qué pasaría.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"simular": True},
                {"modelos": ["consultas"]},
                {"simular": True, "registro": "pacientes:15"},
            ],
            # One or the other.
            "not": {
                "properties": {"modelos": {"type": "array"}, "registro": {"type": "string"}},
                "required": ["modelos", "registro"],
            },
        }
    )

    simular: StrictBool = False
    con_accesos: StrictBool | None = Field(
        None,
        description="También los accesos y privilegios de la clínica, si son suyos. Solo para el superadministrador.",
    )
    con_clinica: StrictBool | None = Field(
        None,
        description="También la fila de la clínica en la tabla de clínicas. Solo para el superadministrador.",
    )
    modelos: list[Annotated[str, Field(min_length=1, max_length=200, pattern=WITHOUT_NUL)]] | None = Field(
        None, min_length=1, max_length=1000
    )
    registro: str | None = Field(
        None,
        max_length=LONGEST_DESCRIPTION,
        pattern=WITHOUT_NUL,
        # Said of the field, and checked with better words where it is read.
        json_schema_extra={"pattern": A_RECORD},
        description="modelo:clave, por ejemplo pacientes:15",
    )
    actualizar: StrictBool | None = Field(
        None,
        description="De un respaldo de la plataforma: además de agregar lo que falta, cambiar lo que es distinto. Los"
        " datos de una clínica vuelven a estar igual en cualquier caso.",
    )


def _no_text(value: Any) -> Any:
    # JSON Schema's integers have 7.0 among them, and neither "7" nor true.
    if isinstance(value, str | bool):
        raise PydanticKnownError("int_type")
    return value


class PedidoComparacion(BaseModel):
    """Desde qué otro respaldo se cuentan los cambios."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"desde": 6}]})

    desde: Annotated[int, Field(ge=1, le=LARGEST_NUMBER), BeforeValidator(_no_text)]


# What is answered


class UsuarioIngresado(Answer):
    """Quién entró."""

    codigo: int | str | None
    nombre: str | None
    apellido: str | None
    nombre_completo: str
    correoelectronico: str | None
    idtipousuario: int | str | None
    tipo_usuario_nombre: str | None
    clinica_id: int | None
    rol: str


class Ingresado(Answer):
    """El token con que se hace todo lo demás, en la cabecera `Authorization: Bearer …`."""

    mensaje: str
    token: str
    expira_en_segundos: int
    usuario: UsuarioIngresado


class TokenVerificado(Answer):
    """El token vale. Lo que no dicen ni él ni la base de datos de la clínica queda vacío."""

    valido: Literal[True]
    expira_en_segundos: int = Field(ge=0)
    usuario: UsuarioIngresado


class Verificacion(Answer):
    """La última comprobación: cuándo, cuánto se comprobó, y por qué falló si falló."""

    fecha: Fecha
    profundidad: Profundidad | None
    error: str | None


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


class RespaldoEnLista(Answer):
    """Un respaldo. `tamaño_mb` está en MiB. Lo que todavía no se sabe, o no se sabrá porque falló, es 0."""

    id: int
    clinica_id: int | None = Field(description="Vacío en los de la plataforma.")
    fecha_respaldo: Fecha
    tamaño_bytes: int
    tamaño_mb: float
    numero_registros: int
    estado: Estado
    estado_display: str
    tipo_respaldo: TipoRespaldo
    tipo_respaldo_display: str
    descripcion: str
    usuario: str | None = Field(description="El código de quien lo pidió.")
    fecha_creacion: Fecha
    puede_restaurar: bool
    verificado: Verificacion | None
    sospechoso: bool = Field(description="Está vacío o tiene menos de la mitad que el anterior, y nadie lo aceptó.")
    fecha_expiracion: Fecha | None = Field(
        description=(
            "Hasta cuándo se conserva por lo menos: `fecha_respaldo` más RETENTION_DAYS. Después lo elimina la"
            " limpieza de la noche, salvo que sea el último bueno o que otra regla lo conserve. Una persona lo puede"
            " eliminar antes. null si no está completado o ya está eliminado."
        )
    )


class Metadata(BaseModel):
    """Qué contiene el archivo; sin archivo, nada y 0. Si el respaldo falló, `error` y `error_type` dicen por qué."""

    model_config = ConfigDict(extra="allow")

    modelos_respaldados: list[str]
    detalles_registros: dict[str, int]
    tamaño_original_mb: float
    tamaño_comprimido_mb: float
    compresion_porcentaje: float
    avisos: list[str]


class RespaldoCompleto(RespaldoEnLista):
    """Un respaldo con todo lo que se sabe de él."""

    archivo_s3: str | None
    hash_md5: str | None = Field(description="MD5 del archivo comprimido, tal como está guardado.")
    tiempo_ejecucion: str | None = Field(examples=["00:00:04.381000"])
    tiempo_ejecucion_segundos: float
    metadata: Metadata
    usuario_nombre: str | None
    fecha_actualizacion: Fecha
    progreso: Progreso | None


class RespaldoConMensaje(Answer):
    """Qué pasó, y cómo está el respaldo ahora."""

    mensaje: str
    respaldo: RespaldoCompleto


class Enlace(Answer):
    """Una dirección con que se descarga el archivo, sin token, mientras no venza."""

    url: str
    expira_en_segundos: int
    archivo: str
    tamaño_mb: float


class UltimoRespaldo(Answer):
    """El respaldo completado más nuevo."""

    id: int
    fecha: Fecha
    tamaño_mb: float


class PuntoDeSerie(Answer):
    """Un día: cómo terminó, cuánto ocupa y cuánto tardó; si no hubo respaldo, `estado` es null y lo demás 0."""

    dia: str = Field(json_schema_extra={"format": "date"})
    estado: str | None
    tamaño_mb: float
    segundos: float


class UltimoBueno(UltimoRespaldo):
    """El respaldo bueno más nuevo: completado, sin verificación fallida, y no sospechoso o ya aceptado."""


class UltimaVerificacion(Answer):
    """La última vez que se leyó y comprobó lo que hay dentro de un respaldo; `error` dice por qué falló, si falló."""

    respaldo_id: int
    fecha: Fecha
    profundidad: Profundidad
    error: str | None


class Estadisticas(Answer):
    """Cómo han ido los respaldos de la clínica. `tasa_exito` es un porcentaje, 0 si no terminó ninguno.

    `situacion` dice en una palabra si los datos están a salvo. El costo es de `tamaño_almacenado_mb`, que incluye lo
    eliminado mientras se puede recuperar, a `precio_gb_mes_usd`.
    """

    total_respaldos: int
    completados: int
    fallidos: int
    tamaño_total_mb: float
    ultimo_respaldo: UltimoRespaldo | None
    tasa_exito: float
    proximo_respaldo: Fecha | None
    costo_mensual_estimado_usd: float
    serie: list[PuntoDeSerie]
    situacion: Situacion
    ultimo_bueno: UltimoBueno | None
    ultima_verificacion: UltimaVerificacion | None
    fallos_seguidos: int
    tamaño_almacenado_mb: float
    precio_gb_mes_usd: float


class ClinicaPropia(Answer):
    """La clínica de quien pregunta, y qué puede hacer en ella. `respaldo_diario` es una hora de `zona_horaria`."""

    clinica_id: int
    nombre: str | None
    activa: bool
    zona_horaria: str
    respaldo_diario: str = Field(description="HH:MM")
    puede_administrar: bool


class ClinicaEnLista(Answer):
    """Una clínica y cómo están sus respaldos. `fallos_seguidos` son los que hubo desde el último completado."""

    clinica_id: int
    nombre: str | None
    activa: bool
    zona_horaria: str
    situacion: Situacion
    ultimo_bueno: UltimoBueno | None
    ultima_verificacion: UltimaVerificacion | None
    en_curso: TipoOperacion | None
    fallos_seguidos: int


class RestauracionEnLista(Answer):
    """Una verificación, una restauración o una comparación de un respaldo, hecha o por hacer.

    `resultado` de una restauración dice de cada modelo cuántos registros se insertan, actualizan y eliminan, con
    ejemplos para quien administra. `compartidos`, si está, son los que se insertan y no son de ninguna clínica;
    `restaurado`, si es falso, dice que lo que difiere se queda como está. `respaldo_previo` es el respaldo de cómo
    estaba todo antes; `avisos` son frases con lo que hay que saber además: qué se agrega sin pedirlo, qué no se
    restaura, y qué migraciones, tablas y columnas conoce el sistema hoy y el respaldo no. El resultado de una
    comparación dice lo mismo de lo que cambió desde el respaldo `comparado_con`.
    """

    id: int
    respaldo_id: int
    clinica_id: int | None = Field(description="Vacío en los de la plataforma.")
    tipo: TipoRestauracion
    profundidad: Profundidad | None
    estado: Estado
    simulada: bool
    modelos: list[str] | None
    registro: str | None
    destino: str | None
    con_accesos: bool
    con_clinica: bool
    progreso: Progreso | None
    resultado: dict[str, Any] | None
    avisos: list[str]
    respaldo_previo: int | None
    comparado_con: int | None
    error: str | None
    usuario: str | None
    fecha_creacion: Fecha
    fecha_fin: Fecha | None


class EventoEnLista(Answer):
    """Una línea de la auditoría: quién hizo qué, cuándo y desde dónde. Nadie puede cambiarla ni borrarla."""

    id: int
    fecha: Fecha
    clinica_id: int | None
    accion: Accion
    respaldo_id: int | None
    usuario: str | None
    direccion: str | None
    detalle: dict[str, Any]


class EventoDeClinica(EventoEnLista):
    """Con el nombre de quien lo hizo, si hoy es alguien de la clínica."""

    usuario_nombre: str | None


class CampoNoValido(BaseModel):
    """Un campo de la petición que no vale."""

    campo: str
    mensaje: str


class Problema(BaseModel):
    """Por qué no se pudo (RFC 9457). `error` y `detail` se pueden mostrar tal como están."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["urn:respaldos:error:respaldo_inexistente"])
    title: str
    status: int
    detail: str
    instance: str = Field(json_schema_extra={"format": "uri-reference"})
    error: str
    codigo: str = Field(description="Estable, para programas.")
    errores: list[CampoNoValido] = Field(default=[], description="En un 422, cada campo que no vale.")


class Vida(Answer):
    """El proceso responde."""

    estado: str


class Preparacion(Answer):
    """De cada cosa que el servicio necesita: `ok`, o qué le pasa. El trabajador no le hace falta para responder."""

    base_de_datos: str
    redis: str
    bucket: str
    trabajador: str = Field(description="Quien hace los respaldos y programa la noche: `ok`, o qué no se sabe de él.")
