"""What a front end asks of the API."""

import httpx

from tests.respaldos.conftest import LARGE
from tests.support.processes import eventually

LOGIN = {"email": f"admin@clinica{LARGE}.example", "contraseña": "demo1234"}


async def log_in(api: httpx.AsyncClient) -> dict[str, str]:
    """The header of the large clinic's administrator."""
    answer = await api.post("/api/v1/auth/login/", json=LOGIN)
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['token']}"}


async def ask(api: httpx.AsyncClient, header: dict[str, str]) -> int:
    """The number of a backup that was accepted."""
    answer = await api.post("/api/v1/respaldos/crear_respaldo_manual/", headers=header)
    assert answer.status_code == 202, answer.text
    respaldo_id: int = answer.json()["respaldo"]["id"]
    return respaldo_id


async def completed(api: httpx.AsyncClient, header: dict[str, str], respaldo_id: int) -> None:
    """Return when the API says that it is."""

    async def over() -> bool:
        answer = await api.get(f"/api/v1/respaldos/{respaldo_id}/", headers=header)
        estado = answer.json().get("estado")
        assert estado not in ("fallido", "cancelado"), answer.text
        return answer.status_code == 200 and estado == "completado"

    await eventually(over)
