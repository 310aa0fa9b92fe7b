"""Connections go back to the pool as they are (`database._keep_session`): no query may change its session."""

import re
from importlib import resources

from feira.sql.loader import load_queries

# Advisory locks of the session, settings beyond the transaction, LISTEN, cursors and temporary tables that stay.
LEAVES_TRACES = re.compile(
    r"""
    pg_(try_)?advisory_lock | \bLISTEN\b | \bWITH\s+HOLD\b | \bTEMP(ORARY)?\s+TABLE\b
    | ^\s*SET\s+(SESSION\s+)?(?!LOCAL\b)\w+\s*(=|\bTO\b)\s*[^;]*;?\s*$
    | set_config\s*\([^)]*\bfalse\s*\)
    """,
    re.VERBOSE | re.IGNORECASE,
)


def test_no_query_leaves_anything_in_its_session() -> None:
    folder = resources.files("feira.sql") / "queries"
    rooms = sorted(file.name.removesuffix(".sql") for file in folder.iterdir())
    assert rooms
    for room in rooms:
        for name, statement in load_queries(room).items():
            assert not LEAVES_TRACES.search(statement), f"{room}.{name} changes its session"


def test_what_leaves_something_is_recognised() -> None:
    for statement in (
        "SELECT pg_advisory_lock(1)",
        "LISTEN jobs",
        "SET lock_timeout = '5s'",
        "SELECT set_config('a.b', $1::text, false)",
        "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
    ):
        assert LEAVES_TRACES.search(statement), statement
    for statement in (
        "SELECT pg_advisory_xact_lock(1)",
        "SET LOCAL lock_timeout = '5s'",
        "SELECT set_config('a.b', $1::text, true)",
        "UPDATE t SET a = 1",
    ):
        assert not LEAVES_TRACES.search(statement), statement
