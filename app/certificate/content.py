"""What a certificate says of a backup that has just been read whole, and of what was done with it.

What an auditor of health records asks of evidence that backups are tested: what was restored, when, by whom, why,
with what result, and how somebody else can check it (ISO/IEC 27001:2022, A.8.13; 45 CFR 164.308(a)(7)(ii)(D)), and
for a restore the log of it (ISO/IEC 27701:2019, 6.9.3.1).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from zoneinfo import ZoneInfo

from app import wording
from app.clinic.restore.mode import Modo
from app.dump.verifier import VerifiedFile
from app.dump.whose import whose
from app.errors import RestoreUncertain
from app.respaldos.audit import COMMAND_LINE, SERVICE
from app.respaldos.contract import TIPO_DISPLAY, WHAT, WHO
from app.respaldos.models import Estado, Profundidad, Respaldo, Restauracion, TipoRespaldo, TipoRestauracion

# How a model's digest is computed from the file with what every Linux has.
_AGAIN = """\
gzip -t ARCHIVO.json.gz && md5sum ARCHIVO.json.gz
zcat ARCHIVO.json.gz | sed -n '/^"MODELO":\\[$/,/^\\]/{p;/^\\]/q}' \\
  | sed -e 1d -e '$d' -e 's/},$/}/' | sha256sum"""

_DONE = {
    TipoRestauracion.VERIFICACION: "Comprobación",
    TipoRestauracion.RESTAURACION: "Restauración",
    TipoRestauracion.COMPARACION: "Comparación",
}

_MODES = {
    Modo.FALTANTES: "solo lo que faltaba; lo que había quedó como estaba",
    Modo.CAMBIADOS: "lo que faltaba y lo que había cambiado; no se quitó nada",
    Modo.TODO: "exactamente como estaba en el respaldo",
}

# Who asked, where it was no person with a login.
_NOBODY = {SERVICE.direccion: "el servicio, por sí mismo", COMMAND_LINE.direccion: "la línea de comandos"}

# A backup's row does not say from where it was asked for.
_ASKED_FROM = {
    TipoRespaldo.MANUAL: COMMAND_LINE.direccion,
    TipoRespaldo.AUTOMATICO: SERVICE.direccion,
    TipoRespaldo.POR_DEMANDA: None,
    TipoRespaldo.PUNTO: SERVICE.direccion,
}

# Records of a restore that are listed.
NAMED = 20

_DEPTHS = {
    Profundidad.RAPIDA: "que el archivo esté y tenga su tamaño",
    Profundidad.COMPLETA: "lectura de todo el archivo: bytes, estructura, cantidades y resúmenes",
    Profundidad.ENSAYO: "restauración de verdad en tablas aparte, con las restricciones de la base",
}

_READ_AGAIN = "lo restaurado se volvió a leer, y dio los mismos resúmenes"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of texts under a header; the columns of these numbers (from 0) are to the right."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the document, with what it has of these in this order; `code` is to be copied as it stands."""

    title: str
    facts: Sequence[tuple[str, str]] = ()
    table: Table | None = None
    paragraphs: Sequence[str] = ()
    code: str = ""


@dataclass(frozen=True, slots=True)
class Certificate:
    """The whole document, in Spanish, of that moment; `foot` stands on every page."""

    title: str
    subtitle: str
    parts: Sequence[Part]
    foot: str
    issued: datetime


@dataclass(frozen=True, slots=True)
class Issue:
    """For whom and when it is made: whose clinic, what its people are called by their code, and on which clocks."""

    clinic_name: str | None
    names: Mapping[str, str]
    moment: datetime
    time_zone: ZoneInfo
    by: str | None

    def date(self, moment: datetime) -> str:
        """On the clinic's clocks to the second, and in UTC."""
        local = moment.astimezone(self.time_zone)
        return f"{wording.date(moment, self.time_zone)}:{local:%S} ({moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ})"

    def who(self, usuario: str | None, address: str | None = None) -> str:
        """Somebody by name and code; of nobody known, from where it was asked for."""
        if usuario is None:
            return _NOBODY.get(address or SERVICE.direccion, address or "")
        name = self.names.get(usuario)
        known = f"{name} (código {usuario})" if name else f"código {usuario}"
        return f"{known}, desde {address}" if address else known


