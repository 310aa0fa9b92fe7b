"""`feira migrate`: brings the database's schema up to date. Safe to run at the same time from several places."""

from __future__ import annotations

import argparse
import asyncio
import sys

import asyncpg

from feira.platform.domain.errors import FeiraError
from feira.platform.runtime.config import Config
from feira.sql.migrate import MigrationError, migrate


def run(config: Config, args: argparse.Namespace) -> int:
    del args
    try:
        applied = asyncio.run(_migrate(config))
    except (MigrationError, FeiraError, OSError, asyncpg.PostgresError) as error:
        print(f"feira: migrate failed: {error or type(error).__name__}", file=sys.stderr)
        return 1
    print(f"migrations applied: {', '.join(applied)}" if applied else "the schema is up to date")
    return 0


async def _migrate(config: Config) -> list[str]:
    applied = await migrate(config.postgres_owner_dsn or config.postgres_dsn)
    # In production the bucket's policy belongs to whoever made the bucket.
    if applied and config.environment == "development":
        # The policy stays in the bucket; a start with nothing to do imports no S3 client.
        from feira.app import open_storage

        storage = await open_storage(config)
        try:
            await storage.allow_public_reads()
        finally:
            await storage.close()
    return applied
