"""A compose file, read and judged: the part of its schema that is used here, and our own rules."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.house import ROOT

FILE = ROOT / "docker-compose.yml"

Tree = Mapping[str, Any]
"""What a YAML file holds, its merges done."""

_NAME = re.compile(r"[a-zA-Z0-9._-]+")
_DURATION = re.compile(r"(\d+h)?(\d+m)?(\d+s)?(\d+ms)?(?<=.)")
_PINNED = re.compile(r"[\w./-]+:\d+\.\d+\.\d+[\w.-]*(@sha256:[0-9a-f]{64})?")
_CONDITIONS = ("service_started", "service_healthy", "service_completed_successfully")
_RESTARTS = ("no", "always", "on-failure", "unless-stopped")


def read_compose(path: Path = FILE) -> Tree:
    """Read a compose file."""
    tree: Tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    return tree


def _words(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(word, str) for word in value)


def _duration(value: Any) -> bool:
    return isinstance(value, str) and bool(_DURATION.fullmatch(value))


def _variables(value: Any) -> bool:
    kinds = (str, int, float, type(None))  # a YAML `yes` would be a bool, and is refused
    return isinstance(value, dict) and all(
        isinstance(each, kinds) and not isinstance(each, bool) for each in value.values()
    )


_HEALTH: dict[str, Callable[[Any], bool]] = {
    "test": lambda v: _words(v) and len(v) > 1 and v[0] in ("CMD", "CMD-SHELL"),
    "interval": _duration,
    "timeout": _duration,
    "start_period": _duration,
    "retries": lambda v: type(v) is int and v > 0,
}

_SERVICE: dict[str, Callable[[Any], bool]] = {
    "build": lambda v: isinstance(v, str),
    "command": _words,
    "depends_on": lambda v: (
        isinstance(v, dict)
        and all(isinstance(on, dict) and on.get("condition") in _CONDITIONS for on in v.values())
    ),
    "environment": _variables,
    "healthcheck": lambda v: (
        isinstance(v, dict)
        and "test" in v
        and all(name in _HEALTH and _HEALTH[name](value) for name, value in v.items())
    ),
    "hostname": lambda v: isinstance(v, str) and bool(_NAME.fullmatch(v)),
    "image": lambda v: isinstance(v, str),
    "init": lambda v: isinstance(v, bool),
    "ports": _words,
    "restart": lambda v: v in _RESTARTS,
    "stop_grace_period": _duration,
    "volumes": _words,
}
"""The keys that a service may have here: those of the specification that this file needs."""


def schema_faults(tree: Tree) -> Iterator[str]:
    """Yield what the compose specification would not take, or what nobody here knows."""
    for name in tree:
        if name not in ("name", "services", "volumes") and not name.startswith("x-"):
            yield f"{name}: not known at the top"
    for name, service in tree.get("services", {}).items():
        if not _NAME.fullmatch(name):
            yield f"{name}: no name for a service"
        if "image" not in service and "build" not in service:
            yield f"{name}: neither an image nor a build"
        for key, value in service.items():
            if key not in _SERVICE:
                yield f"{name}.{key}: not known"
            elif not _SERVICE[key](value):
                yield f"{name}.{key}: {value!r} is no value for it"


def rule_faults(tree: Tree, dockerfile: str) -> Iterator[str]:
    """Yield what a user would stumble over though the specification allows it."""
    services, declared = tree["services"], set(tree.get("volumes") or {})
    for name, service in services.items():
        if not _PINNED.fullmatch(service.get("image", "")):
            yield f"{name}: the image {service.get('image')!r} is not pinned"
        if "healthcheck" not in service:
            yield f"{name}: no health check"
        for other, how in service.get("depends_on", {}).items():
            if other not in services:
                yield f"{name}: depends on {other}, which does not exist"
            elif how["condition"] != "service_healthy":
                yield f"{name}: does not wait until {other} is healthy"
        for variable, value in service.get("environment", {}).items():
            host = re.match(r"\w+://(?:[^@/]*@)?([^:/]+)", str(value))
            if host and host[1] not in service.get("depends_on", {}):
                yield f"{name}: {variable} names {host[1]}, which it does not wait for"
        for port in service.get("ports", []):
            if not port.startswith("127.0.0.1:"):
                yield f"{name}: port {port} is open to the network"
        for volume in service.get("volumes", []):
            if volume.split(":")[0] not in declared:
                yield f"{name}: the volume {volume} is not declared"
    used = {v.split(":")[0] for s in services.values() for v in s.get("volumes", [])}
    yield from (f"nobody uses the volume {name}" for name in sorted(declared - used))
    for base in re.findall(r"(?m)^FROM (\S+)", dockerfile):
        if not _PINNED.fullmatch(base):
            yield f"the Dockerfile's base {base} is not pinned"
    for copied in re.findall(r"(?m)^COPY (.+) \S+$", dockerfile):
        for source in copied.split():
            if not (ROOT / source).exists():
                yield f"the Dockerfile copies {source}, which does not exist"
