"""ZooKeeper servers as processes of the test: one alone, or an ensemble of three."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.services.binaries import find_java
from tests.services.certificates import Certificates
from tests.services.ports import LOOPBACK, TRIES, free_port
from tests.services.process import Process
from tests.services.service import Service
from tests.services.waiting import WaitedTooLong, wait_for

JAR = Path("/usr/share/java/zookeeper.jar")
"""Debian's; its manifest names the other jars."""
SAYS = Path("/usr/share/java/slf4j-simple.jar")
"""Lets it write its log."""
SMALL_JVM = ("-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")
STARTED = 60.0
"""Seconds that a server may take to start: a JVM on a busy machine needs long."""


def can_run_zookeeper() -> bool:
    """Whether this machine has Java and ZooKeeper's jar where Debian has them."""
    return find_java() is not None and JAR.exists()


class ZooKeeperServer(Service):
    """One server. Port, data folder and options stay the same over `stop` and `start`.

    Args:
        directory: its folder: data, configuration, log. One folder, one server.
        number: its id in an ensemble.
        peers: what the configuration says of all servers of the ensemble; none: it stands alone.
        tls: listens with TLS *instead of* plain TCP.
        tick: milliseconds; the shortest session is two of them.
        settings: further lines of the configuration.
    """

    def __init__(
        self,
        directory: Path,
        *,
        number: int = 1,
        peers: Sequence[str] = (),
        tls: Certificates | None = None,
        tick: int = 500,
        settings: Sequence[str] = (),
    ) -> None:
        self.data = directory / "data"
        self.data.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.host = LOOPBACK
        self.peers = list(peers)
        self.tls = tls
        self._tick = tick
        self._settings = list(settings)
        (self.data / "myid").write_text(str(number))
        netty = sorted(JAR.parent.glob("netty-*.jar")) if tls else []
        jars = [str(jar) for jar in (JAR, SAYS, *netty)]
        main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
        java = find_java() or "java"
        argv = [java, *SMALL_JVM, "-Dzookeeper.jmx.log4j.disable=true", "-cp", ":".join(jars)]
        argv += [main, str(directory / "zoo.cfg")]
        super().__init__(Process(argv, cwd=directory, log=directory / "server.log"))

    def start(self) -> ZooKeeperServer:
        """Start it and wait until it serves; on a further call at the port it had."""
        for attempt in range(TRIES):
            self.begin()
            try:
                self.wait_ready()
                return self
            except WaitedTooLong:
                taken = "Address already in use" in self.process.logs(since_start=True)
                self.process.kill()
                if not taken or attempt == TRIES - 1:
                    raise
                self.port = 0
        raise AssertionError("unreachable")

    def begin(self) -> None:
        """Start it without waiting: an ensemble serves once most of it have started."""
        self.port = self.port or free_port()
        (self.directory / "zoo.cfg").write_text("\n".join(self._configuration()) + "\n")
        self.process.start()

    def wait_ready(self) -> None:
        """Wait until it serves, alone or in an ensemble."""

        def look() -> bool:
            if not self.alive():
                raise WaitedTooLong(f"ZooKeeper died\n{self.process.tail()}")
            return bool(self.role())

        wait_for(look, "ZooKeeper", timeout=STARTED, explain=self.process.tail)

    def say(self, word: str) -> str:
        """Return the answer to one of its four-letter words; nothing where it gives none."""
        try:
            with self._connected() as connection:
                connection.sendall(word.encode())
                found = b""
                while part := connection.recv(65536):
                    found += part
                return found.decode(errors="replace")
        except OSError:
            return ""

    def _connected(self) -> socket.socket:
        plain = socket.create_connection((self.host, self.port), 2.0)
        if self.tls is None:
            return plain
        context = ssl.create_default_context(cafile=str(self.tls.ca))
        return context.wrap_socket(plain, server_hostname=self.host)

    def role(self) -> str:
        """`standalone`, `leader`, `follower`, or nothing while it serves nobody."""
        found = re.search(r"^Mode: (\w+)", self.say("srvr"), re.MULTILINE)
        return "" if found is None else found[1]

    def url_for(self, path: str = "", *, login: str = "", port: int | None = None) -> str:
        """The URL of a lock store on it, or through a proxy at another port."""
        return f"zookeeper://{login}{self.host}:{port or self.port}{path}"

    def set_quota(self, path: str, *, most: int) -> None:
        """Let there be no more nodes than that below a path."""
        with self.client() as client:
            limits = f"/zookeeper/quota{path}"
            client.ensure_path(limits)
            client.create(f"{limits}/zookeeper_stats", b"count=0,bytes=0")
            client.create(
                f"{limits}/zookeeper_limits",
                f"count=-1,bytes=-1=;byteHardLimit=-1;countHardLimit={most}".encode(),
            )

    def remove(self, path: str) -> None:
        """Remove a node with all that is below it, as somebody might do by hand."""
        with self.client() as client:
            client.delete(path, recursive=True)

    @contextmanager
    def client(self) -> Iterator[Any]:
        """A client of kazoo, for what a test does beside the store."""
        from kazoo.client import KazooClient

        client = KazooClient(f"{self.host}:{self.port}")
        client.start(STARTED)
        try:
            yield client
        finally:
            client.stop()
            client.close()

    def _configuration(self) -> list[str]:
        lines = [
            f"tickTime={self._tick}",
            f"dataDir={self.data}",
            "admin.enableServer=false",
            "4lw.commands.whitelist=ruok,srvr,mntr,wchs,cons",
            "maxClientCnxns=0",
            "maxSessionTimeout=60000",
            "forceSync=no",
            "enforceQuota=true",
            "initLimit=40",
            "syncLimit=8",
            *self._settings,
            *self.peers,
        ]
        if self.tls is None:
            return [*lines, f"clientPort={self.port}", f"clientPortAddress={self.host}"]
        key = self.directory / "server.pem"
        key.write_bytes(_pkcs8(self.tls.key) + self.tls.cert.read_bytes())
        return [
            *lines,
            "serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory",
            f"secureClientPort={self.port}",
            f"secureClientPortAddress={self.host}",
            f"ssl.keyStore.location={key}",
            "ssl.keyStore.type=PEM",
            f"ssl.trustStore.location={self.tls.ca}",
            "ssl.trustStore.type=PEM",
            "ssl.clientAuth=none",
        ]


