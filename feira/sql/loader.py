"""Named queries from `queries/*.sql`.

A file holds statements, each opened by a `-- name: verb_object` line, followed by one comment line that
says what it is for. Statements are loaded when their module is imported, so a missing name fails at start.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import resources
from typing import TYPE_CHECKING, Final, TypeVar

import asyncpg
import msgspec

Row = TypeVar("Row")
if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
else:
    # Generic for type checkers only.
    Connection = asyncpg.Connection

_HEADER: Final = re.compile(r"^-- name: *([a-z][a-z0-9_]*) *$", re.MULTILINE)


def load_queries(service: str) -> Mapping[str, str]:
    """Return the statements of `queries/{service}.sql` by name."""
    text = (resources.files("feira.sql") / "queries" / f"{service}.sql").read_text(encoding="utf-8")
    pieces = _HEADER.split(text)
    names, bodies = pieces[1::2], pieces[2::2]
    assert len(names) == len(set(names)), f"a query name stands twice in {service}.sql"
    return {name: body.strip() for name, body in zip(names, bodies, strict=True)}


async def fetch_all(con: Connection, statement: str, row: type[Row], *args: object) -> list[Row]:
    """Run a statement and convert every record to `row` (a msgspec struct with the columns' names)."""
    records = await con.fetch(statement, *args)
    return msgspec.convert([dict(record) for record in records], list[row], from_attributes=False)


async def fetch_one(con: Connection, statement: str, row: type[Row], *args: object) -> Row | None:
    """Run a statement that gives one record or none."""
    record = await con.fetchrow(statement, *args)
    return None if record is None else msgspec.convert(dict(record), row)
