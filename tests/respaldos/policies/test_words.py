"""A policy reads as a person would say it."""

from dataclasses import replace

import pytest

from app.errors import InvalidRequest
from app.respaldos.models import Dia
from app.respaldos.policies.answer import shown
from app.respaldos.policies.policy import AS_ALL, OwnPolicy
from app.respaldos.policies.words import in_words
from app.respaldos.retention.policy import Policy
from tests.respaldos.conftest import LA_PAZ
from tests.support.policies import GENERAL


@pytest.mark.parametrize(
    ("own", "said"),
    [
        (
            OwnPolicy(),
            "Se respalda todos los días a las 2:00. Se guarda cada respaldo 30 días. El último respaldo bueno no se"
            " elimina por su edad. Se avisa por correo a quienes administran la clínica.",
        ),
        (
            OwnPolicy.parse(
                hora="22:30",
                dias=[day for day in Dia if day != Dia.DOMINGO],
                minutos=30,
                horario="07:00-22:00",
                retencion_minimo=3,
                retencion_semanales=8,
                retencion_mensuales=1,
                retencion_anuales=5,
                avisar=["a@b.example"],
            ),
            "Se respalda de lunes a sábado a las 22:30, y además cada 30 minutos de 7:00 a 22:00. Se guarda cada"
            " respaldo 30 días. También se guarda uno por semana de las últimas 8 semanas, uno del último mes y uno"
            " por año de los últimos 5 años. Los 3 últimos buenos no se eliminan por su edad. De los respaldos de"
            " día, después de 2 días queda el último de cada día. Se avisa por correo a quienes administran la"
            " clínica y a una dirección más.",
        ),
        (
            OwnPolicy.parse(
                dias=[Dia.SABADO, Dia.LUNES],
                minutos=120,
                horario="00:00-24:00",
                retencion_dias=8,
                retencion_puntos_dias=1,
                avisar=["a@b.example", "A@B.example", "c@d.example"],
                avisar_administradores=False,
            ),
            "Se respalda los lunes y sábados a las 2:00, y además cada 2 horas todo el día. Se guarda cada respaldo"
            " 8 días. El último respaldo bueno no se elimina por su edad. De los respaldos de día, después de un día"
            " queda el último de cada día. Se avisa por correo a 2 direcciones en lugar de quienes administran la"
            " clínica; a ellos, solo lo grave.",
        ),
    ],
)
def test_a_policy_in_words(own: OwnPolicy, said: str) -> None:
    assert in_words(own.over(GENERAL)) == said


@pytest.mark.parametrize(
    "said",
    [
        *({"minutos": 14}, {"minutos": 1441}, {"minutos": -1}, {"horario": "9-5"}, {"horario": ""}),
        *({"hora": "24:00"}, {"hora": "9:00"}, {"hora": "09:00\n1"}, {"dias": []}),
        *({"retencion_dias": 0}, {"retencion_minimo": 0}, {"retencion_anuales": -1}, {"retencion_diarios": 2**31}),
        *({"avisar": ["a@b"]}, {"avisar": ["a@b.example\r\nBcc: c@d.example"]}, {"avisar": ["ana"]}),
        *({"avisar": [f"{n}@b.example" for n in range(21)]}, {"avisar": ["a" * 250 + "@b.example"]}),
        *({"avisar_administradores": False}, {"avisar_administradores": False, "avisar": []}),
    ],
)
def test_what_cannot_be_a_policy_is_refused(said: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest):
        OwnPolicy.parse(**said)  # type: ignore[arg-type]


def test_programs_see_what_was_said_and_what_holds() -> None:
    own = OwnPolicy.parse(hora="05:07", dias=[Dia.DOMINGO, Dia.MIERCOLES], retencion_diarios=0, avisar=[])
    answer = shown(own, 3, GENERAL, LA_PAZ)
    assert answer.propia.model_dump(exclude_none=True) == {
        "hora": "05:07",
        "dias": ["miércoles", "domingo"],
        "retencion_diarios": 0,
        "avisar": [],
    }
    assert (answer.vale.hora, answer.vale.retencion_dias, answer.vale.avisar) == ("05:07", 30, [])
    assert not answer.como_todas
    assert shown(AS_ALL, 3, GENERAL, LA_PAZ).como_todas
    general = replace(GENERAL, retention=Policy(days=400_000))
    assert shown(AS_ALL, 3, general, LA_PAZ).vale.retencion_dias == 400_000
