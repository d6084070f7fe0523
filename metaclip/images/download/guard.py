"""Addresses that a server must not lead a download to: this machine, its networks, a cloud's metadata.

A name may resolve to another address each time it is asked for, so what counts is the address that is connected to.
"""

import errno
import ipaddress
import socket
from collections.abc import Callable
from typing import Any

INNER = "inner address"

_LOOPBACK = ipaddress.ip_network("127.0.0.0/8")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class InnerAddressError(OSError):
    """A connection that was not made, since it would lead to a network that is not public."""


def is_inner(address: str) -> bool:
    """Return whether an IP address is not one of the public internet, by itself or by the one that it wraps."""
    found: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        if found in _NAT64:
            found = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        else:
            found = found.ipv4_mapped or found.sixtofour or found
    return not found.is_global or found.is_multicast


def guarded_sockets(*, allow_loopback: bool = False) -> Callable[[Any], socket.socket]:
    """Return a maker of sockets, as aiohttp takes it, that makes none for an inner address.

    It is called with each address just before that is connected to.

    Args:
        allow_loopback: let 127.0.0.0/8 pass, where tests have their servers.
    """

    def make(info: Any) -> socket.socket:
        family, kind, protocol, _, place = info
        address = str(place[0])
        is_own = family == socket.AF_INET and ipaddress.ip_address(address) in _LOOPBACK
        if is_inner(address) and not (allow_loopback and is_own):
            raise InnerAddressError(errno.EPERM, INNER)
        return socket.socket(family, kind, protocol)

    return make
