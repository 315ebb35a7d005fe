"""Random canvases of locked tasks end as the same canvases of plain tasks do.

`python -m tests.canvas --count 200` plays more of them, and `--only` one by its seed.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

import pytest

from tests.canvas.__main__ import play_all, running
from tests.canvas.plans import draw, nodes_of
from tests.canvas.running import Runner
from tests.canvas.variants import VARIANTS

COUNT = 8


@pytest.fixture(scope="module")
def runner(redis_binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    with running(redis_binary, tmp_path_factory.mktemp("canvas")) as made:
        yield made


def test_random_canvases_end_as_those_of_plain_tasks(runner: Runner) -> None:
    first = random.randrange(10**9)
    seeds = range(first, first + COUNT)
    print(f"python -m tests.canvas --only {' '.join(map(str, seeds))}")

    verdicts = list(play_all(runner, [(seed, draw(seed, list(VARIANTS))) for seed in seeds]))

    wrong = [(one.name, json.dumps(one.plan), one.wrong) for one in verdicts if one.wrong]
    assert not wrong


def test_a_seed_draws_the_same_canvas_each_time() -> None:
    variants = list(VARIANTS)

    assert [draw(seed, variants) for seed in range(20)] == [
        draw(seed, variants) for seed in range(20)
    ]
    assert max(len(nodes_of(draw(seed, variants))) for seed in range(200)) >= 20
