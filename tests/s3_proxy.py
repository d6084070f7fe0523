"""A proxy before the S3 server that counts requests, and fails those that a test chooses."""

import http.client
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import parse_qs, urlsplit

Fault = Literal["slow down", "broken", "reset", "cut"]

_ANSWERS = {
    "slow down": (503, "SlowDown", "Please reduce your request rate."),
    "broken": (500, "InternalError", "We encountered an internal error. Please try again."),
}


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: dict[str, list[str]]
    range: str | None

    @property
    def is_listing(self) -> bool:
        return self.method == "GET" and any(name in self.query for name in ("list-type", "delimiter", "prefix"))


@dataclass
class Proxy:
    endpoint: str
    requests: list[Request] = field(default_factory=list)
    fault: Callable[[Request], Fault | None] = lambda _: None

    def count(self, method: str) -> int:
        return sum(request.method == method for request in self.requests)

    @property
    def listings(self) -> list[Request]:
        return [request for request in self.requests if request.is_listing]


@contextmanager
def counting(server: str) -> Iterator[Proxy]:
    """Have a proxy before the server at an endpoint such as `http://127.0.0.1:8333`."""
    target = urlsplit(server)
    local = threading.local()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked = urlsplit(self.path)
            query = parse_qs(asked.query, keep_blank_values=True)
            request = Request(self.command, asked.path, query, self.headers.get("Range"))
            proxy.requests.append(request)
            fault = proxy.fault(request)
            if fault == "reset":
                # Closing with this option sends RST.
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.close_connection = True
                self.connection.close()
                return
            if fault is not None and fault != "cut":
                status, code, message = _ANSWERS[fault]
                content = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
                self.send(status, [("Content-Type", "application/xml")], content)
                return
            if not hasattr(local, "connection"):
                local.connection = http.client.HTTPConnection(str(target.hostname), target.port, timeout=60)
            connection = local.connection
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                connection.putheader(name, value)
            connection.endheaders(body or None)
            response = connection.getresponse()
            content = response.read()
            # Cut: half of what the headers promise.
            self.send(
                response.status, response.getheaders(), content[: len(content) // 2] if fault else content, len(content)
            )

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer  # noqa: N815

        def send(
            self, status: int, headers: list[tuple[str, str]], content: bytes, promised: int | None = None
        ) -> None:
            self.send_response_only(status)
            length = str(len(content) if promised is None else promised)
            self.close_connection = promised is not None and promised > len(content)
            for name, value in headers:
                if name.lower() == "content-length":
                    length = value
                elif name.lower() not in ("transfer-encoding", "connection"):
                    self.send_header(name, value)
            self.send_header("Content-Length", length)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Keep the terminal quiet."""

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listener.daemon_threads = True
    proxy = Proxy(f"http://127.0.0.1:{listener.server_address[1]}")
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    try:
        yield proxy
    finally:
        listener.shutdown()
        listener.server_close()
