"""A Redis Cluster of the test: masters with their replicas, each a process on ports of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS as SLOTS
from redis.crc import key_slot

from tests.services.certificates import Certificates
from tests.services.ports import free_port
from tests.services.redis_server import RedisServer
from tests.services.waiting import wait_for

BUS = 10_000
"""What nodes add to a port, for the one where they talk to each other. Before Redis 7 it cannot be
chosen."""


FIRST, LAST = 51_000, 65_535 - BUS
"""Of these ports the kernel gives none to a connection once the bus has been added."""


class Node(RedisServer):
    """A server whose bus has a port that is free as well."""

    def new_port(self) -> int:
        """Return a port that is free."""
        while not FIRST <= (port := free_port()) <= LAST:
            pass
        return port


class RedisCluster:
    """Masters that share the slots evenly, and replicas of each. Use it in a `with`.

    Args:
        binary: `find_redis()`, `find_valkey()` or `find_redis_62()`.
        directory: its folder; each node has one in it.
        masters: how many keep slots.
        replicas: of each master.
        args: further options of each node, as on the command line.
        password: of the default user of each node.
        tls: each node listens with TLS, and they speak it with each other.
        plain: the one node there is listens without TLS as well (`plain_url`).
        through: what stands before each node, given its port: the port that it announces.
    """

    TIMEOUT = 1000
    """Milliseconds after which a node that does not answer the others is taken for dead."""

    def __init__(
        self,
        binary: str,
        directory: Path,
        *,
        masters: int = 1,
        replicas: int = 0,
        args: Sequence[str] = (),
        password: str | None = None,
        tls: Certificates | None = None,
        plain: bool = False,
        through: Callable[[int], int] | None = None,
    ) -> None:
        self._stack = ExitStack()
        self._through = through
        self._clients: dict[RedisServer, Any] = {}
        self._masters = masters
        self._plain_port = free_port() if plain else 0
        self.nodes: list[RedisServer] = []
        """All nodes, the first masters before the first replicas."""
        for number in range(masters * (1 + replicas)):
            options = ["--cluster-enabled", "yes", "--cluster-node-timeout", str(self.TIMEOUT)]
            options += ["--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"]
            if password is not None:
                options += ["--masterauth", password]
            if plain:
                options += ["--port", str(self._plain_port)]
            if tls is not None:
                options += ["--tls-cluster", "yes", "--tls-replication", "yes"]
            node = Node(
                binary,
                directory / f"node-{number}",
                args=[*options, *args],
                password=password,
                tls=tls,
            )
            self.nodes.append(node)

    # -- life ---------------------------------------------------------------------------------

    def start(self) -> RedisCluster:
        """Start all nodes, join them, and wait until each knows all slots and all replicas."""
        for node in self.nodes:
            self._stack.enter_context(node)
        for number, node in enumerate(self.nodes):
            self.say(node, "CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            if self._through is not None:
                port = self._through(node.port)
                self.say(node, "CONFIG", "SET", "cluster-announce-port", port)
        masters = self.nodes[: self._masters]
        for number, node in enumerate(masters):
            first, last = (SLOTS * n // len(masters) for n in (number, number + 1))
            self.say(node, "CLUSTER", "ADDSLOTS", *range(first, last))
        for node in self.nodes[1:]:
            self.say(self.nodes[0], "CLUSTER", "MEET", node.host, node.port)
        everybody = len(self.nodes)
        self._wait(lambda n: self.info(n)["cluster_known_nodes"] == str(everybody), "each other")
        for number, node in enumerate(self.nodes[self._masters :]):
            self.say(node, "CLUSTER", "REPLICATE", self.id_of(masters[number % len(masters)]))
        self.wait_ready()
        return self

    def wait_ready(self) -> None:
        """Wait until all slots are served, and each replica follows its master."""
        self._wait(lambda n: self.info(n)["cluster_state"] == "ok", "a cluster that is ok")
        self._wait(self._is_linked, "replicas that follow")

    def __enter__(self) -> RedisCluster:
        try:
            return self.start()
        except BaseException:
            self._stack.close()
            raise

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    # -- where things are ---------------------------------------------------------------------

    @property
    def url(self) -> str:
        """Names the first three nodes."""
        plain = self.nodes[0].url_for()
        scheme, _, rest = plain.partition("://")
        login, at, rest = rest.rpartition("@")
        query = rest.partition("?")[2]
        hosts = ",".join(f"{node.host}:{node.port}" for node in self.nodes[:3])
        return f"{scheme}+cluster://{login}{at}{hosts}" + (f"?{query}" if query else "")

    @property
    def plain_url(self) -> str:
        """Names the port without TLS."""
        return f"redis+cluster://{self.nodes[0].host}:{self._plain_port}"

    def keeper(self, name: str) -> RedisServer:
        """Return the node that keeps a name, as a living node says."""
        slot = key_slot(name.encode())
        for node in self.nodes:
            if not node.alive():
                continue
            for first, last, (_, port, *_), *_ in self.say(node, "CLUSTER", "SLOTS"):
                if first <= slot <= last:
                    return next(one for one in self.nodes if one.port == port)
        raise AssertionError(f"nobody keeps slot {slot}")

    def masters(self) -> list[RedisServer]:
        """Return the nodes that are masters now."""
        return [n for n in self.nodes if n.alive() and self.say(n, "ROLE")[0] == b"master"]

    def replicas_of(self, master: RedisServer) -> list[RedisServer]:
        """Return the living nodes that follow this one."""
        return [
            node
            for node in self.nodes
            if node.alive()
            and (role := self.say(node, "ROLE"))[0] == b"slave"
            and role[2] == master.port
        ]

    def id_of(self, node: RedisServer) -> str:
        """Return a node's name within the cluster."""
        return str(self.say(node, "CLUSTER", "MYID").decode())

    # -- what is done to it -------------------------------------------------------------------

    def empty(self) -> None:
        """Delete all keys."""
        for node in self.masters():
            self.say(node, "FLUSHALL")
            self.say(node, "SCRIPT", "FLUSH")

    def begin_move(self, slot: int, source: RedisServer, target: RedisServer) -> None:
        """Let a slot be on its way: from now on its keys may be on either of the two."""
        self.say(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", self.id_of(source))
        self.say(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", self.id_of(target))

    def move_keys(self, slot: int, source: RedisServer, target: RedisServer) -> None:
        """Move the keys of a slot that is on its way."""
        while names := self.say(source, "CLUSTER", "GETKEYSINSLOT", slot, 100):
            where = ("MIGRATE", target.host, target.port, "", 0, 5000)
            login = ("AUTH", target.password) if target.password is not None else ()
            self.say(source, *where, *login, "KEYS", *names)

    def end_move(self, slot: int, source: RedisServer, target: RedisServer) -> None:
        """Let the slot be the target's, whose keys it has by now."""
        for node in (target, source, *self.masters()):
            self.say(node, "CLUSTER", "SETSLOT", slot, "NODE", self.id_of(target))

    def move(self, slot: int, source: RedisServer, target: RedisServer) -> None:
        """Move a slot with all its keys."""
        self.begin_move(slot, source, target)
        self.move_keys(slot, source, target)
        self.end_move(slot, source, target)

    def wait_failed_over(self, dead: RedisServer, timeout: float = 15.0) -> None:
        """Wait until all living nodes know another master for the slots of a dead one."""

        def known(node: RedisServer) -> bool:
            if node is dead or not node.alive():
                return True
            shown = self.say(node, "CLUSTER", "SLOTS")
            return all(row[2][1] != dead.port for row in shown) and (
                self.info(node)["cluster_state"] == "ok"
            )

        self._wait(known, "a fail-over", timeout)

    # -- inside -------------------------------------------------------------------------------

    def say(self, node: RedisServer, *command: Any) -> Any:
        """Send one command to one node."""
        if node not in self._clients:
            client: Any = node.client(protocol=2, socket_timeout=5.0)
            client.response_callbacks.clear()
            self._clients[node] = self._stack.enter_context(client)
        return self._clients[node].execute_command(*command)

    def info(self, node: RedisServer) -> dict[str, str]:
        """Return what CLUSTER INFO says."""
        text = self.say(node, "CLUSTER", "INFO").decode()
        return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)

    def _wait(self, holds: Callable[[RedisServer], bool], what: str, timeout: float = 15.0) -> None:
        def look() -> bool:
            try:
                return all(holds(node) for node in self.nodes if node.alive())
            except redis.RedisError:
                return False

        wait_for(look, what, timeout=timeout)

    def _is_linked(self, node: RedisServer) -> bool:
        role = self.say(node, "ROLE")
        if role[0] == b"slave":
            return bool(role[3] == b"connected")
        return True
