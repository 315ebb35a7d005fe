"""One tool is tried: its worker and its publisher, on servers of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import trustme

from tests.beside.tools import Tool
from tests.services import RedisServer, Worker, find_redis
from tests.services.binaries import GET_REDIS, missing

__all__ = ["ENVIRONMENTS", "ROOT", "facts_beside", "is_there", "python_of"]

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = ROOT / "build" / "beside"
"""Where `make beside` puts the environments of the tools that have a package."""

APP = "tests.beside.app"
LONGEST = 90.0


def python_of(tool: Tool) -> Path:
    """The interpreter that has the tool."""
    return ENVIRONMENTS / tool.name / "bin" / "python" if tool.requires else Path(sys.executable)


def is_there(tool: Tool) -> bool:
    """Whether its environment was made."""
    return python_of(tool).exists()


def facts_beside(
    tool: Tool, folder: Path, *, acks: str = "early", broker: str | None = None
) -> dict[str, Any]:
    """Play everything beside a tool; return what came of each play.

    Args:
        broker: another than the Redis that has the results.
    """
    binary = find_redis() or missing("redis-server", GET_REDIS)
    with ExitStack() as stack:
        redis = stack.enter_context(RedisServer(binary, folder / "redis"))
        store = stack.enter_context(RedisServer(binary, folder / "store"))
        env = _environment(tool, redis, store, acks, broker, _certificate(folder))
        worker = Worker(
            APP, folder, concurrency=4, python=str(python_of(tool)), env=env | {"BESIDE_SIDE": "w"}
        )
        worker.process.argv = [*_runner(tool), *worker.process.argv]
        stack.callback(worker.process.kill)
        worker.start()
        file = folder / "facts.json"
        player = [str(python_of(tool)), "-m", "tests.beside.player", str(file)]
        done = subprocess.run(
            [*_runner(tool), *player, str(store.process.pid)],
            cwd=folder,
            env={**os.environ, **env, "BESIDE_SIDE": "publisher"},
            capture_output=True,
            text=True,
            timeout=LONGEST,
        )
        store.resume()
        (folder / "player.log").write_text(done.stdout + done.stderr)
        if done.returncode:
            raise AssertionError(f"the publisher beside {tool.name}: {done.stdout + done.stderr}")
        facts: dict[str, Any] = json.loads(file.read_text())
        return facts


def _environment(
    tool: Tool,
    redis: RedisServer,
    store: RedisServer,
    acks: str,
    broker: str | None,
    certificate: str,
) -> dict[str, str]:
    return {
        **tool.env,
        "PYTHONPATH": str(ROOT),
        "BESIDE_TOOL": tool.name,
        "BESIDE_BROKER": broker or redis.url,
        "BESIDE_NOTES": redis.url_for(1),
        "BESIDE_STORE": store.url,
        "BESIDE_ACKS": acks,
        "BESIDE_CERTIFICATE": certificate,
    }


def _runner(tool: Tool) -> list[str]:
    if not tool.run_by:
        return []
    return [str(python_of(tool).parent / tool.run_by[0]), *tool.run_by[1:]]


def _certificate(folder: Path) -> str:
    """For messages that are signed: `<it>.pem` and `<it>.key`."""
    issued = trustme.CA(key_type=trustme.KeyType.RSA).issue_cert(
        "localhost", key_type=trustme.KeyType.RSA
    )
    issued.private_key_pem.write_to_path(str(folder / "signed.key"))
    issued.cert_chain_pems[0].write_to_path(str(folder / "signed.pem"))
    return str(folder / "signed")
