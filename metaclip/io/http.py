"""Downloads over http(s): with retries, with an honest User-Agent, and with a check for short transfers.

This follows Common Crawl's advice: 503 and 429 mean "back off", 403 means "blocked", and an error
page must never be taken for a file.
"""

import base64
import email.message
import email.utils
import http.client
import io
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from datetime import UTC, datetime
from typing import IO, cast

from metaclip.errors import ChangedFileError, TransportError, UnreadableFileError
from metaclip.io.addresses.credentials import redact_text, reveal
from metaclip.io.addresses.hosts import is_private
from metaclip.io.client import Client, current_client
from metaclip.io.resume import Answer, Fault, ResumingStream
from metaclip.processes.meter import METER

_NO_HEAD = ("forbidden", "http_400", "http_405", "http_501")
"""How servers refuse a HEAD that would answer a GET."""

_FAULTS = (OSError, http.client.HTTPException)


def open_url(url: str, offset: int = 0, client: Client | None = None) -> io.BufferedReader:
    """Open an http(s) address for sequential reading from a byte offset.

    Raises (on opening and on reading):
        UnreadableFileError: the file is missing or access is refused.
        TransportError: time-outs, resets, 429 or 5xx after all attempts.
        ChangedFileError: a TransportError; the file was replaced since reading began.
    """
    stream = HttpStream(url, offset, client)
    stream.start()
    return io.BufferedReader(stream, buffer_size=256 << 10)


class HttpStream(ResumingStream):
    """The body of one http(s) address."""

    def seekable(self) -> bool:
        """Return False: each seek would be a new request."""
        return False

    def ask(self, start: int, version: str | None) -> Answer | None:
        """Send a GET request; where reading goes on, with a range and a condition on the version."""
        headers = {"Range": f"bytes={start}-"} if start else {}
        if start and version is not None and not version.startswith("W/"):
            headers["If-Range"] = version  # the whole file comes if it is another one by now
        try:
            response = _request(self.address, "GET", headers, self.client)
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 416 and start:
                    total = re.match(r"bytes \*/(\d+)", error.headers.get("Content-Range") or "")
                    if version is not None and (total is None or int(total[1]) != start):
                        raise ChangedFileError(self.address, f"has no byte {start} any more") from error
                    return None
                raise _fault(self.address, error) from error
        except _FAULTS as error:
            raise Fault(redact_text(f"{type(error).__name__}: {error}")) from error
        return _answer(response, start)


