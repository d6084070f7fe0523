"""A remote object as a stream that resumes after a fault and never mixes two versions of the object.

A version is identified by its ETag, else by its date. Where a server gives neither, or answers with
the whole object, the bytes that were returned already are read again and compared by their hash.
"""

import io
import logging
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import xxhash

from metaclip.errors import ChangedFileError, TransportError
from metaclip.io.client import Client, current_client
from metaclip.processes.meter import METER

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

logger = logging.getLogger(__name__)

_T = TypeVar("_T")

PROGRESS_BYTES = 256 << 10
"""After so many new bytes the attempts are counted from zero again: the transfer makes progress."""


class Fault(Exception):  # noqa: N818
    """A failure that may not happen at the next attempt; `asked` is the pause in seconds that the server asks for."""

    def __init__(self, what: str, asked: float | None = None) -> None:
        super().__init__(what)
        self.asked = asked


@dataclass(frozen=True)
class Answer:
    """A server's answer: the bytes from `start` on, and the object's size and version where the server states them."""

    read: Callable[[int], bytes]
    """Returns some of the next bytes, or none at the end; raises Fault."""
    close: Callable[[], None]
    start: int
    size: int | None
    version: str | None


class ResumingStream(io.RawIOBase, ABC):
    """A raw sequential stream over the answers of a server.

    It holds one of the client's slots during a transfer, and none while it waits.

    Raises (on reading):
        TransportError: the last fault, after all attempts.
        ChangedFileError: the object was replaced since reading began; start again.
    """

    def __init__(self, address: str, offset: int = 0, client: Client | None = None) -> None:
        super().__init__()
        self.address = address
        self.client = client or current_client()
        self._first = self._position = offset
        self._passed = xxhash.xxh3_128()  # of the bytes from `_first` to `_position`
        self._size: int | None = None
        self._version: str | None = None
        self._failures = 0
        self._safe_until = offset  # bytes reached when the last failure was counted
        self._answer: Answer | None = None
        self._ended = False

    @abstractmethod
    def ask(self, start: int, version: str | None) -> Answer | None:
        """Request the object from a byte on; return None where it ends before that byte.

        `version` is the version wanted, if one is known already.

        Raises:
            Fault: a failure that may not happen at the next attempt.
            ChangedFileError: the object has another version now.
            UnreadableFileError, InputError: a failure that is final.
        """

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return whether `seek` may be used; each seek is a new request."""
        return True

    def tell(self) -> int:
        """Return the position in the object."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position; the next read makes a new request."""
        if whence == os.SEEK_END:
            self.start()
            if self._size is None:
                raise io.UnsupportedOperation(f"{self.address}: its server does not tell its size")
            offset += self._size
        elif whence == os.SEEK_CUR:
            offset += self._position
        if offset != self._position:
            self._hang_up()
            self._first = self._position = self._safe_until = offset
            self._passed.reset()
            self._ended = False
        return self._position

    def start(self) -> None:
        """Make the first request now, so that a missing object is noticed at once."""
        while self._answer is None and not self._ended:
            self._attempt(self._connect)

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Read what has arrived, and resume where the transfer breaks."""
        view = memoryview(buffer).cast("B")
        while not self._ended:
            data = self._attempt(lambda: self._read(len(view)))
            if data:
                view[: len(data)] = data
                return len(data)
        return 0

    def close(self) -> None:
        """Close the connection."""
        self._hang_up()
        super().close()

    def _read(self, size: int) -> bytes:
        if self._answer is None:
            self._connect()
        if self._answer is None:
            return b""
        data = self._answer.read(size)
        METER.count(bytes_read=len(data))
        self._position += len(data)
        self._passed.update(data)
        if not data and self._size is not None and self._position < self._size:
            raise Fault(f"the connection closed after {self._position} of {self._size} bytes")
        if not data or self._position == self._size:
            self._end()
        return data

    def _connect(self) -> None:
        resumed = self._position > self._first
        start = self._first if resumed and self._version is None else self._position
        if self._size is not None and start >= self._size:
            self._end()
            return
        self.client.slots.acquire()
        try:
            answer = self.ask(start, self._version)
        except BaseException:
            self.client.slots.release()
            raise
        if answer is None:
            self.client.slots.release()
            if resumed:
                raise ChangedFileError(self.address, f"ends before byte {start}, where it went on before")
            self._end()
            return
        self._answer = answer
        for name, before, now in (("size", self._size, answer.size), ("version", self._version, answer.version)):
            if None not in (before, now) and before != now:
                raise ChangedFileError(self.address, f"{name} {before}, then {now}")
        self._skip(answer)
        self._size = answer.size if answer.size is not None else self._size
        self._version = answer.version or self._version

    def _skip(self, answer: Answer) -> None:
        """Skip bytes that an answer repeats, and check that they are the same as before."""
        at, again = answer.start, xxhash.xxh3_128()
        while at < self._position:
            data = answer.read(min((self._first if at < self._first else self._position) - at, 1 << 20))
            if not data:
                if answer.size is None or at >= answer.size:
                    raise ChangedFileError(self.address, f"ends at byte {at}, before byte {self._position}")
                raise Fault(f"the connection closed before byte {self._position}")
            if at >= self._first:
                again.update(data)
            at += len(data)
        if answer.start < self._position and again.digest() != self._passed.digest():
            raise ChangedFileError(self.address, "the bytes before the break are others now")

    def _attempt(self, step: Callable[[], _T]) -> _T:
        """Repeat a step until it succeeds."""
        while True:
            try:
                return step()
            except Fault as fault:
                self._hang_up()
                self._fail(fault)
            except BaseException:
                self._hang_up()
                raise

    def _fail(self, fault: Fault) -> None:
        """Count a failure and wait, or raise when there are no attempts left."""
        backoff = self.client.backoff
        if self._position - self._safe_until >= PROGRESS_BYTES:
            self._failures = 0
        self._safe_until = self._position
        self._failures += 1
        if self._failures >= backoff.attempts:
            raise TransportError(f"{self.address}: {fault} (given up after {self._failures} attempts)") from fault
        pause = backoff.pause(self._failures, fault.asked)
        logger.info("%s: %s; trying again in %.1f s", self.address, fault, pause)
        time.sleep(pause)

    def _end(self) -> None:
        self._ended = True
        self._hang_up()

    def _hang_up(self) -> None:
        answer, self._answer = getattr(self, "_answer", None), None
        if answer is not None:
            try:
                answer.close()
            finally:
                self.client.slots.release()
