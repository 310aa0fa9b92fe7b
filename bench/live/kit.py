"""What measuring needs and this environment lacks: a compiler's output, and peers from the registries, in a cache."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
_LOAD: Final = HERE / "load"
_INSTALL_TIMEOUT_S: Final = 600.0


class Unobtainable(Exception):
    """A peer cannot be measured here; the message says why."""


class Kit:
    """A cache folder. What is in it already is not fetched again; delete it to start over."""

    def __init__(self, folder: Path) -> None:
        self.folder: Final = folder
        folder.mkdir(parents=True, exist_ok=True)

    async def load_client(self) -> Path:
        """Compile the load client."""
        return await self.compiled("load", sorted(_LOAD.glob("*.c")))

    async def compiled(self, name: str, sources: Sequence[Path]) -> Path:
        """Compile a C program, once for each state of its sources.

        Raises:
            Unobtainable: there is no compiler.
        """
        known = hashlib.sha256(
            b"".join(file.read_bytes() for file in (*sources, *sorted(_LOAD.glob("*.h"))))
        )
        binary = self.folder / f"{name}-{known.hexdigest()[:16]}"
        if not binary.exists():
            beside = binary.with_suffix(f".{os.getpid()}")
            await self._require_compiler()
            await run("cc", "-O2", "-Wall", "-Wextra", f"-I{_LOAD}", "-o", beside, *sources)
            beside.rename(binary)
        return binary

    async def python_with(self, name: str, requirements: Sequence[str]) -> Path:
        """A virtual environment of its own with these packages; returns its interpreter."""
        folder = self.folder / f"python-{name}-{_digest(requirements)}"
        python = folder / "bin" / "python"
        if not folder.exists():
            beside = folder.with_suffix(".new")
            shutil.rmtree(beside, ignore_errors=True)
            try:
                await run(sys.executable, "-m", "venv", beside)
                pip = (beside / "bin" / "python", "-m", "pip", "install", "--quiet")
                await run(*pip, "--disable-pip-version-check", *requirements)
            except RuntimeError as error:
                raise Unobtainable(f"pip: {_last_line(error)}") from None
            beside.rename(folder)
        return python

    async def node_modules(self, name: str, packages: Sequence[str]) -> Path:
        """A folder with npm packages, from which node resolves them."""
        for tool in ("node", "npm"):
            if shutil.which(tool) is None:
                raise Unobtainable(f"no {tool} on PATH")
        folder = self.folder / f"node-{name}-{_digest(packages)}"
        if not folder.exists():
            beside = folder.with_suffix(".new")
            shutil.rmtree(beside, ignore_errors=True)
            beside.mkdir()
            options = ("--no-audit", "--no-fund", "--silent", "--prefix", beside)
            try:
                await run("npm", "install", *options, *packages)
            except RuntimeError as error:
                raise Unobtainable(f"npm: {_last_line(error)}") from None
            beside.rename(folder)
        return folder

    async def debian_root(self, name: str, packages: Sequence[str]) -> Path:
        """A folder with Debian packages unpacked, and with what of their dependencies this machine lacks.

        Nothing is installed: no service starts, no user is made, and no root is needed.
        """
        for tool in ("apt-get", "dpkg-deb"):
            if shutil.which(tool) is None:
                raise Unobtainable(f"no {tool} on PATH: not a Debian")
        folder = self.folder / f"debian-{name}-{_digest(packages)}"
        if not folder.exists():
            beside = folder.with_suffix(".new")
            shutil.rmtree(beside, ignore_errors=True)
            archives = beside / "archives"
            archives.mkdir(parents=True)
            try:
                await run("apt-get", "download", *await _missing(packages), cwd=archives)
                for archive in sorted(archives.glob("*.deb")):
                    await run("dpkg-deb", "--extract", archive, beside)
            except RuntimeError as error:
                raise Unobtainable(f"apt-get: {_last_line(error)}") from None
            shutil.rmtree(archives)
            beside.rename(folder)
        return folder

    async def _require_compiler(self) -> None:
        if shutil.which("cc") is None:
            if os.geteuid() != 0 or shutil.which("apt-get") is None:
                raise Unobtainable("no C compiler on PATH (cc)")
            await run("apt-get", "install", "--yes", "--quiet", "gcc", "libc6-dev")


async def run(*argv: str | Path, cwd: Path | None = None) -> str:
    """Run a command to its end; returns what it printed.

    Raises:
        RuntimeError: it failed; with its output.
    """
    process = await asyncio.create_subprocess_exec(
        *argv, cwd=cwd, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(_INSTALL_TIMEOUT_S):
        output, _ = await process.communicate()
    text = output.decode(errors="replace")
    if process.returncode != 0:
        raise RuntimeError(f"{argv[0]} ended with exit code {process.returncode}:\n{text}")
    return text


async def _missing(packages: Sequence[str]) -> list[str]:
    """What installing these packages would install, by a rehearsal."""
    rehearsal = ("apt-get", "--simulate", "--no-install-recommends", "install", *packages)
    try:
        plan = await run(*rehearsal)
    except RuntimeError:
        if os.geteuid() != 0:
            raise
        # A machine that never asked knows of no packages.
        await run("apt-get", "--quiet", "update")
        plan = await run(*rehearsal)
    return [line.split()[1] for line in plan.splitlines() if line.startswith("Inst ")]


def _digest(words: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:12]


def _last_line(error: RuntimeError) -> str:
    return str(error).strip().splitlines()[-1]
