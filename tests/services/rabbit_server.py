"""A RabbitMQ broker as a process of the test, with an Erlang port mapper of its own."""

from __future__ import annotations

import itertools
import os
import re
import secrets
import shutil
import socket
import struct
import subprocess
from pathlib import Path
from urllib.parse import quote

from tests.services.binaries import GET_RABBIT, find_erlang
from tests.services.ports import LOOPBACK, TRIES, free_port
from tests.services.process import Process
from tests.services.rabbit_home import slim_home
from tests.services.server import Server
from tests.services.waiting import WaitedTooLong, wait_for

_vhosts = itertools.count(1)
_callers = itertools.count(1)

ERLANG_FLAGS = "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none"
"""Two schedulers that do not spin while idle: the tests need the processors themselves."""


class RabbitServer(Server):
    """One broker, which needs 5 to 16 s to start: share it, and take a virtual host for each test.

    Args:
        binary: `find_rabbit()`.
        directory: its folder: database, cookie, configuration, log.
    """

    STARTED = 90.0
    SAYS = "Server startup complete"
    TAKEN = re.compile("eaddrinuse|dist_port_already_used")
    """Its own port, or that of Erlang's distribution."""

    def __init__(self, binary: str, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        epmd, self._erl_call = find_erlang("epmd"), find_erlang("erl_call")
        if epmd is None or self._erl_call is None:
            raise FileNotFoundError(f"RabbitMQ without Erlang's epmd and erl_call: {GET_RABBIT}")
        self.binary = binary
        self.directory = directory
        self.host = LOOPBACK
        self._cookie = secrets.token_hex(16)
        self._distribution_port = 0
        self._database = directory / "mnesia"
        # In the foreground and known to us: RabbitMQ would start a daemon that outlives it.
        self._epmd = Process([epmd], cwd=directory, log=directory / "epmd.log")
        slim = slim_home(binary, directory / "home")
        script = str(slim / "sbin" / "rabbitmq-server") if slim else binary
        super().__init__(Process([script], cwd=directory, log=directory / "rabbit.log"))
        self._write_files()

    # -- life ---------------------------------------------------------------------------------

    def begin(self) -> None:
        self.choose_ports()
        epmd_port = self._start_epmd()
        self._distribution_port = free_port()
        self.process.env = self._environment(self.port, epmd_port)
        self.process.start()

    def stop(self, timeout: float = 20.0) -> int | None:
        """End it politely (SIGTERM), its port mapper after it. Durable things stay on disk."""
        status = super().stop(timeout)
        self._epmd.stop()
        return status

    def kill(self) -> None:
        """kill -9, and its port mapper with it."""
        super().kill()
        self._epmd.kill()

    def forget(self) -> None:
        """Delete what one that does not run has on its disk: its next start is as its first."""
        shutil.rmtree(self._database, ignore_errors=True)

    def answers(self) -> bool:
        """Whether it greets a client."""
        try:
            with socket.create_connection((self.host, self.port), timeout=2.0) as connection:
                connection.sendall(b"AMQP\x00\x00\x09\x01")
                return bool(connection.recv(1))
        except OSError:
            return False

    # -- addresses ----------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """The virtual host "/"."""
        return self.url_for("/")

    def url_for(self, vhost: str, *, port: int | None = None) -> str:
        """A virtual host of this broker, at its own port or another (a `Proxy`'s)."""
        return f"amqp://guest:guest@{self.host}:{port or self.port}/{quote(vhost, safe='')}"

    def new_vhost(self) -> str:
        """Make an empty virtual host (some 50 ms) and return its name."""
        vhost = f"test-{next(_vhosts)}"
        self._add_vhost(vhost)
        return vhost

    def delete_vhost(self, vhost: str) -> None:
        """Delete a virtual host with all its queues; connections to it are closed."""
        self._evaluate(f'rabbit_vhost:delete(<<"{vhost}">>, <<"tests">>).')

    def add_user(self, vhost: str, name: str, *, write: str) -> str:
        """Make a user of a virtual host who may write to what this pattern takes alone; the
        default exchange is called `amq.default`. Return the URL."""
        internal, who = "rabbit_auth_backend_internal", f'<<"{name}">>'
        self._evaluate(
            f'{internal}:add_user({who}, {who}, <<"tests">>),'
            f'{internal}:set_permissions({who}, <<"{vhost}">>,'
            f' <<".*">>, <<"{write}">>, <<".*">>, <<"tests">>).'
        )
        return self.url_for(vhost).replace("guest:guest", f"{name}:{name}")

    def trace(self, vhost: str) -> None:
        """Have all that is published in a virtual host copied to its exchange amq.rabbitmq.trace,
        from now on, with routing key `publish.<exchange>`."""
        self._evaluate(f'rabbit_trace:start(<<"{vhost}">>), ok.')

    def empty(self) -> None:
        """Make the virtual host "/" as good as new."""
        self.delete_vhost("/")
        self._add_vhost("/")

    # -- inside -------------------------------------------------------------------------------

    def _add_vhost(self, vhost: str) -> None:
        self._evaluate(
            f'rabbit_vhost:add(<<"{vhost}">>, <<"tests">>),'
            f'rabbit_auth_backend_internal:set_permissions(<<"guest">>, <<"{vhost}">>,'
            ' <<".*">>, <<".*">>, <<".*">>, <<"tests">>).'
        )

    def _evaluate(self, expressions: str) -> None:
        # rabbitmqctl would take two seconds for what Erlang's own caller does in milliseconds.
        assert self._erl_call is not None
        address = f"{self.host}:{self._distribution_port}"
        # Erlang refuses a second caller of one name, and may not know yet that the last is gone
        name = f"caller-{next(_callers)}"
        done = subprocess.run(
            [self._erl_call, "-h", name, "-c", self._cookie, "-address", address, "-e"],
            input=expressions + "\n",
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        if done.stdout != "{ok, ok}":
            said = done.stdout + done.stderr
            raise RuntimeError(f"RabbitMQ did not take {expressions!r}, but said {said!r}")

    def _start_epmd(self) -> int:
        for _ in range(TRIES):
            self._epmd.stop()
            port = free_port()
            self._epmd.argv[1:] = ["-port", str(port), "-address", self.host]
            self._epmd.start()
            self._wait_for_epmd(port)
            if self._epmd.alive():  # it dies without a word if somebody else has the port
                return port
        raise WaitedTooLong(f"epmd died {TRIES} times: {self._epmd.tail()}")

    def _wait_for_epmd(self, port: int) -> None:
        wait_for(lambda: not self._epmd.alive() or self._maps_ports_at(port), "epmd")

    def _maps_ports_at(self, port: int) -> bool:
        try:
            with socket.create_connection((self.host, port), timeout=2.0) as connection:
                connection.sendall(b"\x00\x01n")  # which names it knows
                return connection.recv(4, socket.MSG_WAITALL) == struct.pack(">I", port)
        except OSError:
            return False

    def _write_files(self) -> None:
        cookie = self.directory / ".erlang.cookie"
        cookie.write_text(self._cookie)
        cookie.chmod(0o400)
        (self.directory / "enabled_plugins").write_text("[].\n")
        (self.directory / "rabbitmq.conf").write_text("log.console = true\nlog.file = false\n")

    def _environment(self, port: int, epmd_port: int) -> dict[str, str]:
        here = self.directory
        return {
            **os.environ,
            "HOME": str(here),
            "RUNNING_UNDER_SYSTEMD": "yes",  # exec the broker: no shell in between to outlive
            "RABBITMQ_NODENAME": f"rabbit{port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": self.host,
            "RABBITMQ_NODE_PORT": str(port),
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "ERL_EPMD_PORT": str(epmd_port),
            "ERL_EPMD_ADDRESS": self.host,
            # ours is there; a daemon that Erlang starts as this one is killed would outlive it
            "ERL_ZFLAGS": "-start_epmd false",
            "RABBITMQ_CONFIG_FILE": str(here / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_MNESIA_BASE": str(self._database),
            "RABBITMQ_LOG_BASE": str(here / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": str(here / "rabbit.pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(here / "enabled_plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": ERLANG_FLAGS,
        }
