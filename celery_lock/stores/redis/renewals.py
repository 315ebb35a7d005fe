"""Many leases renewed in one round trip, in batches that block no server for long."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import StoreError
from ...model import Lease, Outcome
from .asking import renewing
from .link.linking import Link
from .scripts import RENEW

__all__ = ["renew"]


def renew(
    server: Link,
    states: Sequence[str],
    renewals: Sequence[tuple[Lease, float]],
    grace: int,
    *,
    size: int,
    within: float | None,
) -> list[Outcome]:
    """Renew leases whose states have these names, `size` in one script.

    A batch without an answer leaves its own leases unknown, and none of the others. Raises
    `StoreError` where none has an answer.
    """
    parts = [slice(first, first + size) for first in range(0, len(renewals), size)]
    calls = [(RENEW, *renewing(states[part], renewals[part], grace)) for part in parts]
    answers = server.run_each(calls, within)
    errors = [answer for answer in answers if isinstance(answer, StoreError)]
    if errors and len(errors) == len(answers):
        raise errors[0]
    outcomes: list[Outcome] = []
    for part, answer in zip(parts, answers, strict=True):
        if isinstance(answer, StoreError):
            outcomes += [Outcome.UNKNOWN] * len(renewals[part])
        else:
            outcomes += [Outcome.RENEWED if one == 1 else Outcome.LOST for one in answer]
    return outcomes
