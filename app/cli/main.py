"""The `respaldos` command: parse, call one operation, say what happened."""

import gettext
import io
import json
import logging
import os
import sys
from pathlib import Path

# click's own sentences in Spanish; it looks them up through these when it is imported or used.
os.environ["LANGUAGE"] = "es"
gettext.bindtextdomain("click", Path(__file__).parent / "locale")
gettext.textdomain("click")

import click  # noqa: E402

from app.cli.commands.backup import crear, descargar, estadisticas, listar, ver, verificar  # noqa: E402
from app.cli.commands.catalogue import catalogo, clinicas  # noqa: E402
from app.cli.commands.demo import demo  # noqa: E402
from app.cli.commands.export import exportar  # noqa: E402
from app.cli.commands.restore import comparar, restaurar  # noqa: E402
from app.cli.commands.retention import aceptar, eliminar, limpiar, recuperar, reindexar  # noqa: E402
from app.cli.commands.service import serve, worker  # noqa: E402
from app.cli.commands.setup import configurar_s3, migrar, token  # noqa: E402
from app.errors import RespaldosError  # noqa: E402


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    options_metavar="[OPCIONES]",
    subcommand_metavar="ORDEN [ARGUMENTOS]...",
)
@click.version_option(None, "-V", "--version", package_name="respaldos", message="%(version)s")
def respaldos() -> None:
    """Respalda los datos de cada clínica, y demuestra que se pueden recuperar.

    Se configura con variables de entorno o un archivo .env (vea .env.example). Sin ninguna dirección
    configurada usa servidores propios, en la carpeta .respaldos/.
    """


for command in (
    *(demo, serve, worker, migrar),
    *(crear, listar, ver, descargar, verificar, exportar, estadisticas),
    *(restaurar, comparar),
    *(eliminar, recuperar, aceptar, limpiar, reindexar),
    *(clinicas, catalogo, configurar_s3, token),
):
    command.options_metavar = "[OPCIONES]"
    respaldos.add_command(command)


def run() -> None:
    """Entry point. Exit code 0 only on success, 1 for an error, 2 for a wrong call, 130 when interrupted."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal without ✓ must not make an error of what has succeeded.
            stream.reconfigure(errors="replace")
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    try:
        # Without its standalone mode, click returns the code that a command has ended itself with.
        sys.exit(respaldos(standalone_mode=False))
    except click.ClickException as exc:
        if _wants_json():
            _fail("uso_incorrecto", exc.format_message())
        else:
            exc.show()
        sys.exit(exc.exit_code)
    except (KeyboardInterrupt, click.Abort):
        _fail("interrumpido", "se interrumpió la orden")
        sys.exit(130)
    except RespaldosError as exc:
        _fail(exc.code, str(exc))
        sys.exit(1)


def _wants_json() -> bool:
    # Asked of the arguments, because what is wrong may be one of them.
    return "--json" in sys.argv


def _fail(code: str, message: str) -> None:
    if _wants_json():
        click.echo(json.dumps({"error": message, "error_type": code}, ensure_ascii=False))
    else:
        click.secho(f"✗ {message}", fg="red", err=True)


if __name__ == "__main__":
    run()
