"""What only the API is asked and answers: the bodies of requests, logins, health, errors."""

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictInt
from pydantic_core import PydanticKnownError

from app.clinic.restore.mode import Modo
from app.export.format import Formato
from app.opening_hours import MOST_MINUTES
from app.respaldos.access.keys import LONGEST_NAME, MOST_DAYS
from app.respaldos.contract import Answer, eg
from app.respaldos.models import Alcance, Dia, Profundidad
from app.respaldos.policies.policy import LONGEST_ADDRESS, MOST, MOST_ADDRESSES
from app.respaldos.restore.request import MOST_RECORDS

# PostgreSQL cannot store a NUL.
WITHOUT_NUL = r"^[^\x00]*$"

# A model and a key.
A_RECORD = r"^[^:\x00]+:[^\x00]+$"

LONGEST_DESCRIPTION = 500

# Up to here all JSON parsers read the same (RFC 8259, 6), the one that makes the page among them.
LARGEST_NUMBER = 2**53 - 1


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


class Confirmacion(BaseModel):
    """Su contraseña, otra vez. `password` vale también, en lugar de `contraseña`."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"contraseña": "demo1234"}]})

    contraseña: str = Field(
        validation_alias=AliasChoices("contraseña", "password"),
        min_length=1,
        max_length=1024,
        pattern=WITHOUT_NUL,
        json_schema_extra={"format": "password"},
    )


class PedidoClave(BaseModel):
    """Cómo se llama la clave, para qué es y por cuántos días vale."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"nombre": "Copia nocturna", "permisos": ["mirar", "descargar"], "dias": 90}]}
    )

    nombre: str = Field(min_length=1, max_length=LONGEST_NAME, pattern=WITHOUT_NUL)
    permisos: list[Alcance] = Field(min_length=1, max_length=len(Alcance))
    dias: StrictInt = Field(90, ge=1, le=MOST_DAYS)


class PedidoCierre(BaseModel):
    """De quién se cierran las sesiones: como lo llaman sus tokens."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"usuario": "12", "clinica_id": 1}]})

    usuario: str = Field(
        min_length=1,
        max_length=254,
        pattern=WITHOUT_NUL,
        description="El código de su usuario; de un superadministrador, su correo.",
    )
    clinica_id: StrictInt | None = Field(
        None, ge=1, le=LARGEST_NUMBER, description="Su clínica; sin ella, es un superadministrador."
    )


class PedidoRespaldo(BaseModel):
    """Para qué se hace el respaldo."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"descripcion": "Antes de la actualización"}]})

    descripcion: str = Field("", max_length=LONGEST_DESCRIPTION, pattern=WITHOUT_NUL)


class PedidoRetencion(BaseModel):
    """Por qué se conserva el respaldo, y hasta qué día, incluido; sin él, hasta que se libere."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"motivo": "Lo pide la auditoría del Ministerio"}]})

    motivo: str = Field(min_length=1, max_length=LONGEST_DESCRIPTION, pattern=r"^[^\x00]*[^\s\x00][^\x00]*$")
    hasta: date | None = None


class PedidoVerificacion(BaseModel):
    """Cuánto se comprueba: que el archivo esté y tenga su tamaño (rapida), todo su contenido (completa), o que se
    pueda restaurar (ensayo)."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"profundidad": "completa"}]})

    profundidad: Profundidad = Profundidad.RAPIDA


