"""The bytes of one picture from its address, or the reason why there are none."""

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, NamedTuple

import aiohttp
from yarl import URL

from metaclip.images.download.care import Care
from metaclip.images.download.guard import INNER, guarded_sockets
from metaclip.images.download.opt_out import OPTED_OUT, is_opted_out
from metaclip.images.download.origins import Host, Hosts, Told
from metaclip.images.download.robots import MOST_BYTES, Rules, parse_robots

REDIRECTS = 5
NO_IMAGE = "not an image"
"""How the reason of a body that is none begins."""
_REDIRECTING = frozenset({301, 302, 303, 307, 308})
_LARGE_BYTES = 4 << 20
"""Bodies beyond it are read a few at a time, so that all together stay within memory."""
_LARGE_AT_ONCE = 4
_PIECE = 64 << 10
_BEGINNING = 16
"""Bytes by which a picture is known."""
_IDLE_SECONDS = 5.0

_MAGIC = (
    *(
        b"\xff\xd8\xff",
        b"\x89PNG",
        b"GIF8",
        b"BM",
        b"II*\0",
        b"MM\0*",
        b"\0\0\1\0",
        b"\0\0\0\x0cjP",
        b"\xff\x4f\xff\x51",
    ),
    *(b"P%d" % kind for kind in range(1, 7)),
)
_TYPES = frozenset(
    {
        *("text/html", "text/plain", "text/xml", "application/xml", "application/json", "application/pdf"),
        *("image/svg+xml", "image/jpeg", "image/png", "image/gif", "image/webp", "application/octet-stream"),
    }
)
"""Those that a reason names; servers make up others without end."""


class Fetched(NamedTuple):
    """A body, or the reason why there is none."""

    body: bytes | None
    reason: str = ""


