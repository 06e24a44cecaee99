"""What an aviso tells, gathered from its rows: one value for the mail and for the webhook."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from app import wording
from app.dump.whose import whose
from app.errors import RestoreUncertain
from app.notify.outbox import REFUSALS, SENT_TO, ClaimedAviso
from app.respaldos.contract import TIPO_DISPLAY, AvisoEnviado, RespaldoAvisado
from app.respaldos.models import Profundidad, TipoAviso, TipoRespaldo

# A subject line longer than this is cut on a phone anyway (characters).
NAME_LIMIT = 80

# An error may carry a whole statement; its beginning says what is wrong (characters).
ERROR_LIMIT = 1500

# Of the records that somebody wanted back, so many are in a mail.
RECORDS_NAMED = 3

PROFUNDIDAD_DISPLAY = {
    Profundidad.RAPIDA: "Rápida",
    Profundidad.COMPLETA: "Completa",
    Profundidad.ENSAYO: "Ensayo de restauración",
}


CHANGED = {
    "insertados": "Registros agregados",
    "actualizados": "Registros corregidos",
    "eliminados": "Registros quitados",
}

# Of these, how long the backup once took says nothing.
NOT_ABOUT_MAKING = {
    *(TipoAviso.VERIFICACION_FALLIDA, TipoAviso.RESTAURACION, TipoAviso.RESTAURACION_FALLIDA, TipoAviso.ELIMINACION),
}

# Of these, a person has said why.
ASKED_FOR = {TipoAviso.RESTAURACION, TipoAviso.RESTAURACION_FALLIDA}

# Of these, when the last good backup was taken is no news.
GOOD_NEWS = {TipoAviso.EXITO, TipoAviso.RECUPERACION, TipoAviso.RESTAURACION}


@dataclass(frozen=True, slots=True)
class Fact:
    """A line of the table in a mail."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Notification:
    """An aviso with the clinic's name, None where it is not known, and the clinic's time zone."""

    claimed: ClaimedAviso
    clinic_name: str | None
    time_zone: ZoneInfo

    @property
    def tipo(self) -> TipoAviso:
        """What happened."""
        return TipoAviso(self.claimed.aviso.tipo)

    @property
    def clinic(self) -> str:
        """What to call the clinic, or the platform, on one line."""
        if self.claimed.aviso.clinica_id is None:
            return whose(None)
        name = wording.one_line(self.clinic_name or "", NAME_LIMIT)
        return name or f"Clínica {self.claimed.aviso.clinica_id}"

    @property
    def who(self) -> str:
        """`la clínica`, or `la plataforma`: whose the backups are, within a sentence."""
        return "la clínica" if self.claimed.aviso.clinica_id is not None else whose(None)

    @property
    def date(self) -> str:
        """When it happened, for people: that of the backup where it is about one."""
        respaldo = self.claimed.respaldo
        return self._date(respaldo.fecha_respaldo if respaldo is not None else self.claimed.aviso.fecha_creacion)

    @property
    def last_good(self) -> str | None:
        """When the newest good backup that the clinic has was taken, for people."""
        return self._date(self.claimed.last_good) if self.claimed.last_good is not None else None

    @property
    def overdue_since(self) -> str | None:
        """When the newest good backup of the clinic that this warns of had been taken, for people."""
        last = self.claimed.aviso.datos.get("ultimo")
        return self._date(datetime.fromisoformat(last)) if last is not None else None

    @property
    def scheduled(self) -> bool:
        """The schedule of nights or of the day made the backup, and not a person."""
        respaldo = self.claimed.respaldo
        return respaldo is not None and respaldo.tipo_respaldo in (TipoRespaldo.AUTOMATICO, TipoRespaldo.PUNTO)

    @property
    def technical(self) -> str | None:
        """What the service itself said of the problem, for whoever is asked for help."""
        said = self.claimed.aviso.datos.get("error")
        return wording.one_line(str(said), ERROR_LIMIT) if said else None

    @property
    def panel_path(self) -> str:
        """Where the panel shows what it is about."""
        respaldo = self.claimed.respaldo
        # A superadmin's pages begin with the clinic, and the platform's has none.
        if respaldo is None or respaldo.clinica_id is None or self.claimed.aviso.clinica_id is None:
            return "/panel/"
        return f"/panel/respaldos/{respaldo.id}"

    @property
    def untried(self) -> bool:
        """The verification could not be made, which says nothing of the backup."""
        return bool(self.claimed.aviso.datos.get("sin_ensayo"))

    @property
    def uncertain(self) -> bool:
        """Nobody knows whether the restore that this tells of was carried out."""
        return self.claimed.aviso.datos.get("error_type") == RestoreUncertain.code

    @property
    def for_everybody(self) -> bool:
        """Also administrators who do not want mail are to read it."""
        return bool(self.claimed.aviso.datos.get("todos"))

    @property
    def deleter(self) -> str | None:
        """Who deleted the backup, as far as it is known."""
        said = self.claimed.aviso.datos.get("quien")
        return wording.one_line(str(said), NAME_LIMIT) if said else None

    @property
    def motive(self) -> str | None:
        """Why the backup is suspicious."""
        said = self.claimed.aviso.datos.get("motivo")
        # The sentence is made for lists, where it has to say of itself what it is.
        return wording.one_line(str(said).removeprefix("sospechoso: "), ERROR_LIMIT) if said else None

    def facts(self) -> list[Fact]:
        """The table of the mail; without what is not known."""
        respaldo, datos = self.claimed.respaldo, self.claimed.aviso.datos
        found = [("Clínica" if self.claimed.aviso.clinica_id is not None else "Datos de", self.clinic)]
        if respaldo is not None:
            found += [("Respaldo", f"n.º {respaldo.id}"), ("Fecha", self.date)]
            found += [("Tipo", TIPO_DISPLAY[TipoRespaldo(respaldo.tipo_respaldo)])]
            records, bytes_ = respaldo.numero_registros, respaldo.tamaño_bytes
            elapsed = respaldo.tiempo_ejecucion
            if records is not None:
                found += [("Registros", wording.count(records))]
            if bytes_ is not None:
                found += [("Tamaño", wording.size(bytes_))]
            if elapsed is not None and self.tipo not in NOT_ABOUT_MAKING:
                found += [("Duración", wording.duration(elapsed.total_seconds()))]
        if (address := datos.get("desde")) is not None:
            found += [("Desde", wording.one_line(str(address), NAME_LIMIT))]
        if self.tipo in ASKED_FOR and (reason := datos.get("motivo")) is not None:
            found += [("Motivo", wording.one_line(str(reason), ERROR_LIMIT))]
        if self.tipo in ASKED_FOR and (records := datos.get("registros")) is not None:
            found += [("Registros pedidos", _first(records, datos.get("numero_registros", len(records))))]
        for what, name in CHANGED.items():
            if what in datos:
                found += [(name, wording.count(datos[what]))]
        if (depth := datos.get("profundidad")) is not None:
            found += [("Comprobación", PROFUNDIDAD_DISPLAY.get(depth, str(depth)))]
        if (store := datos.get("destino")) is not None:
            found += [("Almacén de la copia", wording.one_line(str(store), NAME_LIMIT))]
            found += [("Respaldos sin copia", wording.count(datos["faltan"]))]
            found += [("El más viejo, del", self._date(datetime.fromisoformat(datos["desde_respaldo"])))]
        elif self.tipo not in GOOD_NEWS:
            found += [("Último respaldo bueno", self.last_good or "ninguno")]
        return [Fact(*each) for each in found]

    def document(self, sent: datetime) -> AvisoEnviado:
        """What the webhook is sent, at that moment."""
        aviso, respaldo = self.claimed.aviso, self.claimed.respaldo
        return AvisoEnviado(
            id=aviso.id,
            tipo=self.tipo,
            clinica_id=aviso.clinica_id,
            clinica=self.clinic_name,
            respaldo=RespaldoAvisado.model_validate(respaldo) if respaldo is not None else None,
            # Who else was told is nobody's business.
            datos={name: value for name, value in aviso.datos.items() if name not in {SENT_TO, REFUSALS}},
            fecha=aviso.fecha_creacion,
            enviado=sent,
        )

    def _date(self, timestamp: datetime) -> str:
        return wording.date(timestamp, self.time_zone)


def _first(records: Sequence[str], count: int) -> str:
    """The first of so many records, by model and key."""
    shown = ", ".join(record.replace(":", " ", 1) for record in records[:RECORDS_NAMED])
    more = f", y {wording.count(count - RECORDS_NAMED)} más" if count > RECORDS_NAMED else ""
    return wording.one_line(shown, ERROR_LIMIT) + more
