"""Files that rows name and that no backup has: a backup holds what is in the database, and an X-ray often is not."""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.clinic.catalogue.entries import Entry
from app.clinic.catalogue.introspection import Column, TableName
from app.clinic.catalogue.sql import from_table, literal, qualified, quote
from app.clinic.owners.counts import Count
from app.clinic.reading.checks import Asked, Check, Counter, Unchecked
from app.dump.document import Form

# What columns that name files are called, without accents.
_SUGGESTIVE = re.compile(
    r"archiv|file|fichero|ruta|path|url|uri(?![a-z])|link|enlace|foto|photo|imag|picture|radiogra|tomogra|panoram|rayos"
    r"|rx(?![a-z])|xray|dicom|document|adjunt|attach|anexo|media|avatar|logo|firma|signature|escan|scan|upload|subid"
    r"|storage|almacen|bucket|s3|key|clave|video|audio|pdf|respaldo|comprobante|recibo|consentimiento"
)

# What files are called, as PostgreSQL's regular expression without case: a path or an address that ends in the
# extension of a file that people keep (an e-mail address does not, nor does a web page), or any address in a place
# where files are kept. An address that holds its file itself (`data:`) names none.
_FILE = (
    r"^\s*("
    r"(s3|s3a|gs|gcs|file|minio|azure|az|wasbs?|abfss?|ftps?|sftp|smb|nfs)://\S+"
    r"|https?://[^/\s]*(\ms3[.-]|storage\.googleapis|firebasestorage|blob\.core\.windows|cloudinary|supabase"
    r"|r2\.cloudflarestorage|digitaloceanspaces|drive\.google|dropbox|1drv\.ms|sharepoint)[^/\s]*/\S+"
    r"|(?!data:)[^\n]*[^\n/\\.\s]\."
    r"(jpe?g|jfif|png|gif|webp|avif|bmp|tiff?|hei[cf]|svg|dcm|dicom|stl|obj|ply|3mf|pdf|docx?|xlsx?|pptx?|od[tsp]|rtf"
    r"|txt|csv|xml|json|zip|rar|7z|gz|tgz|tar|mp[34]|m4[av]|mov|avi|mkv|webm|wav|og[gv]|opus|aac|p7[ms]|p12|pfx|eml"
    r"|msg)([?#]\S*)?"
    r")\s*$"
)

# What none of these lacks, and notes do: asked first, because it takes a tenth of the time (3 µs for 400 characters).
_PERHAPS_FILE = r"^\s*[A-Za-z][A-Za-z0-9]+://|\.[A-Za-z0-9]{2,5}([?#]\S*)?\s*$"

# No path is longer; of a note that is, nothing more need be read (characters).
_LONGEST = 1024

# How much of a table is looked at: enough that its kinds of values are in it, and read in a millisecond or two
# (blocks of 8 KiB).
_BLOCKS = 10

# How many columns are asked about at once: a SELECT of PostgreSQL gives 1,664 values at most, and these are two each.
_COLUMNS = 500

# How many values are looked for where a column is called like one that names files, and is empty in those blocks.
_VALUES = 100

# A column called otherwise names files where nearly all of its values do, and there are some.
_FEW, _NEARLY_ALL = 3, 0.9


@dataclass(frozen=True, slots=True)
class FileColumn:
    """A column whose values name files, or, where they are numbers, PostgreSQL's large objects."""

    entry: Entry
    column: Column


@dataclass(frozen=True, slots=True)
class NamedFiles:
    """The files that a column names, each counted once however often it is named."""

    table: TableName
    column: str
    files: int

    def __str__(self) -> str:
        return f"{self.table}.{self.column}: nombra archivos que no están en ningún respaldo: {self.files:,}"


def absent_files(found: Sequence[NamedFiles | Unchecked]) -> list[str]:
    """What a clinic's backup says of the files that it lacks: one sentence, the column with the most first."""
    named = sorted((one for one in found if isinstance(one, NamedFiles)), key=lambda one: -one.files)
    columns = ", ".join(f"{one.files:,} en {one.table}.{one.column}" for one in named)
    told = [f"este respaldo no tiene los archivos que sus registros nombran: {columns}"] if named else []
    return [*told, *(str(one) for one in found if isinstance(one, Unchecked))]


