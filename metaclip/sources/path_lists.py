"""Lists of paths, one a line, as Common Crawl publishes them: read in bounded memory, and trusted as far as they go.

A list on this machine may name whatever its user may. One from a server names files of servers only: a line must not
make this machine read its own files, or those of its own network.
"""

import os
import re
import time
from collections.abc import Iterator

from metaclip.archive.damaged_members import Break, read_members
from metaclip.errors import InputError
from metaclip.io.addresses.credentials import hide, redact, reveal
from metaclip.io.addresses.hosts import is_private
from metaclip.io.inputs import ListedFile, local_path
from metaclip.io.streams import open_stream, scheme
from metaclip.sources.common_crawl import COMMON_CRAWL

PATH_LIST = re.compile(r"\.paths(\.gz)?$")
_MOST_BYTES = 256 << 20
"""A list of a million files takes half of it."""
_MOST_SECONDS = 600
_LONGEST_LINE = 8192
_WEB = ("http", "https")


def read_list(location: str, base: str | None, *, allow_private: bool) -> Iterator[ListedFile]:
    """Yield the files that a list of paths names.

    Args:
        location: the list's address.
        base: what its relative lines come after; by default its own folder or server.
        allow_private: whether a list from a server may name hosts of a private network.

    Raises:
        InputError: it is no list of paths, has no end, or names what it may not.
        TransportError: its server cannot be reached now.
    """
    trusted = allow_private or scheme(location) not in _WEB or is_private(location)
    for line in _lines(location):
        path = line.strip()
        if path.startswith("<"):
            raise InputError(f"{location}: holds markup ({path[:60]}), not paths: an error page saved as a list")
        if not path:
            continue
        if scheme(location):
            _check(path, location, base)
        address = hide(_resolve(path, reveal(location), reveal(base) if base else None))
        if not trusted and scheme(address) in _WEB and is_private(address):
            raise InputError(
                f"{location}: names {redact(path)[:200]}, which is in a private network; if the list may, set"
                " source.allow_private: true"
            )
        yield ListedFile(address, "name")


def _check(line: str, location: str, base: str | None) -> None:
    """Check that a line of a list from a server names a file of servers.

    Raises:
        InputError: it does not.
    """
    kind = scheme(line)
    allowed = (*_WEB, scheme(location), scheme(base or ""))
    local_base = base is not None and not scheme(base)
    shown = redact(line)[:200]
    if (kind and kind not in allowed) or line.startswith(("/", "~", "\\")) or kind == "file":
        raise InputError(
            f"{location}: names {shown}, which is not on a web server; a list from a server may not name files of"
            " this machine or of other stores. If you trust it, download it and name the copy"
        )
    if local_base and ".." in re.split(r"[/\\]", line):
        raise InputError(f"{location}: names {shown}, which leads out of source.base; download and check the list")


def _lines(location: str) -> Iterator[str]:
    rest, size = bytearray(), 0
    until = time.monotonic() + _MOST_SECONDS
    with open_stream(location) as stream:
        for event in read_members(stream, 0):
            if isinstance(event, Break):
                raise InputError(f"{location}: not a list of paths: {event.reason}; download it anew")
            if not isinstance(event, bytes):
                continue
            size += len(event)
            *whole, last = (rest + event).split(b"\n")
            rest[:] = last
            yield from (_decoded(bytes(line), location) for line in whole)
            if len(rest) > _LONGEST_LINE or size > _MOST_BYTES or time.monotonic() > until:
                raise InputError(
                    f"{location}: not a list of paths: it has no end within {_MOST_BYTES >> 20} MB and"
                    f" {_MOST_SECONDS} s, or a line of more than {_LONGEST_LINE:,} bytes; download it anew"
                )
    yield _decoded(bytes(rest), location)


def _decoded(line: bytes, location: str) -> str:
    try:
        return line.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{location}: not a list of paths: {error}; download it anew") from error


def _resolve(line: str, location: str, base: str | None) -> str:
    if scheme(line) == "file":
        return local_path(line)
    if scheme(line):
        return line
    if line.startswith("/"):
        return os.path.normpath(line)
    if base:
        address = f"{base.rstrip('/')}/{line}"
        return address if scheme(base) else local_path(address)
    folder = location.split("?")[0].rpartition("/")[0] + "/"
    if not line.startswith("crawl-data/"):
        return folder + line if scheme(location) else local_path(folder + line)
    if not scheme(location):
        return COMMON_CRAWL + line
    return (location.partition("crawl-data/")[0] if "crawl-data/" in location else folder) + line
