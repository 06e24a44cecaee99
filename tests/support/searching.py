"""Searches and histories of the sample's small clinic."""

from typing import Any

from app.respaldos.resources import Resources
from app.respaldos.search.contract import (
    HistoriaDeRegistro,
    RegistroEncontrado,
    RegistroEntero,
    RegistrosEncontrados,
)
from app.respaldos.search.history import historia_de_registro, registro_entero
from app.respaldos.search.search import SearchRequest, registros_encontrados
from tests.respaldos.conftest import SMALL


async def search(resources: Resources, texto: str, clinica_id: int = SMALL, **more: Any) -> RegistrosEncontrados:
    """What is found; `more` is of the SearchRequest."""
    return await registros_encontrados(resources, SearchRequest(texto, **more), clinica_id=clinica_id)


def only(found: RegistrosEncontrados) -> RegistroEncontrado:
    """The one record that was found, with nothing else to say."""
    assert len(found.resultados) == 1, found.resultados
    assert (found.hay_mas, found.avisos) == (False, [])
    return found.resultados[0]


async def history(resources: Resources, modelo: str, clave: Any, clinica_id: int = SMALL) -> HistoriaDeRegistro:
    """The record's history over thirty days."""
    return await historia_de_registro(resources, modelo, str(clave), dias=30, clinica_id=clinica_id)


async def whole(resources: Resources, modelo: str, clave: Any, respaldo_id: int | None = None) -> RegistroEntero:
    """All that the record says in that backup, or today."""
    return await registro_entero(resources, modelo, str(clave), respaldo_id=respaldo_id, clinica_id=SMALL)
