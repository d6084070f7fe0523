"""Several processes that shrink pictures, each replaced when a picture takes too long or ends it."""

import asyncio
import socket
import tempfile
from typing import BinaryIO, cast

from metaclip.errors import StageError
from metaclip.images.download.shrink import Shrunk
from metaclip.images.download.shrink_process import REPLY, REQUEST
from metaclip.processes.starting import Child, start

_START_SECONDS = 120.0
_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class Shrinkers:
    """A number of processes; as an asynchronous context manager.

    Args:
        processes: how many.
        size, mode: as img2dataset's `image_size` and `resize_mode`.
        max_pixels: a picture whose header states more is not decoded.
        seconds: time for one picture.
    """

    def __init__(self, processes: int, size: int, mode: str, max_pixels: int, seconds: float) -> None:
        self._all = [_Shrinker((str(size), mode, str(max_pixels)), seconds) for _ in range(processes)]
        self._free: asyncio.Queue[_Shrinker] = asyncio.Queue()
        for each in self._all:
            self._free.put_nowait(each)

    async def __aenter__(self) -> "Shrinkers":
        return self

    async def __aexit__(self, *_: object) -> None:
        for each in self._all:
            each.end()

    async def shrink(self, data: bytes) -> Shrunk:
        """Shrink one picture.

        Raises:
            StageError: if a process cannot be started.
        """
        shrinker = await self._free.get()
        try:
            return await shrinker.shrink(data)
        finally:
            self._free.put_nowait(shrinker)


class _Shrinker:
    def __init__(self, arguments: tuple[str, ...], seconds: float) -> None:
        self._arguments = arguments
        self._seconds = seconds
        self._child: Child | None = None
        self._socket: socket.socket | None = None
        self._log: BinaryIO | None = None

    async def shrink(self, data: bytes) -> Shrunk:
        link = self._socket or await self._started()
        try:
            async with asyncio.timeout(self._seconds):
                return await _asked(link, data)
        except TimeoutError:
            reason = "decoding time"
        except (OSError, EOFError):
            reason = "decoder error"
        self.end()
        return Shrunk(reason)

    async def _started(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            ours.setblocking(False)
            self._log = cast(BinaryIO, tempfile.TemporaryFile(prefix="metaclip-"))  # noqa: SIM115 (closed with the process)
            self._child = start(
                "metaclip.images.download.shrink_process",
                *self._arguments,
                environment=_ENVIRONMENT,
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=self._log,
            )
        self._socket = ours
        try:
            async with asyncio.timeout(_START_SECONDS):
                await _asked(ours, b"")
        except (OSError, EOFError) as error:
            self._log.seek(0)
            said = self._log.read().decode(errors="replace").strip()
            self.end()
            raise StageError(
                f"the process that shrinks pictures did not start; it said: {said[-1000:] or 'nothing'}"
            ) from error
        return ours

    def end(self) -> None:
        if self._child is not None:
            self._child.end()
        for each in (self._socket, self._log):
            if each is not None:
                each.close()
        self._child = self._socket = self._log = None


async def _asked(link: socket.socket, data: bytes) -> Shrunk:
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(link, REQUEST.pack(len(data)))
    await loop.sock_sendall(link, data)
    reason, picture, width, height, original_width, original_height, digest, told = REPLY.unpack(
        await _exactly(link, REPLY.size)
    )
    body = await _exactly(link, reason + picture + max(0, told - 1))
    exif = body[reason + picture :].decode() if told else None
    stored = body[reason : reason + picture]
    return Shrunk(body[:reason].decode(), stored, width, height, original_width, original_height, digest, exif)


async def _exactly(link: socket.socket, size: int) -> bytes:
    """Read so many bytes.

    Raises:
        EOFError: there are fewer.
    """
    loop = asyncio.get_running_loop()
    content = bytearray(size)
    place = 0
    with memoryview(content) as view:
        while place < size:
            read = await loop.sock_recv_into(link, view[place:])
            if not read:
                raise EOFError
            place += read
    return bytes(content)