def _pkcs8(key: Path) -> bytes:
    """Return a private key in the one form that ZooKeeper reads."""
    from cryptography.hazmat.primitives import serialization as form

    read = form.load_pem_private_key(key.read_bytes(), None)
    return read.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())


class ZooKeeperEnsemble:
    """Three servers, or another number of them. Use it in a `with`."""

    def __init__(self, directory: Path, size: int = 3, *, tick: int = 500) -> None:
        peers = [
            f"server.{number}={LOOPBACK}:{free_port()}:{free_port()}"
            for number in range(1, size + 1)
        ]
        self.servers = [
            ZooKeeperServer(directory / str(number), number=number, peers=peers, tick=tick)
            for number in range(1, size + 1)
        ]

    def __enter__(self) -> ZooKeeperEnsemble:
        for server in self.servers:
            server.begin()
        for server in self.servers:
            server.wait_ready()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for server in self.servers:
            server.kill()

    def leader(self) -> ZooKeeperServer:
        """The server that leads now."""
        found = wait_for(
            lambda: [one for one in self.servers if one.alive() and one.role() == "leader"],
            "a leader",
            timeout=STARTED,
        )
        return found[0]

    def follower(self) -> ZooKeeperServer:
        """One that follows."""
        found = wait_for(
            lambda: [one for one in self.servers if one.alive() and one.role() == "follower"],
            "a follower",
            timeout=STARTED,
        )
        return found[0]

    def url_for(self, path: str = "") -> str:
        """The URL of a lock store on all of them."""
        return f"zookeeper://{','.join(f'{one.host}:{one.port}' for one in self.servers)}{path}"
