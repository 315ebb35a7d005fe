"""How each kind of store is brought down, and back: its servers, and the way to them."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.services import Proxy, make_certificates
from tests.services.ports import LOOPBACK
from tests.stores.down_app import DEADLINE

__all__ = ["LOGIN", "PATIENCE", "Outages"]

PATIENCE = 60.0
LOGIN = "down:s3cret@"


class Shaking:
    """A port that shakes hands for TLS with one certificate, and does no more."""

    def __init__(self, cert: Path, key: Path) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(cert, key)
        self._listener = socket.create_server((LOOPBACK, 0), backlog=100)
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Shaking:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._shake, args=[connection], daemon=True).start()

    def _shake(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            connection.settimeout(DEADLINE)
            self._context.wrap_socket(connection, server_side=True).close()

    def __exit__(self, *error: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


class Outages:
    """The servers of one kind, the wires to them, and what can happen to both.

    A fault is a method that is a context manager. What the kind has not is told in `test_down.py`.
    Use it in a `with`.
    """

    scheme = ""

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
    def refuses(self) -> Iterator[None]:
        with self._led_to(self._nobody.getsockname()[1]):
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
        expired = Shaking(self.tls.expired_cert, self.tls.expired_key)
        with expired as shaking, self._led_to(shaking.port):
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
