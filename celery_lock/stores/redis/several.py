"""Several keys on one server: one script for all claims, and one for all releases."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import StoreError
from ...model import Claim, Lease, Met, Refused, Release
from .asking import Asked, claiming
from .link.linking import Link
from .permits import held, released
from .scripts import ACQUIRE_ALL, RELEASE, RELEASE_ALL

__all__ = ["acquire_all", "release_all"]


def acquire_all(
    server: Link, states: Sequence[str], claims: Sequence[Claim], grace: int, settle: int
) -> list[Lease] | Refused:
    """Give all keys or none; the names of their states stand beside the claims."""
    if not claims:
        return []
    answer = server.run(ACQUIRE_ALL, *_claims(states, claims, grace, settle))
    if isinstance(answer[1], int):
        return [
            Lease(claim.key, claim.holder, answer[2 * at], slot=answer[2 * at + 1])
            for at, claim in enumerate(claims)
        ]
    number, (met, now, free_at, shown, *taken) = answer
    key = claims[number - 1].key
    return Refused(number - 1, held(key, Met(met.decode()), now, free_at, shown, taken))


def release_all(server: Link, asked: Sequence[Asked]) -> list[Release | StoreError]:
    """Give keys back; `asked` has what each release would ask for alone."""
    try:
        answers = server.run(RELEASE_ALL, *_releases(asked)) if asked else []
    except StoreError as error:
        return [error] * len(asked)
    return [
        _alone(server, release) if answer < 0 else released(answer)
        for release, answer in zip(asked, answers, strict=True)
    ]


def _alone(server: Link, asked: Asked) -> Release | StoreError:
    """Give a key back that failed among others; that says why."""
    try:
        return released(server.run(RELEASE, *asked))
    except StoreError as error:
        return error


def _claims(states: Sequence[str], claims: Sequence[Claim], grace: int, settle: int) -> Asked:
    all_keys: list[str] = []
    all_args: list[str | int] = []
    before: Claim | None = None
    for state, claim in zip(states, claims, strict=True):
        if before is not None and _differ_in_keys(claim, before):
            all_keys.append(state)
            all_args += (1, 0)
            continue
        keys, args = claiming(state, claim, grace, settle)
        all_keys += keys
        all_args += (len(keys), len(args), *args)
        before = claim
        if claim.watching:
            all_keys.append(f"{state}:w")
    return all_keys, all_args


def _differ_in_keys(one: Claim, other: Claim) -> bool:
    """Claims of one message differ in nothing else, most often: it is said once."""
    return (
        one.holder == other.holder
        and one.publication == other.publication
        and one.ttl == other.ttl
        and one.limit == other.limit
        and one.at_least == other.at_least
        and one.heir_of == other.heir_of
        and one.unconfirmed is other.unconfirmed
        and not (one.watching or other.watching)
        and one.copy_since is other.copy_since is None
    )


def _releases(asked: Sequence[Asked]) -> Asked:
    all_keys: list[str] = []
    all_args: list[str | int] = []
    for keys, args in asked:
        all_keys += keys
        all_args += (len(keys), len(args), *args)
    return all_keys, all_args
