"""The webhook: what is posted, that it can be trusted, and what becomes of each answer."""

import asyncio
import hashlib
import hmac
import time
from datetime import datetime

import pytest
from aiohttp import web
from jsonschema import Draft202012Validator

from app.main import create_app
from app.notify.options import WebhookOptions
from app.notify.webhook import standard_signature
from app.respaldos.models import TipoAviso
from app.settings import Settings
from tests.notify.conftest import QUICK_SECONDS, SECRET, Outbox
from tests.respaldos.conftest import SMALL
from tests.support.hook import Hook
from tests.support.mail_server import MailServer


async def test_the_document_says_what_happened_to_whom(outbox: Outbox, hook: Hook) -> None:
    respaldo = await outbox.respaldo(tamaño_bytes=3 << 20, numero_registros=1200)
    aviso = await outbox.put(TipoAviso.SOSPECHOSO, respaldo_id=respaldo, motivo="menos de la mitad")
    await outbox.notifier(hook=hook).send_pending()
    (posted,) = hook.posted
    document = posted.document
    assert list(document) == ["id", "tipo", "clinica_id", "clinica", "respaldo", "datos", "fecha", "enviado"]
    assert document["id"] == aviso
    assert document["tipo"] == "sospechoso"
    assert (document["clinica_id"], document["clinica"]) == (SMALL, "Clínica pequeña")
    assert document["respaldo"]["id"] == respaldo
    assert document["respaldo"]["tamaño_mb"] == 3.0
    assert document["datos"] == {"motivo": "menos de la mitad"}
    assert datetime.fromisoformat(document["fecha"]) <= datetime.fromisoformat(document["enviado"])
    assert posted.headers["X-Respaldos-Evento"] == "sospechoso"
    assert posted.headers["X-Respaldos-Entrega"] == str(aviso)
    assert "tamaño_mb".encode() in posted.body


async def test_every_notice_is_posted_as_the_openapi_document_says(outbox: Outbox, hook: Hook) -> None:
    api = create_app(Settings(_env_file=None)).openapi()
    respaldo = await outbox.respaldo(tamaño_bytes=3 << 20, numero_registros=1200)
    for tipo in TipoAviso:
        await outbox.put(tipo, respaldo_id=respaldo, error="ñandú «x»")
        await outbox.put(tipo, clinica_id=None)
    await outbox.notifier(hook=hook).send_pending()
    assert {posted.document["tipo"] for posted in hook.posted} == set(api["webhooks"]) == set(TipoAviso)
    for posted in hook.posted:
        operation = api["webhooks"][posted.document["tipo"]]["post"]
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        Draft202012Validator({**schema, "components": api["components"]}).validate(posted.document)
        assert {parameter["name"] for parameter in operation["parameters"]} <= set(posted.headers)


async def test_the_signature_is_of_the_bytes_that_arrive(outbox: Outbox, hook: Hook) -> None:
    await outbox.put(TipoAviso.FALLO, error="ñandú «x»")
    await outbox.notifier(hook=hook).send_pending()
    (posted,) = hook.posted
    expected = hmac.new(SECRET.encode(), posted.body, hashlib.sha256).hexdigest()
    assert posted.headers["X-Respaldos-Firma"] == f"sha256={expected}"


async def test_receivers_of_standard_webhooks_know_it(outbox: Outbox, hook: Hook) -> None:
    # The example of the specification's authors.
    secret, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"test": 2432232314}'
    signed = standard_signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    aviso = await outbox.put(TipoAviso.FALLO, error="ñandú «x»")
    await outbox.notifier(hook=hook).send_pending()
    (posted,) = hook.posted
    id_, moment = posted.headers["webhook-id"], int(posted.headers["webhook-timestamp"])
    assert id_ == str(aviso)
    assert abs(moment - time.time()) < 60
    assert posted.headers["webhook-signature"] == standard_signature(SECRET, id_, moment, posted.body)


async def test_who_was_written_to_is_not_told(outbox: Outbox, hook: Hook, mail: MailServer) -> None:
    hook.answering(503)
    await outbox.put(TipoAviso.FALLO, error="x")
    notifier = outbox.notifier(mail, hook)
    await notifier.send_pending()
    assert len(mail.received) == 2
    await outbox.wait_is_over()
    await notifier.send_pending()
    assert len(mail.received) == 2
    assert [posted.document["datos"] for posted in hook.posted] == [{"error": "x"}] * 2


