"""What each role may do, and in which clinic."""

import pytest

from app.auth.authorize import Permiso, authorize_clinic, require
from app.auth.principal import Principal, Roles
from app.clinic.clinic import Clinic
from app.errors import ClinicNotFound, InvalidRequest, NotAllowed, TokenRefused
from tests.auth.conftest import CLOSED, People

ROLES = Roles(("administrador", "Admin"))
SUPERADMIN = ROLES.superadmin(usuario="ana@plataforma.example", nombre=None)


def of(clinica_id: int, rol: str = "Administrador") -> Principal:
    return ROLES.member(usuario="12", nombre=None, clinica_id=clinica_id, rol=rol)


@pytest.mark.parametrize("principal", [SUPERADMIN, of(1), of(1, "ADMIN")])
def test_administrators_may_do_everything(principal: Principal) -> None:
    for permiso in Permiso:
        require(principal, permiso)


@pytest.mark.parametrize("rol", ["Recepcionista", "Odontólogo", "superadmin", "otro"])
def test_other_staff_may_only_look(rol: str) -> None:
    require(of(1, rol), Permiso.MIRAR)
    with pytest.raises(NotAllowed, match=rol):
        require(of(1, rol), Permiso.ADMINISTRAR)


@pytest.mark.parametrize("rol", ["paciente", "Paciente", "PACIENTE", "Paciénte"])
def test_patients_may_nothing(rol: str) -> None:
    for permiso in Permiso:
        with pytest.raises(NotAllowed):
            require(of(1, rol), permiso)


def test_a_patient_is_no_administrator_even_if_the_settings_say_so() -> None:
    patient = Roles(("paciente",)).member(usuario="1", nombre=None, clinica_id=1, rol="Paciente")
    with pytest.raises(NotAllowed):
        require(patient, Permiso.MIRAR)


async def test_a_person_is_in_their_own_clinic_named_or_not(column: People) -> None:
    for chosen in (None, 1):
        found = await authorize_clinic(column.directory, of(1), chosen)
        assert found == Clinic(1, "Clínica Uno", True, None)


async def test_another_clinic_does_not_exist_for_them(column: People) -> None:
    for chosen in (2, CLOSED, 99):
        with pytest.raises(ClinicNotFound, match=f"^no existe la clínica {chosen}$"):
            await authorize_clinic(column.directory, of(1), chosen)


async def test_the_token_of_a_clinic_that_is_gone_or_inactive_is_worth_nothing(column: People) -> None:
    for clinica_id in (CLOSED, 99):
        for chosen in (None, 1, clinica_id):
            with pytest.raises(TokenRefused):
                await authorize_clinic(column.directory, of(clinica_id), chosen)


async def test_a_superadmin_chooses_any_clinic_that_there_is(column: People) -> None:
    for clinica_id in (1, 2, CLOSED):
        chosen = await authorize_clinic(column.directory, SUPERADMIN, clinica_id)
        assert chosen is not None
        assert chosen.id == clinica_id
    with pytest.raises(ClinicNotFound):
        await authorize_clinic(column.directory, SUPERADMIN, 99)


async def test_a_superadmin_has_to_choose(column: People) -> None:
    with pytest.raises(InvalidRequest, match="clinica_id"):
        await authorize_clinic(column.directory, SUPERADMIN, None)


async def test_only_a_superadmin_chooses_the_platform(column: People) -> None:
    assert await authorize_clinic(column.directory, SUPERADMIN, None, platform=True) is None
    with pytest.raises(InvalidRequest, match="plataforma"):
        await authorize_clinic(column.directory, SUPERADMIN, 1, platform=True)
    for chosen in (None, 1):
        with pytest.raises(NotAllowed):
            await authorize_clinic(column.directory, of(1), chosen, platform=True)
