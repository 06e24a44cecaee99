"""What a person reads of each kind of aviso."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from html.parser import HTMLParser
from typing import Any

import pytest
from jinja2 import DictLoader

from app.errors import NotifyError
from app.notify.mail_renderer import MailRenderer, valid_address
from app.notify.notification import Notification
from app.notify.outbox import ClaimedAviso
from app.respaldos.models import Aviso, Estado, Respaldo, TipoAviso, TipoRespaldo
from tests.notify.conftest import ANA, LA_PAZ

NIGHT = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)
CLINIC = "Consultorio Ñuñoz e Hijos"
MOTIVE = "tiene 120 registros, y el último respaldo bueno (número 3) 15,000"
REASON = "Se borró la ficha de «Ana <Ñ> & Eva»"
SAID = "S3 no responde (bucket respaldos): 503 <Slow & Down>"

DATOS: dict[TipoAviso, dict[str, Any]] = {
    TipoAviso.FALLO: {"error": SAID, "error_type": "almacenamiento_no_disponible"},
    TipoAviso.RECUPERACION: {},
    TipoAviso.EXITO: {"registros": 1_075_000, "bytes": 13_000_000, "segundos": 4.4},
    TipoAviso.SOSPECHOSO: {"motivo": f"sospechoso: {MOTIVE}"},
    TipoAviso.ATRASADO: {"ultimo": "2026-11-20T06:00:00+00:00"},
    TipoAviso.VERIFICACION_FALLIDA: {"error": SAID, "profundidad": "completa"},
    TipoAviso.RESTAURACION: {
        **{"restauracion_id": 3, "insertados": 12_345, "actualizados": 2, "eliminados": 0},
        "motivo": REASON,
    },
    TipoAviso.RESTAURACION_FALLIDA: {
        **{"restauracion_id": 3, "error": SAID, "error_type": "restauracion_rechazada"},
        **{"registros": [f"pacientes:{number}" for number in range(20)], "numero_registros": 1_007},
        "motivo": REASON,
    },
    TipoAviso.ELIMINACION: {"quien": "Ana Pérez", "desde": "203.0.113.9", "todos": True},
    TipoAviso.COPIA_FALLIDA: {
        **{"destino": "oficina", "faltan": 1_204, "desde_respaldo": "2026-11-20T06:00:00+00:00", "error": SAID},
    },
}

SUBJECTS = {
    TipoAviso.FALLO: f"No se pudo hacer el respaldo de {CLINIC}",
    TipoAviso.RECUPERACION: f"Los respaldos de {CLINIC} vuelven a funcionar",
    TipoAviso.EXITO: f"Respaldo completado: {CLINIC}",
    TipoAviso.SOSPECHOSO: f"Revise el respaldo de {CLINIC}: parece incompleto",
    TipoAviso.ATRASADO: f"{CLINIC} no tiene un respaldo reciente",
    TipoAviso.VERIFICACION_FALLIDA: f"Un respaldo de {CLINIC} no pasó la comprobación",
    TipoAviso.RESTAURACION: f"Datos restaurados: {CLINIC}",
    TipoAviso.RESTAURACION_FALLIDA: f"No se pudo restaurar un respaldo de {CLINIC}",
    TipoAviso.ELIMINACION: f"Se eliminó un respaldo de {CLINIC}",
    TipoAviso.COPIA_FALLIDA: "Faltan copias de respaldos en otro almacén",
}

MADE = ("23 de noviembre de 2026, 02:00", "n.º 42", "1.075.000", "12,4 MB", "Automático")
FACTS = {
    TipoAviso.FALLO: ("23 de noviembre de 2026, 02:00", "n.º 42", "21 de noviembre de 2026, 02:00", SAID),
    TipoAviso.RECUPERACION: (*MADE, "4,4 segundos"),
    TipoAviso.EXITO: (*MADE, "4,4 segundos"),
    TipoAviso.SOSPECHOSO: (*MADE, MOTIVE, "21 de noviembre de 2026, 02:00"),
    TipoAviso.ATRASADO: ("20 de noviembre de 2026, 02:00",),
    TipoAviso.VERIFICACION_FALLIDA: (*MADE, "Completa", SAID, "21 de noviembre de 2026, 02:00"),
    TipoAviso.RESTAURACION: ("23 de noviembre de 2026, 02:00", "n.º 42", "12.345", "Registros agregados", REASON),
    TipoAviso.RESTAURACION_FALLIDA: (*MADE, SAID, "no cambiaron", REASON, "pacientes 2, y 1.004 más"),
    TipoAviso.ELIMINACION: (*MADE, "Ana Pérez eliminó", "203.0.113.9", "cambie su contraseña"),
    TipoAviso.COPIA_FALLIDA: ("oficina", "1.204", "20 de noviembre de 2026, 02:00", SAID),
}


def notification(tipo: TipoAviso, *, clinic: str | None = CLINIC, **more: Any) -> Notification:
    failed = tipo is TipoAviso.FALLO
    respaldo = Respaldo(
        id=42,
        clinica_id=5,
        fecha_respaldo=NIGHT,
        fecha_creacion=NIGHT,
        estado=Estado.FALLIDO if failed else Estado.COMPLETADO,
        tipo_respaldo=TipoRespaldo.AUTOMATICO,
        descripcion="",
        numero_registros=None if failed else 1_075_000,
        tamaño_bytes=None if failed else 13_000_000,
        tiempo_ejecucion=timedelta(seconds=4.4),
    )
    aviso = Aviso(id=7, clinica_id=5, tipo=tipo, datos=DATOS[tipo] | more, fecha_creacion=NIGHT)
    about = None if tipo in (TipoAviso.ATRASADO, TipoAviso.COPIA_FALLIDA) else respaldo
    return Notification(ClaimedAviso(aviso, about, NIGHT - timedelta(days=2), NIGHT), clinic, LA_PAZ)


def write(told: Notification, **options: Any) -> EmailMessage:
    return MailRenderer(**options).write(told, sender="respaldos@example.com", to=ANA)


class _Page(HTMLParser):
    """The text that a person sees, and what a mail program would fetch."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.fetched: list[str] = []
        self._hidden = False
        self._text: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._hidden = tag in {"style", "title"}
        self.fetched += [value or "" for name, value in attrs if name in {"src", "href", "background"}]

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self._text.append(data)

    def handle_endtag(self, _: str) -> None:
        self._hidden = False

    @property
    def text(self) -> str:
        return one_spaced("".join(self._text))


