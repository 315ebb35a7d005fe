"""docker-compose.yml keeps its word: its rules, and its commands as processes on local servers.

No container is needed, and none is started: a service's command runs as a process of its own,
with the addresses of the test's servers in place of the services' names. What the images of Redis
and RabbitMQ do by themselves, and what Docker builds, is not seen here.
"""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from examples.point_charging.points import Points
from examples.point_charging.service import LOCKED, PLAIN, missing
from tests.acceptance.compose import ROOT, read_compose, rule_faults, schema_faults
from tests.services import Process, RedisServer, VirtualHost, free_port, wait_for
from tests.services import missing as not_here
from tests.services.binaries import GET_RABBIT, GET_REDIS

COMPOSE = read_compose()
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
SERVICES = ["redis", "rabbitmq", "worker-a", "worker-b", "beat", "flower"]


# -- the file --------------------------------------------------------------------------------


def test_the_file_is_a_compose_file() -> None:
    assert list(schema_faults(COMPOSE)) == []
    assert list(COMPOSE["services"]) == SERVICES


def test_the_file_keeps_the_rules() -> None:
    assert list(rule_faults(COMPOSE, DOCKERFILE)) == []


def change(*path: str, to: Any = None) -> Callable[[Any], None]:
    """Return what sets the value at `path`, or takes it away."""

    def apply(tree: Any) -> None:
        for part in path[:-1]:
            tree = tree[part]
        if to is None:
            del tree[path[-1]]
        else:
            tree[path[-1]] = to

    return apply


@pytest.mark.parametrize(
    ("mistake", "fault"),
    [
        (change("version", to="3"), "version: not known at the top"),
        (change("services", "beat", "depend_on", to={}), "beat.depend_on: not known"),
        (change("services", "redis", "command", to=["x", True]), "redis.command: "),
        (change("services", "redis", "restart", to=False), "redis.restart: False"),
        (change("services", "redis", "healthcheck", "interval", to="10"), "redis.healthcheck"),
        (change("services", "beat", "depends_on", to=["redis"]), "beat.depends_on: "),
        (
            change("services", "redis", "image", to="redis:latest"),
            "redis: the image 'redis:latest'",
        ),
        (change("services", "redis", "healthcheck"), "redis: no health check"),
        (change("services", "beat", "depends_on", "redis"), "beat: CELERY_RESULT_BACKEND names"),
        (change("services", "flower", "ports", to=["5555:5555"]), "flower: port 5555:5555 is open"),
        (change("volumes", "points"), "beat: the volume points:/data is not declared"),
        (change("volumes", "old", to={}), "nobody uses the volume old"),
    ],
)
def test_a_mistake_is_found(mistake: Callable[[Any], None], fault: str) -> None:
    tree = copy.deepcopy(COMPOSE)

    mistake(tree)

    found = list(schema_faults(tree)) or list(rule_faults(tree, DOCKERFILE))
    assert any(each.startswith(fault) for each in found), found


def test_the_readme_names_the_command() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    section = re.search(r"(?ms)^## [^\n]*Docker[^\n]*\n(.*?)(?=^## |\Z)", readme)

    assert section is not None
    assert "docker compose up --build" in section[1]
    assert "localhost:5555" in section[1]
    assert len(section[0].strip().splitlines()) <= 6


# -- the commands ----------------------------------------------------------------------------


