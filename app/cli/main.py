"""The `respaldos` command: parse, call one operation, say what happened."""

import atexit
import gc
import gettext
import io
import logging
import os
import sys
from importlib import import_module
from itertools import zip_longest
from pathlib import Path

# click's own sentences in Spanish; it looks them up through these when it is imported or used.
os.environ["LANGUAGE"] = "es"
gettext.bindtextdomain("click", Path(__file__).parent / "locale")
gettext.textdomain("click")

import click  # noqa: E402

from app.errors import EmbeddedServerError, Interrupted, RespaldosError  # noqa: E402
from app.logs import PlainFormatter  # noqa: E402
from app.printable import printable  # noqa: E402

# The line of each command in the list of them, so that listing and completing them imports none. They stand in the
# order in which they are needed; WIDTHS says how long one may be.
LINES = {
    "demo": "Lo prueba sin instalar",
    "migrar": "Prepara las tablas",
    "configurar-s3": "Prepara el bucket",
    "catalogo": "De quién es cada tabla",
    "revisar": "Dice qué está mal puesto",
    "serve": "Sirve la API y el panel",
    "worker": "Hace el trabajo de fondo",
    "token": "Emite un token",
    "acceso": "Claves y sesiones",
    "crear": "Respalda ahora",
    "listar": "Lista los respaldos",
    "ver": "Muestra un respaldo",
    "descargar": "Baja un respaldo",
    "verificar": "Comprueba un respaldo",
    "exportar": "A CSV, SQLite o Parquet",
    "constancia": "Certifica en un PDF",
    "buscar": "Busca un registro",
    "historia": "Cómo cambió un registro",
    "restaurar": "Restaura una clínica",
    "comparar": "Dice qué cambió",
    "eliminar": "Elimina un respaldo",
    "recuperar": "Recupera uno eliminado",
    "retener": "Impide que se elimine",
    "aceptar": "Acepta uno sospechoso",
    "limpiar": "Elimina los viejos",
    "reindexar": "Rehace filas perdidas",
    "situacion": "Cómo están las clínicas",
    "politica": "Cuándo, qué y a quién",
    "clinicas": "Lista las clínicas",
    "claves": "Con qué se cifra",
    "auditoria": "Quién hizo qué",
    "estadisticas": "Resume una clínica",
}

# Of a name and of its line, in the list: two beside each other have room in 80 columns, and all of them in 24 lines.
WIDTHS = (14, 24)

MODULES = {
    "app.cli.commands.access": ("acceso",),
    "app.cli.commands.audit": ("auditoria",),
    "app.cli.commands.backup": ("crear", "descargar"),
    "app.cli.commands.catalogue": ("catalogo",),
    "app.cli.commands.certificate": ("constancia",),
    "app.cli.commands.check": ("revisar",),
    "app.cli.commands.clinics": ("clinicas", "situacion"),
    "app.cli.commands.export": ("exportar",),
    "app.cli.commands.keys": ("claves",),
    "app.cli.commands.listing": ("listar", "ver", "estadisticas"),
    "app.cli.commands.policy": ("politica",),
    "app.cli.commands.restore": ("restaurar", "comparar"),
    "app.cli.commands.retention": ("eliminar", "recuperar", "retener", "aceptar", "limpiar", "reindexar"),
    "app.cli.commands.search": ("buscar", "historia"),
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

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands alone: the two options stand in the first line, and four lines are room for eight commands."""
        self.format_commands(ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Two columns, where the terminal is wide enough for them: the help is to be seen at once."""
        name_width, line_width = WIDTHS
        listed = [f"{name:{name_width}}{line:{line_width}}" for name, line in LINES.items()]
        half = len(listed) if formatter.width < 2 * (sum(WIDTHS) + 1) else (len(listed) + 1) // 2
        with formatter.section("Órdenes"):
            for first, second in zip_longest(listed[:half], listed[half:], fillvalue=""):
                formatter.write(f"{'':{formatter.current_indent}}{first} {second}".rstrip() + "\n")


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
    options_metavar="[--help | --version]",
    subcommand_metavar="ORDEN [ARGUMENTOS]...",
)
@click.version_option(None, "-V", "--version", package_name="respaldos", message="%(version)s")
def respaldos() -> None:
    """Respalda los datos de cada clínica, y demuestra que vuelven (.env.example)."""


def run() -> None:
    """Entry point. Exit code 0 only on success, 1 for an error, 2 for a wrong call, 130 when interrupted."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal without ✓ must not make an error of what has succeeded.
            stream.reconfigure(errors="replace")
    atexit.register(gc.freeze)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PlainFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    try:
        # Without its standalone mode, click returns the code that a command has ended itself with.
        sys.exit(respaldos(standalone_mode=False))
    except click.ClickException as exc:
        if _wants_json():
            _fail("uso_incorrecto", exc.format_message())
        else:
            # What was typed need not have been typed by a person: a script may have had it from anywhere.
            shown = io.StringIO()
            exc.show(shown)
            for line in shown.getvalue().expandtabs().removesuffix("\n").split("\n"):
                click.echo(printable(line), err=True)
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
    from app.cli.output import failed, print_json

    if _wants_json():
        print_json({"error": message, "error_type": code})
    else:
        failed(message)


if __name__ == "__main__":
    run()
