"""A PostgreSQL server as a process of the test, and its own client `psql`."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import psutil

from tests.services.binaries import find_postgres
from tests.services.freezing import freeze
from tests.services.ports import LOOPBACK
from tests.services.process import SETPRIV, Process
from tests.services.server import Server
from tests.services.waiting import WaitedTooLong

TRUSTED = "test"
"""The owner of all, who needs no password; everybody else needs one."""


class PostgresServer(Server):
    """One server whose data need not outlive a crash of the machine.

    As root it runs as another user, since PostgreSQL refuses to be root.
    """

    SAYS = "ready to accept connections"

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        # not in `directory`: pytest's are their owner's alone
        self._data = Path(tempfile.mkdtemp(prefix="postgres-"))
        self._user = runs_as()
        if self._user:
            shutil.chown(self._data, self._user)
        super().__init__(Process([], cwd=Path("/"), log=directory / "postgres.log"))

    # -- life ---------------------------------------------------------------------------------

    def begin(self) -> None:
        if not (self._data / "PG_VERSION").exists():
            self._make()
        self.choose_ports()
        options = ["-D", str(self._data), "-h", LOOPBACK, "-p", str(self.port), "-F", "-k", ""]
        self.process.argv = [*self._as_user(), str(find_postgres("postgres")), *options]
        self.process.start()

    def answers(self) -> bool:
        return self.run("SELECT 1;").returncode == 0

    def kill(self) -> None:
        """End it at once as a crash would: nothing is written, and transactions are lost.

        Not by SIGKILL: its shared memory would stay until the machine restarts.
        """
        self.resume()
        self.process.signal(signal.SIGQUIT)
        with suppress(WaitedTooLong):
            self.process.wait()
        self.process.kill()

    def pause(self) -> None:
        """Freeze it; each of its processes has a group of its own."""
        freeze(self._all())

    def resume(self) -> None:
        """Let it go on."""
        for pid in self._all():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        shutil.rmtree(self._data, ignore_errors=True)

    # -- use ----------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """The database `postgres`, as the owner of all."""
        return self.url_for(TRUSTED)

    def url_for(self, user: str, password: str | None = None, *, port: int | None = None) -> str:
        """The same as another user, or at another port (a `Proxy`'s)."""
        login = user if password is None else f"{user}:{quote(password, safe='')}"
        return f"postgresql://{login}@{LOOPBACK}:{port or self.port}/postgres"

    def psql(self, values: Mapping[str, int] | None = None) -> list[str]:
        """Return the command line of a client that reads statements, and says little."""
        command = [str(find_postgres("psql")), "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
        command += ["-h", LOOPBACK, "-p", str(self.port), "-U", TRUSTED, "-d", "postgres"]
        for name, value in (values or {}).items():
            command += ["-v", f"{name}={value}"]
        return command

    def run(self, sql: str, **values: int) -> subprocess.CompletedProcess[str]:
        """Run statements in a session of their own, with psql's variables."""
        return subprocess.run(
            self.psql(values), input=sql, capture_output=True, text=True, check=False
        )

    def ask(self, sql: str) -> str:
        """Run statements that have to succeed; return what they print."""
        done = self.run(sql)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    # -- words --------------------------------------------------------------------------------

    def _make(self) -> None:
        make = [str(find_postgres("initdb")), "-D", str(self._data), "-U", TRUSTED, "-N"]
        made = subprocess.run(
            [*self._as_user(), *make], capture_output=True, text=True, check=False, cwd="/"
        )
        assert made.returncode == 0, made.stdout + made.stderr
        rules = [
            f"host all {TRUSTED} {LOOPBACK}/32 trust",
            f"host all all {LOOPBACK}/32 scram-sha-256",
        ]
        (self._data / "pg_hba.conf").write_text("\n".join(rules) + "\n")

    def _all(self) -> list[int]:
        """Its processes, first the one that starts the others."""
        if not self.alive():
            return []
        leader = psutil.Process(self.process.pid)
        return [leader.pid, *(child.pid for child in leader.children(recursive=True))]

    def _as_user(self) -> list[str]:
        if self._user is None:
            return []
        group = str(pwd.getpwnam(self._user).pw_gid)
        # pdeathsig again: the kernel forgets it when the user changes
        return [str(SETPRIV), "--reuid", self._user, "--regid", group, "--clear-groups",
                "--pdeathsig", "KILL", "--"]  # fmt: skip


def can_run_postgres() -> bool:
    """Whether there is a server that this user can start: as root it needs another user."""
    if not all(find_postgres(program) for program in ("initdb", "postgres", "psql")):
        return False
    return os.geteuid() != 0 or bool(SETPRIV and runs_as())


def runs_as() -> str | None:
    """Return as whom the server of a root runs; `None`: as this user."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in ("postgres", "nobody") if name in known), None)
