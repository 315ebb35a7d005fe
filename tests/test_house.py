"""The house itself is tested: who may import whom, sizes, names, words, and what import touches."""

from __future__ import annotations

import ast
import re
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house import (
    PACKAGE,
    ROOT,
    arrows,
    definitions,
    files,
    imports,
    module,
    own_files,
    ring,
    room,
    scripts,
    tree,
    where,
)

FLOORS: tuple[set[str], ...] = (
    {"errors"},
    {"backoff", "declaring", "keys"},
    {"model"},
    {"contract", "message", "policies", "stores"},
    {"events"},
    {"engine", "metrics", "signals"},
    {"app"},
    {"beat", "outside", "task", "testing"},
    {"cli", "celery_lock"},  # the last one is `__init__`: the face
)
"""Rooms by floor. A room is a file or a folder of the package; imports only point down."""

LOOSE = {"errors", "backoff", "declaring", "policies", "signals", "metrics"}
"""What may lie loose at the top of the package: what users import, and the three that it needs."""

MOST_ROOMS, MOST_FLOORS, MOST_ARROWS = 22, 10, 80
"""Today 19, 10 and 80. A room that needs more than these is a decision, not an accident."""

NEVER = {
    "app": {"task", "beat", "cli"},
    "engine": {"app", "task", "message"},
    "beat": {"task"},
    "task": {"beat", "outside"},
    "outside": {"task"},
    "message": {"stores", "engine", "events"},
    "policies": {"engine", "stores", "message", "events"},
    "stores": {"keys", "message", "policies", "events", "engine", "contract"},
    "contract": {"stores"},
}
"""Who never imports whom, also where a floor would allow it."""

WITHOUT_CELERY = {"errors", "backoff", "keys", "model", "contract", "policies", "stores"} | {
    "declaring", "events", "engine", "metrics", "signals",
}  # fmt: skip
"""The rooms that know nothing of Celery."""
MAY_KNOW = {
    "signals": "celery.utils.dispatch",  # a signal that looks like Celery's own
    "keys/json_form.py": "kombu.utils.json",  # keys agree with what a message does to a value
}
"""Exceptions to that: plain tools, which need no app, no broker and no worker."""

DRIVERS = {
    "redis": "stores",
    "kazoo": "stores",
    "pydantic": "keys",
    "django": "",
    "django_celery_beat": "beat",
}
"""In which room a driver, or another optional package, may be imported at all."""

PUBLIC = [
    "Conflict", "Lease", "LeaseLost", "Lock", "LockConfigurationError", "LockConflict",
    "LockError", "LockedTask", "Scope", "StoreError", "constant", "current_lease", "exponential",
    "fail", "hold", "is_skipped", "peek", "requeue", "skip", "wait",
]  # fmt: skip
"""The public names. One more is a decision, not an accident."""


def floor(name: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if room(name) in rooms)


# -- imports point down ----------------------------------------------------------------------


def test_every_file_has_a_floor() -> None:
    rooms = {room(module(file)) for file in files()}

    assert not rooms - set().union(*FLOORS), "put the new room on a floor of FLOORS"


def test_no_import_points_up() -> None:
    up = [
        f"{name} (floor {floor(name)}) imports {target} (floor {floor(target)})"
        for name, targets in arrows().items()
        for target in targets
        if floor(target) > floor(name)
    ]

    assert up == []


def test_no_files_import_each_other_in_a_ring() -> None:
    assert ring(arrows()) == []


def rooms() -> dict[str, set[str]]:
    graph: dict[str, set[str]] = {room(name): set() for name in arrows()}
    for name, targets in arrows().items():
        graph[room(name)] |= {room(target) for target in targets} - {room(name)}
    return graph


def test_no_rooms_import_each_other_in_a_ring() -> None:
    assert ring(rooms()) == []


def test_no_room_imports_one_that_it_never_may() -> None:
    broken = {name: seen for name, never in NEVER.items() if (seen := rooms()[name] & never)}

    assert broken == {}


