"""The command worker."""

import click

from app.cli.stay import until_stopped
from app.cli.supervisor import keep_working


@click.command()
def worker() -> None:
    """Hace el trabajo de fondo hasta que se lo detenga con Ctrl-C.

    Hace los respaldos y, aunque falte Redis, programa la noche, avisa y limpia. Si su proceso termina, vuelve a
    empezar por sí solo.
    """
    until_stopped(keep_working)
