"""The rows of one clinic: its people, and what happened at each visit of its patients over ten years.

A visit writes into many tables at once, so the rows come in batches that hold some of every table: memory
stays the same whatever the size of the clinic, and no row has to be looked up again.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from math import log
from random import Random
from typing import ClassVar, Final, TypeVar

from app.demo.sample.clinics import SampleClinic, SampleLogin, logins
from app.demo.sample.copy_format import NULL, copy_text, money, text_array
from app.demo.sample.schema import OWNED, TREATMENT_STATES, Table
from app.demo.sample.wording import (
    ACTIONS,
    ALLERGIES,
    DISEASES,
    SERVICES,
    SPECIALTIES,
    Wording,
    ascii_login,
)

# Fixed, so that a sample is the same on any day: ten years, the last of which is over.
FIRST_DAY: Final = date(2015, 7, 1)
LAST_DAY: Final = date(2025, 6, 30)
_DATES: Final = tuple((FIRST_DAY + timedelta(days)).isoformat() for days in range((LAST_DAY - FIRST_DAY).days + 1))

# About 2 MB: large enough that the sixteen COPYs of a batch cost nothing beside its rows.
BATCH_ROWS: Final = 5_000
# More rows than a new patient, or a visit, can have; what is left when they no longer fit becomes `bitacora`.
PATIENT_ROWS: Final = 3
VISIT_ROWS: Final = 34

# Keys of the shared rows that `generate` makes.
_SLOTS: Final = 24
ADMINISTRATOR, DENTIST, RECEPTIONIST, PATIENT = 1, 2, 3, 4
_ATTENDED, _CANCELLED, _MISSED = 3, 4, 5
_PAID, _PENDING, _PARTIAL, _VOID = 1, 2, 3, 4

_MISSING: Final = {_CANCELLED: "Cancelada", _MISSED: "No asistió"}
_MAIL: Final = ("gmail.com", "hotmail.com", "yahoo.es", "entelnet.bo", "outlook.com")
_CHANNELS: Final = ("mostrador", "teléfono", "WhatsApp", "página web", "aplicación móvil")
_TOOTH_STATES: Final = (
    "sano",
    "caries",
    "obturado",
    "ausente",
    "corona",
    "endodoncia",
    "implante",
    "fractura",
)
_FACES: Final = ("oclusal", "mesial", "distal", "vestibular", "palatina", "lingual")

Batch = dict[str, bytes]
_T = TypeVar("_T")


def rows_without_clinic(records: int) -> int:
    """How many `bitacora` rows of such a clinic have no `clinica_id`, and are its own by `usuario_id`."""
    return 0 if records < 20 else max(1, records // 1000)


class ClinicRows:
    """Every row of one clinic but its own in `clinica`; always the same for clinic, seed and first keys."""

    _tables: ClassVar[tuple[Table, ...]] = OWNED
    _patient_rows: ClassVar[int] = PATIENT_ROWS
    _visit_rows: ClassVar[int] = VISIT_ROWS

    def __init__(
        self, clinic: SampleClinic, seed: int, first_keys: Mapping[str, int], *, tenant_column: bool
    ) -> None:
        """`first_keys` has, for each table with a sequence, the first key that is free."""
        self._clinic = clinic
        self._source = Random(f"{seed}:{clinic.id}")  # noqa: S311
        self._random: Callable[[], float] = self._source.random
        self._words = Wording(self._source)
        self._next = dict(first_keys)
        self._left = clinic.records - 1
        self._lines: dict[str, list[str]] = {table.name: [] for table in self._tables}
        self._pending = 0
        self._tenant = (str(clinic.id),) if tenant_column else ()
        self._no_tenant = (NULL,) if tenant_column else ()
        self._invoices = 0
        self._administrator = 0
        self._receptionists: list[int] = []
        self._dentists: list[int] = []
        self._agents = [self._words.agent() for _ in range(60)]
        self._addresses = [self._words.ip_address() for _ in range(25)]

    @property
    def next_keys(self) -> Mapping[str, int]:
        """The first free keys after what `batches` has given so far."""
        return self._next

    def batches(self) -> Iterator[Batch]:
        """COPY text by table, about BATCH_ROWS rows at a time; a table's parents come before it."""
        for _ in self._steps():
            if self._pending >= BATCH_ROWS:
                yield self._taken()
        if self._pending:
            yield self._taken()

    def _taken(self) -> Batch:
        batch = {name: ("\n".join(lines) + "\n").encode() for name, lines in self._lines.items() if lines}
        for lines in self._lines.values():
            lines.clear()
        self._pending = 0
        return batch

    def _steps(self) -> Iterator[None]:
        """Make some rows at each step, until there are as many as the clinic has."""
        if self._left == 0:
            return
        self._found()
        _, administrator, receptionist, patient = logins([self._clinic])
        self._hire(administrator, receptionist)
        first = self._admit(0, patient)
        self._equip()
        for _ in range(rows_without_clinic(self._clinic.records)):
            self._idle_action(labelled=False)
        if self._left >= self._visit_rows:
            self._visit(first, 0, 0, 0, complete=True)
        yield
        while self._left >= self._patient_rows + self._visit_rows:
            yield from self._patient()
        while self._left:
            self._idle_action(labelled=True)
            yield

    def _found(self) -> None:
        """What a larger schema has before anybody is hired."""

    def _equip(self) -> None:
        """What a larger schema has before the first visit."""

    def _hire(self, administrator: SampleLogin, receptionist: SampleLogin) -> None:
        size = self._clinic.records
        self._administrator = self._user(ADMINISTRATOR, 0, administrator)
        for number in range(min(1 + size // 8_000, 15)):
            key = self._user(RECEPTIONIST, 0, receptionist if number == 0 else None)
            self._put("recepcionista", key, copy_text(self._words.note(1)), f"{7 + number % 6:02}:30")
            self._receptionists.append(key)
        for _ in range(1 if size < 200 else min(2 + size // 4_000, 40)):
            key = self._user(DENTIST, 0)
            trained = copy_text(self._words.note(2))
            self._put("odontologo", key, self._pick(SPECIALTIES), trained, f"MP-{self._clinic.id}-{key}")
            self._dentists.append(key)

    def _patient(self) -> Iterator[None]:
        """A patient who comes for the first time, and again for as long as there are rows left."""
        day = int(self._random() * (len(_DATES) - 30))
        patient = self._admit(day)
        self._log(patient, "CREAR", "paciente", patient, "Se registró un paciente nuevo", day)
        chart = 0
        # Few come often: an exponential with a mean of six visits.
        for visit in range(1 + min(60, int(-6 * log(1 - self._random())))):
            if self._left < self._visit_rows or day >= len(_DATES):
                return
            chart = self._visit(patient, chart, day, visit)
            day += 4 + int(self._random() * 170)
            yield

    def _admit(self, day: int, login: SampleLogin | None = None) -> int:
        """A patient's two rows; the key."""
        random = self._random
        key = self._user(PATIENT, day, login)
        allergies = [self._pick(ALLERGIES) for _ in range(int(random() * random() * 4))]
        name, surname, _ = self._words.person()
        contact = {"nombre": f"{name} {surname}", "telefono": self._words.phone(), "avisar": random() < 0.5}
        self._put(
            "paciente",
            key,
            # The key makes it unique; the rest makes it look like an identity card.
            f"{1_000_000 + key * 7}-{self._pick(('LP', 'SC', 'CB', 'OR', 'PT', 'CH', 'TJ'))}",
            NULL if random() < 0.05 else (FIRST_DAY - timedelta(int(random() * 29_000) - 400)).isoformat(),
            copy_text(self._words.address()),
            text_array(allergies),
            self._json(contact, absent=0.3),
            *self._tenant,
        )
        return key

    def _user(self, role: int, day: int, login: SampleLogin | None = None) -> int:
        random = self._random
        key = self._key("usuario")
        name, surname, sex = self._words.person()
        if login is not None:
            name, surname, email = login.nombre, login.apellido, login.email
        else:
            email = f"{ascii_login(name)}.{ascii_login(surname)}{key}@" + self._pick(_MAIL)
        self._put(
            "usuario",
            key,
            name,
            surname,
            email,
            NULL if random() < 0.04 else sex,
            NULL if random() < 0.1 else self._words.phone(),
            role,
            login is not None or random() < 0.97,
            random() < 0.8,
            random() < 0.4,
            self._timestamp(day, 28_800 + int(random() * 36_000)),
            *self._tenant,
        )
        return key

    def _visit(self, patient: int, chart: int, day: int, visit: int, *, complete: bool = False) -> int:
        """Everything that one visit writes, in every table if `complete`; gives the chart in use after it."""
        random = self._random
        slot = int(random() * _SLOTS)
        second = 28_800 + slot * 1_800
        dentist = self._pick(self._dentists)
        desk = self._pick(self._receptionists)
        chance = 0.0 if complete else random()
        state = _ATTENDED if chance < 0.86 else _CANCELLED if chance < 0.93 else _MISSED
        attended = state == _ATTENDED
        service = int(random() * len(SERVICES))
        consultation = self._key("consulta")
        self._put(
            "consulta",
            consultation,
            _DATES[day],
            patient,
            dentist,
            NULL if random() < 0.15 else desk,
            slot + 1,
            1 if visit == 0 else 2 + int(random() * 4),
            state,
            copy_text(self._words.sentence()),
            copy_text(self._words.note(1 + int(random() * 2))) if attended else NULL,
            copy_text(self._words.note(2 + int(random() * 8))) if attended else "",
            money(SERVICES[service][1]) if attended else NULL,
            f"{SERVICES[service][2]} minutes" if attended else NULL,
            self._timestamp(max(day - int(random() * 9), 0), 30_000),
        )
        booked = {"paciente": patient, "odontologo": dentist, "canal": self._pick(_CHANNELS), "hora": slot}
        text = f"Agendó una consulta del paciente {patient}"
        self._log(desk, "CREAR", "consulta", consultation, text, day, booked)
        if complete or random() < 0.03:
            self._pay_online(NULL, consultation, 5_000, day, second)
        if not attended:
            change = {"antes": {"estado": "Confirmada"}, "despues": {"estado": _MISSING[state], "id": state}}
            text = f"Cambió el estado de la consulta {consultation}"
            self._log(desk, "ACTUALIZAR", "consulta", consultation, text, day, change)
            return chart
        if chart == 0 or visit % 6 == 5:
            chart = self._chart(patient, day)
        if visit % 3 == 0:
            self._history(patient, dentist, day, visit // 3 + 1)
        if complete or random() < 0.45:
            for _ in range(1 + int(random() * 3)):
                self._treatment(chart, day, NULL if random() < 0.2 else service + 1)
        if complete or random() < 0.13:
            self._plan(patient, dentist, day)
        if complete or random() < 0.62:
            self._invoice(patient, desk, day, second, service, complete=complete)
        return chart

    def _chart(self, patient: int, day: int) -> int:
        random = self._random
        teeth: dict[str, object] = {}
        for _ in range(3 + int(random() * 8)):
            tooth = f"{1 + int(random() * 4)}{1 + int(random() * 8)}"
            teeth[tooth] = {
                "estado": self._pick(_TOOTH_STATES),
                "caras": [self._pick(_FACES) for _ in range(int(random() * 3))],
                "movilidad": int(random() * 4),
                "sondaje": round(random() * 9, 1),
                "nota": self._words.sentence() if random() < 0.3 else None,
            }
        key = self._key("odontograma")
        remarks = copy_text(self._words.note(1)) if random() < 0.6 else NULL
        self._put("odontograma", key, patient, _DATES[day], self._json(teeth), remarks)
        return key

    def _history(self, patient: int, dentist: int, day: int, episode: int) -> None:
        random = self._random
        words = self._words
        key = self._key("historialclinico")
        timestamp = self._timestamp(day, 36_000 + int(random() * 30_000))
        self._put(
            "historialclinico",
            key,
            patient,
            episode,
            self._pick(DISEASES),
            copy_text(words.sentence()),
            copy_text(words.note(2 + int(random() * 3))),
            copy_text(words.note(4 + int(random() * 12))),
            timestamp,
            timestamp,
        )
        self._log(dentist, "CREAR", "historialclinico", key, f"Abrió el episodio {episode} de {patient}", day)

    def _treatment(self, chart: int, day: int, service: str | int) -> None:
        random = self._random
        self._put(
            "tratamiento_odontologico",
            self._key("tratamiento_odontologico"),
            chart,
            service,
            f"{1 + int(random() * 4)}{1 + int(random() * 8)}",
            text_array([self._pick(_FACES) for _ in range(int(random() * 4))]),
            copy_text(self._words.note(1 + int(random() * 4))),
            self._pick(TREATMENT_STATES),
            _DATES[day],
        )

    def _plan(self, patient: int, dentist: int, day: int) -> None:
        random = self._random
        plan = self._key("plan_tratamiento")
        end = min(day + 30 + int(random() * 300), len(_DATES) - 1)
        self._put(
            "plan_tratamiento",
            plan,
            patient,
            dentist,
            f"{SERVICES[int(random() * len(SERVICES))][0]} y otros",
            copy_text(self._words.note(2 + int(random() * 5))),
            self._timestamp(day, 40_000),
            NULL if random() < 0.5 else _DATES[end],
        )
        self._log(dentist, "CREAR", "plan_tratamiento", plan, f"Propuso un plan a {patient}", day)
        for _ in range(1 if random() < 0.8 else 2):
            budget = self._key("presupuesto")
            total = 0
            for _ in range(1 + int(random() * 4)):
                service = int(random() * len(SERVICES))
                amount = 1 + int(random() * random() * 4)
                price = self._price(service)
                total += amount * price
                self._put(
                    "item_presupuesto",
                    self._key("item_presupuesto"),
                    budget,
                    service + 1,
                    NULL if random() < 0.4 else 11 + int(random() * 8),
                    amount,
                    money(price),
                    copy_text(self._words.sentence()) if random() < 0.5 else "",
                )
            discount = self._pick((0, 0, 0, 5, 10, 12.5))
            accepted = random() < 0.6
            self._put(
                "presupuesto",
                budget,
                self._uuid(),
                plan,
                "aceptado" if accepted else self._pick(("borrador", "enviado", "rechazado", "vencido")),
                f"{discount:.2f}",
                money(int(total * (100 - discount) / 100)),
                _DATES[day],
                _DATES[min(day + 30, len(_DATES) - 1)],
                # The hash of the signature's strokes: as good as random, as such columns are.
                f"\\\\x{self._source.getrandbits(160):040x}" if accepted else NULL,
            )

    def _invoice(self, patient: int, desk: int, day: int, second: int, service: int, *, complete: bool) -> None:
        random = self._random
        invoice = self._key("factura")
        self._invoices += 1
        total = 0
        for number in range(1 + int(random() * 3)):
            if number:
                service = int(random() * len(SERVICES))
            amount = 1 + int(random() * random() * 3)
            price = self._price(service)
            total += amount * price
            text = SERVICES[service][0]
            if random() < 0.3:
                text = f"{text}, pieza {1 + int(random() * 4)}{1 + int(random() * 8)}"
            self._put("itemdefactura", self._key("itemdefactura"), invoice, copy_text(text), amount, money(price))
        chance = 0.0 if complete else random()
        state = self._pick((_PENDING, _PARTIAL, _PARTIAL, _VOID)) if chance > 0.75 else _PAID
        name, surname, _ = self._words.person()
        bits = self._source.getrandbits(32)
        self._put(
            "factura",
            invoice,
            self._invoices,
            patient,
            state,
            self._timestamp(day, second),
            money(total),
            1_000_000 + int(random() * 8_000_000),
            f"{surname}, {name}" if random() < 0.9 else 'Comercial "Ñandú" \\\\ Cía. Ltda.',
            f"{bits >> 24:02X}-{bits >> 16 & 255:02X}-{bits >> 8 & 255:02X}-{bits & 255:02X}",
            *self._tenant,
        )
        self._log(desk, "CREAR", "factura", invoice, f"Emitió la factura {self._invoices}", day)
        if state == _PAID:
            first = total if random() < 0.6 else total // 2
            self._pay(invoice, first, desk, day, second, online=complete)
            if first < total:
                self._pay(invoice, total - first, desk, min(day + 20, len(_DATES) - 1), second)
        elif state == _PARTIAL:
            self._pay(invoice, total // 3, desk, day, second)

    def _pay(self, invoice: int, amount: int, desk: int, day: int, second: int, *, online: bool = False) -> None:
        random = self._random
        payment = self._key("pago")
        kind = 5 if online else 1 + int(random() * 5)
        reference = NULL if kind == 1 else f"OP-{self._source.getrandbits(40):010X}"
        self._put("pago", payment, invoice, kind, money(amount), self._timestamp(day, second + 900), reference)
        paid = {"factura": invoice, "monto": money(amount), "caja": 1 + kind % 3, "saldo": amount % 700}
        self._log(desk, "CREAR", "pago", payment, f"Registró un pago de Bs {money(amount)}", day, paid)
        if kind == 5:
            self._pay_online(payment, NULL, amount, day, second)

    def _pay_online(self, payment: int | str, consultation: int | str, amount: int, day: int, second: int) -> None:
        random = self._random
        bits = self._source.getrandbits(64)
        answer = {
            "id": f"pi_{bits:016x}",
            "monto": amount / 100,
            "tarjeta": {"marca": self._pick(("visa", "mastercard")), "ultimos4": f"{bits % 10_000:04}"},
            "3ds": bits % 3 == 0,
            "mensaje": self._pick(("Aprobado", "Aprobada la transacción Nº " + str(bits % 10**8), "")),
        }
        self._put(
            "pago_en_linea",
            self._key("pago_en_linea"),
            self._uuid(),
            payment,
            consultation,
            self._pick(("stripe", "libélula", "qr_simple", "tigo_money")),
            "completado" if random() < 0.9 else self._pick(("pendiente", "rechazado", "reembolsado")),
            money(amount),
            "BOB" if random() < 0.95 else "USD",
            self._json(answer, absent=0.05, null=0.05),
            self._words.ip_address(),
            self._timestamp(day, second),
        )

    def _idle_action(self, *, labelled: bool) -> None:
        """A `bitacora` row that belongs to no visit; without the label of its clinic, it has a user."""
        random = self._random
        action, model, text = self._pick(ACTIONS)
        day = int(random() * len(_DATES))
        user: int | str = self._pick((self._administrator, *self._receptionists[:2], *self._dentists[:3]))
        if labelled and random() < 0.1:
            user, action, text = NULL, "ACCESO_FALLIDO", "Contraseña incorrecta para una cuenta que no existe"
        self._log(user, action, model, NULL, text, day, labelled=labelled)

    def _log(
        self,
        user: int | str,
        action: str,
        model: str,
        key: int | str,
        text: str,
        day: int,
        change: Mapping[str, object] | None = None,
        *,
        labelled: bool = True,
    ) -> None:
        random = self._random
        self._put(
            "bitacora",
            self._key("bitacora"),
            user,
            action,
            model,
            key,
            copy_text(f"{text}. {self._words.sentence()}" if random() < 0.5 else text),
            NULL if change is None else self._json(change, null=0.1),
            self._pick(self._addresses) if random() < 0.7 else self._words.ip_address(),
            self._pick(self._agents) if random() < 0.8 else self._words.agent(),
            self._timestamp(day, 25_200 + int(random() * 50_000)),
            *(self._tenant if labelled else self._no_tenant),
        )

    def _put(self, table: str, *values: object) -> None:
        self._lines[table].append("\t".join(map(str, values)))
        self._pending += 1
        self._left -= 1

    def _key(self, table: str) -> int:
        key = self._next[table]
        self._next[table] = key + 1
        return key

    def _pick(self, among: Sequence[_T]) -> _T:
        return among[int(self._random() * len(among))]

    def _price(self, service: int) -> int:
        """Centavos: the list's price, more or less a fifth, in whole bolivianos or with fifty centavos."""
        return int(SERVICES[service][1] * (0.8 + 0.4 * self._random())) // 50 * 50

    def _timestamp(self, day: int, second: int) -> str:
        micro = int(self._random() * 1_000_000)
        second %= 86_400
        return f"{_DATES[day]} {second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}.{micro:06}-04"

    def _uuid(self) -> str:
        return f"{self._source.getrandbits(128):032x}"

    def _json(self, value: Mapping[str, object], *, absent: float = 0, null: float = 0) -> str:
        """JSON; or SQL NULL, or JSON null, with those probabilities."""
        chance = self._random()
        if chance < absent:
            return NULL
        return "null" if chance < absent + null else copy_text(json.dumps(value, ensure_ascii=False))
