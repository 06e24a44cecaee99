"""What a certificate says, and that it is only issued of what is true."""

import gzip
import io
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdf import PdfReader

from app.certificate.content import Certificate, Issue, Part, Table
from app.certificate.issue import emitir_constancia, file_name
from app.certificate.pdf import pdf
from app.errors import FormatError, NotCompleted, RespaldoNotFound, RestoreRefused
from app.respaldos.audit import COMMAND_LINE
from app.respaldos.databases import transaction
from app.respaldos.jobs.run import run_next
from app.respaldos.models import Profundidad, Restauracion
from app.respaldos.reading import queries as reading_queries
from app.respaldos.reading.comparison import pedir_comparacion
from app.respaldos.reading.download import descargar_respaldo
from app.respaldos.reading.verification import pedir_verificacion
from app.respaldos.resources import Resources
from app.respaldos.restore.request import RestoreRequest, pedir_restauracion
from tests.respaldos.conftest import ANA, SMALL, back_up
from tests.storage.conftest import Store
from tests.support.damage import damage
from tests.support.restores import DAMAGE, conn, newest, resources, restore

__all__ = ["conn", "resources"]


def lines_of(document: bytes) -> str:
    """All that a person reads in it."""
    return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(document)).pages)


def text_of(document: bytes) -> str:
    """The same, with spaces for line breaks."""
    return re.sub(r"\s+", " ", lines_of(document))


async def again(resources: Resources, number: int) -> Restauracion:
    """The row as it is by now."""
    async with transaction(resources) as session:
        return await reading_queries.get(session, number, clinica_id=SMALL)


