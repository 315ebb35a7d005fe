"""Sentinels and the servers that they watch, each a process of the test on a port of its own."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.services.ports import LOOPBACK
from tests.services.redis_server import RedisServer
from tests.services.waiting import wait_for

SERVICE = "mymaster"
DOWN_AFTER = 1000
"""Milliseconds after which a sentinel takes a server for dead."""


class SentinelServer(RedisServer):
    """One sentinel. Its folder has its configuration, which it writes itself as it learns.

    Args:
        watch: the port of the primary.
        quorum: how many sentinels have to agree that it is down.
        config: further lines, e.g. `("sentinel auth-pass mymaster secret",)`.

    What else a `RedisServer` takes, a sentinel takes too: a password, users, TLS.
    """

    SAYS = ""

    def __init__(
        self,
        binary: str,
        directory: Path,
        *,
        watch: int,
        quorum: int = 1,
        config: Sequence[str] = (),
        args: Sequence[str] = (),
        **options: Any,
    ) -> None:
        super().__init__(binary, directory, args=args, **options)
        self._config = directory / "sentinel.conf"
        lines = [
            f"sentinel monitor {SERVICE} {LOOPBACK} {watch} {quorum}",
            f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER}",
            f"sentinel failover-timeout {SERVICE} 3000",
            *config,
        ]
        self._config.write_text("\n".join(lines) + "\n")

    def ask(self, *words: str) -> Any:
        """Say `SENTINEL ...` to it."""
        with self.client(decode_responses=True) as client:
            return client.execute_command("SENTINEL", *words)

    def _options(self, port: int) -> list[str]:
        return [str(self._config), "--sentinel", *super()._options(port)]


class Watched:
    """A primary, its replicas, and the sentinels that watch them. Use it in a `with`.

    Args:
        replicas: how many servers follow the first one.
        sentinels: how many watch.
        quorum: how many of them have to agree that it is down; by itself most of them.
        server: options for each `RedisServer`.
        sentinel: options for each `SentinelServer`.
    """

    def __init__(
        self,
        binary: str,
        directory: Path,
        *,
        replicas: int = 0,
        sentinels: int = 1,
        quorum: int | None = None,
        server: dict[str, Any] | None = None,
        sentinel: dict[str, Any] | None = None,
    ) -> None:
        self._binary = binary
        self._directory = directory
        self._counts = replicas, sentinels
        self._quorum = sentinels // 2 + 1 if quorum is None else quorum
        self._server = dict(server or {})
        self._sentinel = dict(sentinel or {})
        self._stack = ExitStack()
        self.servers: list[RedisServer] = []
        """The first one is the primary, until a fail-over."""
        self.sentinels: list[SentinelServer] = []

    def __enter__(self) -> Watched:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    @property
    def url(self) -> str:
        """The service, as a store is asked for it; without any login."""
        return self.url_for()

    def url_for(self, *, login: str = "", service: str = SERVICE, ports: Sequence[int] = ()) -> str:
        """The same with a login, of another service, or of other ports (those of proxies)."""
        ports = ports or [one.port for one in self.sentinels]
        return f"sentinel://{login}{','.join(f'{LOOPBACK}:{port}' for port in ports)}/{service}"

    def empty(self) -> None:
        """Forget what the servers keep."""
        with self.servers[0].client() as client:
            client.flushall()

    @property
    def primary(self) -> RedisServer:
        """The server that the first living sentinel names."""
        sentinel = next(one for one in self.sentinels if one.alive())
        port = int(sentinel.ask("get-master-addr-by-name", SERVICE)[1])
        return next(one for one in self.servers if one.port == port)

    @property
    def epoch(self) -> int:
        """The number of the last fail-over that a living sentinel knows of."""
        known = [one.ask("MASTER", SERVICE) for one in self.sentinels if one.alive()]
        return max(int(_facts(said)["config-epoch"]) for said in known)

    def wait_failed_over(self, before: RedisServer, timeout: float = 30.0) -> RedisServer:
        """Wait until most sentinels name another primary than `before`, which takes writes."""

        def other() -> bool:
            named = [
                int(one.ask("get-master-addr-by-name", SERVICE)[1])
                for one in self.sentinels
                if one.alive()
            ]
            return 2 * sum(port != before.port for port in named) > len(self.sentinels)

        wait_for(other, "a fail-over", timeout=timeout)
        found = self.primary
        with found.client() as client:
            wait_for(lambda: client.execute_command("ROLE")[0] == b"master", "a primary")
        return found

    def _start(self) -> None:
        replicas, sentinels = self._counts
        options = {**self._server, "args": ("--repl-diskless-sync-delay", "0")}
        options["args"] += tuple(self._server.get("args", ()))
        first = self._add(RedisServer(self._binary, self._directory / "primary", **options))
        for number in range(replicas):
            follows = ("--replicaof", LOOPBACK, str(first.port))
            own = {**options, "args": (*options["args"], *follows)}
            self._add(RedisServer(self._binary, self._directory / f"replica-{number}", **own))
        # a sentinel asks for the replicas once in ten seconds
        with first.client() as client:
            wait_for(lambda: _linked(client.info("replication")) == replicas, "the replicas")
        for number in range(sentinels):
            one = SentinelServer(
                self._binary,
                self._directory / f"sentinel-{number}",
                watch=first.port,
                quorum=self._quorum,
                **self._sentinel,
            )
            self.sentinels.append(self._stack.enter_context(one))
        wait_for(self._all_known, "sentinels that know each other", timeout=30.0)

    def _add(self, server: RedisServer) -> RedisServer:
        self.servers.append(self._stack.enter_context(server))
        return server

    def _all_known(self) -> bool:
        replicas, sentinels = self._counts
        for one in self.sentinels:
            facts = _facts(one.ask("MASTER", SERVICE))
            if int(facts["num-other-sentinels"]) < sentinels - 1:
                return False
            if int(facts["num-slaves"]) < replicas or "down" in facts["flags"]:
                return False
        return True


def _facts(said: Any) -> dict[str, str]:
    """Read the words of a sentinel, which some releases of redis-py have read by then."""
    return dict(zip(said[::2], said[1::2], strict=True)) if isinstance(said, list) else said


def _linked(info: Any) -> int:
    return sum(
        1
        for name, facts in info.items()
        if name.startswith("slave") and isinstance(facts, dict) and facts["state"] == "online"
    )
