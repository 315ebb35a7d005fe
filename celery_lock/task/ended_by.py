"""Which endings of a run are completions: after those the broker knows that the message is done.

Only of such a message a copy may be dropped. After all other endings the broker has it, or may
give it out, once more: it is rejected (into a dead-letter queue, or to the next worker), it was
sent again, or nobody has said anything of it.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

from celery import states
from celery.exceptions import TaskPredicate

__all__ = ["EndedBy", "ended_in", "goes_back", "is_completion", "is_given_out_again", "is_ignored"]


class EndedBy(str, Enum):
    """What ended the run of a delivery."""

    RETURNED = "returned"
    """It has a result: of its body, or of `skip()`."""
    IGNORED = "ignored"
    """Its body raised `Ignore`."""
    RETRIED = "retried"
    """Celery has published the next try, which is a message of its own."""
    RAISED = "raised"
    """Its body or its policy raised, or its arguments were wrong; a soft time limit, too."""
    OUT_OF_MEMORY = "out of memory"
    """Celery raises that anew in the main process, and says nothing to the broker."""
    REJECTED = "rejected"
    """`Reject`, to be given out again or not."""
    SENT_AGAIN = "sent again"
    """We have sent the message again, so that its work is still to be done."""
    TIME_LIMIT = "time limit"
    """The hard one: the main process ends the child."""
    CHILD_LOST = "child lost"
    """The pool process has died."""
    REVOKED = "revoked"
    """`revoke(terminate=True)`, which ends the child."""
    STOPPED = "stopped"
    """`SystemExit`, a cancelled request, a worker or a machine that is lost, an undone claim."""


def _always(task: Any) -> bool:
    return True


def _never(task: Any) -> bool:
    return False


def _acks_on_failure(task: Any) -> bool:
    return _acks(task, "acks_on_failure")


def _acks_on_timeout(task: Any) -> bool:
    return _acks(task, "acks_on_timeout")


def _child_is_final(task: Any) -> bool:
    return _acks_on_failure(task) and _is_not_given_out_again(task)


def _is_not_given_out_again(task: Any) -> bool:
    # (the second one is new in Celery 5.7)
    given_out = task.reject_on_worker_lost or getattr(task, "retry_on_worker_lost", False)
    return not given_out


_ROWS: dict[EndedBy, tuple[bool, Callable[[Any], bool]]] = {
    # acknowledged early, that is as the run began | late, that is as it ends
    EndedBy.RETURNED: (True, _always),
    EndedBy.IGNORED: (True, _always),
    EndedBy.RETRIED: (True, _always),
    EndedBy.RAISED: (True, _acks_on_failure),
    EndedBy.OUT_OF_MEMORY: (True, _never),
    # whoever rejects a message wants it to be seen again, by an operator at the least
    EndedBy.REJECTED: (False, _never),
    EndedBy.SENT_AGAIN: (False, _never),
    EndedBy.TIME_LIMIT: (True, _acks_on_timeout),
    EndedBy.CHILD_LOST: (True, _child_is_final),
    EndedBy.REVOKED: (True, _is_not_given_out_again),
    EndedBy.STOPPED: (False, _never),
}


def is_completion(ended: EndedBy, task: Any) -> bool:
    """Whether the broker has been told that the message is done, or is told so in a moment."""
    early, late = _ROWS[ended]
    return late(task) if task.acks_late else early


def goes_back(error: BaseException, task: Any) -> bool:
    """Whether the broker still has the message, or gets it back, after a run left by this error.

    A greenlet that is killed is not of them: its message is acknowledged.
    """
    if not task.acks_late:
        return False
    if isinstance(error, TaskPredicate):  # of these `Reject` alone has it
        return bool(getattr(error, "requeue", False))
    return isinstance(error, (SystemExit, KeyboardInterrupt, MemoryError))


def is_ignored(error: BaseException) -> bool:
    """Whether a run was left by `Ignore`: `Reject` says whether to requeue, and `Retry` when."""
    others = ("requeue", "when")
    return isinstance(error, TaskPredicate) and not any(hasattr(error, each) for each in others)


def is_given_out_again(ended: EndedBy, task: Any) -> bool:
    """Whether the same holds where the main process ends the run, or learns that it has ended."""
    if not task.acks_late:
        return False
    if ended is EndedBy.CHILD_LOST:
        return bool(task.reject_on_worker_lost) and not getattr(task, "retry_on_worker_lost", False)
    if ended is EndedBy.TIME_LIMIT:
        return not _acks_on_timeout(task)
    return ended is EndedBy.STOPPED


def ended_in(state: str | None) -> EndedBy:
    """Return what the state that Celery has given a run means for its message.

    A call-back that cannot be sent, or a user's task class around ours, changes what came of it.
    """
    return _STATES.get(state, EndedBy.STOPPED)


_STATES: dict[str | None, EndedBy] = {
    states.SUCCESS: EndedBy.RETURNED,
    states.FAILURE: EndedBy.RAISED,
    states.RETRY: EndedBy.RETRIED,
    states.IGNORED: EndedBy.IGNORED,
    states.REJECTED: EndedBy.REJECTED,
}


def _acks(task: Any, option: str) -> bool:
    """The newer option counts where there is one: Celery 5.7 fills it from the older."""
    wanted = getattr(task, option, None)
    if wanted is None:
        wanted = task.acks_on_failure_or_timeout
    return wanted is None or bool(wanted)
