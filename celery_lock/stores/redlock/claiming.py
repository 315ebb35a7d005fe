"""How a claim gets a majority of the nodes, contests it, and is taken back where it fails."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from itertools import count

from ...errors import UnsupportedFeature
from ...model import Claim, Held, Lease, Met
from ...model.clock import monotonic
from ...model.per_process import PerProcess
from ..redis.asking import micro
from ..redis.link.linking import Call
from ..redis.permits import parts
from ..redis.scripts import ACQUIRE, PEEK, UNDO
from .answers import SILENT, Answers
from .nodes import Nodes
from .tries import Tries, claimed, claimed_again, number_of, proof_of, taken_back
from .votes import Contest, Granted, Lacking, Mine, Votes, peeked

__all__ = ["Claims"]

CONTEST = 0.25
"""Share of the deadline that a contest may take. It takes some round trips; only a claimant that
died within it makes it longer, and then the answer is that it has the key."""
REMEMBERED = 10_000
"""Leases of one process of which it is known that some node has not answered yet."""


class _Own:
    """What one process knows of its claims."""

    def __init__(self) -> None:
        self.tries = Tries()
        self.unheard: OrderedDict[tuple[str, str, str], Answers] = OrderedDict()
        """The answers to claims that were granted, where one may still come."""


class Claims:
    """The claims of one store."""

    def __init__(
        self,
        nodes: Nodes,
        state: Callable[[str], str],
        grace: float,
        no_token: Callable[[str], UnsupportedFeature],
    ) -> None:
        self._nodes = nodes
        self._state = state
        self._no_token = no_token
        self._grace = micro(grace)
        self._settle = micro(nodes.deadline)
        self._own = PerProcess(_Own)

    def acquire(self, claim: Claim) -> Lease | Held:
        """Give the key, or say who has it.

        Where claims that were made at a time have split the votes, the one with the most of them
        keeps its own and asks again, and the others take theirs back.
        """
        nodes, own = self._nodes, self._own.value
        began = monotonic()
        ends, contest_ends = began + nodes.deadline, began + nodes.deadline * CONTEST
        for asked in count():
            number = own.tries.number(claim)
            answers = self._ask_for(claim, number, ends)
            verdict = Votes(claim.key, answers, nodes.majority).verdict(
                Mine(_name(claim, number), nodes.deadline)
            )
            if verdict is Granted.GRANTED:
                proof = proof_of(claim, number)
                if answers.unknown:
                    _keep(own.unheard, (claim.key, claim.holder, str(number)), answers)
                return Lease(claim.key, claim.holder, None, proof=proof, no_token=self._no_token)
            contested = isinstance(verdict, Contest) and monotonic() < contest_ends
            if isinstance(verdict, Contest) and verdict.leads and contested:
                nodes.listen(_pause(asked), ends)
                continue
            undone = isinstance(verdict, Held) and verdict.met is Met.UNDONE
            if self._take_back(claim, number, answers) and not undone:
                own.tries.ended(claim)  # one that its claimant has undone is never made once more
            if isinstance(verdict, Held):
                return verdict
            if verdict is Lacking.LACKING:
                raise nodes.unavailable(answers)
            found = self._settled(claim, contest_ends, ends) if contested else verdict.held
            if found is not None:
                return found
        raise AssertionError("count() does not end")

    def undo(self, claim: Claim) -> Answers:
        """Take a claim back at all nodes, as the claimant asks."""
        number = self._own.value.tries.number(claim)
        self._own.value.unheard.pop((claim.key, claim.holder, str(number)), None)
        call = self._undo(claim.key, claim.holder, number)
        return self._nodes.ask(call, self._nodes.enough, again=claim.ttl)

    def ended(self, lease: Lease, circle: object) -> None:
        """Hear that a lease was given back over these connections.

        A node that has not answered the claim may grant it yet, if it hears the claim later.
        """
        number = number_of(lease)
        answers = self._own.value.unheard.pop((lease.key, lease.holder, number), None)
        if answers is not None and answers.circle is not circle:
            undo = self._undo(lease.key, lease.holder, number)
            self._nodes.undo_late(answers, undo, self._grace / 1e6)

    def spread(self, lease: Lease, ttl: float, lacking: list[bool]) -> None:
        """Ask for the votes of nodes that do not know of a lease which a majority has renewed.

        They were away as it was given, or have been restarted since. Without this a lease that
        lives for long would lose its majority to restarts that are far apart.
        """
        state = self._state(lease.key)
        call = (ACQUIRE, *claimed_again(state, lease, ttl, self._grace, self._settle))
        calls: list[Call | None] = [call if one else None for one in lacking]
        answers = self._nodes.ask(calls, lambda _: True, votes=True)
        if answers.unknown:
            _keep(self._own.value.unheard, (lease.key, lease.holder, number_of(lease)), answers)

    def _ask_for(self, claim: Claim, number: int, ends: float) -> Answers:
        key, state, majority = claim.key, self._state(claim.key), self._nodes.majority

        def enough(answers: Answers) -> bool:
            granted = sum(type(answer) is int for answer in answers)
            if granted + answers.count(SILENT) == len(answers):
                return granted >= majority  # the usual case, in few steps
            return granted >= majority or Votes(key, answers, majority).is_certain()

        def call(copy_since: str | None) -> Call:
            one = claim if copy_since is None else replace(claim, copy_since=copy_since)
            return (ACQUIRE, *claimed(state, one, number, self._grace, self._settle))

        if not claim.copy_since:
            return self._nodes.ask(call(None), enough, ends=ends, votes=True)
        marks = claim.copy_since.split(".")
        if len(marks) != self._nodes.count:  # the mark of another set of nodes
            marks = [""] * self._nodes.count
        each: list[Call | None] = [call(mark) for mark in marks]
        return self._nodes.ask(each, enough, ends=ends, votes=True)

    def _take_back(self, claim: Claim, number: int, answers: Answers) -> bool:
        """Undo a try, at the nodes that have granted it now, and at others as they do.

        `False`: no node has granted it, or will.
        """
        undo = self._undo(claim.key, claim.holder, number)
        granted = [type(answer) is int for answer in answers]
        if any(granted) or answers.unknown:
            self._nodes.undo_late(answers, undo, claim.ttl)
        if any(granted):
            calls: list[Call | None] = [undo if one else None for one in granted]
            self._nodes.ask(calls, lambda _: True, again=claim.ttl)
        return any(granted) or bool(answers.unknown)

    def _settled(self, claim: Claim, contest_ends: float, ends: float) -> Held | None:
        """Return who wins a contest in which the claim has no part any more; `None`: nobody."""
        nodes, call = self._nodes, (PEEK, [self._state(claim.key)], ())
        for asked in count():
            answers = nodes.ask(call, nodes.enough, ends=ends)
            found, votes = peeked(claim.key, answers, nodes.majority, claim)
            if votes >= nodes.majority or not votes or monotonic() >= contest_ends:
                return found
            nodes.listen(_pause(asked), ends)
        raise AssertionError("count() does not end")

    def _undo(self, key: str, holder: str, number: int | str) -> Call:
        asked = taken_back(self._state(key), holder, number, self._grace, self._settle)
        return (UNDO, *asked)


def _keep(
    unheard: OrderedDict[tuple[str, str, str], Answers], name: tuple[str, str, str], one: Answers
) -> None:
    unheard[name] = one
    if len(unheard) > REMEMBERED:
        unheard.popitem(last=False)


def _name(claim: Claim, number: int) -> tuple[str, ...]:
    task, node, pid, nonce = parts(claim.holder)
    return task, node, pid, f"{nonce}/{number}"


def _pause(asked: int) -> float:
    """Return for how long late answers are heard before the nodes are asked once more."""
    return float(min(0.0005 * 2.0**asked, 0.02))
