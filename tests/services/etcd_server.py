"""etcd as processes of the test: one member alone, or a cluster of three."""

from __future__ import annotations

import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.services.certificates import Certificates
from tests.services.ensemble import Ensemble, Member
from tests.services.ports import LOOPBACK, free_port
from tests.services.process import Process

ROOT_PASSWORD = "of root"


def find_etcd() -> str | None:
    """Return the program, where it is installed."""
    return shutil.which("etcd")


class EtcdServer(Member):
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

    @property
    def kept(self) -> Path:
        return self.directory / "data"

    def choose_ports(self) -> None:
        super().choose_ports()
        self.peer_port = self.peer_port or free_port()
        if self.tls is not None:
            self.tls_port = self.tls_port or free_port()

    def leave_ports(self) -> None:
        self.port = self.peer_port = self.tls_port = 0

    def begin(self) -> None:
        self.choose_ports()
        peer = f"http://{self.host}:{self.peer_port}"
        clients = f"http://{self.host}:{self.port}"
        listened = [clients]
        if self.tls is not None:
            listened.append(f"https://{self.host}:{self.tls_port}")
        secure = [] if self.tls is None else self._secure(self.tls)
        self.process.argv = [
            self.process.argv[0],
            f"--name={self.name}",
            f"--data-dir={self.kept}",
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

    def answers(self) -> bool:
        """Whether it takes writes: it knows a leader."""
        return self.leads() is not None

    def leads(self) -> bool | None:
        status = self.ask("/v3/maintenance/status")
        if not int(status.get("leader", 0)):
            return None
        return bool(status["leader"] == status["header"]["member_id"])

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
        for name, password in {"root": ROOT_PASSWORD, **passwords}.items():
            self.ask("/v3/auth/user/add", {"name": name, "password": password})
            self.ask(
                "/v3/auth/user/grant",
                {"user": name, "role": "root" if name == "root" else "locks"},
            )
        self.ask("/v3/auth/enable")

    def ask_as_root(self, path: str, asked: Any = None) -> Any:
        """The same as `ask`, by the root of `with_users`."""
        login = {"name": "root", "password": ROOT_PASSWORD}
        token = self.ask("/v3/auth/authenticate", login).get("token", "")
        return self.ask(path, asked, token=token)

    @staticmethod
    def _secure(tls: Certificates) -> list[str]:
        return [f"--cert-file={tls.cert}", f"--key-file={tls.key}"]


class EtcdCluster(Ensemble[EtcdServer]):
    """Three members, or another number of them. Use it in a `with`."""

    def __init__(self, directory: Path, size: int = 3, *, args: Sequence[str] = ()) -> None:
        names = [f"n{number}" for number in range(1, size + 1)]
        super().__init__([EtcdServer(directory / name, name=name, args=args) for name in names])

    def introduce(self) -> None:
        peers = ",".join(f"{one.name}=http://{one.host}:{one.peer_port}" for one in self.servers)
        for server in self.servers:
            server.cluster = peers

    @property
    def url(self) -> str:
        """The URL of a lock store on all of them."""
        return f"etcd://{','.join(f'{one.host}:{one.port}' for one in self.servers)}"
