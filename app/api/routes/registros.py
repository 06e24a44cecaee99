"""A clinic's records: found by what people call them, and what became of each."""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import StreamingResponse

from app.api.at_once import AtOnce
from app.api.caller import LARGEST_ID, AdminAccess, ServiceDep
from app.api.openapi import of_anyone
from app.api.schemas import WITHOUT_NUL
from app.errors import RespaldosError
from app.respaldos.search.contract import (
    FinDeBusqueda,
    HistoriaDeRegistro,
    RegistroEncontrado,
    RegistroEntero,
    RegistrosEncontrados,
)
from app.respaldos.search.history import historia_de_registro, registro_entero
from app.respaldos.search.search import (
    DEFAULT_DAYS,
    DEFAULT_LIMIT,
    LONGEST_DAYS,
    LONGEST_LIMIT,
    SearchRequest,
    buscar_registros,
    registros_encontrados,
)
from app.respaldos.search.words import LONGEST_TEXT

router = APIRouter(prefix="/registros", tags=["Registros"])

NDJSON: Final = "application/x-ndjson"

# Each keeps two cores busy, and the next answers of all others wait for them.
SEARCHES: Final = AtOnce("hay demasiadas búsquedas a la vez", per_clinic=2, in_all=4)

Dias = Annotated[int, Query(ge=1, le=LONGEST_DAYS, description="De cuántos días hacia atrás se miran los respaldos.")]

Modelo = Annotated[str, Path(max_length=200, description="El modelo, o su tabla.", examples=["pacientes"])]
Clave = Annotated[
    str, Path(max_length=500, description="Los valores de su clave, separados por comas.", examples=["15"])
]

_RESPONSES: Final = of_anyone(429, 502, _429="Hay demasiadas búsquedas a la vez", _404="No existe la clínica 3")


@router.get(
    "/",
    response_model=RegistrosEncontrados,
    summary="Busca registros, hoy y en los respaldos",
    response_description="Los registros que tienen todas las palabras, y qué pasó con cada uno.",
    responses={
        200: {"content": {NDJSON: {"schema": {"type": "string"}}}},
        **_RESPONSES,
    },
    dependencies=[Depends(SEARCHES)],
)
async def buscar(
    request: Request,
    service: ServiceDep,
    caller: AdminAccess,
    buscar: Annotated[
        str,
        Query(
            min_length=1,
            max_length=LONGEST_TEXT,
            pattern=WITHOUT_NUL,
            description="Palabras: cada una tiene que estar, en cualquier orden, sin importar mayúsculas ni acentos.",
            examples=["munoz 7123456"],
        ),
    ],
    dias: Dias = DEFAULT_DAYS,
    modelos: Annotated[
        str,
        Query(max_length=1000, pattern=WITHOUT_NUL, description="Solo en estos modelos, separados por comas."),
    ] = "",
    limite: Annotated[
        int,
        Query(
            ge=1,
            le=LONGEST_LIMIT,
            description="Cuántos, como máximo, de los que están hoy, y cuántos de los que ya no están.",
        ),
    ] = DEFAULT_LIMIT,
) -> Any:
    """Con `Accept: application/x-ndjson` responde un registro por línea, apenas lo encuentra. Si al leer respaldos
    más viejos se sabe más de uno, su línea se repite con el mismo `numero`, y vale la última. La última línea tiene
    `hay_mas` y `avisos`; si algo falló a medias, `problema`.
    """
    wanted = SearchRequest(
        texto=buscar,
        dias=dias,
        modelos=tuple(name.strip() for name in modelos.split(",") if name.strip()),
        limite=limite,
    )
    if NDJSON not in request.headers.get("accept", ""):
        return await registros_encontrados(service.resources, wanted, clinica_id=caller.clinica_id)
    found = buscar_registros(service.resources, wanted, clinica_id=caller.clinica_id)
    # What is wrong before anything is found is answered with its status.
    first = await anext(found)
    return StreamingResponse(_lines(first, found), media_type=NDJSON)


async def _lines(
    first: RegistroEncontrado | FinDeBusqueda, found: AsyncGenerator[RegistroEncontrado | FinDeBusqueda]
) -> AsyncIterator[str]:
    async with aclosing(found):
        try:
            yield f"{first.model_dump_json()}\n"
            async for line in found:
                yield f"{line.model_dump_json()}\n"
        except RespaldosError as exc:
            yield json.dumps({"problema": {"codigo": exc.code, "status": exc.status}}) + "\n"


@router.get(
    "/{modelo}/{clave:path}/historia/",
    response_model=HistoriaDeRegistro,
    summary="Muestra cómo fue cambiando un registro",
    response_description="Cada versión distinta, desde cuándo y hasta cuándo, y qué cambió.",
    responses=of_anyone(429, 502, _404="No existe el registro «pacientes:15»"),
    dependencies=[Depends(SEARCHES)],
)
async def historia(
    service: ServiceDep,
    caller: AdminAccess,
    modelo: Modelo,
    clave: Clave,
    dias: Dias = DEFAULT_DAYS,
) -> Any:
    """Mira los respaldos de los últimos días, y hoy. Con él se cuentan los registros que dependen de él."""
    return await historia_de_registro(service.resources, modelo, clave, dias=dias, clinica_id=caller.clinica_id)


@router.get(
    "/{modelo}/{clave:path}/entero/",
    response_model=RegistroEntero,
    summary="Muestra un registro entero, como está hoy o como estaba",
    response_description="Todo lo que dice, y qué depende de él.",
    responses=of_anyone(409, 429, 502, _404="No existe el respaldo 7", _409="El respaldo 7 está fallido"),
    dependencies=[Depends(SEARCHES)],
)
async def entero(
    service: ServiceDep,
    caller: AdminAccess,
    modelo: Modelo,
    clave: Clave,
    respaldo: Annotated[
        int | None,
        Query(ge=1, le=LARGEST_ID, description="El respaldo en que se mira; sin él, como está hoy.", examples=[7]),
    ] = None,
) -> Any:
    """Los textos largos vienen enteros; de contraseñas y otros secretos se dice solo que los hay."""
    return await registro_entero(service.resources, modelo, clave, respaldo_id=respaldo, clinica_id=caller.clinica_id)
