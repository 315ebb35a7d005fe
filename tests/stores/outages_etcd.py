"""How etcd is brought down."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from tests.services import EtcdCluster
from tests.services.ports import LOOPBACK
from tests.stores.outages import LOGIN, SECRET, Outages

__all__ = ["Etcd"]


class Etcd(Outages):
    """Three members with users."""

    def begin(self, stack: ExitStack) -> None:
        cluster = EtcdCluster(self.folder / "servers")
        for member in cluster.servers:
            member.tls = self.tls
        self.cluster = stack.enter_context(cluster)
        self.servers = list(cluster.servers)
        self.most = cluster.servers[:2]
        cluster.servers[0].with_users(down=SECRET)

    @property
    def url(self) -> str:
        hosts = ",".join(f"{LOOPBACK}:{port}" for port in self.ports)
        return f"etcds://{LOGIN}{hosts}?ssl_ca_certs={self.tls.ca}"

    @property
    def ports(self) -> list[int]:
        return [member.tls_port for member in self.cluster.servers]

    def answers(self) -> bool:
        asked = {"key": "eA==", "value": "eA=="}
        return all("header" in one.ask_as_root("/v3/kv/put", asked) for one in self.cluster.servers)

    def _ask(self, path: str, asked: Any) -> None:
        said = self.cluster.servers[0].ask_as_root(path, asked)
        assert "error" not in said, said

    @contextmanager
    def is_full(self) -> Iterator[None]:
        """The alarm of a member that has reached its quota."""
        alarm = {"memberID": "0", "alarm": "NOSPACE"}
        self._ask("/v3/maintenance/alarm", {**alarm, "action": "ACTIVATE"})
        try:
            yield
        finally:
            self._ask("/v3/maintenance/alarm", {**alarm, "action": "DEACTIVATE"})

    @contextmanager
    def wants_another_password(self) -> Iterator[None]:
        """Whoever changes a password ends the logins that were made with it."""
        path = "/v3/auth/user/changepw"
        self._ask(path, {"name": "down", "password": "another"})
        try:
            yield
        finally:
            self._ask(path, {"name": "down", "password": SECRET})
