"""`lock release --queued`: what a purge left is released, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from celery import Celery
from celery.bin.base import CLIContext
from click.testing import CliRunner, Result

from celery_lock import Lock, LockedTask, cli
from celery_lock.errors import StoreError
from celery_lock.model import Claim, End, Feature, Holder, Lease
from celery_lock.testing.faults import StoreCall

from .engine import Engine, locked

TEMPLATE = "order:{order_id}"


def ship(order_id: int) -> None: ...


def key_of_ship(order_id: int) -> str:
    return f"made:{order_id}"


class Desk:
    """An app with tasks, the store of its locks, and whoever types at it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.engine = Engine()
        self.app = self.engine.app()
        self.store = self.engine.store
        self.app.task(ship, name="shop.ship", base=LockedTask, lock=Lock(TEMPLATE), shared=False)
        locked(self.app, Lock(), name="shop.all")(ship)
        locked(self.app, Lock(key_of_ship), name="shop.made")(ship)
        monkeypatch.setattr(cli.commands, "_can_ask", lambda: True)

    def takes(self, key: str, holder: str, **options: Any) -> None:
        got = self.store.inner.acquire(Claim(key, holder, 3600.0, **options))
        assert isinstance(got, Lease)

    def keeps(self, key: str, task_id: str = "id-1", retry_no: int = 0, **options: Any) -> None:
        """The key is kept for a message that nobody runs."""
        claim = Claim(key, str(Holder(task_id, "web", 1, "n.1")), 30.0, **options)
        lease = self.store.inner.acquire(claim)
        assert isinstance(lease, Lease)
        heir = str(Holder.for_retry(task_id, retry_no))
        self.store.inner.release(lease, End(heir=heir, heir_ttl=3600.0))

    def runs(self, key: str, task_id: str = "id-1", **options: Any) -> None:
        self.takes(key, str(Holder(task_id, "celery@shop-3", 4711, "n1.1")), **options)

    def type(self, *words: str, answer: str | None = None, app: Celery | None = None) -> Result:
        context = CLIContext(app=app or self.app, no_color=True, workdir=None)
        return CliRunner().invoke(cli.lock, ["release", *words], input=answer, obj=context)

    def is_free(self, key: str) -> bool:
        return self.store.peek(key) is None


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(monkeypatch)


def test_all_that_is_kept_for_messages_of_a_template_is_released(desk: Desk) -> None:
    desk.keeps("order:7")
    desk.keeps("order:8%queued", "id-2")
    desk.keeps("order:a%3Ab", "id-3", retry_no=2)

    result = desk.type("--queued", TEMPLATE, "--force")

    assert result.exit_code == 0
    assert f"3 leases of {TEMPLATE!r} are kept for messages that nobody runs:" in result.stdout
    assert "  order:8%queued  task id-2, since 2023-11-14 22:30:00 UTC" in result.stdout
    assert result.stdout.endswith("3 of 3 released\n")
    assert all(map(desk.is_free, ["order:7", "order:8%queued", "order:a%3Ab"]))


def test_nothing_else_is_released(desk: Desk) -> None:
    desk.runs("order:1")
    desk.keeps("order:1:items", "id-2")
    desk.keeps("orders:1", "id-3")
    desk.takes("order:2", str(Holder("id-4", "web", 1, "n2.1")), unconfirmed=True)
    desk.store.inner.undo(Claim("order:3", "x", 1.0))

    result = desk.type("--queued", TEMPLATE, "--force")

    assert result.exit_code == 0
    assert f"no lease of {TEMPLATE!r} is kept for a message: nothing to release" in result.stdout
    assert not any(map(desk.is_free, ["order:1", "order:1:items", "orders:1", "order:2"]))


def test_of_several_permits_those_of_messages_are_released(desk: Desk) -> None:
    desk.runs("order:1", "id-1", limit=3)
    desk.keeps("order:1", "id-2", limit=3)
    desk.keeps("order:1", "id-3", limit=3)

    result = desk.type("--queued", TEMPLATE, "--force")

    assert result.stdout.endswith("2 of 2 released\n")
    held = desk.store.peek("order:1")
    assert held is not None
    assert [Holder.parse(one.holder).task_id for one in held.holders] == ["id-1"]


