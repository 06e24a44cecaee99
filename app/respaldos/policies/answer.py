"""A clinic's policy as people's programs are shown it."""

from zoneinfo import ZoneInfo

from app.respaldos.contract import CambioDePolitica, PoliticaDeClinica, ReglasDePolitica, RespaldoPorEliminar, mib
from app.respaldos.models import Dia
from app.respaldos.policies.policy import AS_ALL, ClinicPolicy, OwnPolicy, PolicyPreview, written_out
from app.respaldos.policies.words import in_words

# Of the backups that would go, so many are shown: the newest.
EXAMPLES = 20


def rules_of(own: OwnPolicy) -> ReglasDePolitica:
    """What has been said; None is as for all."""
    dias = [list(Dia)[day] for day in own.dias] if own.dias is not None else None
    hora = f"{own.hora:%H:%M}" if own.hora is not None else None
    return ReglasDePolitica.model_validate({**own.values(), "hora": hora, "dias": dias})


def changed(
    preview: PolicyPreview, clinica_id: int, general: ClinicPolicy, time_zone: ZoneInfo, *, simulated: bool
) -> CambioDePolitica:
    """What was said of the clinic, or would be, and what goes with it."""
    return CambioDePolitica(
        politica=shown(preview.own, clinica_id, general, time_zone),
        simulada=simulated,
        se_eliminarian=len(preview.doomed),
        se_liberarian_mb=mib(sum(each.respaldo.tamaño_bytes or 0 for each in preview.doomed)),
        ejemplos=[
            RespaldoPorEliminar(
                id=each.respaldo.id,
                fecha_respaldo=each.respaldo.fecha_respaldo,
                tamaño_mb=mib(each.respaldo.tamaño_bytes),
                razon=each.reason,
            )
            for each in preview.doomed[:EXAMPLES]
        ],
        huella=preview.digest,
    )


def shown(own: OwnPolicy, clinica_id: int, general: ClinicPolicy, time_zone: ZoneInfo) -> PoliticaDeClinica:
    """What holds for the clinic of which that has been said."""
    held = own.over(general)
    return PoliticaDeClinica(
        clinica_id=clinica_id,
        zona_horaria=time_zone.key,
        en_palabras=in_words(held),
        como_todas=own == AS_ALL,
        propia=rules_of(own),
        vale=rules_of(written_out(held)),
    )
