"""A small backup file, made part by part so that a test can make one that is wrong."""

import gzip
import hashlib
from base64 import b64encode
from dataclasses import replace
from datetime import UTC, datetime

from app.dump.document import ColumnHeader, DocumentWriter, Form, Header, ModelHeader, Origin
from app.dump.gzip_member import HEADER, Compression, GzipWriter
from app.dump.seal import NO_SEALS, SealKeys, seal_keys
from app.dump.verifier import FileVerifier, VerifiedFile

MODEL = ModelHeader(
    schema="public",
    table="usuario",
    columns=(
        ColumnHeader("codigo", "integer", False, Form.SCALAR),
        ColumnHeader("datos", "jsonb", True, Form.JSONB),
    ),
    key=("codigo",),
    owner="usuario.clinica_id",
)

HEAD = Header(
    clinica_id=1,
    taken_at=datetime(2026, 11, 23, 6, 0, 0, 123, tzinfo=UTC),
    service="0.1.0",
    origin=Origin(7, 2, "manual", None, "«prueba»"),
    postgresql="18.4",
    tenancy="column",
    migrations={"alembic_version": ["abc"]},
    models={
        "usuarios": MODEL,
        "vacía": replace(MODEL, table="vacía"),
        "tipo": replace(MODEL, table="tipo", owner=None),
    },
)

RECORDS = [
    b'{"codigo":1,"datos":{"a":[1.0,null]}}\n',
    '{"codigo":2,"datos":"ñ🦷\\n],\\"x\\""}\n'.encode(),
    b'{"codigo":3,"datos":null,"$jsonnull":["datos"]}\n',
]


def keys_of(*names: str, drawn: int = 0) -> SealKeys:
    """Keys of these ids, the first to sign with; the same each time, others for another `drawn`."""

    def key(name: str) -> str:
        return b64encode(hashlib.sha256(f"{name} {drawn}".encode()).digest()).decode()

    return seal_keys(",".join(f"{name}:{key(name)}" for name in names), "")


def document(header: Header = HEAD, records: list[bytes] | None = None, seals: SealKeys = NO_SEALS) -> bytes:
    """The document: `records` (each a line) as model `usuarios`, an empty model, and one reference."""
    writer = DocumentWriter(seals)
    parts = [writer.begin(header), writer.begin_model("usuarios")]
    parts += [writer.records(line) for line in (RECORDS if records is None else records)]
    parts += [writer.end_model(), writer.begin_model("vacía"), writer.end_model(), writer.begin_references()]
    parts += [writer.begin_model("tipo"), writer.records(b'{"codigo":1,"datos":{}}\n'), writer.end_model()]
    return b"".join([*parts, writer.finish()])


def compress(data: bytes) -> bytes:
    """The gzip member that the service writes."""
    writer = GzipWriter(Compression.SMALL)
    return writer.feed(data) + writer.finish()


def compress_elsewhere(data: bytes) -> bytes:
    """A member of the standard library, with the header that the format wants."""
    return HEADER + gzip.compress(data, mtime=0)[10:]


def verify(
    file: bytes,
    md5: str | None = None,
    *,
    chunk: int = 1 << 20,
    max_size: int | None = None,
    seals: SealKeys = NO_SEALS,
    sealed: bool = True,
) -> VerifiedFile:
    """What FileVerifier says of a file that comes in chunks of this size."""
    verifier = FileVerifier(seals, sealed=sealed, max_size=max_size)
    for start in range(0, len(file), chunk):
        verifier.feed(file[start : start + chunk])
    return verifier.finish(md5)