async def find_file_columns(counter: Counter, entries: Sequence[Entry]) -> list[FileColumn]:
    """The columns of these tables that name files, by what they are called and by a sample of their values."""
    texts = [
        (entry, columns[start : start + _COLUMNS])
        for entry in entries
        for columns in [[column for column in entry.table.columns if _is_text(column)]]
        for start in range(0, len(columns), _COLUMNS)
    ]
    samples = await counter.ask_together(
        [Asked(entry.name, Check.FILES, Count(_sample(entry, some), 2 * len(some))) for entry, some in texts]
    )
    found, empty = [], []
    for (entry, columns), counts in zip(texts, samples, strict=True):
        for number, column in enumerate(columns):
            filled, files = (counts[2 * number], counts[2 * number + 1]) if counts else (0, 0)
            if _names_files(column, filled, files):
                found.append(FileColumn(entry, column))
            elif not filled and _is_suggestive(column):
                empty.append(FileColumn(entry, column))
    values = await counter.ask_together([Asked(f.entry.name, Check.FILES, Count(_some_values(f), 2)) for f in empty])
    found += [f for f, counts in zip(empty, values, strict=True) if counts and _names_files(f.column, *counts)]
    oids = [FileColumn(entry, column) for entry in entries for column in entry.table.columns if _is_oid(column)]
    return [*found, *oids]


async def count_files(
    counter: Counter, columns: Sequence[FileColumn], rows: Callable[[Entry, tuple[str, ...]], str]
) -> list[NamedFiles]:
    """How many files each column names in those rows: `rows` gives the statement for some columns of a table."""
    asked = [
        Asked(f.entry.name, Check.FILES, Count(_count(f.column, rows(f.entry, (f.column.name,))), 1)) for f in columns
    ]
    counts = await counter.ask_together(asked)
    named = [NamedFiles(f.entry.name, f.column.name, n[0] if n else 0) for f, n in zip(columns, counts, strict=True)]
    return [found for found in named if found.files]


def all_rows(entry: Entry, names: tuple[str, ...]) -> str:
    """The statement for these columns of every row of the table, for `count_files`."""
    return f"SELECT {', '.join(map(quote, names))} FROM {from_table(entry.table)}"


def _is_text(column: Column) -> bool:
    return column.collated and column.form is Form.SCALAR


def _is_oid(column: Column) -> bool:
    """Whether it may hold numbers of large objects; `lo` is an extension's name for such a column."""
    return column.type in {"oid", "lo"}


def _is_suggestive(column: Column) -> bool:
    plain = "".join(c for c in unicodedata.normalize("NFD", column.name.lower()) if not unicodedata.combining(c))
    return _SUGGESTIVE.search(plain) is not None


def _names_files(column: Column, filled: int, files: int) -> bool:
    if _is_suggestive(column):
        return 2 * files > filled
    return filled >= _FEW and files >= _NEARLY_ALL * filled


def _sample(entry: Entry, columns: Sequence[Column]) -> str:
    """How many values of each column are not empty, and how many name a file, in some blocks of the table."""
    table = literal(qualified(entry.table))
    size = (
        f"(SELECT sum(pg_relation_size(relid)) FROM pg_partition_tree({table}::regclass))"
        if entry.table.partitioned
        else f"pg_relation_size({table}::regclass)"
    )
    # The same blocks each time, so that the same table does not give one answer today and another tomorrow.
    blocks = f"TABLESAMPLE SYSTEM (least(100, {100 * _BLOCKS * 8192} / greatest(1.0, {size}))) REPEATABLE (0)"
    names = ", ".join(quote(column.name) for column in columns)
    counts = ", ".join(_two_counts(column) for column in columns)
    return f"SELECT {counts} FROM (SELECT {names} FROM {from_table(entry.table)} {blocks}) AS sample"


def _some_values(found: FileColumn) -> str:
    name = quote(found.column.name)
    values = f"SELECT {name} FROM {from_table(found.entry.table)} WHERE {name} <> '' LIMIT {_VALUES}"
    return f"SELECT {_two_counts(found.column)} FROM ({values}) AS sample"


def _two_counts(column: Column) -> str:
    name = quote(column.name)
    # A collation that is not deterministic takes no regular expression.
    text = f'{name} COLLATE "C"'
    is_file = f"length({name}) <= {_LONGEST} AND {text} ~ {literal(_PERHAPS_FILE)} AND {text} ~* {literal(_FILE)}"
    return f"count(*) FILTER (WHERE {name} <> ''), count(*) FILTER (WHERE {is_file})"


def _count(column: Column, rows: str) -> str:
    name = quote(column.name)
    if _is_oid(column):
        value, kept = name, f"{name} IN (SELECT oid FROM pg_largeobject_metadata)"
    else:
        # Byte by byte: two names are two files, and it takes a quarter less time.
        value, kept = f'{name} COLLATE "C"', f"{name} <> ''"
    return f"SELECT count(DISTINCT {value}) FROM ({rows}) AS named WHERE {kept}"