def certificate(
    issue: Issue, respaldo: Respaldo, verified: VerifiedFile, restauracion: Restauracion | None = None
) -> Certificate:
    """The certificate of the backup whose object `verified` is, or of what was done with it in `restauracion`."""
    owner = whose(respaldo.clinica_id)
    if issue.clinic_name:
        owner = f"{wording.one_line(issue.clinic_name, 120)} ({owner})"
    parts = [] if restauracion is None else _operation(issue, restauracion)
    parts += [_backup(issue, respaldo, verified), _reading(issue, verified), _models(verified), _again(respaldo)]
    what = "respaldo" if restauracion is None else _DONE[restauracion.tipo].lower()
    if restauracion is not None and restauracion.profundidad == Profundidad.ENSAYO:
        what = "ensayo de restauración"
    elif restauracion is not None and restauracion.simulada:
        what = "restauración simulada"
    return Certificate(
        f"Constancia de {what}",
        owner[0].upper() + owner[1:],
        parts,
        f"Emitida el {issue.date(issue.moment)} por Respaldos {version('respaldos')}, a pedido de"
        f" {issue.who(issue.by, None if issue.by else COMMAND_LINE.direccion)}",
        issue.moment,
    )


def _backup(issue: Issue, respaldo: Respaldo, verified: VerifiedFile) -> Part:
    elapsed = respaldo.tiempo_ejecucion
    facts = [
        ("Número", str(respaldo.id)),
        ("Los datos son de", issue.date(respaldo.fecha_respaldo)),
        ("Cómo se hizo", TIPO_DISPLAY[respaldo.tipo_respaldo]),
        ("Pedido por", respaldo.usuario_nombre or issue.who(respaldo.usuario, _ASKED_FROM[respaldo.tipo_respaldo])),
        ("Motivo", respaldo.descripcion or "sin descripción"),
        ("Registros", wording.count(verified.records)),
        ("Tardó", wording.duration(elapsed.total_seconds()) if elapsed is not None else "no se sabe"),
        ("Archivo", respaldo.archivo_s3 or ""),
        ("Tamaño", f"{wording.size(verified.compressed_size)} ({wording.count(verified.compressed_size)} bytes)"),
        ("MD5 del archivo", verified.md5),
        ("SHA-256 del archivo", verified.sha256),
        ("Sello", f"de la clave «{verified.seal}»" if verified.seal_checked else "sin sello que se haya comprobado"),
        *_shared(issue, respaldo),
        ("Base de datos", f"PostgreSQL {verified.header.postgresql}"),
    ]
    if respaldo.sospechoso:
        accepted = f"; se aceptó el {issue.date(respaldo.aceptado)}" if respaldo.aceptado is not None else ""
        facts.append(("Sospechoso", f"tiene mucho menos que el anterior{accepted}"))
    if respaldo.fecha_eliminacion is not None:
        facts.append(("Eliminado", issue.date(respaldo.fecha_eliminacion)))
    return Part("El respaldo", facts)


def _shared(issue: Issue, respaldo: Respaldo) -> list[tuple[str, str]]:
    since = respaldo.sin_cambios_desde
    if since is None:
        return []
    return [
        (
            "Sin cambios desde",
            f"el respaldo {respaldo.respaldo_base_id}, del {issue.date(since)}: el archivo es el de aquel, y dice su"
            " número en la primera línea",
        )
    ]


def _reading(issue: Issue, verified: VerifiedFile) -> Part:
    models = len(verified.totals) + len(verified.reference_totals)
    return Part(
        "La comprobación, hecha al emitir esta constancia",
        paragraphs=[
            f"El {issue.date(issue.moment)} se leyó el archivo entero, tal como está guardado:"
            f" {wording.count(verified.compressed_size)} bytes, que descomprimidos son"
            f" {wording.count(verified.original_size)}. Su MD5 es el que se anotó al crearlo, el documento está"
            f" completo hasta su final, y las cantidades y los resúmenes de sus {models} modelos son los que el"
            " archivo declara."
        ],
    )


def _operation(issue: Issue, restauracion: Restauracion) -> list[Part]:
    job, end = restauracion.trabajo, restauracion.trabajo.fecha_fin
    facts = [
        ("Número", str(restauracion.id)),
        ("Resultado", _outcome(restauracion)),
        ("Pedida por", issue.who(job.usuario, job.direccion)),
        ("Pedida", issue.date(job.fecha_creacion)),
    ]
    if end is not None:
        facts += [
            ("Terminada", issue.date(end)),
            ("Duró, con la espera", wording.duration((end - job.fecha_creacion).total_seconds())),
        ]
    if restauracion.profundidad is not None:
        facts.append(("Qué se pidió", _DEPTHS[restauracion.profundidad]))
    if restauracion.tipo == TipoRestauracion.RESTAURACION:
        facts += [
            ("Motivo", restauracion.motivo or "sin motivo anotado"),
            ("Qué se pidió", _scope(restauracion)),
            ("Hasta dónde", _MODES[restauracion.modo]),
            *([("En otra base de datos", restauracion.destino)] if restauracion.destino else []),
            ("Cómo estaba antes", _before(restauracion)),
        ]
    return [Part(_DONE[restauracion.tipo], facts), *_changes(restauracion)]


