"""Several real Valkeys: a cluster, or a master with a replica and sentinels. No cli: they are told in RESP."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from feira.platform.runtime.cluster_map import SLOTS, SlotMap, parse_slots
from feira.platform.runtime.embedded.binaries import valkey_server
from feira.platform.runtime.embedded.ports import free_port
from feira.platform.runtime.embedded.probe import until_ready
from feira.platform.runtime.embedded.process import ServerProcess
from feira.platform.runtime.redis_url import Address, Login
from feira.platform.runtime.resp import RespConnection

PRIMARIES: Final = 3
READY_TIMEOUT_S: Final = 20.0
NODE_TIMEOUT_MS: Final = 1_000
MASTER_NAME: Final = "market"
PASSWORD: Final = "of-the-servers"
SENTINEL_PASSWORD: Final = "of-the-sentinels"


class Valkey:
    """One server process; `start` again after `kill` serves at the same address."""

    def __init__(self, folder: Path, argv: Iterable[str], port: int, password: str = "") -> None:
        self.address = Address("127.0.0.1", port)
        self._login = Login(password=password)
        self._folder = folder
        self._argv = [str(valkey_server()), *argv, "--port", str(port), "--bind", "127.0.0.1"]
        self._process = ServerProcess(f"valkey-{port}", folder / f"{port}.log")

    async def start(self) -> None:
        self._process.spawn(self._argv, cwd=self._folder, env={})
        await until_ready(self._process, self._answers, READY_TIMEOUT_S)

    async def kill(self) -> None:
        self._process.kill()
        await self._process.stop(1.0)

    def freeze(self) -> None:
        """As a machine that hangs: connections stay open, nothing comes back."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    async def ask(self, *command: str) -> Any:
        async with asyncio.timeout(5):
            connection = await RespConnection.open(self.address, self._login)
            try:
                return await connection.ask(*command)
            finally:
                await connection.close()

    async def info(self, section: str) -> dict[str, str]:
        lines = (await self.ask("INFO", section)).decode().splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def _signal(self, what: signal.Signals) -> None:
        pid = self._process.pid
        assert pid is not None
        os.kill(pid, what)

    async def _answers(self) -> bool:
        try:
            return await self.ask("PING") == b"PONG"
        except OSError:
            return False


@dataclass
class ValkeyCluster:
    """Three primaries with a third of the slots each, and a replica of the first."""

    nodes: list[Valkey]
    ids: dict[Address, str] = field(default_factory=dict[Address, str])

    @property
    def url(self) -> str:
        """All nodes but the first: that one is killed."""
        return "redis+cluster://" + ",".join(str(node.address) for node in self.nodes[1:])

    def node(self, address: Address) -> Valkey:
        return next(node for node in self.nodes if node.address == address)

    async def slot_map(self) -> SlotMap:
        """As the second node sees it."""
        node = self.nodes[1]
        return parse_slots(await node.ask("CLUSTER", "SLOTS"), node.address)

    async def owner(self, slot: int) -> Valkey:
        owner = (await self.slot_map()).owner(slot)
        assert owner is not None
        return self.node(owner)

    async def move_slot(self, slot: int, to: Valkey) -> None:
        """As every version can: the two concerned are told, the others hear of it."""
        source = await self.owner(slot)
        old, new = self.ids[source.address], self.ids[to.address]
        await to.ask("CLUSTER", "SETSLOT", str(slot), "IMPORTING", old)
        await source.ask("CLUSTER", "SETSLOT", str(slot), "MIGRATING", new)
        await to.ask("CLUSTER", "SETSLOT", str(slot), "NODE", new)
        await source.ask("CLUSTER", "SETSLOT", str(slot), "NODE", new)

    async def move_slot_atomically(self, slot: int, to: Valkey) -> None:
        """As Valkey 9 does it by itself."""
        source = await self.owner(slot)
        name = str(slot)
        await source.ask(
            "CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", name, name, "NODE", self.ids[to.address]
        )

        async def is_moved() -> bool:
            return (await self.owner(slot)).address == to.address

        await until(is_moved)

    async def heal(self) -> None:
        """Start the killed node again, and return once all agree that all is well and the replica is in step."""

        async def is_whole() -> bool:
            infos = [(await node.ask("CLUSTER", "INFO")).decode() for node in self.nodes]
            links = [await node.info("replication") for node in self.nodes]
            replicas = [link for link in links if link["role"] == "slave"]
            return (
                all("cluster_state:ok" in info for info in infos)
                and len(replicas) == len(self.nodes) - PRIMARIES
                and all(link["master_link_status"] == "up" for link in replicas)
            )

        await until(is_whole)