def test_the_house_has_few_rooms_floors_and_arrows() -> None:
    graph = rooms()

    def height(name: str) -> int:
        return 1 + max((height(target) for target in graph[name]), default=0)

    assert len(graph) <= MOST_ROOMS
    assert max(height(name) for name in graph) <= MOST_FLOORS
    assert sum(len(targets) for targets in graph.values()) <= MOST_ARROWS


def test_no_file_lies_loose_at_the_top() -> None:
    loose = {file.stem for file in PACKAGE.glob("*.py")} - {"__init__"}

    assert loose == LOOSE


def test_the_engine_knows_nothing_of_celery() -> None:
    known = [
        f"{where(file)} imports {source}"
        for file in files()
        if room(module(file)) in WITHOUT_CELERY
        for source, _ in imports(file)
        if source.split(".")[0] in ("celery", "kombu", "billiard")
        and source not in (MAY_KNOW.get(where(file)), MAY_KNOW.get(room(module(file))))
    ]

    assert known == []


def test_a_driver_is_imported_in_its_own_room_only() -> None:
    strangers = [
        f"{where(file)} imports {source}"
        for file in files()
        for source, _ in imports(file)
        if source.split(".")[0] in DRIVERS and room(module(file)) != DRIVERS[source.split(".")[0]]
    ]

    assert strangers == []


def test_policies_have_nothing_to_act_with() -> None:
    tools = {source for source, _ in imports(PACKAGE / "policies.py")}

    assert {t for t in tools if not t.startswith("celery_lock.")} <= {
        "__future__",
        "collections.abc",
        "dataclasses",
        "enum",
        "typing",
    }


# -- the four laws and the nevers ------------------------------------------------------------


def test_what_a_fork_changes_is_told_in_one_file() -> None:
    """`PerProcess` is the one way to have what is not a child's as well."""
    asks = [
        f"{where(file)}:{node.lineno}"
        for file in files()
        if where(file) != "model/per_process.py"
        for node in ast.walk(tree(file))
        if (isinstance(node, ast.Attribute) and node.attr == "register_at_fork")
        or (isinstance(node, ast.Compare) and "getpid()" in ast.unparse(node))
    ]

    assert asks == []


def test_a_lock_that_a_time_limit_may_fall_into_is_a_mutex() -> None:
    """And a condition is not what `with` takes: its methods are Python."""
    without_tasks = {
        "beat/naming.py",
        "engine/pending_calls.py",  # where it is taken already by this very thread, it is not given
        "model/mutex.py",
        "stores/manual_clock.py",
        "stores/memory.py",  # for tests
    }
    found = [
        f"{where(file)}: {said}"
        for file in files()
        if where(file) not in without_tasks and room(module(file)) != "contract"
        for said in (ast.unparse(node) for node in ast.walk(tree(file)))
        if re.fullmatch(r"threading\.R?Lock|(threading\.)?Condition\((?!self\._mutex\)).*", said)
        or re.fullmatch(r"from threading import .*\bR?Lock\b.*", said)
        or re.search(r"^with self\._(changed|returned)\b", said)
    ]

    assert found == []


def test_stores_never_sleep() -> None:
    sleeping = [
        f"{where(file)}:{node.lineno}"
        for file in files()
        if room(module(file)) == "stores"
        for node in ast.walk(tree(file))
        if (isinstance(node, ast.Attribute) and node.attr == "sleep")
        or (isinstance(node, ast.Name) and node.id == "sleep")
    ]

    assert sleeping == []


def test_only_the_task_raises_celerys_control_flow_exceptions() -> None:
    control_flow = {"Ignore", "Reject", "Retry"}
    imported = {
        where(file)
        for file in files()
        for source, name in imports(file)
        if source.startswith("celery.") and name in control_flow
    }

    assert imported == {"task/locked_task.py"}


def test_no_setting_is_read_in_a_way_that_changes_or_misses_it() -> None:
    wrong = []
    for file in files():
        for node in ast.walk(tree(file)):
            if isinstance(node, ast.Attribute) and node.attr == "add_defaults":
                wrong.append(f"{where(file)}:{node.lineno} calls add_defaults")
            if isinstance(node, ast.Compare) and any(
                isinstance(op, (ast.In, ast.NotIn)) and ast.unparse(right).endswith("conf")
                for op, right in zip(node.ops, node.comparators, strict=True)
            ):
                wrong.append(f"{where(file)}:{node.lineno} asks whether a name is in the conf")

    assert wrong == []


