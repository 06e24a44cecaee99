"""Numbers of rows in a path."""

from typing import Annotated

from fastapi import Path, Query
from starlette.convertors import Convertor, register_url_convertor

from app.api.caller import LARGEST_ID


class _Identifier(Convertor[int]):
    """Starlette's own for whole numbers fails, beyond 4300 digits, in a way that is answered with 500."""

    regex = "[0-9]{1,19}"

    def convert(self, value: str) -> int:
        return int(value)

    def to_string(self, value: int) -> str:
        return str(value)


register_url_convertor("id", _Identifier())

RespaldoId = Annotated[int, Path(ge=1, le=LARGEST_ID, description="El número del respaldo.", examples=[1])]
RestauracionId = Annotated[
    int,
    Path(ge=1, le=LARGEST_ID, description="El número de la restauración, verificación o comparación.", examples=[1]),
]

OfRespaldo = Annotated[
    int | None, Query(ge=1, le=LARGEST_ID, description="Solo lo que es de este respaldo.", examples=[1])
]
