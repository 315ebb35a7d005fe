"""A Redis or Valkey server as a process of the test, on a loopback port of its own."""

from __future__ import annotations

import socket
import ssl
import tempfile
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from tests.services.certificates import Certificates
from tests.services.ports import LOOPBACK
from tests.services.process import Process
from tests.services.server import Server

if TYPE_CHECKING:
    import redis


class RedisServer(Server):
    """One server. Port, data folder and options stay the same over `stop` and `start`.

    Args:
        binary: `find_redis()`, `find_valkey()` or `find_redis_62()`.
        directory: its folder: data, socket, log. One folder, one server.
        args: further options as on the command line, e.g. `("--maxmemory", "2mb")`.
        password: `requirepass`, for the default user. Odd characters are welcome.
        users: ACL users beside the default one: name -> rules, e.g.
            `{"alice": "on >secret ~celery-lock:* +@all"}`.
        unix_socket: whether it listens on a socket file too (`unix_url`).
        tls: listens with TLS *instead of* plain TCP; `url` then verifies the certificate.
        tls_clients: with `tls`: also demands a client certificate (`url` brings it).
        appendonly: keeps its data on disk with fsync at each write, so a kill -9 loses nothing;
            without it a restart comes back empty.
    """

    SAYS = "Ready to accept connections"

    def __init__(
        self,
        binary: str,
        directory: Path,
        *,
        args: Sequence[str] = (),
        password: str | None = None,
        users: Mapping[str, str] | None = None,
        unix_socket: bool = False,
        tls: Certificates | None = None,
        tls_clients: bool = False,
        appendonly: bool = False,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.binary = binary
        self.directory = directory
        self.password = password
        self.tls = tls
        self.host = LOOPBACK
        # A socket's path may have 104 bytes (108 on Linux), and pytest's folders have long names.
        self._socket_folder = tempfile.TemporaryDirectory(prefix="rs-") if unix_socket else None
        self._tls_clients = tls_clients
        self._args = list(args)
        if appendonly:
            self._args += ["--appendonly", "yes", "--appendfsync", "always"]
        if users or password is not None:
            self._args += ["--aclfile", str(self._write_acl(password, users or {}))]
        super().__init__(Process([binary], cwd=directory, log=directory / "server.log"))

    # -- life ---------------------------------------------------------------------------------

    def begin(self) -> None:
        self.choose_ports()
        self.process.argv = [self.binary, *self._options(self.port)]
        self.process.start()

    def answers(self) -> bool:
        """Whether it answers a PING; an error reply is an answer too."""
        try:
            with self._connect() as connection:
                connection.settimeout(2.0)
                connection.sendall(b"PING\r\n")
                reply = connection.recv(64)
        except OSError:
            return False
        return reply[:1] in (b"+", b"-") and not reply.startswith(b"-LOADING")

    # -- addresses ----------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """Database 0 as the default user, over TCP, or TLS if that was asked for."""
        return self.url_for()

    @property
    def socket_path(self) -> Path | None:
        """The socket file, if one was asked for."""
        return Path(self._socket_folder.name, "redis.sock") if self._socket_folder else None

    @property
    def unix_url(self) -> str:
        """Database 0 over the socket file: `unix:///...`. Raises RuntimeError without one."""
        if self.socket_path is None:
            raise RuntimeError("this server has no socket file: pass unix_socket=True")
        login = f":{quote(self.password, safe='')}@" if self.password is not None else ""
        return f"unix://{login}{self.socket_path}?db=0"

    def url_for(
        self, db: int = 0, *, user: str = "", password: str | None = None, port: int | None = None
    ) -> str:
        """Another database, user or port (a `Proxy`'s) of this server."""
        password = self.password if password is None else password
        login = "" if password is None else f"{quote(user, safe='')}:{quote(password, safe='')}@"
        query = "?" + urlencode(self._tls_query()) if self.tls else ""
        scheme = "rediss" if self.tls else "redis"
        return f"{scheme}://{login}{self.host}:{port or self.port}/{db}{query}"

    def client(self, **options: Any) -> redis.Redis:
        """A new redis-py client for database 0; close it, or use it in a `with`."""
        import redis

        client: redis.Redis = redis.Redis.from_url(self.url, **options)
        return client

    # -- inside -------------------------------------------------------------------------------

    def _options(self, port: int) -> list[str]:
        plain, secure = (0, port) if self.tls else (port, 0)
        options = ["--port", str(plain), "--bind", self.host, "--dir", str(self.directory)]
        options += ["--daemonize", "no", "--save", "", "--databases", "64"]
        if self.socket_path is not None:
            options += ["--unixsocket", str(self.socket_path), "--unixsocketperm", "700"]
        if self.tls:
            options += ["--tls-port", str(secure), "--tls-cert-file", str(self.tls.cert)]
            options += ["--tls-key-file", str(self.tls.key), "--tls-ca-cert-file", str(self.tls.ca)]
            options += ["--tls-auth-clients", "yes" if self._tls_clients else "no"]
        return [*options, *self._args]

    def _tls_query(self) -> dict[str, str]:
        assert self.tls is not None
        query = {"ssl_cert_reqs": "required", "ssl_ca_certs": str(self.tls.ca)}
        if self._tls_clients:
            query["ssl_certfile"] = str(self.tls.client_cert)
            query["ssl_keyfile"] = str(self.tls.client_key)
        return query

    def _write_acl(self, password: str | None, users: Mapping[str, str]) -> Path:
        # Not requirepass: an ACL file would overrule it. The file splits at spaces, so the
        # password goes in as its digest and may contain anything.
        secret = "nopass" if password is None else "#" + sha256(password.encode()).hexdigest()
        lines = [f"user default on {secret} ~* &* +@all"]
        lines += [f"user {name} {rules}" for name, rules in users.items()]
        path = self.directory / "users.acl"
        path.write_text("\n".join(lines) + "\n")
        return path

    def _connect(self) -> socket.socket:
        raw = socket.create_connection((self.host, self.port), timeout=2.0)
        if not self.tls:
            return raw
        context = ssl.create_default_context(cafile=str(self.tls.ca))
        context.load_cert_chain(self.tls.client_cert, self.tls.client_key)
        return context.wrap_socket(raw, server_hostname=self.host)
