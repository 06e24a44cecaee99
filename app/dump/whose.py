"""Whose a backup is, in words."""


def whose(clinica_id: int | None) -> str:
    """`la clínica 3`, or `la plataforma`, which owns what no clinic does."""
    return f"la clínica {clinica_id}" if clinica_id is not None else "la plataforma"