def one_spaced(text: str) -> str:
    return " ".join(text.split())


def letters_only(text: str) -> str:
    """Without what the two layouts show in ways of their own: spaces, colons, capitals."""
    return "".join(char for char in text.lower() if char.isalnum())


def bodies(message: EmailMessage) -> tuple[str, str]:
    """Text and HTML, as they arrive."""
    plain, html = message.get_body(("plain",)), message.get_body(("html",))
    assert plain is not None
    assert html is not None
    return str(plain.get_content()), str(html.get_content())


def test_it_leads_to_the_panel_and_says_whom_to_ask() -> None:
    options = {"public_url": "https://respaldos.example.com/", "support_contact": "Mesa de ayuda\n<b>2-2123456</b>"}
    for tipo, link in (
        (TipoAviso.FALLO, "https://respaldos.example.com/panel/respaldos/42"),
        (TipoAviso.ATRASADO, "https://respaldos.example.com/panel/"),
    ):
        text, html = bodies(write(notification(tipo), **options))
        page = _Page(html)
        assert page.fetched == [link]
        assert link in text.splitlines()[[line.startswith("Abrir en") for line in text.splitlines()].index(True)]
        for shown in (one_spaced(text), page.text):
            assert "Para pedir ayuda: Mesa de ayuda <b>2-2123456</b>" in shown


@pytest.mark.parametrize("tipo", TipoAviso)
def test_each_kind_says_what_happened_what_it_means_and_what_to_do(tipo: TipoAviso) -> None:
    message = write(notification(tipo))
    assert message["Subject"] == SUBJECTS[tipo]
    text, html = bodies(message)
    page = _Page(html)
    for shown in (one_spaced(text), page.text):
        assert CLINIC in shown
        for fact in FACTS[tipo]:
            assert fact in shown, f"{fact} is missing: {shown}"
        assert "qué significa" in shown.lower()
        assert "qué hacer" in shown.lower()
        assert "None" not in shown
    assert page.fetched == []
    assert not {"img", "script", "link", "iframe"} & set(page.tags)
    assert 'lang="es"' in html
    assert "width=device-width" in html


@pytest.mark.parametrize("tipo", TipoAviso)
def test_text_and_html_tell_the_same(tipo: TipoAviso) -> None:
    text, html = bodies(write(notification(tipo)))
    assert letters_only(text) == letters_only(_Page(html).text)


@pytest.mark.parametrize("tipo", TipoAviso)
def test_the_lines_of_the_text_are_short(tipo: TipoAviso) -> None:
    text, _ = bodies(write(notification(tipo)))
    assert max(map(len, text.splitlines())) <= 78


def test_a_failure_does_not_ask_for_what_the_service_does_itself() -> None:
    night = notification(TipoAviso.FALLO)
    respaldo = night.claimed.respaldo
    assert respaldo is not None
    for scheduled in (TipoRespaldo.AUTOMATICO, TipoRespaldo.PUNTO):
        respaldo.tipo_respaldo = scheduled
        assert "vuelve a intentarlo por su cuenta" in one_spaced(bodies(write(night))[0])
    respaldo.tipo_respaldo = TipoRespaldo.POR_DEMANDA
    assert "Pida el respaldo otra vez" in one_spaced(bodies(write(night))[0])


