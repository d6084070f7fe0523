"""The settings of downloads: the name sent to servers, how many run at once, and how failures are retried."""

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
    """How failed requests are retried: attempts in a row without progress, and pauses between them in seconds.

    Pauses are drawn from 0 up to a bound that doubles ("full jitter", M. Brooker, Exponential Backoff
    And Jitter, 2015), but never under `shortest_pause`: Common Crawl asks for one request a second
    at most. `timeout` is how long a server may stay silent, not how long a file may take.
    """

    attempts: int = 10
    first_pause: float = 2.0
    shortest_pause: float = 1.0
    longest_pause: float = 120.0
    longest_wish: float = 600.0
    """A longer pause asked for by a server (Retry-After) is cut to this."""
    timeout: float = 60.0

    def pause(self, failures: int, asked: float | None = None) -> float:
        """Return the seconds to wait after `failures` failures, at least what the server asked for."""
        bound: float = min(self.first_pause * 2 ** (failures - 1), self.longest_pause)
        drawn = max(random.uniform(0.0, bound), self.shortest_pause)
        if asked is None:
            return drawn
        # Clients that were given the same time must not all come back at that moment.
        return max(drawn, min(asked, self.longest_wish) + random.uniform(0.0, self.first_pause))


@dataclass(frozen=True)
class Client:
    """The settings that all downloads of a run share."""

    slots: Slots = field(default_factory=lambda: threading.BoundedSemaphore(DOWNLOADS))
    contact: str | None = None
    backoff: Backoff = Backoff()
    allow_private: bool = False
    """Whether a public server may redirect to a host of a private network."""

    @property
    def user_agent(self) -> str:
        """The User-Agent header: the software, its version, and who runs it."""
        return f"metaclip-pipeline/{__version__} ({f'+{self.contact}' if self.contact else 'image-text pairs'})"


_current = Client()


def current_client() -> Client:
    """Return the client that this process downloads with."""
    return _current


def set_client(client: Client) -> None:
    """Use this client for all downloads of this process from now on."""
    global _current
    _current = client


@contextmanager
def downloading(client: Client) -> Iterator[None]:
    """Use this client for all downloads of this process inside a `with` block."""
    before = _current
    set_client(client)
    try:
        yield
    finally:
        set_client(before)
