"""On whose behalf something is done."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks, and from where: `usuario` is their id in the clinic's own system, `nombre` what people call them.

    `direccion` is an IP address, or which part of this service acted by itself.
    """

    usuario: str | None
    nombre: str | None
    direccion: str | None


COMMAND_LINE = Actor(None, None, "línea de comandos")
SERVICE = Actor(None, None, "servicio")