@pytest.mark.parametrize("tipo", [TipoAviso.FALLO, TipoAviso.SOSPECHOSO, TipoAviso.VERIFICACION_FALLIDA])
def test_a_clinic_without_any_good_backup_is_told_so(tipo: TipoAviso) -> None:
    told = notification(tipo)
    none = replace(told, claimed=replace(told.claimed, last_good=None))
    for body in bodies(write(none)):
        assert "ninguno" in body


def test_what_others_wrote_is_shown_and_not_obeyed() -> None:
    _, html = bodies(write(notification(TipoAviso.FALLO, clinic="<b onclick=x>Clínica</b> & Cía «»")))
    assert "<b " not in html
    assert "&lt;b onclick=x&gt;" in html
    assert "<Slow" not in html


@pytest.mark.parametrize(
    "clinic", ["Uno\r\nBcc: otra@example.com", "Uno\nBcc: otra@example.com\n\nHola", "Uno\x0bBcc: x\u2028\x00y"]
)
def test_a_clinics_name_adds_no_header(clinic: str) -> None:
    message = write(notification(TipoAviso.EXITO, clinic=clinic))
    assert message["Bcc"] is None
    head = message.as_bytes().split(b"\n\n", 1)[0]
    assert b"\nBcc" not in head
    assert str(message["Subject"]).startswith("Respaldo completado: Uno Bcc:")


def test_a_clinic_without_a_name_goes_by_its_number() -> None:
    assert write(notification(TipoAviso.EXITO, clinic=None))["Subject"] == "Respaldo completado: Clínica 5"


def test_an_endless_name_or_error_is_cut() -> None:
    told = notification(TipoAviso.FALLO, clinic="x" * 5000)
    told.claimed.aviso.datos = {"error": "y" * 100_000}
    message = write(told)
    assert len(str(message["Subject"])) < 200
    assert len(message.as_bytes()) < 20_000


def test_the_message_says_that_a_program_wrote_it_and_which_it_is() -> None:
    first, again = write(notification(TipoAviso.EXITO)), write(notification(TipoAviso.EXITO))
    assert first["Auto-Submitted"] == "auto-generated"
    assert first["From"].addresses[0].addr_spec == "respaldos@example.com"
    assert first["Date"].datetime.tzinfo is not None
    assert abs(first["Date"].datetime - datetime.now(UTC)) < timedelta(minutes=5)
    assert first["Message-ID"] == again["Message-ID"]
    assert first["Message-ID"].startswith("<aviso-7.")
    assert first["Message-ID"].endswith("@example.com>")


def test_a_new_database_does_not_use_message_ids_again() -> None:
    """Its avisos begin at 1 once more, and a mailbox drops a message whose id it has."""
    later = notification(TipoAviso.EXITO)
    later.claimed.aviso.fecha_creacion = NIGHT + timedelta(days=1)
    assert write(later)["Message-ID"] != write(notification(TipoAviso.EXITO))["Message-ID"]


def test_what_cannot_be_written_is_an_error_of_this_service() -> None:
    """The notifier goes on to the next."""
    told = notification(TipoAviso.EXITO)
    told.claimed.aviso.tipo = TipoAviso.FALLO
    renderer = MailRenderer()
    renderer._html.loader = DictLoader({})
    with pytest.raises(NotifyError, match="fallo"):
        renderer.write(told, sender="a@b.c", to=ANA)


@pytest.mark.parametrize("address", [ANA, "a@ñandú.example", "a.b+c@x.co", "a@localhost"])
def test_addresses(address: str) -> None:
    assert valid_address(address)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "a",
        "a@",
        "@b",
        "a@b@c",
        "a b@c.d",
        "<a@b.c>",
        "a@b.c, d@e.f",
        "a@b\r\nRCPT",
        '"a"@b.c',
        "a..b@c.d",
        "año@b.c",
    ],
)
def test_what_is_no_address(address: str) -> None:
    assert not valid_address(address)


@pytest.mark.parametrize(
    ("tipo", "more", "said", "not_said"),
    [
        (
            TipoAviso.RESTAURACION_FALLIDA,
            {"error_type": "restauracion_dudosa"},
            "no se sabe si los datos cambiaron",
            "no cambiaron",
        ),
        (
            TipoAviso.VERIFICACION_FALLIDA,
            {"profundidad": "ensayo", "sin_ensayo": True},
            "no está demostrado que sirva",
            "no está como se guardó",
        ),
    ],
)
def test_what_is_not_known_is_not_claimed(tipo: TipoAviso, more: dict[str, Any], said: str, not_said: str) -> None:
    text, html = bodies(write(notification(tipo, **more)))
    for shown in (one_spaced(text), _Page(html).text):
        assert said in shown
        assert not_said not in shown