@pytest.mark.parametrize("status", [200, 201, 204])
async def test_any_answer_of_success_will_do(outbox: Outbox, hook: Hook, status: int) -> None:
    hook.answering(status)
    aviso = await outbox.put(TipoAviso.ATRASADO, ultimo=None)
    await outbox.notifier(hook=hook).send_pending()
    row = await outbox.row(aviso)
    assert row["webhook"]
    assert row["terminado"]
    assert row["error"] is None


@pytest.mark.parametrize("status", [400, 401, 404, 410, 422])
async def test_an_answer_that_blames_us_is_final(
    outbox: Outbox, hook: Hook, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    hook.answering(status)
    aviso = await outbox.put(TipoAviso.ATRASADO, ultimo=None)
    notifier = outbox.notifier(hook=hook)
    await notifier.send_pending()
    row = await outbox.row(aviso)
    assert row["terminado"]
    assert f"respondió {status}" in row["error"]
    assert f"respondió {status}" in caplog.text
    await outbox.wait_is_over()
    await notifier.send_pending()
    assert len(hook.posted) == 1


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
async def test_an_answer_of_not_now_is_tried_again(outbox: Outbox, hook: Hook, status: int) -> None:
    hook.answering(status)
    aviso = await outbox.put(TipoAviso.ATRASADO, ultimo=None)
    notifier = outbox.notifier(hook=hook)
    await notifier.send_pending()
    row = await outbox.row(aviso)
    assert (row["webhook"], row["terminado"]) == (None, None)
    assert str(status) in row["error"]
    hook.answering(204)
    await outbox.wait_is_over()
    await notifier.send_pending()
    assert (await outbox.row(aviso))["terminado"]
    assert len({posted.headers["X-Respaldos-Entrega"] for posted in hook.posted}) == 1


async def test_a_redirect_is_not_followed(outbox: Outbox, hook: Hook) -> None:
    """The news, and a signature of it, are for the configured address only."""
    hook.answering(307, Location="/otra-parte")
    aviso = await outbox.put(TipoAviso.ATRASADO, ultimo=None)
    await outbox.notifier(hook=hook).send_pending()
    assert [posted.path for posted in hook.posted] == ["/aviso"]
    assert (await outbox.row(aviso))["terminado"] is None


async def test_an_answer_without_end_is_not_read(outbox: Outbox, hook: Hook) -> None:
    written = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal written
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(bytes(1 << 16))
                written += 1 << 16
        except ConnectionError:
            return response

    hook.answer = endless
    aviso = await outbox.put(TipoAviso.ATRASADO, ultimo=None)
    async with asyncio.timeout(30):
        await outbox.notifier(hook=hook).send_pending()
    assert (await outbox.row(aviso))["terminado"]
    # What the kernel's buffers and ours took before anybody looked.
    assert written < 32 << 20


async def test_one_that_hangs_holds_the_batch_once(outbox: Outbox, hook: Hook) -> None:
    released = asyncio.Event()

    async def hang(_: web.Request) -> web.StreamResponse:
        await released.wait()
        return web.Response(status=204)

    hook.answer = hang
    aviso = await outbox.put(TipoAviso.ATRASADO, ultimo=None)
    for _ in range(19):
        await outbox.put(TipoAviso.ATRASADO, ultimo=None)
    options = WebhookOptions(hook.url, SECRET, timeout=QUICK_SECONDS)
    assert await outbox.notifier(hook=options).send_pending() == 20
    released.set()
    assert len(hook.posted) == 1
    row = await outbox.row(aviso)
    assert row["terminado"] is None
    assert "no respondió a tiempo" in row["error"]


@pytest.mark.parametrize(
    "url",
    [
        "http://usuario:SECRETO@127.0.0.1:1/SECRETO?token=SECRETO",
        "http://no-existe.invalid/SECRETO",
        "http://127.0.0.1:1/SECRETO#SECRETO",
        "http://host:99999/SECRETO",
        "http://[SECRETO/SECRETO",
    ],
)
async def test_an_address_is_not_shown_but_for_its_host(
    outbox: Outbox, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    aviso = await outbox.put(TipoAviso.ATRASADO, ultimo=None)
    options = WebhookOptions(url, SECRET, timeout=QUICK_SECONDS)
    await outbox.notifier(hook=options).send_pending()
    row = await outbox.row(aviso)
    assert "WEBHOOK_URL" in row["error"]
    assert row["terminado"] is None
    for shown in (row["error"], caplog.text, repr(options)):
        assert "SECRETO" not in shown
        assert SECRET not in shown
