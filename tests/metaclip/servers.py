"""A small http server for tests, which can misbehave on purpose."""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HOLD_SECONDS = 200


@dataclass
class Site:
    """What the server holds, how it fails, and what it was asked."""

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)  # given first, one a request
    cut_after: int | None = None  # bytes of a body after which the connection drops
    tag: str | None = '"v1"'
    tags: list[str] = field(default_factory=list)  # of the coming answers, before `tag`
    ranges: bool = True
    length: bool = True
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    held: dict[str, threading.Event] = field(default_factory=dict)  # paths that wait for an answer

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
            if site.answers:
                status, headers = site.answers.pop(0)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            content = site.files.get(self.path)
            if content is None:
                self.send_error(404)
                return
            asked = re.match(r"bytes=(\d+)-", self.headers.get("Range") or "")
            start = int(asked[1]) if asked and site.ranges else 0
            if start and start >= len(content):
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            if site.length:
                self.send_header("Content-Length", str(len(content) - start))
            tag = site.tags.pop(0) if site.tags else site.tag
            if tag:
                self.send_header("ETag", tag)
            self.end_headers()
            if with_body:
                body = content[start:]
                self.wfile.write(body if site.cut_after is None else body[: site.cut_after])
                self.wfile.flush()
                self.close_connection = True

        def log_message(self, *arguments: object) -> None:
            """Keep test output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    site.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