class _FetchError(Exception):
    """A request without a picture; `passes` where the same request may do better later."""

    def __init__(self, reason: str, *, passes: bool = False, after: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.passes = passes
        self.after = after


class Fetcher:
    """Fetches pictures within the bounds of `care`, as a context manager of one event loop."""

    def __init__(self, care: Care) -> None:
        self._care = care
        self._hosts = Hosts(care.host_connections)
        self._connections = asyncio.Semaphore(care.connections)
        self._large = asyncio.Semaphore(_LARGE_AT_ONCE)
        self.room = asyncio.Event()
        """Cleared by who takes the bodies, while too many wait for it."""
        self.room.set()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> "Fetcher":
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=self._care.timeout, sock_read=self._care.timeout)
        connector = aiohttp.TCPConnector(
            limit=0,
            keepalive_timeout=_IDLE_SECONDS,
            socket_factory=guarded_sockets(allow_loopback=self._care.allow_loopback),
        )
        self._session = await self._stack.enter_async_context(
            aiohttp.ClientSession(
                connector=connector,
                timeout=timeout,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,  # what is small on its way may be endless unpacked
                # No `br` or `gzip`: a picture is compressed already.
                headers={"User-Agent": self._care.user_agent, "Accept-Encoding": "identity", "Accept": "image/*,*/*"},
            )
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def fetch(self, address: str) -> Fetched:
        """Return the picture at an address, redirects followed, each of them under the rules of its own server."""
        failures = 0
        while True:
            try:
                return Fetched(await self._follow(address))
            except _FetchError as error:
                failures += 1
                if not error.passes or failures > self._care.retries:
                    return Fetched(None, error.reason)

    async def _follow(self, address: str) -> bytes:
        url, seen = _parsed(address), set[URL]()
        left = self._care.max_seconds
        for _ in range(REDIRECTS + 1):
            seen.add(url)
            host = self._hosts.of(url)
            told = await host.rules(_origin(url), partial(self._robots, url, host))
            if told.reason:
                raise _FetchError(told.reason)
            if not told.rules.allow(url.raw_path_qs):
                raise _FetchError("robots.txt: disallowed")
            async with self._asking(host):
                start = time.monotonic()
                found = await self._timed(self._picture(url), left, host)
                left -= time.monotonic() - start
            if isinstance(found, bytes):
                return found
            if found in seen:
                raise _FetchError("redirect loop")
            url = found
        raise _FetchError("too many redirects")

    @asynccontextmanager
    async def _asking(self, host: Host) -> AsyncIterator[None]:
        """Hold one of the host's connections and one of all."""
        async with host.slots:
            await host.wait()
            if host.is_given_up:
                raise _FetchError("host given up")
            async with self._connections:
                await self.room.wait()
                yield

    async def _timed(self, request: Coroutine[Any, Any, bytes | URL], seconds: float, host: Host) -> bytes | URL:
        """Await a request for so long, and note whether the host answered."""
        try:
            async with asyncio.timeout(max(seconds, 0.0)):
                found = await request
        except _FetchError as error:
            host.failures = host.failures + 1 if error.passes else 0
            if error.passes:
                host.pause(error.after, host.failures)
            raise
        except Exception as error:
            reason = _reason(error)
            host.failures += 1
            raise _FetchError(reason, passes=reason in _PASSING) from error
        host.failures = 0
        return found

    async def _picture(self, url: URL) -> bytes | URL:
        """Return the body of an address, or where it redirects to."""
        async with self._session.get(url, allow_redirects=False) as response:
            if response.status in _REDIRECTING:
                return _target(url, response)
            if response.status != 200:
                passes = response.status == 429 or response.status >= 500
                raise _FetchError(f"http {response.status}", passes=passes, after=response.headers.get("Retry-After"))
            if is_opted_out(response.headers.getall("X-Robots-Tag", []), self._care.token):
                raise _FetchError(OPTED_OUT)
            if (response.content_length or 0) > self._care.max_bytes:
                raise _FetchError("too many bytes")
            return await self._body(response)

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        pieces: list[bytes] = []
        size = 0
        known = False
        async with AsyncExitStack() as held:
            async for piece in response.content.iter_chunked(_PIECE):
                pieces.append(piece)
                size += len(piece)
                if not known and size >= _BEGINNING:
                    known = True
                    _require_picture(b"".join(pieces), response.content_type)
                if size > self._care.max_bytes:
                    raise _FetchError("too many bytes")
                if size > _LARGE_BYTES >= size - len(piece):
                    await held.enter_async_context(self._large)
        if not known:
            _require_picture(b"".join(pieces), response.content_type)
        return b"".join(pieces)

    async def _robots(self, url: URL, host: Host) -> Told:
        """Return what the robots.txt of an address's server says (RFC 9309, section 2.3.1)."""
        failures = 0
        while True:
            try:
                return await self._read_robots(url.origin() / "robots.txt", host)
            except _FetchError as error:
                failures += 1
                if not error.passes or failures > self._care.retries:
                    # Who was not reached at all has told nothing about robots.
                    unreached = error.reason in _UNREACHED
                    return Told(Rules(), error.reason if unreached else f"robots.txt: {error.reason}")

    async def _read_robots(self, url: URL, host: Host) -> Told:
        for _ in range(REDIRECTS + 1):
            async with self._asking(host):
                found = await self._timed(self._robots_body(url), self._care.max_seconds, host)
            if isinstance(found, bytes):
                return Told(parse_robots(found, self._care.token))
            url = found
            host = self._hosts.of(url)
        return Told(Rules())  # as if there were none

    async def _robots_body(self, url: URL) -> bytes | URL:
        async with self._session.get(url, allow_redirects=False) as response:
            if response.status in _REDIRECTING:
                return _target(url, response)
            if response.status == 429 or response.status >= 500:
                after = response.headers.get("Retry-After")
                raise _FetchError(f"http {response.status}", passes=True, after=after)
            if response.status >= 300:
                return b""
            content = b""
            async for piece in response.content.iter_chunked(_PIECE):
                content += piece
                if len(content) >= MOST_BYTES:
                    break
            return content


def _parsed(address: str) -> URL:
    """Return an address as it will be sent: as it is where it can be, else with what must be quoted quoted.

    Raises:
        _FetchError: it is no http(s) address.
    """
    try:
        url = URL(address, encoded=address.isascii() and address.isprintable() and " " not in address)
        is_web = url.scheme in ("http", "https") and bool(url.host) and url.port is not None
    except ValueError:
        is_web = False
    if not is_web:
        raise _FetchError("not an address")
    return url.with_fragment(None).with_user(None)


def _target(url: URL, response: aiohttp.ClientResponse) -> URL:
    location = response.headers.get("Location", "")
    try:
        target = url.join(URL(location))
    except ValueError as error:
        raise _FetchError("bad redirect") from error
    if not location:
        raise _FetchError("bad redirect")
    return _parsed(str(target))


def _origin(url: URL) -> str:
    return f"{url.scheme}:{url.port}"


def _require_picture(beginning: bytes, content_type: str) -> None:
    """Look at the first bytes, so that a page, or a stream without end, is not read to its end.

    Raises:
        _FetchError: they begin no picture; an empty body is let pass, and is `empty` later.
    """
    is_box = beginning[4:8] == b"ftyp" or (beginning[:4] == b"RIFF" and beginning[8:12] == b"WEBP")
    if beginning and not beginning.startswith(_MAGIC) and not is_box:
        stated = content_type.lower()
        raise _FetchError(f"{NO_IMAGE}: {stated if stated in _TYPES else 'another content type'}")


_UNREACHED = frozenset({"dns", "connect", "tls", INNER, "not an address", "host given up"})
_PASSING = frozenset({"dns", "connect", "time", "cut short"})


def _reason(error: Exception) -> str:
    """Return the word for a failed request."""
    if INNER in str(error):
        return INNER
    if isinstance(error, aiohttp.InvalidURL):
        return "not an address"
    if isinstance(error, TimeoutError):
        return "time"
    if isinstance(error, (aiohttp.ClientConnectorDNSError, socket.gaierror)):
        return "dns"
    if isinstance(error, (aiohttp.ClientSSLError, ssl.SSLError)):
        return "tls"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "connect"
    if isinstance(error, (aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError, ConnectionError)):
        return "cut short"
    return "bad answer"
