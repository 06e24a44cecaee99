"""The `respaldos` command: parse, call one operation, say what happened."""

import atexit
import gc
import gettext
import io
import json
import logging
import os
import sys
from importlib import import_module
from pathlib import Path

# click's own sentences in Spanish; it looks them up through these when it is imported or used.
os.environ["LANGUAGE"] = "es"
gettext.bindtextdomain("click", Path(__file__).parent / "locale")
gettext.textdomain("click")

import click  # noqa: E402

from app.errors import EmbeddedServerError, Interrupted, RespaldosError  # noqa: E402

# The line of each command in the list of them, so that listing and completing them imports none.
LINES = {
    "demo": "Prueba el servicio en esta máquina, sin instalar ni configurar nada.",
    "serve": "Sirve la API HTTP hasta que se lo detenga con Ctrl-C.",
    "worker": "Hace el trabajo de fondo hasta que se lo detenga con Ctrl-C.",
    "migrar": "Crea o actualiza el esquema «respaldos» en la base de datos del servicio.",
    "crear": "Respalda ahora los datos de una clínica, o los de la plataforma, que no son de ninguna.",
    "listar": "Lista los respaldos, del más nuevo al más viejo.",
    "ver": "Muestra todo lo que se sabe de un respaldo.",
    "descargar": "Baja un respaldo a un archivo, y su hash a F.md5 al lado.",
    "verificar": "Comprueba un respaldo de principio a fin.",
    "exportar": "Saca los datos de un respaldo a archivos que abren otros programas.",
    "estadisticas": "Resume cómo van los respaldos de una clínica, o de la plataforma, y cuánto cuestan.",
    "restaurar": "Deja los datos de una clínica exactamente como están en un respaldo.",
    "comparar": "Dice qué cambió entre un respaldo y hoy, o entre dos respaldos.",
    "eliminar": "Elimina un respaldo.",
    "recuperar": "Trae de vuelta un respaldo eliminado, si su archivo todavía está en S3.",
    "aceptar": "Da por bueno un respaldo sospechoso, después de revisarlo.",
    "limpiar": "Elimina los respaldos que RETENTION_DAYS y las demás reglas ya no conservan.",
    "reindexar": "Rehace, a partir de los archivos del bucket, los respaldos que la base de datos perdió.",
    "clinicas": "Lista las clínicas, por su número, y el último respaldo bueno de cada una.",
    "catalogo": "Muestra de quién es cada tabla: qué se respalda, por qué camino, y qué no tiene dueño.",
    "configurar-s3": "Deja el bucket como debe estar: privado, cifrado, con versiones y con limpieza automática.",
    "token": "Emite un token para la API, que vale TOKEN_HOURS horas. Necesita JWT_SECRET.",
}

MODULES = {
    "app.cli.commands.backup": ("crear", "descargar"),
    "app.cli.commands.catalogue": ("clinicas", "catalogo"),
    "app.cli.commands.export": ("exportar",),
    "app.cli.commands.listing": ("listar", "ver", "estadisticas"),
    "app.cli.commands.restore": ("restaurar", "comparar"),
    "app.cli.commands.retention": ("eliminar", "recuperar", "aceptar", "limpiar", "reindexar"),
    "app.cli.commands.serve": ("serve",),
    "app.cli.commands.setup": ("migrar", "configurar-s3"),
    "app.cli.commands.token": ("token",),
    "app.cli.commands.verify": ("verificar",),
    "app.cli.commands.worker": ("worker",),
    "app.demo.command": ("demo",),
}
_MODULE_OF = {name: module for module, names in MODULES.items() for name in names}


class LazyGroup(click.Group):
    """Commands whose modules are imported when they are called; to list or complete them, their lines are enough."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command itself, where its name is known."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, load(name) if name in LINES else command, rest


def load(name: str) -> click.Command:
    """Import one of the commands. Raises EmbeddedServerError where this installation has no demo."""
    # Modules stay, so what they are made of need not be looked through again and again, now or at the end of the
    # program: for what `listar` imports that is 0.49 s of a processor, and not 0.75 s.
    gc.disable()
    try:
        module = import_module(_MODULE_OF[name])
    except ModuleNotFoundError as exc:
        if exc.name != "app.demo":
            raise
        # Left out of the wheel, and so of what runs in production.
        raise EmbeddedServerError("esta instalación no trae la demo: está en el código fuente (make demo)") from exc
    finally:
        gc.freeze()
        gc.enable()
    command = getattr(module, name.replace("-", "_"))
    assert isinstance(command, click.Command)  # noqa: S101 (a test loads each)
    command.options_metavar = "[OPCIONES]"
    return command


@click.group(
    cls=LazyGroup,
    commands={name: click.Command(name, help=line) for name, line in LINES.items()},
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


def run() -> None:
    """Entry point. Exit code 0 only on success, 1 for an error, 2 for a wrong call, 130 when interrupted."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal without ✓ must not make an error of what has succeeded.
            stream.reconfigure(errors="replace")
    atexit.register(gc.freeze)
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
        _fail(Interrupted.code, "se interrumpió la orden")
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