class PedidoExportacion(BaseModel):
    """Para qué programas se sacan los datos."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"formato": "excel"}]})

    formato: Formato


# Said of the field, and checked with better words where it is read.
RegistroPedido = Annotated[
    str, Field(max_length=LONGEST_DESCRIPTION, pattern=WITHOUT_NUL, json_schema_extra={"pattern": A_RECORD})
]


def _not_both(one: str, other: str) -> dict[str, Any]:
    given = {"not": {"type": "null"}}
    return {"not": {"properties": {one: given, other: given}, "required": [one, other]}}


class PedidoRestauracion(BaseModel):
    """Qué se restaura: todo, unos modelos, o unos registros, cada uno con lo que depende de él.

    `modo` dice hasta dónde: solo lo que falta hoy (faltantes), también lo que cambió (cambiados), o exactamente como
    estaba, sin lo que se agregó después (todo). Con `simular` solo se muestra qué pasaría.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"simular": True},
                {"modelos": ["consultas"]},
                {"simular": True, "registro": "pacientes:15"},
                {
                    "registros": ["pacientes:15", "consultas:81"],
                    "modo": "faltantes",
                    "motivo": "Se borró por error la ficha de la paciente",
                },
            ],
            "allOf": [
                _not_both("modelos", "registro"),
                _not_both("modelos", "registros"),
                _not_both("registro", "registros"),
            ],
        }
    )

    simular: StrictBool = False
    modo: Modo | None = Field(None, description="Si no se envía, `todo`.")
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
    registro: RegistroPedido | None = Field(None, description="modelo:clave, por ejemplo pacientes:15")
    registros: list[RegistroPedido] | None = Field(
        None,
        min_length=1,
        max_length=MOST_RECORDS,
        description="Varios, cada uno modelo:clave. `registro` es lo mismo con uno solo.",
    )
    motivo: str | None = Field(
        None,
        max_length=LONGEST_DESCRIPTION,
        pattern=WITHOUT_NUL,
        description="Por qué se pide: queda en la restauración, en la auditoría y en el correo.",
    )
    actualizar: StrictBool | None = Field(
        None,
        description="De un respaldo de la plataforma: además de agregar lo que falta, cambiar lo que es distinto. De"
        " los datos de una clínica lo dice `modo`.",
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


_Days = Annotated[int | None, Field(ge=1, le=MOST), BeforeValidator(_no_text)]
_Count = Annotated[int | None, Field(ge=0, le=MOST), BeforeValidator(_no_text)]


class PedidoPolitica(BaseModel):
    """Cuándo se respalda la clínica, qué se guarda y a quién se avisa; sin valor, como en todas."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"hora": "22:30", "retencion_dias": 60, "simular": True}]}
    )

    hora: Annotated[str | None, Field(max_length=5, pattern=WITHOUT_NUL)] = None
    dias: Annotated[list[Dia] | None, Field(min_length=1, max_length=7)] = None
    minutos: Annotated[int | None, Field(ge=0, le=MOST_MINUTES), BeforeValidator(_no_text)] = None
    horario: Annotated[str | None, Field(max_length=11, pattern=WITHOUT_NUL)] = None
    retencion_dias: _Days = None
    retencion_puntos_dias: _Days = None
    retencion_minimo: _Days = None
    retencion_diarios: _Count = None
    retencion_semanales: _Count = None
    retencion_mensuales: _Count = None
    retencion_anuales: _Count = None
    avisar: Annotated[
        list[Annotated[str, Field(max_length=LONGEST_ADDRESS, pattern=WITHOUT_NUL)]] | None,
        Field(max_length=MOST_ADDRESSES),
    ] = None
    avisar_administradores: StrictBool | None = None
    simular: StrictBool = False
    huella: Annotated[
        str | None,
        Field(max_length=64, pattern=WITHOUT_NUL, description="La de la respuesta que dijo qué se eliminaría."),
    ] = None


class PedidoDestruccion(BaseModel):
    """El nombre de la clínica, sin que importen acentos, guiones ni espacios; y si se confirma lo que se pidió."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"nombre": "Clínica Illimani", "confirmar": False}]})

    nombre: Annotated[str, Field(max_length=500, pattern=WITHOUT_NUL)]
    confirmar: bool = False


# What is answered


class UsuarioIngresado(Answer):
    """Quién entró."""

    codigo: Annotated[int | str | None, eg(12)]
    nombre: Annotated[str | None, eg("Ana María")]
    apellido: Annotated[str | None, eg("Peñaranda")]
    nombre_completo: Annotated[str, eg("Ana María Peñaranda")]
    correoelectronico: Annotated[str | None, eg("admin@clinica1.example")]
    idtipousuario: Annotated[int | str | None, eg(1)]
    tipo_usuario_nombre: Annotated[str | None, eg("Administrador")]
    clinica_id: Annotated[int | None, eg(1)]
    rol: Annotated[str, eg("Administrador")]


class Ingresado(Answer):
    """El token con que se hace todo lo demás, en la cabecera `Authorization: Bearer …`."""

    mensaje: Annotated[str, eg("Inicio de sesión exitoso")]
    token: Annotated[str, eg("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMiJ9.x2Vq…")]
    expira_en_segundos: Annotated[int, eg(28800)]
    usuario: Annotated[UsuarioIngresado, eg(UsuarioIngresado.example())]


class TokenNuevo(Answer):
    """Un token como el anterior, que vale desde ahora."""

    token: Annotated[str, eg("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMiJ9.x2Vq…")]
    expira_en_segundos: Annotated[int, eg(28800)]


class Mensaje(Answer):
    """Se hizo, y no hay más que decir."""

    mensaje: Annotated[str, eg("La sesión terminó")]


class TokenVerificado(Answer):
    """El token vale. Lo que no dicen ni él ni la base de datos de la clínica queda vacío."""

    valido: Annotated[Literal[True], eg(True)]
    expira_en_segundos: Annotated[int, eg(28740)] = Field(ge=0)
    usuario: Annotated[UsuarioIngresado, eg(UsuarioIngresado.example())]


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