def test_it_asks_first(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.keeps("order:7")

    no = desk.type("--queued", TEMPLATE, answer="n\n")
    still = not desk.is_free("order:7")
    yes = desk.type("--queued", TEMPLATE, answer="y\n")

    assert (no.exit_code, still, yes.exit_code) == (1, True, 0)
    assert "1 lease of 'order:{order_id}' is kept for a message that nobody runs:" in no.stdout
    assert "A message that is still in a queue comes all the same." in no.stdout
    assert yes.stdout.endswith("1 of 1 released\n")

    desk.keeps("order:7")
    monkeypatch.setattr(cli.commands, "_can_ask", lambda: False)
    alone = desk.type("--queued", TEMPLATE)

    assert alone.exit_code == 2
    assert "Add --force" in alone.stderr
    assert not desk.is_free("order:7")


def test_a_message_that_came_meanwhile_keeps_its_lease(desk: Desk) -> None:
    desk.keeps("order:7")
    desk.keeps("order:8", "id-2")
    claim = Claim("order:7", str(Holder("id-1", "w", 1, "n9.1")), 30.0, heir_of="id-1/queued/0")

    def comes_first(call: Any) -> Any:
        desk.store.heal("free")
        assert isinstance(desk.store.inner.acquire(claim), Lease)
        return call()

    desk.store.instead("free", do=comes_first, times=1)
    result = desk.type("--queued", TEMPLATE, "--force")

    assert result.stdout.endswith("1 of 2 released\n")
    assert not desk.is_free("order:7")
    assert desk.is_free("order:8")


def test_a_long_list_is_cut(desk: Desk) -> None:
    for number in range(25):
        desk.keeps(f"order:{number}", f"id-{number}")

    result = desk.type("--queued", TEMPLATE, "--force")

    assert result.stdout.count("  order:") == 20
    assert "  and 5 more\n25 of 25 released\n" in result.stdout


def test_the_keys_of_a_task_without_a_template_are_named_by_its_task(desk: Desk) -> None:
    key = desk.app.tasks["shop.all"].key_of(7)
    desk.keeps(key)

    result = desk.type("--queued", "shop.all:*", "--force")

    assert result.stdout.endswith("1 of 1 released\n")
    assert desk.is_free(key)


def test_a_template_that_no_task_has_may_be_an_old_one(desk: Desk) -> None:
    desk.keeps("parcel:7")

    result = desk.type("--queued", "parcel:{id}", "--force")
    close = desk.type("--queued", "order:{orderid}", "--force")

    assert desk.is_free("parcel:7")
    assert "note: no task of this app has the template 'parcel:{id}'" in result.stderr
    assert "did you mean 'order:{order_id}'" in close.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "give KEY, or --queued TEMPLATE alone"),
        (("order:7", "--queued", TEMPLATE), "give KEY, or --queued TEMPLATE alone"),
        (("--queued", "order:{order_id"), "is malformed"),
        (("--queued", "shop.ship"), "the name of a task; give the template of its lock, 'order:"),
        (("--queued", f"{__name__}.key_of_ship"), "the keys of task shop.made are made by the"),
        (("--queued", ""), "is empty"),
    ],
)
def test_what_names_no_template_says_what_to_type(desk: Desk, words: Any, said: str) -> None:
    desk.keeps("order:7")

    result = desk.type(*words, "--force")

    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())
    assert not desk.is_free("order:7")


def test_a_store_that_cannot_list_says_so(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    without = desk.store.features - {Feature.LISTING}
    monkeypatch.setattr(type(desk.store), "features", property(lambda _: without))

    result = desk.type("--queued", TEMPLATE, "--force")

    assert result.exit_code == 2
    assert "the store memory:// cannot list its keys; release them one by one" in result.stderr


def test_what_another_program_put_there_is_named_and_left_out(desk: Desk) -> None:
    desk.keeps("order:7")
    desk.keeps("order:8")
    desk.store.instead("peek", do=_refused_for("order:7"))

    result = desk.type("--queued", TEMPLATE, "--force")

    assert "note: 'order:7' is left out: it keeps something else" in result.stderr
    assert "1 of 1 released" in result.stdout
    assert desk.store.inner.peek("order:8") is None
    assert desk.store.inner.peek("order:7") is not None


def test_a_store_that_lets_no_key_be_read_is_an_error(desk: Desk) -> None:
    desk.keeps("order:7")
    desk.store.instead("peek", do=_refused_for("order:7"))

    result = desk.type("--queued", TEMPLATE, "--force")

    assert result.exit_code
    assert "it keeps something else" in result.stderr
    assert "nothing to release" not in result.stdout


def _refused_for(key: str) -> Callable[[StoreCall], object]:
    def answer(call: StoreCall) -> object:
        if call.arguments["key"] == key:
            raise StoreError("it keeps something else under the name of a lock")
        return call()

    return answer