@asynccontextmanager
async def open_cluster(folder: Path) -> AsyncGenerator[ValkeyCluster]:
    ports = free_ports(2 * (PRIMARIES + 1))
    nodes: list[Valkey] = []
    for number in range(PRIMARIES + 1):
        own = folder / f"node-{number}"
        own.mkdir()
        options = {
            **_DISKLESS,
            "cluster-enabled": "yes",
            "cluster-node-timeout": str(NODE_TIMEOUT_MS),
            "cluster-port": str(ports[number + PRIMARIES + 1]),
            # A replica takes over however long it has heard nothing.
            "cluster-replica-validity-factor": "0",
        }
        nodes.append(Valkey(own, _arguments(options), ports[number]))
    async with _running(nodes):
        cluster = ValkeyCluster(nodes)
        for number, node in enumerate(nodes):
            if number < PRIMARIES:
                first, after = (SLOTS * n // PRIMARIES for n in (number, number + 1))
                await node.ask("CLUSTER", "ADDSLOTSRANGE", str(first), str(after - 1))
            await node.ask("CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
            cluster.ids[node.address] = (await node.ask("CLUSTER", "MYID")).decode()
        for number, node in enumerate(nodes[1:], start=1):
            bus_port = str(ports[number + PRIMARIES + 1])
            host, port = node.address
            await nodes[0].ask("CLUSTER", "MEET", host, str(port), bus_port)

        async def have_met() -> bool:
            infos = [(await node.ask("CLUSTER", "INFO")).decode() for node in nodes]
            return all(f"cluster_known_nodes:{len(nodes)}\r" in info for info in infos)

        await until(have_met)
        await nodes[-1].ask("CLUSTER", "REPLICATE", cluster.ids[nodes[0].address])
        await cluster.heal()
        yield cluster


@dataclass
class WatchedMaster:
    """A master, its replica, and three sentinels; all of them ask for passwords."""

    master: Valkey
    replica: Valkey
    sentinels: list[Valkey]

    @property
    def url(self) -> str:
        hosts = ",".join(str(sentinel.address) for sentinel in self.sentinels)
        options = f"sentinel_password={SENTINEL_PASSWORD}"
        return f"redis+sentinel://:{PASSWORD}@{hosts}/{MASTER_NAME}?{options}"

    async def is_promoted(self) -> bool:
        """Whether the replica is the master now, and the sentinels say so."""
        named = [
            await sentinel.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER_NAME)
            for sentinel in self.sentinels
        ]
        host, port = self.replica.address
        return all(name == [host.encode(), str(port).encode()] for name in named)


@asynccontextmanager
async def open_watched_master(folder: Path) -> AsyncGenerator[WatchedMaster]:
    ports = free_ports(5)
    options = {**_DISKLESS, "requirepass": PASSWORD, "masterauth": PASSWORD}
    servers = [Valkey(folder, _arguments(options), port, PASSWORD) for port in ports[:2]]
    master, replica = servers
    sentinels: list[Valkey] = []
    for port in ports[2:]:
        # Sentinels write down there what they learn.
        file = folder / f"sentinel-{port}.conf"
        file.write_text(
            f"requirepass {SENTINEL_PASSWORD}\n"
            f"sentinel sentinel-pass {SENTINEL_PASSWORD}\n"
            f"sentinel monitor {MASTER_NAME} 127.0.0.1 {master.address.port} 2\n"
            f"sentinel auth-pass {MASTER_NAME} {PASSWORD}\n"
            f"sentinel down-after-milliseconds {MASTER_NAME} 500\n"
            f"sentinel failover-timeout {MASTER_NAME} 2000\n"
        )
        sentinels.append(Valkey(folder, [str(file), "--sentinel"], port, SENTINEL_PASSWORD))
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(_running(servers))
        await replica.ask("REPLICAOF", *map(str, master.address))

        async def is_in_step() -> bool:
            return (await replica.info("replication"))["master_link_status"] == "up"

        # Only then: sentinels look for replicas when they start, and every ten seconds.
        await until(is_in_step)
        await stack.enter_async_context(_running(sentinels))

        async def know_each_other() -> bool:
            known = [(await sentinel.info("sentinel"))["master0"] for sentinel in sentinels]
            return all("status=ok" in told and "slaves=1,sentinels=3" in told for told in known)

        await until(know_each_other)
        yield WatchedMaster(master, replica, sentinels)


_DISKLESS: Final = {"save": "", "appendonly": "no", "repl-diskless-sync-delay": "0"}


def _arguments(options: dict[str, str]) -> list[str]:
    return [part for name, value in options.items() for part in (f"--{name}", value)]


def free_ports(count: int) -> list[int]:
    ports: set[int] = set()
    while len(ports) < count:
        ports.add(free_port(ports))
    return list(ports)


@asynccontextmanager
async def _running(servers: list[Valkey]) -> AsyncGenerator[None]:
    async with AsyncExitStack() as stack:
        for server in servers:
            await server.start()
            stack.push_async_callback(server.kill)
        yield


async def until(
    condition: Callable[[], Awaitable[bool]], *, within_s: float = READY_TIMEOUT_S
) -> None:
    """Wait for something that servers agree on; one that is not there is not agreed with.

    Raises:
        TimeoutError: it never was.
    """
    deadline = time.monotonic() + within_s
    while True:
        try:
            if await condition():
                return
        except OSError as error:
            if time.monotonic() > deadline:
                raise TimeoutError from error
        if time.monotonic() > deadline:
            raise TimeoutError
        await asyncio.sleep(0.05)
