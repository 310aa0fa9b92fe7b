"""SeaweedFS as an S3 server: `weed mini`, all its parts in one process on loopback.

Its gateway answers browsers' cross-origin requests itself, so presigned uploads work without a bucket rule.
"""

import re
from pathlib import Path

import msgspec

from feira.platform.runtime.embedded.binaries import weed
from feira.platform.runtime.embedded.folder import DataFolder, write_private
from feira.platform.runtime.embedded.ports import PortBook, is_free
from feira.platform.runtime.embedded.probe import exchange, until_ready
from feira.platform.runtime.embedded.process import ServerProcess

REGION = "us-east-1"
BUCKET = "feira"
_READY_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 5.0
_PARTS = ("master", "volume", "filer", "s3", "admin")
_OK = re.compile(rb"HTTP/1\.[01] 2\d\d ")


class S3Server:
    """`start` again after `stop` or a crash serves the same objects on the same port."""

    name = "s3"

    def __init__(self, folder: DataFolder, ports: PortBook) -> None:
        self._folder = folder
        self._ports = ports
        self._data = folder.path / "s3"
        self._numbers: dict[str, int] = {}
        self.process = ServerProcess(self.name, folder.logs / "s3.log")

    @property
    def endpoint_url(self) -> str:
        return f"http://127.0.0.1:{self._numbers['s3']}"

    async def start(self) -> None:
        """Return when the bucket takes an object.

        Raises:
            EmbeddedServerError: with what is in the way.
        """
        self._data.mkdir(mode=0o700, exist_ok=True)
        for part in _PARTS:
            for kind in ("", "-grpc"):
                name = part + kind
                if name not in self._numbers:  # after a crash the same ports again
                    self._numbers[name] = self._ports.claim(f"s3-{name}")
        # A killed run left them; the ports are free, so nobody listens there.
        self._remove_sockets()
        identities = self._data / "identities.json"
        write_private(identities, self._identities())
        # HOME and the working directory: weed looks for settings in both.
        self.process.spawn(
            [str(weed()), "-logtostderr=true", "mini", *self._options(identities)],
            cwd=self._data,
            env={"HOME": str(self._data), "PATH": "/usr/bin:/bin", "TMPDIR": str(self._data)},
        )
        await until_ready(self.process, self._is_ready, _READY_TIMEOUT_S)

    async def exited(self) -> int:
        return await self.process.exited()

    def kill(self) -> None:
        self.process.kill()

    def lost_port(self) -> bool:
        """Whether somebody else took a port; then the next `start` chooses others."""
        taken = [name for name, port in self._numbers.items() if not is_free(port)]
        for name in taken:
            self._ports.forget(f"s3-{name}")
            del self._numbers[name]
        return bool(taken)

    async def stop(self) -> None:
        await self.process.stop(_STOP_TIMEOUT_S)
        self._remove_sockets()

    def _identities(self) -> bytes:
        secrets = self._folder.secrets()
        key = {"accessKey": secrets.s3_access_key, "secretKey": secrets.s3_secret_key}
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        identity = {"name": "feira", "credentials": [key], "actions": actions}
        return msgspec.json.encode({"identities": [identity]})

    def _options(self, identities: Path) -> list[str]:
        ports: list[str] = []
        for part in _PARTS:
            ports.append(f"-{part}.port={self._numbers[part]}")
            ports.append(f"-{part}.port.grpc={self._numbers[f'{part}-grpc']}")
        return [
            f"-dir={self._data}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            *ports,
            # It reports statistics to its makers unless told otherwise.
            "-master.telemetry=false",
            "-master.volumePreallocate=false",
            "-master.volumeSizeLimitMB=128",
            f"-bucket={BUCKET}",
            f"-s3.config={identities}",
            "-s3.autoCreateBucket=false",
            "-s3.iam=false",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-admin.ui=false",
            "-webdav=false",
        ]

    async def _is_ready(self) -> bool:
        # The gateway and the bucket come up last; an object through the filer proves volumes and master.
        gateway = await exchange("127.0.0.1", self._numbers["s3"], _request("GET", "/healthz"))
        if not _OK.match(gateway):
            return False
        filer = self._numbers["filer"]
        bucket = await exchange("127.0.0.1", filer, _request("GET", f"/buckets/{BUCKET}/"))
        if not _OK.match(bucket):
            return False
        written = await exchange("127.0.0.1", filer, _request("PUT", "/feira-ready", b"1"))
        return _OK.match(written) is not None

    def _remove_sockets(self) -> None:
        """Unlink what weed leaves in /tmp; the port in the name makes it ours."""
        for part, port in self._numbers.items():
            kind = part.removesuffix("-grpc")
            Path(f"/tmp/seaweedfs-{kind}-grpc-{port}.sock").unlink(missing_ok=True)  # noqa: S108
            Path(f"/tmp/seaweedfs-{kind}-{port}.sock").unlink(missing_ok=True)  # noqa: S108


def _request(method: str, path: str, body: bytes = b"") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Accept: application/json\r\nConnection: close\r\n\r\n".encode() + body
