"""Records of a model as columns of text, without rounding a number or reordering a document."""

import json
import re
from collections.abc import Sequence
from typing import Final

from app.dump.document import JSON_NULL_KEY, ColumnHeader, Form
from app.errors import FormatError

Column = Sequence[str | None]
"""One column's values: what the record says as text, None for SQL NULL.

Numbers as PostgreSQL printed them, booleans `true` or `false`, `jsonb` as its JSON text, so that JSON null is `null`.
"""

_RECORDS = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)
_BOOLEAN: Final = {True: "true", False: "false"}

_KEY = re.compile(r'[{,][ \t\r]*"([^"\\]*(?:\\.[^"\\]*)*)"[ \t\r]*:[ \t\r]*')
_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"')
_WORD = re.compile(r"[^\s,}\]]+")
# What changes the depth, and the strings in which it does not.
_BRACKET = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]')
_END = re.compile(r"[ \t\r]*}[ \t\r]*")


class ColumnReader:
    """Reads the records of one model, which a FileVerifier has let pass."""

    def __init__(self, model: str, columns: Sequence[ColumnHeader]) -> None:
        self._model = model
        self._names = [column.name for column in columns]
        self._jsonb = [column.form is Form.JSONB for column in columns]

    def read(self, lines: bytes) -> tuple[int, list[Column]]:
        """The number of records in these whole lines, and their columns. Raises FormatError.

        A scalar that is an array or an object is refused.
        """
        text = lines.decode()
        records = text.count("\n")
        if any(self._jsonb):
            return records, self._transposed([self._cut(line) for line in text.split("\n")[:-1]])
        try:
            read = _RECORDS.decode("[" + text[:-1].replace("\n", ",") + "]")
        except RecursionError:
            # Nothing that nests is left whole by this, and only a wrong file nests where there is no jsonb.
            return records, self._transposed([self._cut(line) for line in text.split("\n")[:-1]])
        columns = self._transposed([list(record.values())[: len(self._names)] for record in read])
        return records, [self._texts(index, column) for index, column in enumerate(columns)]

    def _transposed(self, rows: list[list[str | None]]) -> list[Column]:
        return list(zip(*rows, strict=True)) if self._names else []

    def _texts(self, index: int, column: Column) -> Column:
        found = set(map(type, column))
        if not found - {str, type(None)}:
            return column
        if found - {str, type(None), bool}:
            raise self._not_scalar(index)
        return [_BOOLEAN[value] if isinstance(value, bool) else value for value in column]

    def _not_scalar(self, index: int) -> FormatError:
        return FormatError(
            f"la columna «{self._names[index]}» de «{self._model}» tiene un valor que no es de su tipo"
        )

    def _cut(self, line: str) -> list[str | None]:
        """One record's values. Each jsonb is the piece of the line that it is, whatever its depth and its numbers."""
        position = 0
        values: list[str | None] = []
        for index, name in enumerate(self._names):
            position = self._after_key(line, position, name)
            start, position = position, self._after_value(line, position)
            raw = line[start:position]
            if raw == "null":
                values.append(None)
            elif self._jsonb[index]:
                values.append(raw)
            elif raw[0] in "[{":
                raise self._not_scalar(index)
            elif raw[0] == '"':
                values.append(json.loads(raw) if "\\" in raw else raw[1:-1])
            else:
                values.append(raw)
        if _END.match(line, position) is None:
            position = self._after_key(line, position, JSON_NULL_KEY)
            for name in json.loads(line[position : self._after_value(line, position)]):
                values[self._names.index(name)] = "null"
        return values

    def _after_key(self, line: str, position: int, name: str) -> int:
        found = _KEY.match(line, position)
        if found is None or (found[1] != name and json.loads(f'"{found[1]}"') != name):
            raise self._not_a_record()
        return found.end()

    def _after_value(self, line: str, position: int) -> int:
        first = line[position : position + 1]
        if first not in {"{", "["}:
            found = (_STRING if first == '"' else _WORD).match(line, position)
            if found is None:
                raise self._not_a_record()
            return found.end()
        depth = 0
        for bracket in _BRACKET.finditer(line, position):
            first = line[bracket.start()]
            if first != '"':
                depth += 1 if first in "{[" else -1
                if depth == 0:
                    return bracket.end()
        raise self._not_a_record()

    def _not_a_record(self) -> FormatError:
        return FormatError(f"un registro de «{self._model}» no está escrito como debe")
