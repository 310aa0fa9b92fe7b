"""The data folder: who holds it, what lies where, and its secrets.

lock            held while a process uses the folder; holds its pid
secrets.json    mode 0600; random, made once
ports.json      the ports used last
postgres/ s3/   the servers' data (Valkey keeps none)
logs/           one file for each server
"""

import fcntl
import os
import secrets
import shutil
from pathlib import Path

import msgspec

from feira.platform.runtime.embedded.errors import EmbeddedServerError

_FREE_BYTES_MIN = 200 * 1024 * 1024


class FolderSecrets(msgspec.Struct, frozen=True, kw_only=True):
    """Random for each data folder. `repr` shows none of them."""

    postgres_password: str
    s3_access_key: str
    s3_secret_key: str

    def __repr__(self) -> str:
        return "FolderSecrets(...)"


class DataFolder:
    """Held by one process at a time; the kernel lets go of it when that process dies."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._lock_fd: int | None = None

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    def take(self) -> None:
        """Create the folder where missing and hold it.

        Raises:
            EmbeddedServerError: it cannot be written, its disk is full, or another process holds it.
        """
        if self._lock_fd is not None:
            return
        lock_fd = self._open_lock()
        try:
            fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(lock_fd, 20, 0).decode(errors="replace").strip() or "unknown"
            os.close(lock_fd)
            message = (
                f"{self.path} is in use by another Feira (process {holder}). "
                "Stop that one, or choose another folder with --data-dir"
            )
            raise EmbeddedServerError(message) from None
        os.ftruncate(lock_fd, 0)
        os.pwrite(lock_fd, f"{os.getpid()}\n".encode(), 0)
        self._lock_fd = lock_fd
        free_bytes = shutil.disk_usage(self.path).free
        if free_bytes < _FREE_BYTES_MIN:
            self.release()
            message = (
                f"the disk of {self.path} has {free_bytes // 2**20} MiB left and the servers need "
                f"{_FREE_BYTES_MIN // 2**20}. Make room, or choose another folder"
            )
            raise EmbeddedServerError(message)

    def release(self) -> None:
        """Let the next process have it."""
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None

    def secrets(self) -> FolderSecrets:
        """Read, or made on first use."""
        file = self.path / "secrets.json"
        try:
            return msgspec.json.decode(file.read_bytes(), type=FolderSecrets)
        except FileNotFoundError:
            made = FolderSecrets(
                postgres_password=secrets.token_hex(16),
                s3_access_key=secrets.token_hex(10),
                s3_secret_key=secrets.token_hex(20),
            )
            write_private(file, msgspec.json.encode(made))
            return made
        except msgspec.MsgspecError:
            message = f"{file} is damaged. Start over with `feira up --reset`"
            raise EmbeddedServerError(message) from None

    def remove_data(self) -> None:
        """Remove what the servers and `feira up` wrote here, and nothing else: the folder may be a home."""
        for name in ("postgres", "postgres.new", "s3", "logs", "keys", "mail"):
            path = self.path / name
            if path.is_symlink():
                shutil.rmtree(path.resolve(), ignore_errors=True)
                path.unlink()
            elif path.exists():
                shutil.rmtree(path)
        for name in ("ports.json", "secrets.json", "node-secrets.json", "demo.json", "seeded"):
            (self.path / name).unlink(missing_ok=True)

    def _open_lock(self) -> int:
        try:
            if not self.path.is_dir():
                self.path.mkdir(parents=True, exist_ok=True)
                # Another user's PostgreSQL may pass through to its own folder, and list nothing.
                # Not as mkdir's mode: a umask of 077 would take the bit away.
                self.path.chmod(0o711)
            return os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            message = (
                f"cannot write to {self.path}: {error.strerror}. "
                "Choose another folder with --data-dir"
            )
            raise EmbeddedServerError(message) from error


def write_private(file: Path, content: bytes) -> None:
    """Only its owner may read it, from the first byte on; a crash leaves the old file or the new one."""
    unfinished = file.with_name(f"{file.name}.new")
    unfinished.unlink(missing_ok=True)
    fd = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "wb") as opened:
        opened.write(content)
    unfinished.replace(file)
