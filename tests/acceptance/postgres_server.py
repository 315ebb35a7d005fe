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

from tests.services.ports import LOOPBACK, free_port
from tests.services.process import SETPRIV, Process
from tests.services.waiting import WaitedTooLong, wait_for


def find_postgres(program: str) -> str | None:
    """Return one of PostgreSQL's programs, from the path or from where Debian has them."""
    roots = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return shutil.which(program, path=os.pathsep.join([os.defpath, *map(str, roots)])) or (
        shutil.which(program)
    )


def can_run() -> bool:
    """Whether there is a server that this user can start: as root it needs another user."""
    if not all(find_postgres(program) for program in ("initdb", "postgres", "psql")):
        return False
    return os.geteuid() != 0 or bool(SETPRIV and _user())


def _user() -> str | None:
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in ("postgres", "nobody") if name in known), None)


class PostgresServer:
    """A server on a free loopback port whose data need not outlive it. Use it in a `with`."""

    def __init__(self, folder: Path) -> None:
        # not in `folder`: pytest's are their owner's alone, and PostgreSQL refuses to be root
        self._data = Path(tempfile.mkdtemp(prefix="postgres-"))
        self._user = _user() if os.geteuid() == 0 else None
        if self._user:
            shutil.chown(self._data, self._user)
        self.port = free_port()
        options = ["-D", str(self._data), "-h", LOOPBACK, "-p", str(self.port), "-F"]
        self._process = Process(
            [*self._as_user(), str(find_postgres("postgres")), *options, "-k", ""],
            cwd=Path("/"),
            log=folder / "postgres.log",
        )

    def __enter__(self) -> PostgresServer:
        make = [str(find_postgres("initdb")), "-D", str(self._data), "-U", "test", "-A", "trust"]
        made = subprocess.run(
            [*self._as_user(), *make, "-N"], capture_output=True, text=True, check=False, cwd="/"
        )
        assert made.returncode == 0, made.stdout + made.stderr
        self._process.start()
        wait_for(lambda: self.run("SELECT 1;").returncode == 0, "PostgreSQL", timeout=30)
        return self

    def __exit__(self, *error: object) -> None:
        # at once, but not by SIGKILL: its shared memory would stay until the machine restarts
        self._process.signal(signal.SIGINT)
        with suppress(WaitedTooLong):
            self._process.wait()
        self._process.kill()
        shutil.rmtree(self._data, ignore_errors=True)

    def psql(self, values: Mapping[str, int] | None = None) -> list[str]:
        """Return the command line of a client that reads statements, and says little."""
        command = [str(find_postgres("psql")), "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
        command += ["-h", LOOPBACK, "-p", str(self.port), "-U", "test", "-d", "postgres"]
        for name, value in (values or {}).items():
            command += ["-v", f"{name}={value}"]
        return command

    def run(self, sql: str, **values: int) -> subprocess.CompletedProcess[str]:
        """Run statements in a session of their own, with psql's variables."""
        return subprocess.run(
            self.psql(values), input=sql, capture_output=True, text=True, check=False
        )

    def _as_user(self) -> list[str]:
        if self._user is None:
            return []
        group = str(pwd.getpwnam(self._user).pw_gid)
        # pdeathsig again: the kernel forgets it when the user changes
        return [str(SETPRIV), "--reuid", self._user, "--regid", group, "--clear-groups",
                "--pdeathsig", "KILL", "--"]  # fmt: skip
