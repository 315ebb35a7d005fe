"""The machine of a run: which processor does what, and what is installed."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

__all__ = ["CLIENT", "PACKAGES", "described", "on_cpus", "servers_cpu"]

PACKAGES = (
    "celery",
    "kombu",
    "redis",
    "python-redis-lock",
    "celery-once",
    "celery-singleton",
    "celery-redbeat",
    "redlock-ng",
    "pottery",
    "etcd3gw",
    "kazoo",
)

_ALL = frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else frozenset()

CLIENT = frozenset({min(_ALL)}) if len(_ALL) > 1 else _ALL
"""Where a single client of the server runs."""


def servers_cpu() -> frozenset[int]:
    """Where the server runs: on another processor than its client, where there are two."""
    return frozenset({max(_ALL)}) if len(_ALL) > 1 else _ALL


@contextmanager
def on_cpus(cpus: frozenset[int]) -> Iterator[None]:
    """Keep this process, and what it starts, on these processors; where the system cannot, no."""
    if not cpus:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def described(server: str) -> dict[str, str]:
    """Say what the numbers were measured on; `server` is its version."""
    return {
        "processor": f"{os.cpu_count()} x {_processor()}",
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "server": server,
        **{name: version(name) for name in PACKAGES},
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
