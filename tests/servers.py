"""A small http server for tests, which can misbehave on purpose."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer

HOLD_SECONDS = 200


@contextmanager
def listening(server: HTTPServer) -> Iterator[str]:
    """Have a server answer in a thread; its address."""
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://{server.server_address[0]!s}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Site:
    """What the server holds, how it fails, and what it was asked."""

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)  # given first, one a request
    cut_after: int | None = None  # bytes of a body after which the connection drops
    stalls: list[int] = field(default_factory=list)  # bytes of the coming bodies after which nothing more comes
    pause: float = 0.0  # seconds between the pieces of a body
    piece: int = 64 << 10
    pages: list[bytes] = field(default_factory=list)  # given with status 200 instead of what was asked for
    refused: set[str] = field(default_factory=set)  # paths answered with 403
    failing: dict[str, list[tuple[int, dict[str, str]]]] = field(default_factory=dict)  # `answers` of one path
    file_tags: dict[str, list[str]] = field(default_factory=dict)  # `tags` of one path
    strict: bool = True  # hold to If-Range
    tag: str | None = '"v1"'
    tags: list[str] = field(default_factory=list)  # of the coming answers, before `tag`
    ranges: bool = True
    length: bool = True
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    open_bodies: int = 0
    most_open_bodies: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    ending: threading.Event = field(default_factory=threading.Event)
    held: dict[str, threading.Event] = field(default_factory=dict)  # paths that wait for an answer

    @contextmanager
    def one_more_body(self) -> Iterator[None]:
        """Count a body that is on its way."""
        with self.lock:
            self.open_bodies += 1
            self.most_open_bodies = max(self.most_open_bodies, self.open_bodies)
        try:
            yield
        finally:
            with self.lock:
                self.open_bodies -= 1

    def hold(self, path: str) -> Callable[[], None]:
        """Keep who asks for a path waiting until what is returned is called."""
        event = self.held[path] = threading.Event()
        return event.set


@contextmanager
def serve() -> Iterator[Site]:
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(with_body=True)

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def _answer(self, *, with_body: bool) -> None:
            site.requests.append((self.path, dict(self.headers)))
            if self.path in site.held:
                site.held[self.path].wait(HOLD_SECONDS)
            answers = site.failing.get(self.path) or site.answers
            if answers:
                status, headers = answers.pop(0)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if site.pages:
                page = site.pages.pop(0)
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", str(len(page)))
                self.end_headers()
                self.wfile.write(page)
                return
            if self.path in site.refused:
                self.send_error(403)
                return
            content = site.files.get(self.path)
            if content is None:
                self.send_error(404)
                return
            asked = re.match(r"bytes=(\d+)-", self.headers.get("Range") or "")
            start = int(asked[1]) if asked and site.ranges else 0
            tags = site.file_tags.get(self.path) or site.tags
            tag = tags.pop(0) if tags else site.tag
            condition = self.headers.get("If-Range")
            if site.strict and condition is not None and condition != tag:
                start = 0
            if start and start >= len(content):
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            if site.length:
                self.send_header("Content-Length", str(len(content) - start))
            if tag:
                self.send_header("ETag", tag)
            self.end_headers()
            if with_body:
                self.close_connection = True
                with suppress(ConnectionError):  # a client may hang up
                    self._give(content[start:][: site.cut_after])

        def _give(self, body: bytes) -> None:
            stall = site.stalls.pop(0) if site.stalls else None
            body = body[:stall]
            step = site.piece if site.pause else len(body) or 1
            with site.one_more_body():
                for place in range(0, len(body) - step, step):
                    self.wfile.write(body[place : place + step])
                    self.wfile.flush()
                    time.sleep(site.pause)
            # With the last piece the client may be done before this thread goes on.
            self.wfile.write(body[len(body) - 1 - (len(body) - 1) % step :])
            self.wfile.flush()
            if stall is not None:
                site.ending.wait(HOLD_SECONDS)

        def log_message(self, *arguments: object) -> None:
            """Keep test output clean."""

    with listening(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as site.address:
        try:
            yield site
        finally:
            site.ending.set()
