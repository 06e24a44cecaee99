"""A backup file that somebody has edited, with its digests computed again."""

import gzip
from collections.abc import Callable
from dataclasses import replace

from app.dump.document import DocumentWriter, Header, Section
from app.dump.reader import DocumentReader, HeaderRead, ModelBegun, ModelEnded, RecordsRead
from tests.support.backup_file import compress
from tests.support.clinic_backup import Backup

Lines = dict[str, list[str]]


def edited(
    backup: Backup,
    change: Callable[[Lines], None] = lambda _lines: None,
    *,
    references: Callable[[Lines], None] = lambda _lines: None,
    header: Callable[[Header], Header] = lambda header: header,
    renamed: dict[str, str] | None = None,
) -> bytes:
    """The file with record lines of `datos` and `referencias` changed in place, models renamed, another header."""
    lines: dict[Section, Lines] = {section: {} for section in Section}
    section, model = Section.DATA, ""
    for event in DocumentReader().feed(gzip.decompress(backup.file)):
        match event:
            case ModelBegun(section, model):
                lines[section][model] = []
            case RecordsRead(block):
                lines[section][model] += block.decode().splitlines()
            case HeaderRead() | ModelEnded():
                pass
    change(lines[Section.DATA])
    references(lines[Section.REFERENCES])
    writer = DocumentWriter()
    names = renamed or {}
    models = {names.get(name, name): each for name, each in backup.verified.header.models.items()}
    parts = [writer.begin(header(replace(backup.verified.header, models=models)))]
    for section in Section:
        if section is Section.REFERENCES:
            parts.append(writer.begin_references())
        for name, records in lines[section].items():
            parts.append(writer.begin_model(names.get(name, name)))
            parts += [writer.records(f"{record}\n".encode(errors="surrogateescape")) for record in records]
            parts.append(writer.end_model())
    return compress(b"".join([*parts, writer.finish()]))
