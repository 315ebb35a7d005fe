"""Several keys on one server: one script for all claims, and one for all releases."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import StoreError
from ...model import Claim, Lease, Met, Refused, Release
from .asking import Asked
from .link.server import Server
from .permits import held, released
from .scripts import ACQUIRE_ALL, RELEASE, RELEASE_ALL

__all__ = ["acquire_all", "release_all"]


def acquire_all(
    server: Server, claims: Sequence[Claim], asked: Sequence[Asked]
) -> list[Lease] | Refused:
    """Give all keys or none; `asked` has what each claim would ask for alone."""
    if not claims:
        return []
    answer = server.run(ACQUIRE_ALL, *_claims(claims, asked))
    if isinstance(answer[1], int):
        return [
            Lease(claim.key, claim.holder, answer[2 * at], slot=answer[2 * at + 1])
            for at, claim in enumerate(claims)
        ]
    number, (met, now, free_at, shown, *taken) = answer
    key = claims[number - 1].key
    return Refused(number - 1, held(key, Met(met.decode()), now, free_at, shown, taken))


def release_all(server: Server, asked: Sequence[Asked]) -> list[Release | StoreError]:
    """Give keys back; `asked` has what each release would ask for alone."""
    try:
        answers = server.run(RELEASE_ALL, *_releases(asked)) if asked else []
    except StoreError as error:
        return [error] * len(asked)
    return [
        _alone(server, release) if answer < 0 else released(answer)
        for release, answer in zip(asked, answers, strict=True)
    ]


def _alone(server: Server, asked: Asked) -> Release | StoreError:
    """Give a key back that failed among others; that says why."""
    try:
        return released(server.run(RELEASE, *asked))
    except StoreError as error:
        return error


def _claims(claims: Sequence[Claim], asked: Sequence[Asked]) -> Asked:
    all_keys: list[str] = []
    all_args: list[str | int] = []
    before: Sequence[str | int] = ()
    for claim, (keys, args) in zip(claims, asked, strict=True):
        all_keys += keys
        if args == before:  # claims of one message differ in their keys, most often
            all_args += (len(keys), 0)
        else:
            all_args += (len(keys), len(args), *args)
            before = args
        if claim.watching:
            all_keys.append(keys[0] + ":w")
    return all_keys, all_args


def _releases(asked: Sequence[Asked]) -> Asked:
    all_keys: list[str] = []
    all_args: list[str | int] = []
    for keys, args in asked:
        all_keys += keys
        all_args += (len(keys), len(args), *args)
    return all_keys, all_args
