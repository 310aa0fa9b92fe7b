"""A market on this worker's servers, and a served node of it."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator

import msgspec
import pytest

from feira.app import Ground, RunningNode, open_ground, open_node
from feira.platform.runtime.config import Config
from feira.services.market import Market


def free_port() -> int:
    """A port that nobody listens on right now, below the range of outgoing connections."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def node_config(config: Config) -> Config:
    """Settings with an address: the sandbox provider and links in mails need one."""
    port = free_port()
    return msgspec.structs.replace(config, port=port, public_url=f"http://127.0.0.1:{port}")


@pytest.fixture
async def ground(config: Config) -> AsyncIterator[Ground]:
    async with open_ground(config) as opened:
        yield opened


@pytest.fixture
def market(ground: Ground) -> Market:
    """A market without servers: for tests of services."""
    return ground.market


@pytest.fixture
async def node(node_config: Config) -> AsyncIterator[RunningNode]:
    """A node that serves HTTP and sockets."""
    async with open_node(node_config) as running:
        yield running
