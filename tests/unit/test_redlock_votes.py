"""What the answers of several nodes come to, without a server."""

from __future__ import annotations

from typing import Any

from celery_lock.errors import StoreUnavailable
from celery_lock.model import Claim, Held, Lease, Met
from celery_lock.stores.redlock.answers import SILENT, Answers
from celery_lock.stores.redlock.tries import REMEMBERED, Tries, claimed, freed, given_back, renewed
from celery_lock.stores.redlock.votes import Contest, Granted, Lacking, Mine, Votes, peeked

NOW = 1_000_000_000_000
LASTS = 2.0
MINE = Mine(("m", "node", "1", "0a/0"), LASTS)
DEAD = StoreUnavailable("redis://h:1/0", "nobody listens there")


def permit(task: str, *, age: float = 0.001, left: float = 30.0, state: str = "") -> list[Any]:
    """Slot, task, node, pid, nonce, state, since, expiry, floor, token, publication."""
    since, expiry = NOW - round(age * 1e6), NOW + round(left * 1e6)
    who = [task.encode(), b"node", b"1", b"0a/0", state.encode()]
    return [0, *who, since, expiry, 0, since, b"pub-" + task.encode()]


def refused(task: str, met: str = "other", **of: Any) -> list[Any]:
    one = permit(task, **of)
    return [met.encode(), NOW, one[7], one, one]


def seen(task: str, **of: Any) -> list[Any]:
    one = permit(task, **of)
    return [NOW, one[7], one, one]


def answers(*each: Any) -> Answers:
    found = Answers(len(each), None)
    found[:] = each
    found.asked.update(range(len(each)))
    return found


