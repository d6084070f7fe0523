"""Who downloads: the name that servers are told, how many downloads there are at once, how patient they are."""

import logging
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from metaclip import __version__

DOWNLOADS = 8
"""How many downloads at once where no run says otherwise; the default of `source.max_downloads`."""

logger = logging.getLogger(__name__)


class Slots(Protocol):
    """A semaphore, of threads or of processes: each download holds one slot."""

    def acquire(self) -> Any:
        """Wait for a free slot and take it."""

    def release(self) -> Any:
        """Give a slot back."""


@dataclass(frozen=True)
class Backoff:
    """How patient a client is: attempts in a row without progress, and pauses between them in seconds.

    Pauses are drawn from 0 up to a bound that doubles ("full jitter", M. Brooker, Exponential Backoff
    And Jitter, 2015), but never under `shortest_pause`: Common Crawl asks for one request a second
    at most. `timeout` is how long a server may stay silent, not how long a file may take.
    """

    attempts: int = 10
    first_pause: float = 2.0
    shortest_pause: float = 1.0
    longest_pause: float = 120.0
    longest_wish: float = 600.0
    """What a server asks for (Retry-After) is kept up to here."""
    timeout: float = 60.0

    def pause(self, failures: int, asked: float | None = None) -> float:
        """Return seconds to wait after so many failures; what the server asked for is the least."""
        bound: float = min(self.first_pause * 2 ** (failures - 1), self.longest_pause)
        drawn = max(random.uniform(0.0, bound), self.shortest_pause)
        if asked is None:
            return drawn
        # Those who were all told the same moment do not all come back at it.
        return max(drawn, min(asked, self.longest_wish) + random.uniform(0.0, self.first_pause))


@dataclass(frozen=True)
class Client:
    """What all downloads of a run share."""

    slots: Slots = field(default_factory=lambda: threading.BoundedSemaphore(DOWNLOADS))
    contact: str | None = None
    backoff: Backoff = Backoff()

    @property
    def user_agent(self) -> str:
        """Name the software, its version, and who runs it."""
        return f"metaclip-pipeline/{__version__} ({f'+{self.contact}' if self.contact else 'image-text pairs'})"


_current = Client()


def current_client() -> Client:
    """Return the client that this process downloads with."""
    return _current


def set_client(client: Client) -> None:
    """Have this process download with a client from now on."""
    global _current
    _current = client


@contextmanager
def downloading(client: Client) -> Iterator[None]:
    """Have this process download with a client for a while."""
    before = _current
    set_client(client)
    try:
        yield
    finally:
        set_client(before)
