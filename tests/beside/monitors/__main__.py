"""Look at a locked app through Flower, structlog and python-json-logger, and say what was wrong.

python -m tests.beside.monitors              all whose environment was made
python -m tests.beside.monitors flower       those
python -m tests.beside.monitors --install    make the environments that are missing first
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from celery import Celery

from tests.beside.each_tool import each_tool
from tests.beside.environment import ROOT, python_of
from tests.beside.tools import Tool
from tests.services import RedisServer, Worker, find_redis, wait_for
from tests.services.ports import free_port
from tests.services.process import Process
from tests.services.sending import sending

APP = "tests.beside.monitors.app"
HOLDS = 3.0

TOOLS = (
    Tool("flower", ("flower>=2",), modules=("flower",)),
    Tool("structlog", ("structlog>=25",), modules=("structlog",)),
    Tool("json-logger", ("python-json-logger>=3",), modules=("python-json-logger",)),
)


def main(argv: list[str]) -> int:
    """Return how much was wrong."""
    return each_tool(TOOLS, argv, play)


def play(tool: Tool) -> list[str]:
    """Return what is not as it should be."""
    found = flower(tool) if tool.name == "flower" else logs(tool)
    return [f"{what}: {seen!r}, not {right!r}" for what, seen, right in found if seen != right]


Found = list[tuple[str, Any, Any]]


def flower(tool: Tool) -> Found:
    """Look through Flower that has loaded the app, and through one that knows the broker alone."""
    return [
        (f"{what}, app loaded: {loaded}", seen, right)
        for loaded in (True, False)
        for what, seen, right in _through_flower(tool, loaded=loaded)
    ]


def _through_flower(tool: Tool, *, loaded: bool) -> Found:
    with ExitStack() as stack:
        folder, worker, env = _begin(stack, tool)
        port = free_port()
        of = ["-A", APP] if loaded else ["--broker", env["TEST_REDIS"]]
        options = ["flower", "--address=127.0.0.1", f"--port={port}"]
        argv = [str(python_of(tool)), "-m", "celery", *of, *options]
        env = {**os.environ, **env, "FLOWER_UNAUTHENTICATED_API": "true"}
        monitor = Process(argv, cwd=folder, log=folder / "flower.log", env=env)
        stack.callback(monitor.kill)
        monitor.start()

        def tasks() -> dict[str, dict[str, Any]]:
            return {task["name"]: task for task in json.loads(_read(port, "/api/tasks")).values()}

        # the worker sends no events of tasks: Flower switches them on
        worker.wait_for_log("Events of group {task} enabled by remote")
        wait_for(lambda: worker.hostname in _read(port, "/metrics"), "the worker in Flower")
        sender = stack.enter_context(sending(_sender(env)))
        names = ("holds", "requeue", "skip", "fail")
        sender.send_task(names[0], [HOLDS])
        wait_for(lambda: tasks().get("holds", {}).get("state") == "STARTED", "the first")
        for name in names[1:]:
            sender.send_task(name, [0.0])
        wait_for(lambda: tasks().get("fail", {}).get("state") == "FAILURE", "the last")
        time.sleep(0.5)  # events of ours come by another connection than Celery's
        running = tasks()
        wait_for(lambda: tasks()["requeue"]["state"] == "SUCCESS", "the requeued one")
        ended = tasks()
        named = set(re.findall(r'worker="([^"]+)"', _read(port, "/metrics")))
        return [
            ("workers", sorted(json.loads(_read(port, "/api/workers"))), [worker.hostname]),
            ("workers of the metrics", sorted(named), [worker.hostname]),
            (
                "while it is held",
                [running[name]["state"] for name in names],
                ["STARTED", "STARTED", "SUCCESS", "FAILURE"],
            ),
            (
                "afterwards",
                [ended[name]["state"] for name in names],
                ["SUCCESS", "SUCCESS", "SUCCESS", "FAILURE"],
            ),
        ]


def logs(tool: Tool) -> Found:
    """Read what a worker writes where the log is kept as objects of JSON."""
    with ExitStack() as stack:
        _, worker, env = _begin(stack, tool, TEST_LOGS=tool.name)
        sender = stack.enter_context(sending(_sender(env)))
        first = sender.send_task("holds", [HOLDS])
        wait_for(lambda: "task_id" in worker.logs() or first.id in worker.logs(), "the first")
        second = sender.send_task("skip", [0.0])
        worker.wait_for_log("will not run")
        lines = [json.loads(line) for line in worker.logs().splitlines() if line.startswith("{")]
        (line,) = [line for line in lines if line.get("decision") == "skip"]
        return [
            (name, line.get(name), right)
            for name, right in {
                "key": "shop:job",
                "template": "shop:job",
                "attempt": 1,
                "task_name": "skip",
                "task_id": second.id,
                "holder_task": first.id,
                "holder_node": worker.hostname,
                "live": True,
            }.items()
        ]


def _begin(stack: ExitStack, tool: Tool, **more: str) -> tuple[Path, Worker, dict[str, str]]:
    """Start Redis and a worker with two pool processes, in the environment of a tool."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="monitors-")))
    redis = stack.enter_context(RedisServer(str(find_redis()), folder / "redis"))
    env = {"PYTHONPATH": str(ROOT), "TEST_REDIS": redis.url, **more}
    worker = Worker(APP, folder, concurrency=2, python=str(python_of(tool)), env=env)
    stack.callback(worker.process.kill)
    worker.start(ready=not more)  # who writes JSON says otherwise that it is ready
    return folder, worker, env


def _sender(env: dict[str, str]) -> Celery:
    return Celery(broker=env["TEST_REDIS"], backend=env["TEST_REDIS"])


def _read(port: int, path: str) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""  # it has not begun yet


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1:]), 1))
