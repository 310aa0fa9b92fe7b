"""Running pgbench, which comes with the embedded PostgreSQL."""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec

from bench.pgbench_script import Script
from feira.platform.runtime.embedded.binaries import postgres_bin_dir, postgres_user
from feira.sql.database import SESSION_SETTINGS


class PgbenchResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a run came to; `took_ms` has each transaction."""

    transactions: int
    per_second: float
    took_ms: list[float]


async def run_pgbench(
    dsn: str, script: Script, variables: dict[str, int], *, connections: int, duration_s: float
) -> PgbenchResult:
    """Run the script in prepared mode on so many connections, with the session settings of the service's pool.

    One thread, as the service has one; it waits for PostgreSQL nearly all the time.

    Raises:
        RuntimeError: a statement failed, or a client was given up.
    """
    binary = postgres_bin_dir(postgres_user()) / "pgbench"
    with tempfile.TemporaryDirectory(prefix="feira-pgbench-") as folder:
        file = Path(folder) / "checkout.sql"
        file.write_text(script.text, encoding="utf-8")
        given = script.variables | {name: str(value) for name, value in variables.items()}
        process = await asyncio.create_subprocess_exec(
            str(binary),
            "--no-vacuum",
            "--protocol=prepared",
            f"--client={connections}",
            "--jobs=1",
            f"--time={max(1, round(duration_s))}",
            "--log",
            f"--log-prefix={folder}/took",
            f"--file={file}",
            *(f"--define={name}={value}" for name, value in given.items()),
            env=_environment(dsn),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output = (await process.communicate())[0].decode(errors="replace")
        if process.returncode != 0:
            raise RuntimeError(f"pgbench ended with exit code {process.returncode}:\n{output}")
        took_us = await asyncio.to_thread(_read_logs, Path(folder))
    return PgbenchResult(
        transactions=int(_found(r"number of transactions actually processed: (\d+)", output)),
        per_second=float(_found(r"tps = ([\d.]+)", output)),
        took_ms=[took / 1000 for took in took_us],
    )


def _read_logs(folder: Path) -> list[int]:
    """Microseconds of each transaction, the third number of each line."""
    logs = [log.read_text(encoding="utf-8") for log in folder.glob("took.*")]
    return [int(line.split()[2]) for log in logs for line in log.splitlines()]


def _found(pattern: str, output: str) -> str:
    found = re.search(pattern, output)
    if found is None:
        raise RuntimeError(f"pgbench did not say {pattern!r}:\n{output}")
    return found[1]


def _environment(dsn: str) -> dict[str, str]:
    # Not on the command line, which everybody on the machine can read.
    url = urlsplit(dsn)
    settings = {
        name: value for name, value in SESSION_SETTINGS.items() if name != "application_name"
    }
    return {
        "PATH": os.defpath,
        "PGHOST": url.hostname or "",
        "PGPORT": str(url.port),
        "PGUSER": unquote(url.username or ""),
        "PGPASSWORD": unquote(url.password or ""),
        "PGDATABASE": url.path.lstrip("/"),
        "PGAPPNAME": "pgbench",
        "PGOPTIONS": " ".join(f"-c {name}={value}" for name, value in settings.items()),
    }
