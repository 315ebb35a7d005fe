"""The benchmarks of stores: their targets, what is counted, what a single section replaces."""

from __future__ import annotations

import socket

import pytest

from benchmarks import names, targets
from benchmarks.results import Results, Section
from benchmarks.sends import counted_sends
from benchmarks.targets import Verdict, verdicts

from .bench_run import a_run, cell, section

OURS, THEIRS = names.ours("etcd://"), names.ETCD3GW


def of_stores(name: str, rows: dict[str, float]) -> Section:
    return section(name, {row: {names.MICROSECONDS: cell(ratio)} for row, ratio in rows.items()})


def judged(*sections: Section) -> list[Verdict]:
    """What is said of these sections beside what is said of all others."""
    run = a_run()
    before = len(verdicts(run))
    return verdicts(run.with_sections(Results({}, sections)))[before:]


@pytest.mark.parametrize(("ours", "theirs", "most"), targets.STORES)
def test_a_store_is_judged_beside_what_users_pick_else(ours: str, theirs: str, most: float) -> None:
    good = of_stores(names.STORES, {ours: 3 * most, theirs: 3.0})
    bad = of_stores(names.STORES, {ours: 3.1 * most, theirs: 3.0})

    (met,), (missed,) = judged(good), judged(bad)

    assert (met.met, missed.met) == (True, False)
    assert met.target == f"Title of stores: {ours}, of {theirs}: at most {most:g}"


def test_a_store_that_is_not_installed_is_not_judged() -> None:
    assert judged(of_stores(names.STORES, {OURS: 1.0})) == []
    assert judged(of_stores(names.HAND_OFF, {THEIRS: 1.0})) == []


@pytest.mark.parametrize(("trips", "met"), [(2, True), (3, False)])
def test_a_hundred_leases_are_renewed_in_two_round_trips_of_a_node(trips: int, met: bool) -> None:
    (verdict,) = judged(section(names.STORE_RENEWAL, {OURS: {names.NODE_TRIPS: cell(None, trips)}}))

    assert verdict.met is met


def test_a_section_that_is_measured_again_takes_the_place_of_the_old_one() -> None:
    run = a_run()
    new = of_stores(names.CYCLE, {OURS: 7.0})

    after = run.with_sections(Results({"kazoo": "2.11.0"}, [new]))

    assert [one.name for one in after.sections] == [one.name for one in run.sections]
    assert after.section(names.CYCLE) == new
    assert after.machine == {**run.machine, "kazoo": "2.11.0"}


def test_requests_are_counted_by_the_port_that_they_go_to() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"before")
            with counted_sends() as sent:
                client.sendall(b"one")
                client.send(b"two")
            client.sendall(b"after")

    assert sent == {port: 2}
    assert not {"send", "sendall"} & set(vars(socket.socket))
