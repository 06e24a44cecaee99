"""Whose a backup is, in words."""

PLATFORM = "plataforma"


def named(clinica_id: int | None) -> str:
    """A clinic's number, or PLATFORM, which owns what no clinic does: for keys, labels and tables."""
    return str(clinica_id) if clinica_id is not None else PLATFORM


def whose(clinica_id: int | None) -> str:
    """The same within a sentence: `la clínica 3`, or `la plataforma`."""
    return f"la clínica {clinica_id}" if clinica_id is not None else f"la {PLATFORM}"
