"""What a play has at hand: tasks to send, keys to take, and what was noted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.beside import app as tasks
from tests.beside import begin
from tests.integration.keys import Keys

__all__ = ["Sent", "Stage"]


@dataclass
class Sent:
    """A task that was sent, and the trace that it was sent in."""

    id: str
    trace: str | None

    def _meta(self) -> dict[str, Any]:
        return tasks.app.backend.get_task_meta(self.id)  # never cached before its end

    def state(self) -> str:
        """As the result backend has it."""
        return str(self._meta()["status"])

    def ended(self) -> bool:
        """Whether it came to its end."""
        return self.state() in ("SUCCESS", "FAILURE", "REVOKED")

    def end(self) -> Any:
        """Its result, or the name of its error."""
        result = self._meta()["result"]
        return type(result).__name__ if isinstance(result, BaseException) else result


@dataclass
class Stage:
    """One for all plays."""

    keys: Keys
    switch: Callable[[bool], None]
    """Stops and starts the store."""

    def send(self, task: Any, key: str, **options: Any) -> Sent:
        """Send a task in a trace of its own."""
        with begin.trace():
            return Sent(task.apply_async((key,), **options).id, begin.trace_id())

    def send_signature(self, signature: Any) -> Sent:
        """Send a canvas in a trace of its own."""
        with begin.trace():
            return Sent(signature.apply_async().id, begin.trace_id())

    def noted(self, name: str, of: Sent | str) -> list[str]:
        """What was noted of a task."""
        found = tasks.notes().lrange(f"{name}:{of if isinstance(of, str) else of.id}", 0, -1)
        return list(found)

    def take(self, key: str) -> None:
        """Take a key, as somebody else."""
        self.keys.take(key)

    def give_back(self, key: str) -> None:
        """Give it back."""
        self.keys.give_back(key)

    def free(self, key: str) -> bool:
        """Whether nobody has it."""
        return self.keys.holder(key) is None

    def stop_store(self) -> None:
        """From now on it does not answer."""
        self.switch(False)

    def start_store(self) -> None:
        """It answers again."""
        self.switch(True)
