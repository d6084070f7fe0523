"""A web server that does what a careful download must stand: it drips, never ends, redirects inside, and lies."""

import struct
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.servers import listening

Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Hostile:
    """What it was asked, and what else it may answer."""

    address: str = ""
    robots: tuple[int, bytes] = (200, b"User-agent: *\nDisallow: /private\n")
    files: dict[str, bytes] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    pause: float = 0.0
    requests: list[str] = field(default_factory=list)
    agents: set[str] = field(default_factory=set)
    open_now: int = 0
    most_open: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    ending: threading.Event = field(default_factory=threading.Event)

    @property
    def asked(self) -> Counter[str]:
        """How often each path was asked for."""
        return Counter(self.requests)


def bomb(side: int = 30_000) -> bytes:
    """Return a PNG of some 100 kB that is side by side pixels when it is decoded."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    packer = zlib.compressobj(9)
    row = bytes(1 + side // 8)
    rows = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def redirect(location: str, status: int = 302) -> Answer:
    """Return an answer that leads elsewhere."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Location", location)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def body(content: bytes, *, status: int = 200, length: int | None = None, **headers: str) -> Answer:
    """Return an answer with these headers (`_` for `-`), which may lie about its length."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(content) if length is None else length))
        handler.end_headers()
        handler.wfile.write(content)
        handler.close_connection = length is not None

    return answer


def endless(beginning: bytes, piece: bytes, pause: float, ending: threading.Event) -> Answer:
    """Return an answer whose body has no end."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "image/jpeg")
        handler.end_headers()
        handler.close_connection = True
        handler.wfile.write(beginning)
        while not ending.is_set():
            handler.wfile.write(piece)
            handler.wfile.flush()
            time.sleep(pause)

    return answer


@contextmanager
def hostile(host: str = "127.0.0.1") -> Iterator[Hostile]:
    """Serve on an address of this machine."""
    site = Hostile()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            with site.lock:
                site.requests.append(self.path)
                site.agents.add(self.headers.get("User-Agent", ""))
                site.open_now += 1
                site.most_open = max(site.most_open, site.open_now)
            try:
                with suppress(ConnectionError):  # a client may hang up, and should
                    self._answer()
            finally:
                with site.lock:
                    site.open_now -= 1

        def _answer(self) -> None:
            time.sleep(site.pause)
            if self.path in site.answers:
                site.answers[self.path](self)
            elif self.path == "/robots.txt":
                body(site.robots[1], status=site.robots[0], Content_Type="text/plain")(self)
            elif self.path in site.files:
                body(site.files[self.path], Content_Type="image/jpeg")(self)
            else:
                body(b"nothing here", status=404, Content_Type="text/plain")(self)

        def log_message(self, *arguments: object) -> None:
            """Keep test output clean."""

    class Server(ThreadingHTTPServer):
        request_queue_size = 128

        def handle_error(self, request: object, client_address: object) -> None:
            """Keep test output clean of clients that were killed."""

    server = Server((host, 0), Handler)
    server.daemon_threads = True
    with listening(server) as site.address:
        try:
            yield site
        finally:
            site.ending.set()
