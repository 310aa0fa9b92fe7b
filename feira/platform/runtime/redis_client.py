"""redis-py's client for the small things (presence, doorbell, queue), wherever Redis is.

Each connection finds its server anew when it is opened, so that it follows failovers and migrations. On a cluster all
keys of a client lie in one slot, its home: name them with the home's hash tag, and the client is the same as ever.
"""

from __future__ import annotations

from typing import Any, Final, cast

from redis.asyncio import Redis
from redis.asyncio.connection import (
    BlockingConnectionPool,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError, ResponseError

from feira.platform.runtime.cluster_map import slot_of
from feira.platform.runtime.redis_topology import Topology, topology_of
from feira.platform.runtime.redis_url import Login, parse_redis_url

CONNECTIONS_MAX: Final = 16


class MovedElsewhereError(RedisConnectionError):
    """This server is not, or no longer, the one to talk to; it carried nothing out."""


class FollowingConnection(Connection):
    """Looks its server up whenever it connects, and leaves one that says it is not the one."""

    def __init__(self, *, topology: Topology, home_slot: int, **options: Any) -> None:  # noqa: ANN401
        super().__init__(**options)
        self._topology = topology
        self._home_slot = home_slot

    async def connect(self) -> None:
        if not self.is_connected:
            try:
                [owner] = await self._topology.owners([self._home_slot])
            except OSError as error:
                raise RedisConnectionError(str(error)) from error
            if owner is None:
                raise RedisConnectionError(f"nobody serves slot {self._home_slot}")
            self.host, self.port = owner
        await super().connect()

    async def read_response(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - as inherited
        try:
            return cast("Any", await super().read_response(*args, **options))
        except ResponseError as error:
            if not isinstance(error, ReadOnlyError) and not str(error).startswith("MOVED "):
                raise
            # As a lost connection, so that whole pipelines are sent again, to the right one.
            await self.disconnect(nowait=True)
            raise MovedElsewhereError(str(error)) from None


class FollowingSSLConnection(FollowingConnection, SSLConnection):
    """The same over TLS."""


def open_redis(redis_url: str, *, home: str, timeout_s: float) -> Redis:
    """A client that connects when it is used; close it with `aclose`. See `redis_pool`."""
    return Redis.from_pool(redis_pool(redis_url, home=home, timeout_s=timeout_s))


def redis_pool(
    redis_url: str, *, home: str, timeout_s: float, connections_max: int = CONNECTIONS_MAX
) -> BlockingConnectionPool:
    """A pool that connects when it is used. `home` is the hash tag that the keys carry, braces and all.

    Whoever finds every connection lent waits for `timeout_s`, which is also the limit of each answer.

    Raises:
        RedisUrlError: the URL is wrong.
    """
    url = parse_redis_url(redis_url)
    options: dict[str, Any] = {
        "max_connections": connections_max,
        "timeout": timeout_s,
        "socket_timeout": timeout_s,
        "db": url.database,
        **_credentials(url.login),
    }
    address = url.addresses[0]
    if not address.port:
        return BlockingConnectionPool(
            connection_class=UnixDomainSocketConnection, path=address.host, **options
        )
    return BlockingConnectionPool(
        connection_class=FollowingSSLConnection if url.login.tls else FollowingConnection,
        socket_connect_timeout=timeout_s,
        topology=topology_of(redis_url),
        home_slot=slot_of(home),
        retry=Retry(NoBackoff(), 1),
        retry_on_error=[MovedElsewhereError],
        **options,
    )


def _credentials(login: Login) -> dict[str, str | bool]:
    given: dict[str, str | bool] = {}
    if login.password:
        given["password"] = login.password
    if login.user:
        given["username"] = login.user
    if login.tls:
        given["ssl_check_hostname"] = True
        if login.ca_file:
            given["ssl_ca_certs"] = login.ca_file
    return given
