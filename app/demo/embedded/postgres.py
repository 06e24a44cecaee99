"""PostgreSQL as an embedded server."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from app.demo.embedded.account import Account, may_work_in, reachable_bin, unprivileged
from app.demo.embedded.folder import DATABASE, ROLE, Record, ServerFolder, sync_folder
from app.demo.embedded.server import Launch, plain_environment, unnamed_file
from app.errors import EmbeddedServerError

# Data in the making; what is found under this name at the next start is left over.
UNFINISHED = "data-new-"


@dataclass(frozen=True, slots=True)
class Postgres:
    """PostgreSQL refuses to run as root, so there it runs as nobody, who then owns the data folder.

    Nobody cannot reach that folder where a folder above it is closed, /root for instance. It need not: it is
    started inside, and told that its data are in Linux' name for a process's own folder, which leads there
    past all those above. So the data are always where RESPALDOS_HOME says, and nobody's permissions change.
    """

    folder: ServerFolder
    program: Path
    version: str
    # A recovery writes again what was written since the last checkpoint: up to two minutes.
    start_seconds: float = 150
    stop_signal: int = signal.SIGINT

    @property
    def account(self) -> Account | None:
        return unprivileged()

    def new_record(self, port: int) -> Record:
        return Record(port, ROLE, os.urandom(24).hex(), self.version)

    def prepare(self, record: Record, *, new_secret: bool) -> None:
        data = self.folder.data
        if not data.exists():
            self._initialize(record)
            return
        if not (data / "PG_VERSION").exists():
            raise EmbeddedServerError(f"PostgreSQL: {data} no contiene datos de PostgreSQL; no se ha tocado nada")
        found = (data / "PG_VERSION").read_text().strip()
        if found != self.version:
            raise EmbeddedServerError(
                f"PostgreSQL: los datos son de la versión {found} y se pidió la {self.version}; no se ha tocado nada"
            )
        self._remove_stale_pid_file()
        if new_secret:
            self._run_single_user(data, f"ALTER ROLE {ROLE} PASSWORD '{record.secret}'")

    def launch(self, record: Record) -> Launch:
        arguments = [*self._postgres(), "-h", "127.0.0.1", "-p", str(record.port)]
        return Launch([*arguments, "-c", "unix_socket_directories="], plain_environment())

    def ready(self, record: Record, pid: int) -> bool:
        """By what postgres writes for pg_ctl, in a file that it keeps only while it has its port."""
        lines = self._pid_file()
        return lines[:1] == [str(pid)] and lines[3:4] == [str(record.port)] and lines[7:8] == ["ready"]

    def _pid_file(self) -> list[str]:
        try:
            lines = (self.folder.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [line.strip() for line in lines]

    def _remove_stale_pid_file(self) -> None:
        """A pid file whose number another process of the account has taken since is fatal to postgres.

        Nothing that a supervisor started lives now, but somebody may have started postgres by hand.
        """
        lines = self._pid_file()
        if not lines:
            return
        if lines[0].isdigit() and may_work_in(self.folder.data, int(lines[0]), "postgres", self.account):
            raise EmbeddedServerError(
                f"PostgreSQL: otro servidor, el proceso {lines[0]}, usa estos datos; deténgalo antes"
            )
        (self.folder.data / "postmaster.pid").unlink()

    def _initialize(self, record: Record) -> None:
        """Make the data beside their place and rename them: half-made ones must never be taken for data."""
        for left in self.folder.path.glob(f"{UNFINISHED}*"):
            shutil.rmtree(left)
        fresh = Path(tempfile.mkdtemp(dir=self.folder.path, prefix=UNFINISHED))
        if self.account:
            os.chown(fresh, self.account.uid, self.account.gid)
        initdb = [str(self._bin() / "initdb"), "-D", self._own_folder(), f"--username={ROLE}", "--locale=C"]
        options = ["--encoding=UTF8", "--auth=scram-sha-256", "--pwfile=/dev/stdin", "--no-instructions"]
        create = f"CREATE DATABASE {DATABASE} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'"
        try:
            self._run([*initdb, *options], fresh, f"{record.secret}\n")
            self._run_single_user(fresh, create)
        except EmbeddedServerError:
            shutil.rmtree(fresh)  # on a full disk, this makes room to say so
            raise
        fresh.rename(self.folder.data)
        sync_folder(self.folder.path)

    def _run_single_user(self, data: Path, statement: str) -> None:
        postgres, *options = self._postgres()
        self._run([postgres, "--single", *options, "-c", "exit_on_error=true", "postgres"], data, f"{statement}\n")

    def _run(self, arguments: list[str], data: Path, stdin: str) -> None:
        account = self.account
        with unnamed_file(self.folder.path, stdin.encode(), account) as descriptor:
            done = subprocess.run(  # noqa: S603 — the wheel's program
                arguments,
                cwd=data,
                env=plain_environment(),
                stdin=descriptor,
                stdout=sys.stderr,  # the log
                check=False,
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
            )
        if done.returncode:
            program = Path(arguments[0]).name
            raise EmbeddedServerError(f"PostgreSQL: {program} terminó con código {done.returncode}")

    def _postgres(self) -> list[str]:
        return [str(self._bin() / "postgres"), "-D", self._own_folder()]

    def _bin(self) -> Path:
        return reachable_bin(self.program.parent, self.account)

    def _own_folder(self) -> str:
        return "/proc/self/cwd" if self.account else "."
