"""Append-only migrations from `migrations/*.sql`, applied in name order, each in its own transaction.

The tables belong to whoever migrates. Afterwards `rights.sql` says what the application's role may do with them.
"""

from __future__ import annotations

import hashlib
from importlib import resources
from typing import Final

import asyncpg

# Any two processes that migrate at once take turns on this key ("feir" in ASCII).
_ADVISORY_LOCK: Final = 0x66656972

APP_ROLE: Final = "feira_app"
"""What every process but `feira migrate` acts as."""


class MigrationError(Exception):
    """The database and the migration files disagree; the message says on which file and what to do."""


def migration_files() -> dict[str, str]:
    """Return the migrations' SQL by file name, in the order in which they apply."""
    folder = resources.files("feira.sql") / "migrations"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return {name: (folder / name).read_text(encoding="utf-8") for name in names}


async def migrate(dsn: str) -> list[str]:
    """Apply what is missing and return the names applied now. Safe to run at the same time elsewhere.

    Raises:
        MigrationError: an applied file was edited since, the database is ahead of this code, or the role of `dsn` may
            not make or grant the application's.
    """
    con = await asyncpg.connect(dsn, timeout=10)
    try:
        await con.execute("SELECT pg_advisory_lock($1)", _ADVISORY_LOCK)
        await con.execute("SET lock_timeout = '5s'")
        applied = await _apply_missing(con)
        await _grant_rights(con)
        return applied
    finally:
        await con.close()


async def _grant_rights(con: asyncpg.Connection[asyncpg.Record]) -> None:
    sql = (resources.files("feira.sql") / "rights.sql").read_text(encoding="utf-8")
    try:
        async with con.transaction():
            await con.execute(sql)
            if not await con.fetchval("SELECT pg_has_role(current_user, $1, 'MEMBER')", APP_ROLE):
                await con.execute(f"GRANT {APP_ROLE} TO current_user")
    except asyncpg.InsufficientPrivilegeError as error:
        raise MigrationError(
            f"{error}: the role that migrates has to own the tables, and have CREATEROLE, or find the role"
            f" {APP_ROLE} made (CREATE ROLE {APP_ROLE}) and granted to it."
        ) from error


async def _apply_missing(con: asyncpg.Connection[asyncpg.Record]) -> list[str]:
    await con.execute(
        "CREATE TABLE IF NOT EXISTS schema_migrations"
        " (name text PRIMARY KEY, sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
    )
    applied = {
        row["name"]: row["sha256"]
        for row in await con.fetch("SELECT name, sha256 FROM schema_migrations")
    }
    files = migration_files()
    ahead = sorted(set(applied) - set(files))
    if ahead:
        raise MigrationError(
            f"The database has migrations this code does not know ({', '.join(ahead)}): run newer code."
        )
    done: list[str] = []
    for name, sql in files.items():
        digest = hashlib.sha256(sql.encode()).hexdigest()
        if name in applied:
            if applied[name] != digest:
                raise MigrationError(
                    f"{name} was edited after it was applied: restore it and add a new migration."
                )
            continue
        async with con.transaction():
            await con.execute(sql)
            await con.execute(
                "INSERT INTO schema_migrations (name, sha256) VALUES ($1, $2)", name, digest
            )
        done.append(name)
    return done
