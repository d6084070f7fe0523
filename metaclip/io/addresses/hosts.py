"""Which addresses lie in private networks: this machine, its link, a cloud's metadata, a company's own servers."""

import ipaddress
import socket
import urllib.parse
from functools import lru_cache


def is_private(address: str) -> bool:
    """Return whether the host of an http(s) address is not on the public internet.

    A name counts as what it resolves to; a name that does not resolve will fail anyway.
    """
    try:
        host = urllib.parse.urlsplit(address).hostname
    except ValueError:
        return False
    return host is not None and _is_private_host(host)


@lru_cache(maxsize=4096)
def _is_private_host(host: str) -> bool:
    if host == "localhost" or host.endswith((".localhost", ".local", ".internal")):
        return True
    try:
        found = {host.partition("%")[0]} if _is_literal(host) else _resolved(host)
    except OSError:
        return False
    return any(not ipaddress.ip_address(one.partition("%")[0]).is_global for one in found)


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _resolved(host: str) -> set[str]:
    # Also the other spellings of addresses that the system takes, such as 0x7f.1 and 2130706433.
    return {str(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