def test_no_key_is_deleted_without_proof() -> None:
    command = re.compile(r"""['"](DEL|UNLINK|GETDEL|FLUSHDB|FLUSHALL)['"]""", re.IGNORECASE)
    bare = [where(file) for file in scripts() if command.search(file.read_text(encoding="utf-8"))]
    bare += [
        f"{where(file)}:{node.lineno}"
        for file in files()
        if room(module(file)) == "stores"
        for node in ast.walk(tree(file))
        if (isinstance(node, ast.Attribute) and node.attr in ("delete", "unlink", "getdel"))
        or (isinstance(node, ast.Constant) and command.fullmatch(repr(node.value)))
    ]

    assert bare == []


def words_of_code(file: Path) -> set[str]:
    """Names, and words in front of a `(` in texts that are no docstrings."""
    found: set[str] = set()
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.alias):
            found.add(node.name)
        elif not isinstance(node, ast.Expr):
            texts = [n.value for n in ast.iter_child_nodes(node) if isinstance(n, ast.Constant)]
            found.update(*(re.findall(r"(\w+)\(", text) for text in texts if type(text) is str))
    return found


def test_only_the_policies_list_the_kinds_of_decision() -> None:
    from celery_lock.policies import KINDS

    kinds = {kind.__name__ for kind in KINDS}
    listing = {where(file) for file in files() if kinds <= words_of_code(file)}
    choosing = {where(file) for file in files() if len(kinds & words_of_code(file)) > 1}

    assert listing == {"policies.py", "__init__.py"}, "let a Decision describe itself instead"
    assert choosing - listing == {
        "outside/taking.py",  # says what it does itself, for it asks no policy
        "task/conflict.py",  # knows what is not asked of a policy
        "task/duplicates.py",  # knows which of them act where a message is published
        "task/run.py",  # does what was decided
        "app/start_checks.py",  # advises
        "app/limit_checks.py",  # advises too
        "model/lock.py",  # says what other libraries' options are called here
    }


def test_a_run_has_a_branch_for_every_kind_of_decision() -> None:
    """One that it does not know fails the task, which is right for `fail()` alone."""
    from celery_lock.policies import KINDS

    known = words_of_code(PACKAGE / "task" / "run.py")

    assert {kind.__name__ for kind in KINDS} - known == {"fail"}


# -- files and words -------------------------------------------------------------------------


@pytest.mark.parametrize("file", files(), ids=where)
def test_a_file_says_its_one_reason_in_its_first_line(file: Path) -> None:
    first = file.read_text(encoding="utf-8").split("\n", 1)[0]
    said = (ast.get_docstring(tree(file)) or "").split("\n\n")[0]

    assert first.startswith('"""')
    assert "\n" not in said, "one line"
    assert said.endswith((".", "?"))
    assert not re.search(r"[.!?] ", said), "one sentence"


@pytest.mark.parametrize("file", scripts(), ids=where)
def test_a_script_begins_with_what_it_takes_and_answers(file: Path) -> None:
    head = re.match(r"(--.*\n)+", file.read_text(encoding="utf-8"))

    assert head
    for word in ("KEYS", "ARGV", "Answers"):
        assert re.search(rf"^-- {word}\b", head.group(), re.MULTILINE), f"{word} is not named"


def test_files_are_small() -> None:
    lengths = {where(file): len(file.read_text(encoding="utf-8").splitlines()) for file in files()}

    assert {name: n for name, n in lengths.items() if n > 300} == {}
    assert statistics.median(lengths.values()) < 130


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_the_public_names_are_those_that_were_decided() -> None:
    import celery_lock  # here: a house with a ring can be read, but not entered

    assert sorted(celery_lock.__all__) == sorted(PUBLIC)
    assert all(hasattr(celery_lock, name) for name in PUBLIC)


