"""What is said to a body that asks for its lease and has none."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import LockError

__all__ = ["no_lease"]


def no_lease(task: str, names: Sequence[str], why: str) -> LockError:
    """Return the error; `names`: what it has claimed, `why`: why it runs without that, if so."""
    if why and names:
        locks = f"lock{'s' if len(names) > 1 else ''} {', '.join(map(repr, names))}"
        return LockError(f"task {task} runs without its {locks}: {why}")
    return LockError(
        f"there is no lease here: task {task} holds none while its body runs, for the scope of its"
        " lock is UNTIL_STARTED, which is given back right before. Write"
        " scope=Scope.UNTIL_FINISHED, or declare a second lock beside it, which is held then:"
        " lock=[Lock(..., scope=Scope.UNTIL_STARTED), Lock(...)]"
    )
