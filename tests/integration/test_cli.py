"""The commands as whoever is on call types them: real `celery`, worker, server and terminal."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import celery
import pytest

from celery_lock.model import Claim, End, Holder, Lease
from tests.acceptance.blocks import ROOT, blocks_of, commands, python_files
from tests.integration.apps import pool_app
from tests.integration.apps.history import History
from tests.integration.apps.pool_app import TTL
from tests.integration.keys import Keys, keys_at
from tests.services import STALL, RedisServer, Worker, free_port, sending, wait_for
from tests.services.fixtures import RedisFactory, WorkerFactory
from tests.services.process import Process
from tests.services.terminal import at_a_terminal

APP = "tests.integration.apps.pool_app"
PAGE = ROOT / "docs" / "how-to" / "free-a-stuck-key.md"
BEATS = [ROOT / "docs" / "how-to" / name for name in ("two-beats.md", "move-from-redbeat.md")]
"""The pages that start beats."""
CLOCK = """
from celery import Celery
from celery.schedules import crontab

app = Celery("clock")
app.conf.update(timezone="Europe/Berlin", result_expires=None)  # then nothing has to be cleaned up
app.conf.beat_schedule = {
    "each second": {"task": "t", "schedule": 1.0, "options": {"queue": "nobody"}},
    "nightly\\nreport": {"task": "t", "schedule": crontab(hour=3, minute=0)},
}
"""
SHOP = "from celery import Celery\napp = Celery('shop')\n"
QUICK = 30


@dataclass
class Desk:
    """A worker, its store, and a shell beside it."""

    folder: Path
    url: str
    worker: Worker
    app: celery.Celery
    history: History
    keys: Keys

    def argv(self, *words: str, app: str = APP) -> list[str]:
        return [sys.executable, "-m", "celery", "-A", app, "lock", *words]

    def env(self, url: str | None = None) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name[:7] != "CELERY_"}
        path = [str(self.folder), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        return {**kept, "PYTHONPATH": os.pathsep.join(path), "CELERY_BROKER_URL": url or self.url}

    def type(
        self, *words: str, url: str | None = None, app: str = APP
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.argv(*words, app=app),
            cwd=self.folder,
            env=self.env(url),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def answer(self, word: str, *words: str, app: str = APP) -> tuple[int, str]:
        """Type at a terminal, and answer the question there."""
        typed = f"{word}\n".encode()
        return at_a_terminal(self.argv(*words, app=app), typed, env=self.env(), cwd=self.folder)


@pytest.fixture(scope="module")
def desk(
    module_redis: RedisServer,
    module_worker_factory: WorkerFactory,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("desk")
    (folder / "shop.py").write_text(SHOP)
    url, history = module_redis.url_for(0), History(folder / "history")
    worker = module_worker_factory(APP, broker=url, backend=url, concurrency=2, env=history.env)
    with (
        sending(pool_app.make_app(broker_url=url, result_backend=url)) as app,
        keys_at(url) as keys,
    ):
        yield Desk(folder, url, worker, app, history, keys)


def test_what_a_purge_left_is_released_and_the_key_of_a_call_is_told(desk: Desk) -> None:
    store = desk.keys.store
    for job in ("lost", "lost too{x}"):
        claim = Claim(f"look:{job}", f"id of {job}#web#7#n.1", 60.0, unconfirmed=True)
        lease = store.acquire(claim)
        assert isinstance(lease, Lease)
        store.release(lease, End(heir=f"id of {job}/queued/0", heir_ttl=600.0))

    told = desk.type("key", "pool.look", "--args", '["lost"]')
    with desk.keys.held("look:runs"):
        released = desk.type("release", "--queued", "look:{job}", "--force")
        runs = store.peek("look:runs")

    assert told.stdout.splitlines()[:2] == [
        "look:lost",
        "lock 'look:lost' is kept for a message in a queue that nobody runs yet",
    ]
    assert (released.returncode, released.stderr) == (0, "")
    assert released.stdout.endswith("2 of 2 released\n")
    assert store.peek("look:lost") is None
    assert runs is not None


def test_show_names_the_task_the_node_and_the_process_that_have_the_key(desk: Desk) -> None:
    result = desk.app.tasks["pool.until_lost"].delay("shown")
    (start,) = desk.history.wait("start", "shown")

    told = desk.type("show", "deleted:shown")
    read = json.loads(desk.type("show", "deleted:shown", "--json").stdout)
    held = desk.keys.holder("deleted:shown")
    assert held
    desk.keys.store.free("deleted:shown", held.holder)  # which ends the body

    assert told.returncode == 0, told.stderr
    for line in (
        "lock 'deleted:shown' is held",
        f"  task      {result.id}",
        f"  node      {desk.worker.hostname}",
        f"  pid       {start['pid']}",
        f"  token     {held.token}",
    ):
        assert line in told.stdout.splitlines()
    assert (read["state"], read["pid"], read["token"]) == ("held", start["pid"], held.token)
    assert Holder.parse(read["holder"]).task_id == result.id
    assert 0 < read["expires_in"] <= TTL
    assert result.get(timeout=QUICK)["lost"]
    assert "is free" in desk.type("show", "deleted:shown").stdout


def test_the_robbed_body_is_told_within_a_third_of_its_ttl_and_the_key_is_free_at_once(
    desk: Desk,
) -> None:
    robbed = desk.app.tasks["pool.until_lost"].delay("robbed")
    desk.history.wait("start", "robbed")

    told = desk.type("release", "--force", "deleted:robbed")
    released = time.monotonic()
    with desk.keys.held("deleted:robbed"):  # by somebody else, while the body runs
        said = robbed.get(timeout=QUICK)
        assert desk.keys.holder("deleted:robbed"), "the robbed body has freed another's key"

    assert told.returncode == 0, told.stderr
    assert robbed.id in told.stdout
    assert said["lost"]
    who = r"`lock release` \(.+@.+\)"  # and not who has the key by then
    assert re.fullmatch(rf"LeaseLost\('deleted:robbed', 'taken', '{who}'\)", said["said"])
    (lost,) = desk.history.wait("lost", "deleted:robbed")
    assert lost["at"] - released < TTL / 3 + STALL
    desk.worker.wait_for_log(rf"{robbed.id}\]: lock 'deleted:robbed' LOST \(taken by {who}\)")


def test_it_asks_at_a_terminal_and_yes_releases(desk: Desk) -> None:
    desk.keys.take("order:1", task_id="somebody")

    status, said = desk.answer("y", "release", "order:1")

    assert status == 0
    assert said.index("somebody") < said.index("Release it") < said.index("is released")
    assert desk.keys.holder("order:1") is None


def test_at_a_terminal_no_releases_nothing(desk: Desk) -> None:
    with desk.keys.held("order:2"):
        status, said = desk.answer("n", "release", "order:2")

        assert status == 1
        assert "nothing was released" in said
        assert desk.keys.holder("order:2")


def test_a_script_must_say_force(desk: Desk) -> None:
    with desk.keys.held("order:3"):
        told = desk.type("release", "order:3")

        assert told.returncode == 2
        assert "Add --force" in told.stderr
        assert desk.keys.holder("order:3")


def test_a_floor_is_shown_and_ended(desk: Desk) -> None:
    lease = desk.keys.store.acquire(Claim("feed", "id-1#w1@elsewhere#1#n", 30.0, at_least=600.0))
    assert isinstance(lease, Lease)
    desk.keys.store.release(lease)

    shown = desk.type("show", "feed")
    told = desk.type("release", "--force", "feed")

    assert "held by nobody: at_least keeps it taken" in shown.stdout
    assert told.returncode == 0, told.stderr
    assert desk.keys.holder("feed") is None


def test_a_store_that_is_not_there_is_named_without_its_password(desk: Desk) -> None:
    port = free_port()

    told = desk.type("show", "order:7", url=f"redis://:geheim@127.0.0.1:{port}/0")

    assert told.returncode == 1
    assert told.stdout == ""
    assert f"redis://127.0.0.1:{port}/0 is not available" in told.stderr
    assert "geheim" not in told.stderr
    assert "Traceback" not in told.stderr


def test_a_wrong_password_is_not_repeated(desk: Desk, redis_factory: RedisFactory) -> None:
    server = redis_factory(password="richtig")
    url = server.url.replace("richtig", "geheim")
    assert url != server.url

    told = desk.type("release", "--force", "order:7", url=url)

    assert told.returncode == 1
    assert "does not know this password" in told.stderr
    assert not {"geheim", "richtig"} & set(told.stderr.replace(":", " ").replace("@", " ").split())


def test_an_app_without_a_store_is_told_which_setting_it_needs(desk: Desk) -> None:
    told = desk.type("show", "order:7", url="amqp://me:geheim@127.0.0.1//", app="shop")

    assert told.returncode == 2
    assert "set lock_store" in told.stderr
    assert "geheim" not in told.stderr


def test_the_commands_of_the_page_for_whoever_is_on_call_work(desk: Desk) -> None:
    shown, released = commands(blocks_of(PAGE))
    prefix = "celery -A shop lock "
    assert (shown, released) == (f"{prefix}show points:7", f"{prefix}release points:7")
    example = next(block for block in blocks_of(PAGE) if block.language == "text")
    desk.keys.take("points:7")

    told = desk.type(*shown.removeprefix(prefix).split(), app="shop")

    labels = [line[:12] for line in told.stdout.splitlines()]
    assert labels == [line[:12] for line in example.text.splitlines()]
    assert desk.answer("y", *released.removeprefix(prefix).split())[0] == 0
    assert "is free" in desk.type("show", "points:7", app="shop").stdout


# -- beats ---------------------------------------------------------------------------------------

StartBeat = Callable[..., Process]


@pytest.fixture
def start_beat(desk: Desk, tmp_path: Path) -> Iterator[StartBeat]:
    """Type a command that starts a beat, and wait until it runs."""
    with ExitStack() as stack:

        def start(command: str, *, folder: Path) -> Process:
            program, *words = command.split()
            assert program == "celery"
            name = f"beat-{len(list(tmp_path.glob('beat-*')))}.log"
            beat = Process(
                [sys.executable, "-m", "celery", *words, "--loglevel=INFO"],
                cwd=folder,
                log=tmp_path / name,
                env={**desk.env(), "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])},
            )
            stack.callback(beat.kill)
            beat.start()
            beat.wait_for_log(r"beat: Starting", 30)
            return beat

        yield start


def entries(desk: Desk, *words: str, app: str = "clock") -> dict[str, dict[str, object]]:
    told = desk.type("beat", *words, "--json", app=app)
    assert told.returncode == 0, told.stderr
    return {entry["name"]: entry for entry in json.loads(told.stdout)["entries"]}


def test_beat_shows_what_a_real_beat_has_run_and_what_comes_next(
    desk: Desk, start_beat: StartBeat
) -> None:
    (desk.folder / "clock.py").write_text(CLOCK)
    fresh = desk.type("beat", app="clock")
    beat = start_beat(
        "celery -A clock beat -S celery_lock.beat:LockedScheduler", folder=desk.folder
    )
    beat.wait_for_log(r"Sending due task each second", 30)
    beat.wait_for_log(r"(?s)(Sending due task each second.*){3}", 30)

    read = entries(desk)
    head, second, nightly = desk.type("beat", app="clock").stdout.splitlines()
    beat.kill()
    killed = entries(desk, "each second")["each second"]
    wait_for(lambda: bool(entries(desk)["each second"]["overdue"]), "it is overdue")

    assert "no beat of the app 'clock'" in fresh.stdout
    assert "no beat has read it yet" in fresh.stdout
    assert set(read) == {"each second", "nightly\nreport"}
    assert read["each second"]["runs"] >= 2
    assert read["nightly\nreport"]["last_run"] is None
    assert head.split() == ["entry", "last", "run", "runs", "next"]
    assert second.startswith("each second")
    assert nightly.startswith(r"'nightly\nreport'  never")
    assert "03:00:00 CE" in nightly
    if killed["state"] == "claimed":
        assert killed["pid"] == beat.pid
    else:
        assert killed["next"] == pytest.approx(killed["last_run"] + 1, abs=0.01)


def test_check_says_what_the_store_of_an_app_is_and_can_do(desk: Desk) -> None:
    told = desk.type("check")

    assert told.returncode == 0, told.stderr
    said = dict(line.split(maxsplit=1) for line in told.stdout.splitlines())
    assert said["version"].startswith(("Redis ", "Valkey "))
    assert "fencing" in said["features"]
    assert said["latency"].endswith("ms")
    assert "this machine's" in said["clock"]
    assert "+evalsha" in said["rights"]

    port = free_port()
    told = desk.type("check", url=f"redis://:geheim@127.0.0.1:{port}/0")

    assert told.returncode == 1
    assert f"redis://127.0.0.1:{port}/0 is not available" in told.stderr
    assert "geheim" not in told.stdout + told.stderr


def test_at_a_terminal_a_line_is_a_line(desk: Desk) -> None:
    (desk.folder / "clock.py").write_text(CLOCK.replace('"clock"', '"other"'))

    status, said = desk.answer("", "beat", app="clock")

    assert status == 0
    (nightly,) = [line for line in said.splitlines() if "nightly" in line]
    assert nightly.split() == [r"'nightly\nreport'", "no", "beat", "has", "read", "it", "yet"]


def test_beats_entries_are_not_shown_of_a_store_that_is_not_there(desk: Desk) -> None:
    port = free_port()

    told = desk.type("beat", url=f"redis://:geheim@127.0.0.1:{port}/0", app="shop")

    assert told.returncode == 1
    assert told.stdout == ""
    assert f"redis://127.0.0.1:{port}/0 is not available" in told.stderr
    assert "geheim" not in told.stderr
    assert "Traceback" not in told.stderr


@pytest.mark.parametrize("page", BEATS, ids=lambda page: page.stem)
def test_the_commands_of_a_page_about_beats_work(
    desk: Desk, start_beat: StartBeat, page: Path, tmp_path: Path
) -> None:
    start, show = commands(blocks_of(page))
    assert show == "celery -A shop lock beat"
    for name, text in python_files(blocks_of(page)).items():
        (tmp_path / name).write_text(text)

    for _ in range(2):
        start_beat(start, folder=tmp_path)

    def shown() -> str:
        told = subprocess.run(
            [sys.executable, "-m", *show.split()],
            cwd=tmp_path,
            env={**desk.env(), "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert told.returncode == 0, told.stderr
        return told.stdout

    wait_for(lambda: "no beat" not in shown(), "the beats have read their entries")
    assert re.search(r"(?m)^nightly-report +never +0 +20.. *", shown())
