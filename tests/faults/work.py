"""What is asked of the service during a campaign, and what people write in their clinics meanwhile."""

import asyncio
import itertools
import uuid
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Any

import asyncpg
import httpx

from tests.faults.fingerprint import differing, fingerprint
from tests.faults.ground import AWAY, LARGE, RESTORED, WRITTEN, Ground

# How long an answer, or the end of a job, is waited for once nothing is broken (seconds).
PATIENCE = 180

# What a person does to a clinic by mistake. Each is one transaction.
DAMAGES = (
    "DELETE FROM pago_en_linea WHERE idconsulta IN (SELECT c.id FROM consulta c JOIN paciente p"
    " ON p.codusuario = c.codpaciente WHERE p.clinica_id = {0} AND c.id % {1} = 0)",
    "UPDATE factura SET razon_social = razon_social || '!' WHERE clinica_id = {0} AND id % {1} = 0",
    "UPDATE paciente SET direccion = 'otra' WHERE clinica_id = {0} AND codusuario % {1} = 0",
    "DELETE FROM bitacora WHERE clinica_id = {0} AND id % {1} = 0",
    "INSERT INTO bitacora (accion, modelo, descripcion, ip_address, user_agent, fecha, clinica_id)"
    " SELECT 'x', 'y', 'z', '10.0.0.1', 'w', now(), {0} FROM generate_series(1, {1})",
)


@dataclass
class Ledger:
    """What was asked, what came of it, and what should not have come of it."""

    outcomes: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    asked: set[int] = field(default_factory=set)
    written: dict[int, set[int]] = field(default_factory=dict)
    unsure: dict[int, set[int]] = field(default_factory=dict)
    over: bool = False

    def violated(self, said: str) -> None:
        """Put down that a promise was not kept."""
        self.violations.append(said)


class Client:
    """The administrator of a clinic, who asks again until there is an answer."""

    def __init__(self, ground: Ground, ledger: Ledger, clinica_id: int) -> None:
        self._ground = ground
        self._ledger = ledger
        self._login = {"email": f"admin@clinica{clinica_id}.example", "contraseña": "demo1234"}
        self.clinica_id = clinica_id

    async def ask(self, method: str, path: str, json: Any = None) -> httpx.Response:
        """The answer, however often it has to be asked for: what is asked twice is done once."""
        key = str(uuid.uuid4())
        while True:
            client = self._ground.api.client
            try:
                if client is None or client.is_closed:
                    raise httpx.ConnectError("it is being started")
                login = await client.post("/api/v1/auth/login/", json=self._login)
                if login.status_code == 200:
                    header = {"Authorization": f"Bearer {login.json()['token']}", "Idempotency-Key": key}
                    answer = await client.request(method, f"/api/v1{path}", json=json, headers=header)
                    if answer.status_code < 500:
                        return answer
                    login = answer
                if login.status_code < 500 and login.status_code != 429:
                    raise RuntimeError(f"the login answered {login.status_code}: {login.text}")
            except httpx.TransportError:
                # Whether it was done, the next answer says.
                pass
            except RuntimeError:
                # So httpx says that a client was closed, which another one replaces.
                if client is None or not client.is_closed:
                    raise
            self._ledger.outcomes["answers asked for again"] += 1
            await asyncio.sleep(0.2)

    async def ended(self, table: str, id_: int) -> str:
        """How the job of that `respaldo` or `restauracion` ended."""
        column = f"{table}_id"
        while True:
            estado = await self._ground.look(
                lambda c: c.fetchval(
                    f"SELECT estado FROM respaldos.trabajo WHERE {column} = $1"
                    f" AND clase {'=' if table == 'respaldo' else '<>'} 'respaldo'",
                    id_,
                )
            )
            if estado not in ("pendiente", "procesando"):
                return str(estado)
            await asyncio.sleep(0.1)

    async def backup(self) -> int | None:
        """The id of a new backup that is completed; None where there is none."""
        answer = await self.ask("POST", "/respaldos/crear_respaldo_manual/", {})
        if answer.status_code != 202:
            self._ledger.outcomes[f"backup: {answer.json().get('codigo')}"] += 1
            return None
        id_: int = answer.json()["respaldo"]["id"]
        if id_ in self._ledger.asked:
            self._ledger.violated(f"backup {id_} was given to two requests")
        self._ledger.asked.add(id_)
        estado = await self.ended("respaldo", id_)
        self._ledger.outcomes[f"backup: {estado}"] += 1
        return id_ if estado == "completado" else None