async def test_of_a_backup(resources: Resources, conn: asyncpg.Connection, tmp_path: Path) -> None:
    await conn.execute("UPDATE clinica SET nombre = 'Clínica *Ñandú* #1' WHERE id = $1", SMALL)
    respaldo = await back_up(resources)
    document = await emitir_constancia(resources, respaldo, actor=ANA, names={"12": "Ana María Peñaranda"})
    text = text_of(document)
    assert "Constancia de respaldo" in text
    assert f"Clínica *Ñandú* #1 (la clínica {SMALL})" in text
    assert respaldo.archivo_s3 is not None
    assert respaldo.hash_md5 is not None
    for said in (respaldo.archivo_s3, respaldo.hash_md5, f"{respaldo.fecha_respaldo:%Y-%m-%dT%H:%M:%SZ}"):
        assert said in text
    row = await conn.fetchrow("SELECT * FROM respaldos.respaldo WHERE id = $1", respaldo.id)
    assert row is not None
    assert (row["verificado_profundidad"], row["verificado_error"]) == ("completa", None)

    target = tmp_path / "ARCHIVO.json.gz"
    await descargar_respaldo(resources, respaldo, target)
    (commands,) = re.findall(r"gzip -t .*?sha256sum", lines_of(document), re.DOTALL)
    for model in ("pacientes", "usuarios"):
        done = subprocess.run(
            ["bash", "-ec", commands.replace("MODELO", model)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        md5, sha256 = (line.split()[0] for line in done.stdout.splitlines())
        assert md5 == respaldo.hash_md5
        assert sha256 in text.replace(f"{sha256[:32]} {sha256[32:]}", sha256)
        assert gzip.decompress(target.read_bytes()).count(f'"sha256":"{sha256}"'.encode()) == 1


async def test_of_a_restore_and_of_a_trial(resources: Resources, conn: asyncpg.Connection) -> None:
    respaldo = await back_up(resources)
    await conn.execute(DAMAGE)
    done = await restore(resources, respaldo, motivo="Se borró por error, dice «Ana»")
    text = text_of(await emitir_constancia(resources, respaldo, done, actor=COMMAND_LINE))
    assert "Constancia de restauración" in text
    assert "Se borró por error, dice «Ana»" in text
    assert "exactamente como estaba en el respaldo" in text
    assert f"quedó en el respaldo {done.respaldo_previo}" in text
    assert re.search(r"bitacoras 0 0 1\b", text)
    assert "línea de comandos" in text
    again = await restore(resources, respaldo)
    assert "Todo estaba ya como en el respaldo." in text_of(
        await emitir_constancia(resources, respaldo, again, actor=COMMAND_LINE)
    )
    assert (file_name(respaldo), file_name(respaldo, again)) == (
        f"constancia_respaldo_{respaldo.id}.pdf",
        f"constancia_restauracion_{again.id}.pdf",
    )


async def test_what_failed_or_was_tried_does_not_read_as_done(
    resources: Resources, store: Store, conn: asyncpg.Connection
) -> None:
    respaldo = await back_up(resources)
    tried = {}
    for depth in (Profundidad.COMPLETA, Profundidad.ENSAYO):
        trial = await pedir_verificacion(resources, None, respaldo.id, clinica_id=SMALL, profundidad=depth, actor=ANA)
        await run_next(resources)
        tried[depth] = await again(resources, trial.id)
    text = text_of(await emitir_constancia(resources, respaldo, tried[Profundidad.ENSAYO], actor=ANA))
    assert "Constancia de ensayo de restauración" in text
    assert "salió bien: lo restaurado se volvió a leer, y dio los mismos resúmenes" in text
    assert "Qué cambió" not in text
    assert "volvió a leer" not in text_of(
        await emitir_constancia(resources, respaldo, tried[Profundidad.COMPLETA], actor=ANA)
    )

    await conn.execute(DAMAGE)
    shown = await restore(resources, respaldo, simulada=True)
    text = text_of(await emitir_constancia(resources, respaldo, shown, actor=ANA))
    assert "Constancia de restauración simulada" in text
    assert "Qué cambiaría" in text
    assert "Qué cambió" not in text

    # A constraint that the file's rows break, and of which PostgreSQL says the whole row.
    await conn.execute("ALTER TABLE factura ADD CHECK (razon_social LIKE '%!') NOT VALID")
    with pytest.raises(RestoreRefused):
        await restore(resources, respaldo)
    failed = await again(resources, (await newest(conn))["id"])
    assert failed.trabajo.error
    text = text_of(await emitir_constancia(resources, respaldo, failed, actor=ANA))
    assert "no salió, y no cambió nada: todo se deshizo" in text
    assert "Qué cambió" not in text
    assert failed.trabajo.error not in text


async def test_what_has_not_ended_has_none(resources: Resources) -> None:
    respaldo = await back_up(resources)
    asked = await pedir_restauracion(
        resources, None, respaldo.id, clinica_id=SMALL, request=RestoreRequest(simulada=True), actor=ANA
    )
    with pytest.raises(NotCompleted, match="está pendiente: su constancia se emite cuando termina"):
        await emitir_constancia(resources, respaldo, asked, actor=ANA)
    trial = await pedir_verificacion(
        resources, None, respaldo.id, clinica_id=SMALL, profundidad=Profundidad.ENSAYO, actor=ANA
    )
    with pytest.raises(NotCompleted):
        await emitir_constancia(resources, respaldo, trial, actor=ANA)
    compared = await pedir_comparacion(
        resources, None, (await back_up(resources)).id, clinica_id=SMALL, desde=respaldo.id, actor=ANA
    )
    with pytest.raises(RespaldoNotFound, match="de una comparación"):
        await emitir_constancia(resources, respaldo, compared, actor=ANA)


async def test_what_is_not_true_has_none(resources: Resources, store: Store, conn: asyncpg.Connection) -> None:
    respaldo = await back_up(resources)
    damage(store, respaldo)
    with pytest.raises(FormatError):
        await emitir_constancia(resources, respaldo, actor=ANA)
    assert await conn.fetchval("SELECT verificado_error FROM respaldos.respaldo WHERE id = $1", respaldo.id)


@settings(max_examples=25)
@given(st.text(max_size=80))
def test_any_name_can_be_printed(name: str) -> None:
    document = Certificate(
        name, name, [Part(name, [(name, name)], Table((name,), [[name]]), [name], name)], name, NOW
    )
    assert pdf(document).startswith(b"%PDF")


NOW = datetime(2026, 7, 3, 6, 0, 12, tzinfo=UTC)


def test_what_the_fonts_lack_is_written_out() -> None:
    issue = Issue("牙科 🦷 Łódź\u202e", {}, NOW, ZoneInfo("America/La_Paz"), None)
    document = Certificate(issue.clinic_name or "", "", [], issue.date(NOW), NOW)
    text = text_of(pdf(document))
    assert "\\u{7259}\\u{79d1} \\u{1f9b7} Łódź\\u{202e}" in text
    assert "3 de julio de 2026, 02:00:12 (2026-07-03T06:00:12Z)" in text
    assert pdf(document) == pdf(document), "the same certificate is the same bytes"
