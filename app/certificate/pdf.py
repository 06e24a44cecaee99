"""A certificate as a PDF that archives keep: PDF/A-2b, with its fonts in it, made by Typst."""

import json
import unicodedata
from dataclasses import asdict
from datetime import UTC
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from app.certificate.content import Certificate
from app.errors import MissingLibrary

_TEMPLATE = Path(__file__).with_name("certificate.typ")

# Beyond these the fonts that Typst brings have gaps, and an archive's PDF must show every character.
_LAST_SHOWN = "\u04ff"
_ALSO_SHOWN = set("–—‘’“”„…•€→")


def require() -> None:
    """Raise MissingLibrary where what makes the PDF is not installed."""
    if find_spec("typst") is None:
        raise MissingLibrary(
            "para hacer constancias falta la biblioteca typst; instálela con: pip install 'respaldos[pdf]'"
        )


def pdf(certificate: Certificate) -> bytes:
    """The document; the same certificate gives the same bytes. It takes some tenths of a second of a processor."""
    require()
    import typst

    texts = _shown(asdict(certificate)) | {"issued": certificate.issued.astimezone(UTC).timetuple()[:6]}
    made = typst.compile(
        _TEMPLATE,
        format="pdf",
        sys_inputs={"certificate": json.dumps(texts)},
        pdf_standards="a-2b",
        ignore_system_fonts=True,
    )
    assert isinstance(made, bytes)  # noqa: S101 (it is one document)
    return made


def _shown(value: Any) -> Any:
    if isinstance(value, str):
        return "".join(_character(char) for char in unicodedata.normalize("NFC", value))
    if isinstance(value, dict):
        return {name: _shown(each) for name, each in value.items()}
    return [_shown(each) for each in value] if isinstance(value, list | tuple) else value


def _character(char: str) -> str:
    if char == "\n" or char in _ALSO_SHOWN:
        return char
    if char.isprintable() and char <= _LAST_SHOWN and not unicodedata.combining(char):
        return char
    return f"\\u{{{ord(char):x}}}"