def _outcome(restauracion: Restauracion) -> str:
    """How it ended. Of an error only the code: its sentence may hold values of rows."""
    job, of_backup = restauracion.trabajo, restauracion.tipo == TipoRestauracion.VERIFICACION
    if job.estado == Estado.COMPLETADO:
        if restauracion.profundidad == Profundidad.ENSAYO:
            return f"salió bien: {_READ_AGAIN}"
        if of_backup:
            return "salió bien"
        return "se simuló: no cambió nada" if restauracion.simulada else f"salió bien: {_READ_AGAIN}"
    if job.error_type == RestoreUncertain.code:
        return f"se interrumpió al final, y no se sabe si los datos cambiaron ({job.error_type})"
    if not of_backup:
        return f"no salió, y no cambió nada: todo se deshizo ({job.error_type})"
    if (restauracion.resultado or {}).get("correcto") is False:
        return f"el respaldo no pasó la comprobación ({job.error_type})"
    return f"no se pudo hacer la comprobación, que no dice nada del respaldo ({job.error_type})"


def _scope(restauracion: Restauracion) -> str:
    # By their keys, which say whose they are only to those who may look them up.
    if (records := restauracion.registros) is not None:
        more = f" y {wording.count(len(records) - NAMED)} más" if len(records) > NAMED else ""
        return f"{', '.join(records[:NAMED])}{more}, con lo que es suyo"
    if restauracion.modelos is not None:
        return f"los modelos {', '.join(restauracion.modelos)}"
    return "todo lo de la clínica"


def _before(restauracion: Restauracion) -> str:
    if restauracion.respaldo_previo is None:
        return "no se guardó aparte"
    return f"quedó en el respaldo {restauracion.respaldo_previo}"


def _changes(restauracion: Restauracion) -> list[Part]:
    """What a restore changed, or would change, by model, and what it had to say; no name and no value of a row."""
    done = restauracion.trabajo.estado == Estado.COMPLETADO
    if restauracion.tipo != TipoRestauracion.RESTAURACION or not done:
        return []
    rows = [
        [model, *(wording.count(changes[kind]) for kind in ("insertados", "actualizados", "eliminados"))]
        for model, changes in (restauracion.resultado or {}).items()
        if any(changes[kind] for kind in ("insertados", "actualizados", "eliminados"))
    ]
    said = [aviso for aviso in restauracion.avisos if not aviso.startswith((WHO, WHAT))]
    if restauracion.conflictos:
        said.append("Así no se puede restaurar: hay registros de hoy con valores que no pueden tener dos.")
    table = Table(("Modelo", "Agregados", "Corregidos", "Quitados"), rows, (1, 2, 3)) if rows else None
    nothing = [] if rows else ["Todo estaba ya como en el respaldo."]
    title = "Qué cambiaría" if restauracion.simulada else "Qué cambió"
    return [Part(title, table=table, paragraphs=[*nothing, *said])]


def _models(verified: VerifiedFile) -> Part:
    rows = [
        [name, wording.count(total.records), wording.count(total.bytes), total.sha256]
        for totals in (verified.totals, verified.reference_totals)
        for name, total in totals.items()
    ]
    return Part(
        "Los registros, por modelo",
        table=Table(("Modelo", "Registros", "Bytes", "Resumen SHA-256"), rows, (1, 2)),
        paragraphs=["El resumen es de los registros del modelo, en su orden, cada uno con su fin de línea."],
    )


def _again(respaldo: Respaldo) -> Part:
    return Part(
        "Cómo comprobarlo otra vez",
        paragraphs=[
            f"Con este servicio: «respaldos verificar {respaldo.id}», o «respaldos constancia {respaldo.id}», que lee"
            " todo de nuevo y debe dar los mismos resúmenes. Sin él, con el archivo y las órdenes de cualquier Linux,"
            " que imprimen el MD5 del archivo y el resumen de un modelo:"
        ],
        code=_AGAIN,
    )
