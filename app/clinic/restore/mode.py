"""How far a restore goes with what differs."""

from enum import StrEnum


class Modo(StrEnum):
    """Which of the three kinds of difference are applied to what is in the scope; people name it so."""

    FALTANTES = "faltantes"
    """Rows of the file that are not there today are inserted. Whatever is there stays as it is."""
    CAMBIADOS = "cambiados"
    """Also, rows that are there with other content are as in the file again. Nothing goes."""
    TODO = "todo"
    """Also, rows that the file does not have go: it is exactly as it was."""
