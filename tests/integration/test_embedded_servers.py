import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import msgspec
import pytest
from aiobotocore.session import get_session

from feira.platform.runtime.embedded import EmbeddedServerError, EmbeddedServers, Endpoints
from feira.platform.runtime.embedded.ports import PORT_MAX, PORT_MIN

HOLD = """
import asyncio, sys
from pathlib import Path
from feira.platform.runtime.embedded import EmbeddedServers
async def main():
    servers = EmbeddedServers(Path(sys.argv[1]), durable=False)
    await servers.start()
    print(*(server.process.pid for server in servers.running), flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


@pytest.fixture
def data_dir() -> Iterator[Path]:
    # pytest's own folders are closed to PostgreSQL's user where the tests run as root.
    parent = Path(tempfile.mkdtemp(prefix="feira-embedded-"))
    parent.chmod(0o711)
    yield parent / "data"
    shutil.rmtree(parent)


async def query(endpoints: Endpoints, statement: str) -> object:
    connection = await asyncpg.connect(endpoints.postgres_dsn, timeout=10)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def is_alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state != "Z"
    return False


async def until_gone(pids: list[int]) -> list[int]:
    for _ in range(200):
        if not (pids := [pid for pid in pids if is_alive(pid)]):
            break
        await asyncio.sleep(0.05)
    return pids


async def test_data_and_addresses_outlive_a_restart(data_dir: Path) -> None:
    servers = EmbeddedServers(data_dir, durable=False)
    first = await servers.start()
    await query(first, "create table kept as select 7 as n")
    await servers.stop()
    second = await servers.start()
    assert second == first
    assert await query(second, "select n from kept") == 7
    await servers.stop()


async def test_the_bucket_takes_objects_and_answers_browsers(servers: Endpoints) -> None:
    session = get_session()
    async with session.create_client(
        "s3",
        endpoint_url=servers.s3_endpoint_url,
        region_name=servers.s3_region,
        aws_access_key_id=servers.s3_access_key,
        aws_secret_access_key=servers.s3_secret_key,
    ) as client:
        await client.put_object(Bucket=servers.s3_bucket, Key="probe", Body=b"fig")
        found = await client.get_object(Bucket=servers.s3_bucket, Key="probe")
        assert await found["Body"].read() == b"fig"
    host, port = servers.s3_endpoint_url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"OPTIONS /{servers.s3_bucket}/x HTTP/1.1\r\nHost: {host}\r\nOrigin: http://shop.test\r\n"
        "Access-Control-Request-Method: PUT\r\nConnection: close\r\n\r\n".encode()
    )
    answer = (await reader.read()).decode().lower()
    writer.close()
    await writer.wait_closed()
    assert "access-control-allow-origin: http://shop.test" in answer


async def test_all_ports_are_private_and_below_the_ephemeral_range(data_dir: Path) -> None:
    servers = EmbeddedServers(data_dir, durable=False)
    await servers.start()
    ports = msgspec.json.decode((data_dir / "ports.json").read_bytes(), type=dict[str, int])
    pids = {str(server.process.pid) for server in servers.running}
    listening = subprocess.run(["ss", "-ltnpH"], capture_output=True, text=True, check=True).stdout
    ours = [line for line in listening.splitlines() if any(f"pid={pid}," in line for pid in pids)]
    await servers.stop()
    assert ours
    assert all(line.split()[3].startswith("127.0.0.1:") for line in ours)
    assert {int(line.split()[3].rpartition(":")[2]) for line in ours} <= set(ports.values())
    assert all(PORT_MIN <= port <= PORT_MAX for port in ports.values())


async def test_secrets_are_readable_by_their_owner_only(data_dir: Path) -> None:
    servers = EmbeddedServers(data_dir, durable=False)
    endpoints = await servers.start()
    await servers.stop()
    assert (data_dir / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert endpoints.s3_secret_key not in repr(endpoints)
    assert endpoints.postgres_dsn not in repr(endpoints)


async def test_a_second_start_in_the_same_folder_names_the_first(data_dir: Path) -> None:
    first = EmbeddedServers(data_dir)
    first.folder.take()
    with pytest.raises(EmbeddedServerError, match=rf"in use .*process {os.getpid()}"):
        await EmbeddedServers(data_dir).start()
    first.folder.release()


async def test_two_folders_run_side_by_side(data_dir: Path) -> None:
    left = EmbeddedServers(data_dir / "left", durable=False)
    right = EmbeddedServers(data_dir / "right", durable=False)
    data_dir.mkdir()
    data_dir.chmod(0o711)  # whatever the umask
    ends = await asyncio.gather(left.start(), right.start())
    assert ends[0].postgres_dsn != ends[1].postgres_dsn
    assert [await query(end, "select 1") for end in ends] == [1, 1]
    await asyncio.gather(left.stop(), right.stop())


async def test_no_server_outlives_a_killed_parent_and_the_next_start_works(data_dir: Path) -> None:
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLD, str(data_dir), stdout=asyncio.subprocess.PIPE
    )
    assert holder.stdout is not None
    pids = [int(word) for word in (await holder.stdout.readline()).split()]
    assert len(pids) == 3
    holder.send_signal(signal.SIGKILL)
    await holder.wait()
    servers = EmbeddedServers(data_dir, durable=False)
    assert await query(await servers.start(), "select 1") == 1
    assert await until_gone(pids) == []
    await servers.stop()


async def test_a_pid_file_whose_number_belongs_to_another_program_is_no_obstacle(
    data_dir: Path,
) -> None:
    servers = EmbeddedServers(data_dir, durable=False)
    await servers.start()
    await servers.stop()
    # This very process: alive, and no PostgreSQL.
    stale = f"{os.getpid()}\n{data_dir / 'postgres'}\n0\n5432\n\n127.0.0.1\n0 0\nready\n"
    (data_dir / "postgres" / "postmaster.pid").write_text(stale)
    assert await query(await servers.start(), "select 1") == 1
    await servers.stop()


async def test_a_port_taken_meanwhile_is_replaced(data_dir: Path) -> None:
    servers = EmbeddedServers(data_dir, durable=False)
    first = await servers.start()
    await servers.stop()
    port = int(first.redis_url.rpartition(":")[2].partition("/")[0])
    with socket.create_server(("127.0.0.1", port)):
        second = await servers.start()
        await servers.stop()
    assert second.redis_url != first.redis_url


async def test_a_killed_server_starts_again_at_the_same_address(data_dir: Path) -> None:
    servers = EmbeddedServers(data_dir, durable=False)
    endpoints = await servers.start()
    for server in servers.running:
        server.kill()
        assert await server.exited() == -signal.SIGKILL
        await server.start()
    assert await query(endpoints, "select 1") == 1
    await servers.stop()


async def test_a_folder_that_cannot_be_made_is_said(data_dir: Path) -> None:
    data_dir.write_text("a file in the way")
    with pytest.raises(EmbeddedServerError, match="cannot write to"):
        await EmbeddedServers(data_dir).start()


async def test_reset_removes_our_data_and_leaves_the_rest(data_dir: Path) -> None:
    servers = EmbeddedServers(data_dir, durable=False)
    await servers.start()
    await servers.stop()
    (data_dir / "diary.txt").write_text("mine")
    await servers.reset()
    assert not (data_dir / "postgres").exists()
    assert not (data_dir / "secrets.json").exists()
    assert (data_dir / "diary.txt").read_text() == "mine"
    servers.folder.release()
