"""The command worker."""

import click

from app.cli.stay import until_stopped
from app.cli.supervisor import keep_working


@click.command()
def worker() -> None:
    """Hace el trabajo de fondo hasta que se lo detenga con Ctrl-C.

    Son dos procesos: el que hace los respaldos, y el que programa la noche, avisa y limpia, que no necesita Redis.
    Si uno de ellos termina, vuelve a empezar por sí solo.
    """
    until_stopped(keep_working)