async def restores(ground: Ground, ledger: Ledger, clinica_id: int, random: Random) -> None:
    """Back the clinic up, damage it, restore it or preview that: it is as the backup, or as damaged."""
    client = Client(ground, ledger, clinica_id)
    while not ledger.over:
        before = await ground.look(lambda c: fingerprint(c, clinica_id))
        id_ = await client.backup()
        if id_ is None:
            continue
        if (now := await ground.look(lambda c: fingerprint(c, clinica_id))) != before:
            ledger.violated(f"a backup changed clinic {clinica_id}: {differing(before, now)}")
        await ground.look(lambda c: _damage(c, clinica_id, random))
        damaged = await ground.look(lambda c: fingerprint(c, clinica_id))
        preview = random.random() < 0.3
        kind = "preview" if preview else "restore"
        answer = await client.ask("POST", f"/respaldos/{id_}/restaurar/", {"simular": preview, "motivo": "campaña"})
        if answer.status_code != 202:
            ledger.outcomes[f"{kind}: {answer.json().get('codigo')}"] += 1
            continue
        number = answer.json()["id"]
        estado = await client.ended("restauracion", number)
        ledger.outcomes[f"{kind}: {estado}"] += 1
        found = await ground.look(lambda c: fingerprint(c, clinica_id))
        expected = before if estado == "completado" and not preview else damaged
        if found != expected:
            ledger.violated(
                f"{kind} {number} of clinic {clinica_id} ended {estado}, and differs: {differing(expected, found)}"
            )


async def _damage(connection: asyncpg.Connection, clinica_id: int, random: Random) -> None:
    async with connection.transaction():
        for damage in random.sample(DAMAGES, 3):
            await connection.execute(damage.format(clinica_id, random.randint(2, 9)))


async def backups(ground: Ground, ledger: Ledger, clinica_id: int) -> None:
    """Back it up again and again."""
    client = Client(ground, ledger, clinica_id)
    while not ledger.over:
        await client.backup()
        await asyncio.sleep(0.1)


async def readings(ground: Ground, ledger: Ledger, random: Random) -> None:
    """Verify, try, compare, export and delete whatever there is."""
    good = (
        "SELECT id, clinica_id FROM respaldos.respaldo WHERE estado = 'completado' AND fecha_eliminacion IS NULL"
        " AND clinica_id IS NOT NULL ORDER BY id DESC LIMIT 30"
    )
    clients = {number: Client(ground, ledger, number) for number in (*RESTORED, *WRITTEN, LARGE)}
    while not ledger.over:
        found = await ground.look(lambda c: c.fetch(good))
        if not found:
            await asyncio.sleep(0.5)
            continue
        id_, clinica_id = random.choice(found)
        others = [other for other, whose in found if whose == clinica_id and other != id_]
        client = clients[clinica_id]
        kind, method, path, body = random.choice(
            (
                ("quick check", "POST", "verificar", {"profundidad": "rapida"}),
                ("check", "POST", "verificar", {"profundidad": "completa"}),
                ("trial", "POST", "verificar", {"profundidad": "ensayo"}),
                ("comparison", "POST", "comparar", {"desde": random.choice(others or [id_])}),
                ("deletion", "DELETE", "", None),
            )
        )
        answer = await client.ask(method, f"/respaldos/{id_}/{path}{'/' if path else ''}", body)
        if answer.status_code == 202 and "id" in answer.json():
            estado = await client.ended("restauracion", answer.json()["id"])
            ledger.outcomes[f"{kind}: {estado}"] += 1
        elif answer.status_code == 204:
            ledger.outcomes[f"{kind}: done"] += 1
        else:
            ledger.outcomes[f"{kind}: {answer.json().get('codigo')}"] += 1
        await asyncio.sleep(0.05)


async def writes(ground: Ground, ledger: Ledger, clinica_id: int) -> None:
    """Insert and delete as fast as it goes, and remember what must be there."""
    there = ledger.written.setdefault(clinica_id, set())
    unsure = ledger.unsure.setdefault(clinica_id, set())
    numbers = itertools.count(1)
    insert = (
        "INSERT INTO bitacora (accion, modelo, descripcion, ip_address, user_agent, fecha, clinica_id)"
        " VALUES ('campaña', 'x', $1, '10.0.0.1', 'w', now(), $2)"
    )
    while not ledger.over:
        try:
            async with ground.connected() as connection:
                while not ledger.over:
                    number = next(numbers)
                    unsure.add(number)
                    await connection.execute(insert, str(number), clinica_id)
                    unsure.discard(number)
                    there.add(number)
                    if len(there) > 500:
                        gone = there.pop()
                        unsure.add(gone)
                        await connection.execute(
                            "DELETE FROM bitacora WHERE accion = 'campaña' AND descripcion = $1 AND clinica_id = $2",
                            str(gone),
                            clinica_id,
                        )
                        unsure.discard(gone)
                    await asyncio.sleep(0.002)
        except AWAY:
            await asyncio.sleep(0.1)
