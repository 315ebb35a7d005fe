"""How ZooKeeper is brought down."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from tests.services import ZooKeeperEnsemble, ZooKeeperServer
from tests.services.ports import LOOPBACK, free_port
from tests.stores.outages import LOGIN, PATIENCE, SECRET, Outages

__all__ = ["ZooKeeper"]


class ZooKeeper(Outages):
    """Three servers, which give the nodes of the locks to one user."""

    PATH = "/down"

    def begin(self, stack: ExitStack) -> None:
        ensemble = ZooKeeperEnsemble(self.folder / "servers")
        self._plain = [free_port() for _ in ensemble.servers]
        ensemble.servers = [
            ZooKeeperServer(
                server.directory,
                number=server.number,
                tls=self.tls,
                settings=[f"clientPort={port}", f"clientPortAddress={LOOPBACK}"],
            )
            for server, port in zip(ensemble.servers, self._plain, strict=True)
        ]
        self.ensemble = stack.enter_context(ensemble)
        self.servers = list(ensemble.servers)
        self.most = ensemble.servers[:2]

    @property
    def url(self) -> str:
        hosts = ",".join(f"{LOOPBACK}:{port}" for port in self.ports)
        return f"zookeeper://{LOGIN}{hosts}{self.PATH}?ssl_ca_certs={self.tls.ca}"

    def answers(self) -> bool:
        return all(server.role() for server in self.ensemble.servers)

    @contextmanager
    def _client(self, *logins: str) -> Iterator[Any]:
        from kazoo.client import KazooClient

        hosts = ",".join(f"{LOOPBACK}:{port}" for port in self._plain)
        client = KazooClient(hosts, auth_data=[("digest", login) for login in logins])
        client.start(PATIENCE)
        try:
            yield client
        finally:
            client.stop()
            client.close()

    @contextmanager
    def is_full(self) -> Iterator[None]:
        """A quota of nodes."""
        limits = f"/zookeeper/quota{self.PATH}"
        said = b"count=-1,bytes=-1=;byteHardLimit=-1;countHardLimit=1"
        with self._client() as client:
            client.ensure_path(limits)
            client.create(f"{limits}/zookeeper_stats", b"count=0,bytes=0")
            client.create(f"{limits}/zookeeper_limits", said)
        try:
            yield
        finally:
            with self._client() as client:
                client.delete(limits, recursive=True)

    @contextmanager
    def wants_another_password(self) -> Iterator[None]:
        """The nodes belong to a user of the same name with another password."""
        self._give_nodes("down:another")
        try:
            yield
        finally:
            self._give_nodes(f"down:{SECRET}")

    def _give_nodes(self, login: str) -> None:
        from kazoo.security import make_digest_acl

        acl = [make_digest_acl(*login.split(":"), all=True)]
        with self._client(f"down:{SECRET}", "down:another") as client:
            paths = [self.PATH]
            for path in paths:
                paths += [f"{path}/{name}" for name in client.get_children(path)]
                client.set_acls(path, acl)
