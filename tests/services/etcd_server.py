"""etcd as processes of the test: one member alone, or a cluster of three."""

from __future__ import annotations

import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.services.certificates import Certificates
from tests.services.ports import LOOPBACK, TRIES, free_port
from tests.services.process import Process
from tests.services.service import Service
from tests.services.waiting import WaitedTooLong, wait_for

STARTED = 30.0
"""Seconds that a member may take to start, on a busy machine."""


def find_etcd() -> str | None:
    """Return the program, where it is installed."""
    return shutil.which("etcd")


class EtcdServer(Service):
    """One member. Ports, data folder and options stay the same over `stop` and `start`.

    Args:
        directory: its folder: data and log. One folder, one member.
        name: its name in a cluster.
        tls: listens at `tls_port` with TLS, beside the plain port.
        args: further options; `--quota-backend-bytes=...`, say.
    """

    def __init__(
        self,
        directory: Path,
        *,
        name: str = "n1",
        tls: Certificates | None = None,
        args: Sequence[str] = (),
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.host = LOOPBACK
        self.name = name
        self.tls = tls
        self.tls_port = 0
        self.peer_port = 0
        self.cluster = ""
        """What all members are called, and where they hear each other; empty: it is alone."""
        self._args = list(args)
        program = find_etcd() or "etcd"
        super().__init__(Process([program], cwd=directory, log=directory / "server.log"))

    def start(self) -> EtcdServer:
        """Start it and wait until it takes writes; on a further call at the ports it had."""
        for attempt in range(TRIES):
            self.begin()
            try:
                self.wait_ready()
                return self
            except WaitedTooLong:
                taken = self.lost_its_port()
                self.process.kill()
                if not taken or attempt == TRIES - 1:
                    raise
                self.port = self.peer_port = self.tls_port = 0
        raise AssertionError("unreachable")

    def lost_its_port(self) -> bool:
        """Somebody else had taken it before it was bound."""
        return "address already in use" in self.process.logs(since_start=True)

    def forget(self) -> None:
        """End it, and let it begin again at other ports, with nothing."""
        self.process.kill()
        shutil.rmtree(self.directory / "data", ignore_errors=True)
        self.port = self.peer_port = self.tls_port = 0

    def ports(self) -> None:
        """Choose the ports, before a cluster is begun."""
        self.port = self.port or free_port()
        self.peer_port = self.peer_port or free_port()
        if self.tls is not None:
            self.tls_port = self.tls_port or free_port()

    def begin(self) -> None:
        """Start it without waiting: a cluster takes writes once most of it have started."""
        self.ports()
        peer = f"http://{self.host}:{self.peer_port}"
        clients = f"http://{self.host}:{self.port}"
        listened = [clients]
        if self.tls is not None:
            listened.append(f"https://{self.host}:{self.tls_port}")
        secure = [] if self.tls is None else self._secure(self.tls)
        self.process.argv = [
            self.process.argv[0],
            f"--name={self.name}",
            f"--data-dir={self.directory / 'data'}",
            f"--listen-client-urls={','.join(listened)}",
            f"--advertise-client-urls={clients}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster={self.cluster or f'{self.name}={peer}'}",
            "--unsafe-no-fsync",  # the machine does not lose its power
            *secure,
            *self._args,
        ]
        self.process.start()

    def wait_ready(self) -> None:
        """Wait until it takes writes: it has a leader."""

        def look() -> bool:
            if not self.alive():
                raise WaitedTooLong(f"etcd died\n{self.process.tail()}")
            return self.leader() != 0

        wait_for(look, "etcd", timeout=STARTED, explain=self.process.tail)

    def ask(self, path: str, asked: Any = None, *, token: str = "") -> Any:
        """Ask the gateway one thing; nothing where there is no answer."""
        request = urllib.request.Request(
            f"http://{self.host}:{self.port}{path}",
            json.dumps(asked or {}).encode(),
            {"Authorization": token} if token else {},
        )
        try:
            with urllib.request.urlopen(request, timeout=2.0) as answer:
                return json.loads(answer.read().splitlines()[0])
        except urllib.error.HTTPError as error:
            return json.loads(error.read().splitlines()[0])
        except (OSError, ValueError, IndexError):
            return {}

    def leader(self) -> int:
        """The number of the member that leads, as this one says; 0: it knows none."""
        return int(self.ask("/v3/maintenance/status").get("leader", 0))

    def is_leader(self) -> bool:
        """This member leads."""
        status = self.ask("/v3/maintenance/status")
        member = status.get("header", {}).get("member_id", "")
        return bool(status) and status.get("leader") == member

    @property
    def url(self) -> str:
        """The URL of a lock store on it."""
        return self.url_for()

    def url_for(self, *, login: str = "", port: int | None = None) -> str:
        """The same with a login, `user:password@`, or through a proxy at another port."""
        return f"etcd://{login}{self.host}:{port or self.port}"

    def tls_url(self, *, login: str = "", port: int | None = None) -> str:
        """The URL over TLS, which verifies the certificate."""
        assert self.tls is not None
        return f"etcds://{login}{self.host}:{port or self.tls_port}?ssl_ca_certs={self.tls.ca}"

    def with_users(self, **passwords: str) -> None:
        """Make users who may use the locks, a root, and ask for a login from now on."""
        self.ask("/v3/auth/role/add", {"name": "locks"})
        everything = {"key": "Y2VsZXJ5LWxvY2s6", "range_end": "Y2VsZXJ5LWxvY2s7"}
        self.ask(
            "/v3/auth/role/grant",
            {"name": "locks", "perm": {"permType": "READWRITE", **everything}},
        )
        for name, password in {"root": "of root", **passwords}.items():
            self.ask("/v3/auth/user/add", {"name": name, "password": password})
            self.ask(
                "/v3/auth/user/grant",
                {"user": name, "role": "root" if name == "root" else "locks"},
            )
        self.ask("/v3/auth/enable")

    @staticmethod
    def _secure(tls: Certificates) -> list[str]:
        return [f"--cert-file={tls.cert}", f"--key-file={tls.key}"]


class EtcdCluster:
    """Three members, or another number of them. Use it in a `with`."""

    def __init__(self, directory: Path, size: int = 3, *, args: Sequence[str] = ()) -> None:
        self.members = [
            EtcdServer(directory / f"n{number}", name=f"n{number}", args=args)
            for number in range(1, size + 1)
        ]

    def __enter__(self) -> EtcdCluster:
        for _ in range(TRIES):
            try:
                self._begin()
                return self
            except WaitedTooLong:
                if not any(member.lost_its_port() for member in self.members):
                    raise
                for member in self.members:
                    member.forget()
        raise AssertionError("no ports")

    def _begin(self) -> None:
        for member in self.members:
            member.ports()
        cluster = ",".join(f"{one.name}=http://{one.host}:{one.peer_port}" for one in self.members)
        for member in self.members:
            member.cluster = cluster
            member.begin()
        for member in self.members:
            member.wait_ready()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for member in self.members:
            member.kill()

    def leader(self) -> EtcdServer:
        """The member that leads now."""
        return wait_for(lambda: self._of(leads=True), "a leader", timeout=STARTED)[0]

    def followers(self) -> list[EtcdServer]:
        """Those that follow."""
        return wait_for(lambda: self._of(leads=False), "a follower", timeout=STARTED)

    def _of(self, *, leads: bool) -> list[EtcdServer]:
        return [one for one in self.members if one.alive() and one.is_leader() is leads]

    @property
    def url(self) -> str:
        """The URL of a lock store on all of them."""
        return f"etcd://{','.join(f'{one.host}:{one.port}' for one in self.members)}"
