"""Stores of one test alone, to be frozen and killed."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from feira.platform.runtime.embedded.folder import DataFolder
from feira.platform.runtime.embedded.ports import PortBook
from feira.platform.runtime.embedded.postgres import PostgresServer
from feira.platform.runtime.embedded.valkey import ValkeyServer
from feira.sql.migrate import migrate


@pytest.fixture
def store_folder() -> Iterator[Path]:
    """A folder that PostgreSQL's own user may pass through where the tests run as root."""
    folder = Path(tempfile.mkdtemp(prefix="feira-chaos-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def postgres(store_folder: Path) -> AsyncIterator[PostgresServer]:
    """A migrated PostgreSQL; durable, since it is killed."""
    server = PostgresServer(DataFolder(store_folder), PortBook(store_folder / "ports.json"))
    await server.start()
    await migrate(server.dsn)
    yield server
    await server.stop()


@pytest.fixture
async def valkey(tmp_path: Path) -> AsyncIterator[ValkeyServer]:
    server = ValkeyServer(DataFolder(tmp_path), PortBook(tmp_path / "valkey-ports.json"))
    await server.start()
    yield server
    server.kill()
    await server.stop()
