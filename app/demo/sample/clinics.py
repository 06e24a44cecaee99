"""The clinics of the sample, and who may log in to them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from app.errors import SettingsError

# Everybody's, in every sample.
DEMO_PASSWORD: Final = "demo1234"  # noqa: S105
SUPERUSER_EMAIL: Final = "superadmin@respaldos.example"

# The clinic, and who can log in: an administrator, a receptionist, a dentist and a patient, of two rows each
# but for the administrator.
SMALLEST_WITH_PEOPLE: Final = 8


@dataclass(frozen=True, slots=True)
class SampleClinic:
    """A clinic to be made.

    `records` counts all rows that it owns, its row in `clinica` included; `auth_user`, which no foreign key
    ties to a clinic, is not among them. One record is a clinic that nobody uses yet; from
    SMALLEST_WITH_PEOPLE on it has the people of `logins`, from 50 on a row in every table. Any other number
    raises SettingsError.
    """

    id: int
    nombre: str
    records: int
    activa: bool = True

    def __post_init__(self) -> None:
        if self.records != 1 and self.records < SMALLEST_WITH_PEOPLE:
            raise SettingsError(
                f"La clínica {self.id} no puede tener {self.records} registros: debe tener 1,"
                f" o {SMALLEST_WITH_PEOPLE} o más"
            )

    @property
    def domain(self) -> str:
        """Where the e-mail addresses of its people are."""
        return f"clinica{self.id}.example"

    @property
    def ciudad(self) -> str:
        return CITIES[(self.id - 1) % len(CITIES)]


@dataclass(frozen=True, slots=True)
class SampleLogin:
    """A person with a row in `auth_user`, whose password is DEMO_PASSWORD; the superuser has no clinic."""

    email: str
    nombre: str
    apellido: str
    rol: str
    clinica_id: int | None

    @property
    def superuser(self) -> bool:
        return self.clinica_id is None


CITIES: Final = (
    "La Paz",
    "Santa Cruz de la Sierra",
    "Cochabamba",
    "Sucre",
    "Tarija",
    "Oruro",
    "Potosí",
    "Trinidad",
    "Cobija",
    "El Alto",
)

DEMO_CLINICS: Final = (
    SampleClinic(1, "Clínica Dental Illimani — La Paz", 15_000),
    SampleClinic(2, "Centro Odontológico «El Cristo», Santa Cruz", 2_000),
    SampleClinic(3, "Sonrisas del Tunari — Cochabamba", 400),
    SampleClinic(4, "Consultorio Ñuñoz e Hijos, Sucre (cerrado)", 120, activa=False),
)


def numbered_clinics(count: int, records: int) -> Iterator[SampleClinic]:
    """Active clinics 1 to `count`, of the same size."""
    for number in range(1, count + 1):
        city = CITIES[(number - 1) % len(CITIES)]
        yield SampleClinic(number, f"Clínica Dental {city} n.º {number}", records)


def logins(clinics: Iterable[SampleClinic]) -> tuple[SampleLogin, ...]:
    """Who can log in: the superuser, then of each clinic its administrator, a receptionist and a patient."""
    people = [SampleLogin(SUPERUSER_EMAIL, "Súper", "Administrador", "superadmin", None)]
    for clinic in clinics:
        if clinic.records >= SMALLEST_WITH_PEOPLE:
            people += [
                SampleLogin(f"admin@{clinic.domain}", "Ana María", "Peñaranda", "Administrador", clinic.id),
                SampleLogin(f"recepcion@{clinic.domain}", "José", "Núñez", "Recepcionista", clinic.id),
                SampleLogin(f"paciente@{clinic.domain}", "Lucía", "O'Connor Áñez", "Paciente", clinic.id),
            ]
    return tuple(people)
