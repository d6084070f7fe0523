"""A web server of pictures that takes little of the machine: `python -m bench.picture_server FOLDER`.

It prints its address. Any path is answered by one of the files, chosen by the number in it; there is no robots.txt.
"""

import asyncio
import re
import sys
from pathlib import Path

_GONE = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


class _Connection(asyncio.Protocol):
    def __init__(self, files: list[bytes]) -> None:
        self._files = files
        self._waiting = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._waiting += data
        while b"\r\n\r\n" in self._waiting:
            head, _, self._waiting = self._waiting.partition(b"\r\n\r\n")
            number = re.match(rb"GET /(\d+)", head)
            self._transport.write(self._files[int(number[1]) % len(self._files)] if number else _GONE)
            if b"connection: close" in head.lower():
                self._transport.close()


async def _serve(folder: Path) -> None:
    contents = [path.read_bytes() for path in sorted(folder.iterdir())]
    head = b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
    files = [head % len(content) + content for content in contents]
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(files), "127.0.0.1", 0, backlog=512)
    sys.stdout.write(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
