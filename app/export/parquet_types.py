"""Which type of Parquet a column's values have, and the values of that type."""

from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from app.dump.document import ColumnHeader
from app.export.column_kind import Kind, kind_of

# Digits that every reader keeps. Parquet can say more, which DuckDB rounds to a double and Spark refuses.
_MAX_PRECISION: Final = 38

TEXT: Final = pa.string()
_BYTES: Final = pa.binary()
_UUID: Final = pa.uuid()
_TIME: Final = pa.time64("us")

_TYPES: Final[dict[Kind, Any]] = {
    Kind.BOOLEAN: pa.bool_(),
    Kind.INT16: pa.int16(),
    Kind.INT32: pa.int32(),
    Kind.INT64: pa.int64(),
    Kind.FLOAT32: pa.float32(),
    Kind.FLOAT64: pa.float64(),
    Kind.DATE: pa.date32(),
    Kind.TIME: _TIME,
    Kind.TIMESTAMP: pa.timestamp("us"),
    Kind.TIMESTAMP_UTC: pa.timestamp("us", tz="UTC"),
    Kind.UUID: _UUID,
    Kind.BINARY: _BYTES,
    Kind.TEXT: TEXT,
}


def parquet_type(column: ColumnHeader) -> Any:
    """The type that holds a column's ordinary values exactly."""
    found = kind_of(column)
    if found.kind is not Kind.NUMERIC:
        return _TYPES[found.kind]
    if found.precision is None or found.scale is None:
        return TEXT
    if not 0 <= found.scale <= found.precision <= _MAX_PRECISION:
        return TEXT
    return pa.decimal128(found.precision, found.scale)


def typed(texts: Any, type_: Any) -> Any:
    """An array of text as one of that type. Raises ValueError where a text is no such value, exactly.

    That is so for infinity, years that are not of four digits, 24:00:00, and NaN in a decimal.
    """
    if type_ == TEXT:
        return texts
    if type_ == _BYTES:
        return pa.array([None if text is None else _unhexed(text) for text in texts.to_pylist()], type_)
    if type_ == _UUID:
        values = [None if text is None else bytes.fromhex(text.replace("-", "")) for text in texts.to_pylist()]
        return pa.ExtensionArray.from_storage(type_, pa.array(values, pa.binary(16)))
    if type_ == _TIME:
        # Arrow reads a time of day only where it follows a day.
        texts = pc.cast(pc.binary_join_element_wise("1970-01-01T", texts, ""), pa.timestamp("us"))
    return pc.cast(texts, type_)


def _unhexed(text: str) -> bytes:
    if not text.startswith("\\x"):
        raise ValueError(text)
    return bytes.fromhex(text[2:])
