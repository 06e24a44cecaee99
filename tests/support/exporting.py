"""Backup files of any models, their export, and readers of what came out that are not ours."""

import csv
import gzip
import json
import os
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from app.dump.document import ColumnHeader, DocumentWriter, Form, ModelHeader
from app.dump.seal import NO_SEALS
from app.dump.verifier import FileVerifier
from app.export.export import Export
from app.export.format import Exported, Formato
from tests.support.backup_file import HEAD, compress

Records = Mapping[str, Sequence[str]]

# EXCEL is CSV but for the values, of which it has a test of its own.
FORMATOS = [formato for formato in Formato if formato is not Formato.EXCEL]


def model(*columns: tuple[str, str], key: tuple[str, ...] = (), jsonb: tuple[str, ...] = ()) -> ModelHeader:
    """A model with these columns, each a name and PostgreSQL's type."""
    headers = [
        ColumnHeader(name, type_, True, Form.JSONB if name in jsonb else Form.SCALAR) for name, type_ in columns
    ]
    return ModelHeader("public", "t", tuple(headers), key, "t.clinica_id")


def backup_of(models: Mapping[str, ModelHeader], data: Records, references: Records | None = None) -> bytes:
    """A whole backup file with these record lines."""
    writer = DocumentWriter()
    parts = [writer.begin(replace(HEAD, models=dict(models)))]
    for section in (data, references or {}):
        if section is not data:
            parts.append(writer.begin_references())
        for name, lines in section.items():
            parts.append(writer.begin_model(name))
            if lines:
                parts.append(writer.records("".join(line + "\n" for line in lines).encode(errors="surrogatepass")))
            parts.append(writer.end_model())
    return compress(b"".join([*parts, writer.finish()]))


def export(file: bytes, target: Path, formato: Formato, *, replace: bool = False, chunk: int = 1 << 16) -> Exported:
    """Export a file that is verified meanwhile."""
    with Export(target, formato, replace=replace) as under_way:
        verifier = FileVerifier(NO_SEALS, sealed=False, on_event=under_way.take, on_plain=under_way.copy)
        for start in range(0, len(file), chunk):
            verifier.feed(file[start : start + chunk])
        verifier.finish()
        return under_way.commit()


def csv_rows(path: Path) -> tuple[list[str], list[list[str | None]]]:
    """The header and the rows as Arrow reads them, which tells NULL from an empty text."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        names = next(csv.reader(file, delimiter=";"))
    types = {name: pa.string() for name in names}
    read = pa.csv.read_csv(
        path,
        parse_options=pa.csv.ParseOptions(delimiter=";", newlines_in_values=True, ignore_empty_lines=False),
        convert_options=pa.csv.ConvertOptions(
            column_types=types, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
        ),
    )
    assert read.column_names == names
    return names, [list(row) for row in zip(*(column.to_pylist() for column in read.columns), strict=True)]


def parquet_columns(path: Path) -> dict[str, list[Any]]:
    """The columns as Arrow reads them."""
    read = pq.read_table(path)
    return {name: read.column(name).to_pylist() for name in read.column_names}


def sqlite_rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    """What SQLite answers."""
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.execute(query))


def json_records(path: Path, name: str) -> int:
    """How many records the document says of a model."""
    document = json.loads(gzip.decompress(path.read_bytes()))
    found = document["datos"].get(name, document["referencias"].get(name))
    return len(found)


def left_in(folder: Path) -> list[str]:
    """Everything in a folder, hidden or not."""
    return sorted(os.listdir(folder))
