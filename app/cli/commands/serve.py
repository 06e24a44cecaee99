"""The command serve."""

import click

from app.cli.output import say
from app.cli.parameters import WholeNumber
from app.cli.server import listening, serve_http
from app.cli.stay import until_stopped
from app.logs import configure_logging
from app.main import create_app
from app.settings import Settings


@click.command()
@click.option("--host", metavar="H", default="127.0.0.1", show_default=True, help="Dirección en que escucha.")
@click.option("--puerto", type=WholeNumber(1, 65535), default=8000, show_default=True, help="Puerto en que escucha.")
def serve(host: str, puerto: int) -> None:
    """Sirve la API HTTP hasta que se lo detenga con Ctrl-C."""

    async def work(settings: Settings) -> None:
        configure_logging(settings.log_format, settings.time_zone)
        with listening(host, puerto) as listener:
            name = f"[{host}]" if ":" in host else host
            await serve_http(
                create_app(settings),
                listener,
                lambda: say(f"El servicio atiende en http://{name}:{puerto} (Ctrl-C lo detiene)"),
            )

    until_stopped(work)