def test_every_public_class_and_function_says_what_it_is() -> None:
    silent = [
        f"{where(file)}: {node.name}"
        for file in files()
        for node in tree(file).body
        if isinstance(node, (ast.ClassDef, ast.FunctionDef))
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
    ]

    assert silent == []


def test_every_public_method_of_a_public_class_says_what_it_does() -> None:
    import celery_lock

    silent = [
        f"{name}.{method}"
        for name in PUBLIC
        if isinstance(shown := getattr(celery_lock, name), type)
        for method, value in vars(shown).items()
        if not method.startswith("_")
        and (callable(value) or isinstance(value, (classmethod, property)))
        and not isinstance(value, type)
        and not any(getattr(vars(parent).get(method), "__doc__", None) for parent in shown.__mro__)
    ]

    assert silent == []


def test_no_test_of_the_contract_hides_another() -> None:
    """They are methods of one class in the end: of two with one name only one would run."""
    names = [
        node.name
        for file in files()
        if room(module(file)) == "contract"
        for node in definitions(file)
        if node.name.startswith("test_")
    ]

    assert {name for name in names if names.count(name) > 1} == set()


def test_no_class_is_named_after_nothing() -> None:
    empty = re.compile(r"(Manager|Helper|Utils?|Base)")
    named = [
        f"{where(file)}: {node.name}"
        for file in files()
        for node in definitions(file)
        if isinstance(node, ast.ClassDef) and empty.search(node.name)
    ]

    assert named == []


def test_timeout_is_no_word_of_ours() -> None:
    """Libraries use it for the lifetime and for the waiting: here these are ttl and max_wait."""
    used = [
        f"{where(file)}: {node.name}"
        for file in files()
        for node in definitions(file)
        if not isinstance(node, ast.ClassDef) and not node.name.startswith("_")
        if room(module(file)) not in ("stores", "contract") and node.name != "watch"
        for arg in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
        if "timeout" in arg.arg
    ]

    assert used == []


MEANS_ONE_THING = {
    # a permit's number; no pool process, no due time
    "slot": {"model", "stores", "contract", "engine", "events", "cli"},
    "attempt": {"model", "policies", "backoff", "message", "events"},  # conflicts met; no retries
    "told": {"engine", "stores", "task"},  # what follows a run is out, and its record says so
    "turn": {"message", "task"},  # waited for within one publication; no conflict
    **{word: set[str]() for word in ("tell", "adopt", "park", "promote")},
}
"""Words that the code must not use for anything else, and the rooms where each has its meaning;
the last ones have none yet, or had too many."""


def test_a_word_that_was_decided_means_one_thing() -> None:
    used = {
        f"{where(file)}: {name}"
        for file in files()
        for node in ast.walk(tree(file))
        for name in names_of(node)
        for word in re.findall(r"[A-Z]?[a-z]+", name)
        if (rooms := MEANS_ONE_THING.get(word.lower().removesuffix("s"))) is not None
        if room(module(file)) not in rooms and not name.startswith(("test_", "__"))
    }

    assert used == set()


def names_of(node: ast.AST) -> Iterator[str]:
    """Yield the names that a node defines."""
    if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
        yield node.name
    elif isinstance(node, ast.arg):
        yield node.arg
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
        yield node.attr


def test_what_is_written_for_machines_is_ascii() -> None:
    odd = [where(f) for f in (*files(), *scripts()) if not f.read_text(encoding="utf-8").isascii()]

    assert odd == []


# The patterns are written so that they do not find themselves.
ELSEWHERE = re.compile(
    r"/wor[k]/|/tmp/(?:tea[m]|scratc[h])|/opt/(?:whee[l]|pyp[i])|/hom[e]/\w|/roo[t]/"
    r"|\bissu[e]s? ?#?\d|\bDESIG[N]\.md|\bBRIE[F]\.md|pypi\.or[g]|pythonhosted\.or[g]",
    re.IGNORECASE,
)


def test_no_file_speaks_of_the_place_where_it_was_written() -> None:
    found = [
        f"{file.relative_to(ROOT)}: {match.group()}"
        for file in own_files()
        if (match := ELSEWHERE.search(file.read_text(encoding="utf-8", errors="replace")))
    ]

    assert found == []
