"""The statement that compares the fencing token, in SQLite and in PostgreSQL."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from examples.fencing import books
from tests.acceptance.blocks import ROOT
from tests.services import wait_for
from tests.services.postgres_server import PostgresServer


def test_a_later_token_wins_in_sqlite_and_the_same_lease_may_write_twice(tmp_path: Path) -> None:
    database = books.Books(tmp_path / "books.sqlite")
    database.create()
    database.begin(1, 1000)

    assert database.write(1, 1000, 990, token=20)
    assert database.write(1, 990, 980, token=20)
    assert not database.write(1, 1000, 900, token=19)
    assert database.balance(1) == 980


SQL = (ROOT / "examples" / "fencing" / "postgresql.sql").read_text(encoding="utf-8")
TABLE, UPDATE, UPSERT = (part + ";" for part in re.sub(r"(?m)^--.*\n", "", SQL).split(";")[:3])
TOKEN = 1_795_426_760_328_216
"""As large as real ones."""


@pytest.fixture
def table(postgres_server: PostgresServer) -> PostgresServer:
    """The table of the example, with one user, whose last token is TOKEN."""
    fresh = f"DROP TABLE IF EXISTS points; {TABLE} INSERT INTO points VALUES (1, 1000, {TOKEN});"
    assert postgres_server.run(fresh).returncode == 0
    return postgres_server


def row(server: PostgresServer) -> str:
    return server.run("SELECT balance, token FROM points WHERE user_id = 1;").stdout.strip()


def test_the_file_for_postgresql_runs_as_it_stands(table: PostgresServer) -> None:
    done = table.run(SQL, user_id=1, balance=990, token=TOKEN + 1)

    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["CREATE", "TABLE", "UPDATE", "1", "990", "INSERT", "0", "1"]


@pytest.mark.parametrize(
    ("statement", "won", "lost"),
    [(UPDATE, "UPDATE 1", "UPDATE 0"), (UPSERT, "990\nINSERT 0 1", "INSERT 0 0")],
    ids=["update", "upsert"],
)
def test_a_later_token_wins_in_postgresql(
    table: PostgresServer, statement: str, won: str, lost: str
) -> None:
    def write(token: int) -> str:
        return table.run(statement, user_id=1, balance=990, token=token).stdout.strip()

    assert write(TOKEN - 1) == lost
    assert row(table) == f"1000|{TOKEN}"
    assert write(TOKEN) == won
    assert write(TOKEN + 1) == won
    assert row(table) == f"990|{TOKEN + 1}"


@pytest.mark.parametrize(
    ("statement", "lost"), [(UPDATE, "UPDATE 0"), (UPSERT, "INSERT 0 0")], ids=["update", "upsert"]
)
def test_a_late_write_that_had_to_wait_is_compared_with_what_was_written_meanwhile(
    table: PostgresServer, statement: str, lost: str
) -> None:
    later = session(table, balance=990, token=TOKEN + 2)
    assert later.stdin is not None
    later.stdin.write(f"BEGIN; {statement} SELECT 'has written';\n")
    later.stdin.flush()
    assert later.stdout is not None
    assert any("has written" in line for line in later.stdout)

    late = session(table, balance=900, token=TOKEN + 1)  # beats the token that is committed so far
    assert late.stdin is not None
    late.stdin.write(f"{statement}\n")
    late.stdin.flush()
    waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock';"
    wait_for(lambda: table.run(waits).stdout.strip() == "1", "the late one to be blocked")
    later.communicate("COMMIT;\n", timeout=20)
    said, _ = late.communicate(timeout=20)

    assert said.strip() == lost
    assert row(table) == f"990|{TOKEN + 2}"


def session(server: PostgresServer, **values: int) -> subprocess.Popen[str]:
    """A client whose statements the test writes one by one."""
    return subprocess.Popen(
        server.psql({"user_id": 1, **values}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