def verdict(*each: Any, mine: Mine = MINE) -> Granted | Held | Lacking | Contest:
    return Votes("key", answers(*each), len(each) // 2 + 1).verdict(mine)


def certain(*each: Any) -> bool:
    return Votes("key", answers(*each), len(each) // 2 + 1).is_certain()


# -- a claim ---------------------------------------------------------------------------------


def test_a_majority_grants_whatever_the_others_say() -> None:
    assert verdict(NOW, NOW, NOW, refused("x"), DEAD) is Granted.GRANTED
    assert verdict(NOW, NOW, NOW, SILENT, SILENT) is Granted.GRANTED


def test_half_is_no_majority() -> None:
    assert verdict(NOW, NOW, SILENT, SILENT) is Lacking.LACKING
    assert verdict(NOW, NOW, DEAD, DEAD, DEAD) is Lacking.LACKING


def test_a_majority_that_names_one_holder_refuses_without_the_others() -> None:
    found = verdict(refused("x"), NOW, refused("x"), refused("x"), SILENT)

    assert isinstance(found, Held)
    assert (found.holder, found.met, found.token) == ("x#node#1#0a", Met.OTHER, None)
    assert certain(refused("x"), SILENT, refused("x"), refused("x"), SILENT)


def test_nothing_is_certain_while_the_others_may_decide() -> None:
    assert not certain(refused("x"), refused("x"), SILENT, SILENT, SILENT)
    assert not certain(refused("x"), refused("x"), refused("y"), SILENT, SILENT)
    assert certain(DEAD, DEAD, DEAD, SILENT, SILENT)


def test_one_node_that_knows_of_the_completion_is_enough() -> None:
    found = verdict(NOW, NOW, refused("x", "done"), SILENT, SILENT)

    assert isinstance(found, Held)
    assert found.done


def test_one_node_that_knows_of_the_undo_is_enough() -> None:
    found = verdict(NOW, NOW, refused("x", "undone"), SILENT, SILENT)

    assert isinstance(found, Held)
    assert found.met is Met.UNDONE


def test_of_split_votes_the_most_lead() -> None:
    mine = verdict(NOW, NOW, refused("x"), refused("y"), DEAD)
    others = verdict(NOW, refused("x"), refused("x"), refused("y"), DEAD)

    assert isinstance(mine, Contest)
    assert isinstance(others, Contest)
    assert (mine.leads, others.leads) == (True, False)


def test_of_as_many_votes_the_greater_name_leads() -> None:
    smaller = verdict(NOW, NOW, refused("z"), refused("z"), DEAD)
    greater = verdict(NOW, NOW, refused("a"), refused("a"), DEAD)

    assert isinstance(smaller, Contest)
    assert isinstance(greater, Contest)
    assert (smaller.leads, greater.leads) == (False, True)


def test_two_claimants_of_the_same_votes_never_lead_both() -> None:
    for mine in range(4):
        for other in range(4 - mine):
            a = [NOW] * mine + [refused("b")] * other
            b = [refused("a")] * mine + [NOW] * other
            rest = [refused("c")] * (5 - mine - other)
            first = verdict(*a, *rest, mine=Mine(("a", "node", "1", "0a/0"), LASTS))
            second = verdict(*b, *rest, mine=Mine(("b", "node", "1", "0a/0"), LASTS))
            leads = [one.leads for one in (first, second) if isinstance(one, Contest)]
            assert leads.count(True) <= 1


def test_what_a_dead_claimant_left_is_no_part_of_a_contest() -> None:
    """Nobody will take it back before it ends."""
    found = verdict(NOW, NOW, refused("dead", age=5.0), DEAD, DEAD)

    assert isinstance(found, Held)
    assert found.holder == "dead#node#1#0a"


def test_a_claim_without_votes_leads_no_contest() -> None:
    found = verdict(refused("x"), refused("y"), refused("z"), DEAD, DEAD)

    assert isinstance(found, Contest)
    assert not found.leads


def test_it_expires_when_a_majority_of_the_nodes_is_free() -> None:
    each = [refused("x", left=left) for left in (50, 10, 30, 20, 40)]

    found = verdict(*each)

    assert isinstance(found, Held)
    assert found.expires_in == 30


def test_a_mark_has_the_time_of_each_node() -> None:
    votes = Votes("key", answers(NOW + 3, refused("x"), DEAD), 2)

    assert votes.mark == f"{NOW + 3}.{NOW}.{NOW + 3}"


# -- a look ----------------------------------------------------------------------------------


def test_a_look_shows_who_has_most_votes() -> None:
    found, votes = peeked("key", answers(seen("x"), None, seen("x"), seen("y"), seen("x")), 3)

    assert found is not None
    assert (found.holder, votes) == ("x#node#1#0a", 3)
    assert peeked("key", answers(None, None, None, DEAD, SILENT), 3) == (None, 0)


def test_a_look_lasts_for_as_long_as_a_majority_knows_of_it() -> None:
    each = [seen("x", left=left) for left in (50, 10, 30, 20, 40)]

    found, _ = peeked("key", answers(*each), 3)

    assert found is not None
    assert found.expires_in == 30


def test_who_has_lost_a_contest_is_not_shown_its_own_votes() -> None:
    claim = Claim("key", "m#node#1#0a", 30)

    assert peeked("key", answers(seen("m"), None, None), 2, claim) == (None, 0)


def test_who_has_lost_a_contest_hears_what_it_met() -> None:
    def met(task: str, of: Claim, **winner: Any) -> Met:
        found, _ = peeked("key", answers(*[seen(task, **winner)] * 3), 2, of)
        assert found is not None
        return found.met

    claim = Claim("key", "m#node#1#0b", 30, publication="pub-x")
    assert met("x", claim) is Met.PUBLICATION
    assert met("m", claim) is Met.TASK
    assert met("y", claim, state="u") is Met.UNCONFIRMED
    assert met("y", claim) is Met.OTHER


# -- tries -----------------------------------------------------------------------------------


def test_each_try_has_a_name_of_its_own() -> None:
    tries, claim = Tries(), Claim("key", "m#node#1#0a", 30)
    first = claimed("state", claim, tries.number(claim), 1, 1)[1]

    tries.ended(claim)

    second = claimed("state", claim, tries.number(claim), 1, 1)[1]
    assert (first[3], second[3]) == ("0a/0", "0a/1")
    assert first[:3] == second[:3] == ["m", "node", "1"]


def test_the_tries_of_many_claims_are_bounded() -> None:
    tries = Tries()

    for number in range(REMEMBERED + 5):
        tries.ended(Claim("key", f"{number}", 30))

    assert tries.number(Claim("key", "0", 30)) == 0
    assert tries.number(Claim("key", f"{REMEMBERED}", 30)) == 1


def test_a_proof_is_the_number_of_the_try() -> None:
    lease = Lease("key", "m#node#1#0a", None, proof="7:p-1")

    assert given_back("state", lease, None, 1)[1][:3] == ["m", "0a/7", ""]
    assert renewed(["s", "s"], [(lease, 1.0), (lease, 2.0)], 9)[1] == [
        9,
        *("m", "0a/7", "", 0, 1_000_000),
        *("m", "0a/7", "", 0, 2_000_000),
    ]


def test_a_dead_holder_is_named_whichever_try_it_was() -> None:
    whole, beginning = freed("s", "m#node#1#0a", 1, False), freed("s", "m#node#1#", 1, True)

    assert whole is not None
    assert beginning is not None
    assert whole[1][:6] == ["m", "node", "1", "0a/", "", "1"]
    assert beginning[1][:6] == ["m", "node", "1", "", "", "1"]
    assert freed("s", "#", 1, False) is None
