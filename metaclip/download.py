"""Download over http(s): one client that is patient, honest about itself, and notices a short transfer.

Common Crawl's advice is the measure: a 503 or 429 means back off, a 403 means blocked, and an
error page must never pass for a file.
"""

import email.message
import email.utils
import http.client
import io
import logging
import random
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

from metaclip import __version__
from metaclip.errors import TransportError, UnreadableFileError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

logger = logging.getLogger(__name__)

USER_AGENT = f"metaclip-pipeline/{__version__} (curation of image-text pairs)"

_FAULTS = (OSError, http.client.HTTPException)


@dataclass(frozen=True)
class Backoff:
    """How patient a client is: attempts in a row without progress, and pauses between them in seconds."""

    attempts: int = 5
    first_pause: float = 1.0
    longest_pause: float = 120.0
    timeout: float = 60.0

    def pause(self, failures: int, asked: float | None = None) -> float:
        """Return seconds to wait after so many failures; what the server asked for is the least."""
        drawn: float = self.first_pause * 2 ** (failures - 1) * random.uniform(0.5, 1.5)
        return min(max(drawn, asked or 0.0), self.longest_pause)


def open_url(url: str, offset: int = 0, backoff: Backoff | None = None) -> io.BufferedReader:
    """Open an http(s) address for sequential reading from a byte offset.

    Raises (on opening and on reading):
        UnreadableFileError: the server says that the file is missing or not for us.
        TransportError: time-outs, resets, 429 or 5xx that outlasted all attempts.
    """
    return io.BufferedReader(_HttpStream(url, offset, backoff or Backoff()), buffer_size=256 << 10)


class _HttpStream(io.RawIOBase):
    """The body of one http(s) address as a raw sequential stream.

    A dropped or short transfer goes on at the byte reached. The length is checked against
    Content-Length, and the ETag against the first answer, so that two versions never mix.
    """

    def __init__(self, url: str, offset: int, backoff: Backoff) -> None:
        super().__init__()
        self._url = url
        self._backoff = backoff
        self._position = offset
        self._end: int | None = None  # length of the whole object, once known
        self._tag: str | None = None
        self._failures = 0
        self._safe_until = offset  # bytes reached when the last failure was counted
        self._response: http.client.HTTPResponse | None = None
        self._connect()

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: "WriteableBuffer") -> int:
        while self._end is None or self._position < self._end:
            if self._response is None:
                self._connect()
                continue
            try:
                count = self._response.readinto(buffer)
            except _FAULTS as error:
                self._fail(f"{type(error).__name__}: {error}")
                continue
            if count or self._end is None:
                self._position += count
                return count
            self._fail(f"the connection closed after {self._position} of {self._end} bytes")
        return 0

    def close(self) -> None:
        self._hang_up()
        super().close()

    def _hang_up(self) -> None:
        if self._response is not None:
            self._response.close()
            self._response = None

    def _fail(self, what: str, asked: float | None = None) -> None:
        """Count a failure and wait, or raise once the attempts are used up."""
        self._hang_up()
        if self._position - self._safe_until >= 1 << 20:
            self._failures = 0  # the transfer gets on, however often it is cut
        self._safe_until = self._position
        self._failures += 1
        if self._failures >= self._backoff.attempts:
            raise TransportError(f"{self._url}: {what} (given up after {self._failures} attempts)")
        pause = self._backoff.pause(self._failures, asked)
        logger.info("%s: %s; trying again in %.1f s", self._url, what, pause)
        time.sleep(pause)

    def _connect(self) -> None:
        while self._response is None:
            headers = {"Range": f"bytes={self._position}-"} if self._position else {}
            try:
                response = _request(self._url, "GET", headers, self._backoff.timeout)
            except urllib.error.HTTPError as error:
                with error:
                    if error.code == 416 and self._position:
                        self._end = self._position  # nothing lies beyond this byte
                        return
                    _refuse_if_permanent(self._url, error)
                    self._fail(f"the server answered {error.code} {error.reason}", _retry_after(error.headers))
            except _FAULTS as error:
                self._fail(f"{type(error).__name__}: {error}")
            else:
                self._accept(response)

    def _accept(self, response: http.client.HTTPResponse) -> None:
        tag = response.headers.get("ETag")
        if self._tag is not None and tag is not None and tag != self._tag:
            response.close()
            raise TransportError(f"{self._url}: changed while it was read (ETag {self._tag}, then {tag})")
        self._tag = tag or self._tag
        length = response.headers.get("Content-Length")
        if response.status == 206:
            span = re.match(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range") or "")
            if span is None or int(span[1]) != self._position:
                response.close()
                self._fail("the server answered a Range request with another range")
                return
            self._end = int(span[2]) if span[2] != "*" else self._end
            skip = 0
        else:
            self._end = int(length) if length is not None and length.isdigit() else None
            skip = self._position  # the server ignores Range: read again what is known
        self._response = response
        try:
            while skip:
                passed = len(response.read(min(skip, 1 << 20)))
                if not passed:
                    break
                skip -= passed
        except _FAULTS as error:
            self._fail(f"{type(error).__name__}: {error}")
            return
        if skip:
            self._fail(f"the connection closed before byte {self._position}")


def head(url: str, backoff: Backoff | None = None) -> email.message.Message:
    """Ask for an address's headers.

    Raises:
        UnreadableFileError, TransportError: as `open_url`.
    """
    backoff = backoff or Backoff()
    for failures in range(1, backoff.attempts + 1):
        asked = None
        try:
            with _request(url, "HEAD", {}, backoff.timeout) as response:
                return response.headers
        except urllib.error.HTTPError as error:
            with error:
                _refuse_if_permanent(url, error)
                what, asked = f"the server answered {error.code} {error.reason}", _retry_after(error.headers)
        except _FAULTS as error:
            what = f"{type(error).__name__}: {error}"
        if failures < backoff.attempts:
            time.sleep(backoff.pause(failures, asked))
    raise TransportError(f"{url}: {what} (given up after {backoff.attempts} attempts)")


def _request(url: str, method: str, headers: dict[str, str], timeout: float) -> http.client.HTTPResponse:
    # Identity: a `.gz` object must arrive as it is stored, not unpacked or packed once more.
    headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity", **headers}
    try:
        # Addresses in path lists may hold spaces or letters beyond ASCII.
        quoted = urllib.parse.quote(url, safe="%/:=&?~#+!$,;'@()*[]")
        request = urllib.request.Request(quoted, method=method, headers=headers)
        return cast(http.client.HTTPResponse, urllib.request.urlopen(request, timeout=timeout))
    except (ValueError, http.client.InvalidURL) as error:
        raise UnreadableFileError(url, "bad_address", f"not an address that can be fetched: {error}") from error


def _refuse_if_permanent(url: str, error: urllib.error.HTTPError) -> None:
    if error.code in (404, 410):
        raise UnreadableFileError(url, "not_found", f"the server answered {error.code}: no such file") from error
    if error.code in (401, 403):
        raise UnreadableFileError(
            url, "forbidden", f"the server answered {error.code}: access refused, or this client is blocked"
        ) from error
    if error.code not in (408, 425, 429) and error.code < 500:
        raise UnreadableFileError(url, f"http_{error.code}", f"the server answered {error.code}") from error


def _retry_after(headers: email.message.Message) -> float | None:
    """Read a Retry-After header: seconds, or a date (RFC 9110, 10.2.3)."""
    value = headers.get("Retry-After")
    if not value:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        date = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
