"""Where Redis is, as one setting says it: one server, the master that sentinels name, or a cluster.

redis://[user:password@]host[:6379][/database]
unix://[user:password@]/path/to/socket[?db=database]
redis+sentinel://[user:password@]host[:26379],host[:26379],.../NAME[/database]
redis+cluster://[user:password@]host[:6379],host[:6379],...

With `rediss` in place of `redis` all of it goes over TLS; `?ca_file=` names the authority to trust. User and
password are the servers'; those of the sentinels are `?sentinel_user=` and `?sentinel_password=`.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import msgspec

Kind = Literal["single", "sentinel", "cluster"]

REDIS_PORT: Final = 6379
SENTINEL_PORT: Final = 26379
_KINDS: Final[dict[str, Kind]] = {
    "redis": "single",
    "rediss": "single",
    "unix": "single",
    "redis+sentinel": "sentinel",
    "rediss+sentinel": "sentinel",
    "redis+cluster": "cluster",
    "rediss+cluster": "cluster",
}
_OPTIONS: Final[dict[Kind, frozenset[str]]] = {
    "single": frozenset({"db", "ca_file"}),
    "sentinel": frozenset({"ca_file", "sentinel_user", "sentinel_password"}),
    "cluster": frozenset({"ca_file"}),
}


class RedisUrlError(ValueError):
    """The URL says nothing that can be connected to. The message quotes no secret."""


class Address(NamedTuple):
    """A server's host and port; with port 0 the host is the path of a Unix socket."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}" if self.port else self.host


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """How to introduce oneself. `repr` shows none of it."""

    user: str = ""
    password: str = ""
    tls: bool = False
    ca_file: str | None = None

    def __repr__(self) -> str:
        return "Login(...)"


class RedisUrl(msgspec.Struct, frozen=True, kw_only=True):
    """The parsed setting. `addresses` are sentinels, or some nodes of the cluster, or the one server."""

    kind: Kind
    addresses: tuple[Address, ...]
    login: Login
    database: int = 0
    master_name: str = ""
    sentinel_login: Login = Login()


def parse_redis_url(url: str) -> RedisUrl:
    """Read the setting.

    Raises:
        RedisUrlError: with what is wrong and how it should look.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise RedisUrlError("it is no URL") from None
    kind = _KINDS.get(parts.scheme)
    if kind is None:
        raise RedisUrlError(f"it starts with none of {', '.join(f'{name}://' for name in _KINDS)}")
    options = _options(parts, kind)
    userinfo, _, hosts = parts.netloc.rpartition("@")
    user, _, password = userinfo.partition(":")
    tls = parts.scheme.startswith("rediss")
    ca_file = options.get("ca_file")
    if ca_file and not tls:
        raise RedisUrlError("ca_file needs rediss, which is Redis over TLS")
    login = Login(user=unquote(user), password=unquote(password), tls=tls, ca_file=ca_file)
    if parts.scheme == "unix":
        if hosts or not parts.path:
            raise RedisUrlError("a Unix socket needs three slashes: unix:///path/to/socket")
        return RedisUrl(
            kind=kind,
            addresses=(Address(parts.path, 0),),
            login=login,
            database=_database(options.get("db", "")),
        )
    path = [unquote(part) for part in parts.path.strip("/").split("/") if part]
    if kind == "sentinel":
        return _sentinel(hosts, path, login, options)
    addresses = _addresses(hosts, REDIS_PORT)
    if kind == "single" and len(addresses) > 1:
        raise RedisUrlError(
            "several hosts are a redis+cluster://, or the sentinels of a redis+sentinel://"
        )
    if len(path) > 1:
        raise RedisUrlError("only the number of the database may follow the host")
    database = _database(path[0] if path else options.get("db", ""))
    if kind == "cluster" and database:
        raise RedisUrlError("a cluster has database 0 only")
    return RedisUrl(kind=kind, addresses=addresses, login=login, database=database)


def _sentinel(hosts: str, path: list[str], login: Login, options: dict[str, str]) -> RedisUrl:
    if not 1 <= len(path) <= 2:  # noqa: PLR2004
        raise RedisUrlError(
            "the name that the sentinels give the master must follow them:"
            " redis+sentinel://host,host,host/NAME"
        )
    return RedisUrl(
        kind="sentinel",
        addresses=_addresses(hosts, SENTINEL_PORT),
        login=login,
        database=_database(path[1] if len(path) > 1 else ""),
        master_name=path[0],
        sentinel_login=msgspec.structs.replace(
            login,
            user=options.get("sentinel_user", ""),
            password=options.get("sentinel_password", ""),
        ),
    )


def _options(parts: SplitResult, kind: Kind) -> dict[str, str]:
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    known = _OPTIONS[kind]
    if unknown := sorted(options.keys() - known):
        raise RedisUrlError(
            f"unknown option {unknown[0][:40]}; here it may be {', '.join(sorted(known))}"
        )
    return options


def _addresses(hosts: str, default_port: int) -> tuple[Address, ...]:
    return tuple(_address(text, default_port) for text in hosts.split(","))


def _address(text: str, default_port: int) -> Address:
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, str(default_port)
    host = host.removeprefix("[").removesuffix("]")
    if not host:
        raise RedisUrlError("a host is missing")
    if not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65535:  # noqa: PLR2004
        raise RedisUrlError("a port is not a number from 1 to 65535")
    return Address(host, int(port))


def _database(text: str) -> int:
    if text and not (text.isascii() and text.isdigit()):
        raise RedisUrlError("the database is not a number")
    return int(text or 0)
