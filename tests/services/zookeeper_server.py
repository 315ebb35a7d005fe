"""ZooKeeper servers as processes of the test: one alone, or an ensemble of three."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.services.binaries import find_java
from tests.services.certificates import Certificates
from tests.services.ensemble import Ensemble, Member
from tests.services.ports import LOOPBACK, free_port
from tests.services.process import Process

JAR = Path("/usr/share/java/zookeeper.jar")
"""Debian's; its manifest names the other jars."""
SAYS = Path("/usr/share/java/slf4j-simple.jar")
"""Lets it write its log."""
SMALL_JVM = ("-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")


def can_run_zookeeper() -> bool:
    """Whether this machine has Java and ZooKeeper's jar where Debian has them."""
    return find_java() is not None and JAR.exists()


class ZooKeeperServer(Member):
    """One server. Port, data folder and options stay the same over `stop` and `start`.

    Args:
        directory: its folder: data, configuration, log. One folder, one server.
        number: its id in an ensemble.
        tls: listens with TLS *instead of* plain TCP.
        tick: milliseconds; the shortest session is two of them.
        settings: further lines of the configuration.
    """

    STARTED = 60.0  # a JVM on a busy machine needs long

    def __init__(
        self,
        directory: Path,
        *,
        number: int = 1,
        tls: Certificates | None = None,
        tick: int = 500,
        settings: Sequence[str] = (),
    ) -> None:
        self.data = directory / "data"
        self.data.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.host = LOOPBACK
        self.number = number
        self.peer_ports: tuple[int, ...] = ()
        self.peers: list[str] = []
        """What the configuration says of all servers of an ensemble; empty: it stands alone."""
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

    @property
    def kept(self) -> Path:
        return self.data / "version-2"

    def choose_ports(self) -> None:
        super().choose_ports()
        self.peer_ports = self.peer_ports or (free_port(), free_port())

    def leave_ports(self) -> None:
        super().leave_ports()
        self.peer_ports = ()

    def begin(self) -> None:
        self.choose_ports()
        (self.directory / "zoo.cfg").write_text("\n".join(self._configuration()) + "\n")
        self.process.start()

    def answers(self) -> bool:
        return bool(self.role())

    def leads(self) -> bool | None:
        return {"leader": True, "follower": False}.get(self.role())

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
        client.start(self.STARTED)
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


class ZooKeeperEnsemble(Ensemble[ZooKeeperServer]):
    """Three servers, or another number of them. Use it in a `with`."""

    def __init__(self, directory: Path, size: int = 3, *, tick: int = 500) -> None:
        super().__init__(
            [
                ZooKeeperServer(directory / str(number), number=number, tick=tick)
                for number in range(1, size + 1)
            ]
        )

    def introduce(self) -> None:
        peers = [
            f"server.{one.number}={one.host}:{':'.join(map(str, one.peer_ports))}"
            for one in self.servers
        ]
        for server in self.servers:
            server.peers = peers

    def url_for(self, path: str = "") -> str:
        """The URL of a lock store on all of them."""
        return f"zookeeper://{','.join(f'{one.host}:{one.port}' for one in self.servers)}{path}"
