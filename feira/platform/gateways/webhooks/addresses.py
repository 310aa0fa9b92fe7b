"""Which addresses a connection to a receiver may be made to: the public Internet's, and no others.

Whoever names a receiver must not reach what only our machines reach: this machine, its network, a cloud's metadata
service. It is checked on the very address that a socket is opened to, so that a name that leads elsewhere by then
(DNS rebinding) is no way around.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Any, Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# The registries of special-purpose addresses (RFC 6890 and its updates), spelled out: what `is_global` makes of them
# changed between versions of Python, and multicast is global to it.
_REFUSED: Final = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
# Of IPv6 only global unicast is public; within it, what is documentation or carries an IPv4 address is not.
_GLOBAL_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
_REFUSED_IPV6: Final = tuple(
    ipaddress.IPv6Network(network)
    for network in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
)


_LOOPBACK: Final = (ipaddress.IPv4Network("127.0.0.0/8"), ipaddress.IPv6Network("::1/128"))


class ForbiddenAddress(OSError):
    """The connection would go to an address that is not public."""


def is_public(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _REFUSED)
    return address in _GLOBAL_UNICAST and not any(address in network for network in _REFUSED_IPV6)


def is_allowed(address: Address, *, to_loopback: bool) -> bool:
    """Whether a receiver may be there; `to_loopback` adds this machine itself, for development."""
    return is_public(address) or (to_loopback and any(address in network for network in _LOOPBACK))


def open_socket(info: tuple[Any, ...], *, to_loopback: bool) -> socket.socket:
    """Make the socket for one of a name's addresses, as `getaddrinfo` gives them.

    Raises:
        ForbiddenAddress: not for this one.
    """
    family, kind, protocol, _, place = info
    # A scope (fe80::1%eth0) belongs to link-local addresses only, and is no part of the address.
    address = ipaddress.ip_address(str(place[0]).partition("%")[0])
    if not is_allowed(address, to_loopback=to_loopback):
        raise ForbiddenAddress("not a public address")
    return socket.socket(family, kind, protocol)
