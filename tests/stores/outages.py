"""How each kind of store is brought down, and back: its servers, and the way to them."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.contract.fake_server import FakeServer
from tests.services import Proxy, make_certificates
from tests.services.ports import LOOPBACK
from tests.stores.down_app import DEADLINE

__all__ = ["LOGIN", "PATIENCE", "SECRET", "Outages"]

PATIENCE = 60.0
SECRET = "s3cret"
"""The password of all servers, which no error may repeat."""
LOGIN = f"down:{SECRET}@"


def shaking_hands(cert: Path, key: Path) -> Callable[[socket.socket], None]:
    """Shake hands for TLS with this certificate, and do no more."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)

    def talk(connection: socket.socket) -> None:
        connection.settimeout(DEADLINE)
        context.wrap_socket(connection, server_side=True).close()

    return talk


class Outages:
    """The servers of one kind, the wires to them, and what can happen to both.

    A fault is a method that is a context manager. What the kind has not is told in `test_down.py`.
    Use it in a `with`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tls = make_certificates(folder)
        self.options: dict[str, Any] = {}
        self.servers: list[Any] = []
        """All processes."""
        self.most: list[Any] = []
        """So many of them that without these no lock can be given."""
        self.ways_file = folder / "ways.json"
        self._wires: dict[int, Proxy] = {}

    @property
    def url(self) -> str:
        raise NotImplementedError

    @property
    def ports(self) -> list[int]:
        """Those that a client is told of."""
        return [server.port for server in self.servers]

    def begin(self, stack: ExitStack) -> None:
        """Start the servers."""
        raise NotImplementedError

    def answers(self) -> bool:
        """The servers serve again, whatever the way to them is."""
        raise NotImplementedError

    # -- the way ------------------------------------------------------------------------------

    @contextmanager
    def refuses(self, only: Sequence[int] = ()) -> Iterator[None]:
        """Nobody listens at its ports, or at only these of them."""
        with self._led_to(self._nobody.getsockname()[1], only):
            yield

    @contextmanager
    def is_slow(self) -> Iterator[None]:
        """Each answer takes two deadlines."""
        for wire in self._wires.values():
            wire.delay = DEADLINE
        try:
            yield
        finally:
            for wire in self._wires.values():
                wire.forward()

    @contextmanager
    def has_an_expired_certificate(self) -> Iterator[None]:
        talk = shaking_hands(self.tls.expired_cert, self.tls.expired_key)
        with FakeServer(talk) as expired, self._led_to(expired.port):
            yield

    @contextmanager
    def _led_to(self, port: int, only: Sequence[int] = ()) -> Iterator[None]:
        self._lead({one: port for one in only or self.ports})
        for wire in self._wires.values():
            wire.cut()
        try:
            yield
        finally:
            self._lead({})

    def _lead(self, ways: dict[int, int]) -> None:
        new = self.ways_file.with_suffix(".new")
        through = {port: wire.port for port, wire in self._wires.items()}
        new.write_text(json.dumps({**through, **ways}))
        new.replace(self.ways_file)

    # -- the servers --------------------------------------------------------------------------

    @contextmanager
    def hangs(self) -> Iterator[None]:
        with self._frozen(self.servers):
            yield

    @contextmanager
    def has_no_quorum(self) -> Iterator[None]:
        with self._frozen(self.most):
            yield

    @contextmanager
    def _frozen(self, servers: Sequence[Any]) -> Iterator[None]:
        for server in servers:
            server.pause()
        try:
            yield
        finally:
            for server in servers:
                server.resume()

    def __enter__(self) -> Outages:
        with ExitStack() as stack:
            self.begin(stack)
            # bound, so that nobody else gets it, and nobody listens there
            self._nobody = stack.enter_context(socket.socket())
            self._nobody.bind((LOOPBACK, 0))
            for port in self.ports:
                self._wires[port] = stack.enter_context(Proxy(port))
            self._lead({})
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        for server in self.servers:
            server.resume()
        self._stack.close()
