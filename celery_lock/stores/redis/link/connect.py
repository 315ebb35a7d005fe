"""Open a connection within a deadline: the name, the addresses, TLS.

redis-py's connection classes are used for what they know (TLS options, OCSP, socket files); how
long to wait is decided here, since theirs counts for each address and each read anew, and waits
for the resolver without end.
"""

from __future__ import annotations

import socket
from typing import Any

# The package first, as kombu imports it: two threads that begin at two of its modules wait for each
# other, and then one of them finds half of it.
import redis  # noqa: F401
from redis.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import RedisError

from ....errors import LockConfigurationError
from ....model.clock import monotonic
from ...link.deadline_socket import DeadlineSocket
from ...link.dialling import Unreachable, addresses_of, dialled
from .address import Address

__all__ = ["connect"]


def connect(address: Address, ends: float) -> DeadlineSocket:
    """Return the socket of a connection on which nothing has been said yet.

    Raises `Unreachable`, `DeadlineExceeded`, or `LockConfigurationError` for a TLS option that the
    installed redis-py does not know.
    """
    # RESP2, whose replies are enough, needs no greeting; the login is ours as well, so that
    # every refusal arrives as the server wrote it
    options: dict[str, Any] = {"protocol": 2, "redis_connect_func": _say_nothing}
    kind: Any
    if address.path is not None:
        kind, options["path"] = _Unix, address.path
    else:
        kind, options["host"], options["port"] = _Tcp, address.host, address.port
        if address.tls is not None:
            kind = _Tls
            options.update(address.tls)
    try:
        connection: Any = kind(**options)
    except TypeError as error:
        raise LockConfigurationError(
            f"the installed redis-py does not know an ssl option: {error}"
        ) from error
    except OSError as error:  # redis-py looks into files, and this process may have too many open
        if error.errno is None:  # a signal handler's
            raise
        raise Unreachable from error
    connection.ends = ends
    try:
        connection.connect()
    except RedisError as error:  # of a TLS option that cannot be met, for instance
        raise Unreachable from error
    # redis-py's way to close it leaves a parent process's connection alone
    return DeadlineSocket(connection._sock, ends, connection.disconnect)


def _say_nothing(connection: Any) -> None:
    pass


class _Tcp(Connection):
    ends = 0.0

    def _connect(self) -> socket.socket:
        addresses = addresses_of(self.host, self.port, self.ends)
        cause: OSError = OSError("the name has no address")
        for number, (family, kind, protocol, _, address) in enumerate(addresses):
            # the first of two addresses must not spend the time of the second
            share = (self.ends - monotonic()) / (len(addresses) - number)
            try:
                sock = dialled(socket.socket(family, kind, protocol), address, share)
            except OSError as error:
                cause = error
            else:
                sock.settimeout(max(self.ends - monotonic(), 0.001))  # for the TLS handshake
                return sock
        raise Unreachable from cause


class _Tls(SSLConnection, _Tcp):
    def _connect(self) -> Any:
        try:
            return super()._connect()  # type: ignore[no-untyped-call]  # redis-py's has no types
        except OSError as error:
            raise Unreachable from error


class _Unix(UnixDomainSocketConnection):
    ends = 0.0

    def _connect(self) -> socket.socket:
        try:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            return dialled(sock, self.path, self.ends - monotonic())
        except OSError as error:
            raise Unreachable from error
