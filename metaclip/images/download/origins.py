"""What is known of the servers of a download: their robots.txt, how many ask them now, and when they may be asked."""

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from yarl import URL

from metaclip.images.download.robots import Rules

MOST_HOSTS = 100_000
"""Those that were asked longest ago are forgotten."""
RULES_SECONDS = 24 * 3600.0
"""How long a robots.txt holds (RFC 9309, section 2.4)."""
MOST_PAUSE = 60.0
GIVEN_UP_AFTER = 20
"""Failures in a row to connect or answer, after which a host is asked no more."""


@dataclass
class Told:
    """What a robots.txt said, or the reason why nothing may be fetched."""

    rules: Rules
    reason: str = ""
    until: float = field(default_factory=lambda: time.monotonic() + RULES_SECONDS)


class Host:
    """One host of a download."""

    def __init__(self, connections: int) -> None:
        self.slots = asyncio.Semaphore(connections)
        self.not_before = 0.0
        self.failures = 0
        self.told: dict[str, asyncio.Future[Told]] = {}
        """By scheme and port."""

    @property
    def is_given_up(self) -> bool:
        """Return whether it failed so often in a row that it is asked no more."""
        return self.failures >= GIVEN_UP_AFTER

    def pause(self, asked: str | None, failures: int) -> None:
        """Ask it for nothing until the time of its Retry-After, or a while that grows with each failure."""
        seconds = _seconds(asked)
        wait = min(MOST_PAUSE, 2.0**failures if seconds is None else seconds)
        self.not_before = max(self.not_before, time.monotonic() + wait)

    async def wait(self) -> None:
        """Return when it may be asked."""
        while (left := self.not_before - time.monotonic()) > 0:
            await asyncio.sleep(left)

    async def rules(self, origin: str, fetch: Callable[[], Awaitable[Told]]) -> Told:
        """Return what its robots.txt says; it is fetched once, however many ask."""
        known = self.told.get(origin)
        if known is None or (known.done() and known.result().until < time.monotonic()):
            known = self.told[origin] = asyncio.ensure_future(fetch())
        return await asyncio.shield(known)


class Hosts:
    """All hosts of a download."""

    def __init__(self, connections: int) -> None:
        self._connections = connections
        self._known: OrderedDict[str, Host] = OrderedDict()

    def of(self, url: URL) -> Host:
        """Return the host of an address."""
        name = (url.host or "").lower()
        host = self._known.get(name)
        if host is None:
            host = self._known[name] = Host(self._connections)
            if len(self._known) > MOST_HOSTS:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(name)
        return host


def _seconds(asked: str | None) -> float | None:
    """Return the seconds of a Retry-After header (RFC 9110, section 10.2.3)."""
    if asked is None:
        return None
    if re.fullmatch(r"\d{1,9}", asked.strip()):
        return float(asked)
    try:
        date = parsedate_to_datetime(asked)
    except ValueError:
        return None
    return max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