@dataclass
class Stack:
    """All services of the file, running as processes."""

    folder: Path
    redis: RedisServer
    rabbit: VirtualHost
    flower: str
    """Where Flower listens."""

    def __post_init__(self) -> None:
        self.processes: dict[str, Process] = {}
        services = COMPOSE["services"]
        celery = services["beat"]["environment"]
        self._here = {
            celery["CELERY_BROKER_URL"]: self.rabbit.url,
            celery["CELERY_RESULT_BACKEND"]: self.redis.url,
            "/data": str(self.folder),
            "5555": self.flower,
        }

    def localised(self, text: str) -> str:
        """Put the test's addresses and folder in the place of the containers'."""
        for theirs, ours in self._here.items():
            text = text.replace(theirs, ours)
        return text

    def start(self, name: str) -> None:
        """Start a service's command."""
        command = COMPOSE["services"][name]["command"]
        argv = [*program(command[0]), *map(self.localised, command[1:])]
        process = Process(
            argv, cwd=ROOT, log=self.folder / f"{name}.log", env=self.environment(name)
        )
        process.start()
        self.processes[name] = process

    def environment(self, name: str) -> dict[str, str]:
        """What the service is told, and what any process here needs."""
        given = COMPOSE["services"][name].get("environment", {})
        env = {k: v for k, v in os.environ.items() if not k.startswith("CELERY_")}
        env |= {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
        return env | {variable: self.localised(str(value)) for variable, value in given.items()}

    def healthy(self, name: str) -> bool:
        """Run the service's own health check, once."""
        kind, *test = COMPOSE["services"][name]["healthcheck"]["test"]
        env = self.environment(name)
        if name == "redis":
            client = shutil.which("redis-cli") or not_here("redis-cli", GET_REDIS)
            test = [part.replace("redis-cli", f"{client} -p {self.redis.port}") for part in test]
        if name == "rabbitmq":
            env = self.rabbit.server.process.env
        argv = [*program(test[0]), *test[1:]] if kind == "CMD" else ["sh", "-c", *test]
        argv = [argv[0], *map(self.localised, argv[1:])]
        done = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
        self.said = f"{argv}: {done.stdout}{done.stderr}"
        return done.returncode == 0

    def logs(self, *names: str) -> str:
        return "".join(self.processes[name].logs() for name in names)


def program(name: str) -> list[str]:
    """Return how a program of the image is started here."""
    if name == "celery":
        return [sys.executable, "-m", "celery"]
    if name == "python":
        return [sys.executable]
    if name.startswith("rabbitmq-"):
        debian = f"/usr/lib/rabbitmq/bin/{name}"
        return [shutil.which(debian) or shutil.which(name) or not_here(name, GET_RABBIT)]
    raise AssertionError(f"nobody knows how to start {name} here")


@pytest.fixture(scope="module")
def stack(
    redis_binary: str,
    module_vhost: VirtualHost,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("compose")
    redis_command = COMPOSE["services"]["redis"]["command"]
    assert redis_command[0] == "redis-server"
    with ExitStack() as life:
        redis = RedisServer(redis_binary, folder / "redis", args=redis_command[1:])
        life.enter_context(redis)
        stack = Stack(folder, redis, module_vhost, flower=str(free_port()))
        for name in SERVICES[2:]:
            stack.start(name)
            life.callback(stack.processes[name].kill)
        yield stack


def test_redis_runs_with_the_options_of_its_command(stack: Stack) -> None:
    with stack.redis.client() as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("appendonly") == {"appendonly": "yes"}


@pytest.mark.parametrize(("name", "node"), [("worker-a", "A@points"), ("worker-b", "B@points")])
def test_a_worker_starts(stack: Stack, name: str, node: str) -> None:
    stack.processes[name].wait_for_log(rf"{node} ready\.", timeout=60)


def test_beat_sends_and_both_workers_top_up_without_a_loss(stack: Stack) -> None:
    both = ("worker-a", "worker-b")
    said = wait_for(
        lambda: re.findall(r"points lost: (-?\d+) without a lock, (-?\d+) with", stack.logs(*both)),
        "a rush that is done",
        timeout=60,
        explain=lambda: stack.logs("beat", *both)[-5000:],
    )

    assert int(said[0][1]) == 0
    assert "Sending due task rush" in stack.logs("beat")
    history = Points(stack.folder / "points.sqlite").history()
    assert {hold.server for hold in history} == {"A", "B"}
    locked = [hold for hold in history if hold.user_id in LOCKED]
    assert len(locked) >= 15
    assert all(hold.token for hold in locked)
    assert any(hold.user_id in PLAIN for hold in history)


def test_a_missing_point_would_be_told(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = stack.folder / "copy.sqlite"
    monkeypatch.setenv("POINT_CHARGING_DATABASE", str(copy))
    points = Points(copy)
    points.create()
    points.add(LOCKED, 1000)

    points.set_balance(LOCKED[0], 993)

    assert missing(LOCKED) == 7


@pytest.mark.parametrize("name", SERVICES)
def test_a_health_check_says_that_its_service_is_well(stack: Stack, name: str) -> None:
    wait_for(
        lambda: stack.healthy(name), f"the health of {name}", timeout=60, explain=lambda: stack.said
    )


def test_flower_shows_the_workers(stack: Stack) -> None:
    def shown() -> set[str]:
        with urlopen(f"http://127.0.0.1:{stack.flower}/workers?json=1", timeout=10) as page:
            return {worker["hostname"] for worker in json.load(page)["data"]}

    wait_for(lambda: shown() >= {"A@points", "B@points"}, "both workers in Flower", timeout=60)


@pytest.mark.parametrize("name", ["beat", "flower", "worker-b"])
def test_a_health_check_says_that_its_service_is_not_well(stack: Stack, name: str) -> None:
    if name == "beat":  # it has not written for an hour
        stack.processes[name].kill()
        for file in stack.folder.glob("beat*"):
            os.utime(file, (0, 0))
    else:
        stack.processes[name].kill()

    assert not stack.healthy(name)