def _answer(response: http.client.HTTPResponse, asked: int) -> Answer:
    version = response.headers.get("ETag") or response.headers.get("Last-Modified")
    length = response.headers.get("Content-Length") or ""
    size, start = int(length) if length.isdigit() else None, 0
    if response.status == 206:
        span = re.match(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range") or "")
        if span is None or int(span[1]) != asked:
            response.close()
            raise Fault("the server answered a Range request with another range")
        size, start = int(span[2]) if span[2] != "*" else None, asked

    def read(count: int) -> bytes:
        try:
            return response.read1(count)
        except _FAULTS as error:
            raise Fault(redact_text(f"{type(error).__name__}: {error}")) from error

    return Answer(read, response.close, start, size, version)


def head(url: str, client: Client | None = None) -> email.message.Message:
    """Return the headers of an address.

    Servers that answer no HEAD, and addresses that are signed for GET alone, are asked for the first byte.

    Raises:
        UnreadableFileError, TransportError: as `open_url`.
    """
    client = client or current_client()
    try:
        return _head(url, "HEAD", client)
    except UnreadableFileError as error:
        if error.reason not in _NO_HEAD:
            raise
    return _head(url, "GET", client)


def _head(url: str, method: str, client: Client) -> email.message.Message:
    for failures in range(1, client.backoff.attempts + 1):
        asked = None
        client.slots.acquire()
        try:
            with _request(url, method, {"Range": "bytes=0-0"} if method == "GET" else {}, client) as response:
                return _of_the_whole(response.status, response.headers)
        except urllib.error.HTTPError as error:
            with error:
                if method == "GET" and error.code == 416:  # not a byte in it
                    return _of_the_whole(206, error.headers)
                if method == "HEAD" and error.code == 501:
                    raise UnreadableFileError(url, "http_501", "the server answers no HEAD") from error
                fault = _fault(url, error)
                what, asked = str(fault), fault.asked
        except _FAULTS as error:
            what = redact_text(f"{type(error).__name__}: {error}")
        finally:
            client.slots.release()
        if failures < client.backoff.attempts:
            time.sleep(client.backoff.pause(failures, asked))
    raise TransportError(f"{url}: {what} (given up after {client.backoff.attempts} attempts)")


def _of_the_whole(status: int, headers: email.message.Message) -> email.message.Message:
    """Return the headers of an answer with a part as those of the whole."""
    total = re.fullmatch(r"bytes .*/(\d+)", headers.get("Content-Range") or "")
    if status == 206:
        del headers["Content-Length"]
        if total:
            headers["Content-Length"] = total[1]
    return headers


def _request(url: str, method: str, headers: dict[str, str], client: Client) -> http.client.HTTPResponse:
    # Identity: a `.gz` object must arrive as it is stored, not unpacked or packed once more.
    headers = {"User-Agent": client.user_agent, "Accept-Encoding": "identity", **headers}
    real, login = _login(reveal(url))
    if login:
        headers["Authorization"] = login
    try:
        # Addresses in path lists may hold spaces or letters beyond ASCII.
        quoted = urllib.parse.quote(real, safe="%/:=&?~#+!$,;'@()*[]")
        request = urllib.request.Request(quoted, method=method, headers=headers)
        opener = urllib.request.build_opener(_Redirects(url, allow_private=client.allow_private))
        METER.count(requests=1)
        return cast(http.client.HTTPResponse, opener.open(request, timeout=client.backoff.timeout))
    except (ValueError, http.client.InvalidURL) as error:
        why = redact_text(str(error))
        raise UnreadableFileError(url, "bad_address", f"not an address that can be fetched: {why}") from None


def _login(url: str) -> tuple[str, str]:
    """Return an address without user and password, and the header that has them instead (RFC 7617)."""
    start, user, rest = re.fullmatch(r"(\w+://)(?:([^/?#]*)@)?(.*)", url, re.DOTALL).groups()  # type: ignore[union-attr]
    if not user:
        return url, ""
    return start + rest, "Basic " + base64.b64encode(urllib.parse.unquote_to_bytes(user)).decode()


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but not from a public server into a private network."""

    def __init__(self, url: str, *, allow_private: bool) -> None:
        self._url = url
        self._any = allow_private or is_private(url)

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """Return the request that follows a redirect.

        Raises:
            UnreadableFileError: it may not be followed.
        """
        parts = urllib.parse.urlsplit(newurl)
        if parts.scheme not in ("http", "https") or (not self._any and is_private(newurl)):
            raise UnreadableFileError(
                self._url,
                "private_redirect",
                f"its server redirects to {parts.scheme}://{parts.hostname}, which is in a private network or no web"
                " server; if it may, set source.allow_private: true",
            )
        following = super().redirect_request(req, fp, code, msg, headers, newurl)
        if following is not None:
            following.method = req.get_method()  # HEAD would become GET
            if parts.netloc != urllib.parse.urlsplit(req.full_url).netloc:
                following.remove_header("Authorization")
        return following


def _fault(url: str, error: urllib.error.HTTPError) -> Fault:
    """Return the fault for an answer that may be different later.

    Raises:
        UnreadableFileError: if the answer is final.
    """
    if error.code in (404, 410):
        raise UnreadableFileError(url, "not_found", f"the server answered {error.code}: no such file") from error
    if error.code in (401, 403):
        raise UnreadableFileError(
            url, "forbidden", f"the server answered {error.code}: access refused, or this client is blocked"
        ) from error
    if error.code not in (408, 425, 429) and error.code < 500:
        raise UnreadableFileError(url, f"http_{error.code}", f"the server answered {error.code}") from error
    return Fault(f"the server answered {error.code} {error.reason}", _retry_after(error.headers))


def _retry_after(headers: email.message.Message) -> float | None:
    """Return the seconds that a Retry-After header states, as a number or a date (RFC 9110, 10.2.3)."""
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
