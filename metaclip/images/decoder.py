"""Pictures described by a process that may take so much memory and time for each, and no more."""

import importlib.util
import os
import select
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, BinaryIO, cast

from metaclip.errors import ConfigError, StageError
from metaclip.images.decoding_process import REPLY, REQUEST
from metaclip.processes.starting import Child, start

Picture = tuple[bytes, tuple[int, int, int, int]]
"""A file's bytes, and the part of the picture that is described; all zero for the whole."""

_START_SECONDS = 120.0
"""A process that imports its libraries may take longer than for a picture: on a loaded machine, much longer."""
_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def require_pillow() -> None:
    """Check that Pillow is installed, which decodes pictures.

    Raises:
        ConfigError: it is not; the message says how to install it.
    """
    if importlib.util.find_spec("PIL") is None:
        raise ConfigError("Pillow is not installed; install it with: pip install 'metaclip-pipeline[images]'")


def decoder_name() -> str:
    """Return name and version of what decodes, for keys: another version may decode to other pixels."""
    from PIL import __version__, features

    parts = [f"pillow {__version__}"]
    parts += [f"{name} {features.version(name)}" for name in ("libjpeg_turbo", "webp", "zlib") if features.check(name)]
    return ", ".join(parts)


class Decoder:
    """Describes pictures in a child process, which is replaced when a picture takes too long or ends it.

    Args:
        max_pixels: a picture whose header states more is not decoded.
        max_bytes: a file with more is not looked at.
        seconds: time for one picture.
    """

    def __init__(self, max_pixels: int, max_bytes: int, seconds: float) -> None:
        self._arguments = (str(max_pixels), str(max_bytes))
        self._max_bytes = max_bytes
        self._seconds = seconds
        self._child: Child | None = None
        self._log: BinaryIO | None = None
        self.restarts = 0

    def __enter__(self) -> "Decoder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def describe(self, pictures: Sequence[Picture]) -> list[Any]:
        """Return `metaclip.images.decoding.Decoded` for each picture, in their order.

        Raises:
            StageError: if the process cannot be started.
        """
        from metaclip.images.decoding import Decoded

        found: list[Any] = []
        while len(found) < len(pictures):
            rest = pictures[len(found) :]
            if len(rest[0][0]) > self._max_bytes:
                found.append(Decoded("too_many_bytes"))
                continue
            found += self._some(rest)
        return found

    def _some(self, pictures: Sequence[Picture]) -> list[Any]:
        """Describe pictures until all are done, one is too large, or one ends the process; at least one."""
        from metaclip.images.decoding import Decoded

        until = next((n for n, (data, _) in enumerate(pictures) if len(data) > self._max_bytes), len(pictures))
        child = self._started()
        writer = threading.Thread(target=_send, args=(child.process.stdin, pictures[:until]), daemon=True)
        writer.start()
        found: list[Any] = []
        while len(found) < until:
            reply, reason = self._reply(child, self._seconds)
            if reply is None:
                self._end()
                writer.join()
                self.restarts += 1
                return [*found, Decoded(reason)]
            found.append(_decoded(reply))
        writer.join()
        return found

    def _started(self) -> Child:
        """Return the process, ready for pictures."""
        if self._child is None:
            self._log = cast(BinaryIO, tempfile.TemporaryFile(prefix="metaclip-"))  # noqa: SIM115 (closed with the process)
            self._child = start(
                "metaclip.images.decoding_process",
                *self._arguments,
                environment=_ENVIRONMENT,
                stdin=-1,
                stdout=-1,
                stderr=self._log,
            )
            _send(self._child.process.stdin, [(b"", (0, 0, 0, 0))])
            ready, _ = self._reply(self._child, _START_SECONDS)
            if ready is None:
                self._log.seek(0)
                said = self._log.read().decode(errors="replace").strip()
                self._end()
                raise StageError(
                    f"the process that decodes pictures did not start; it said: {said[-1000:] or 'nothing'}"
                )
        return self._child

    def _reply(self, child: Child, seconds: float) -> tuple[bytes | None, str]:
        """Return the next reply, or None and the reason why there is none."""
        assert child.process.stdout is not None
        descriptor = child.process.stdout.fileno()
        until = time.monotonic() + seconds
        reply = b""
        while len(reply) < REPLY.size:
            if not select.select([descriptor], [], [], max(0.0, until - time.monotonic()))[0]:
                return None, "time"
            piece = os.read(descriptor, REPLY.size - len(reply))
            if not piece:
                return None, "decoder_error"
            reply += piece
        return reply, ""

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.end()
            for stream in (child.process.stdin, child.process.stdout):
                if stream is not None:
                    with suppress(OSError):
                        stream.close()
        if self._log is not None:
            self._log.close()
            self._log = None


def _send(sink: Any, pictures: Sequence[Picture]) -> None:
    with suppress(OSError, ValueError):  # the process ended: whoever waits for its replies notices
        for data, box in pictures:
            sink.write(REQUEST.pack(len(data), *box))
            sink.write(data)
            sink.flush()


def _decoded(reply: bytes) -> Any:
    from metaclip.images.decoding import STATUSES, Decoded
    from metaclip.images.perceptual import Description

    status, width, height, pixels, area, quality, colour = REPLY.unpack(reply)
    return Decoded(STATUSES[status], width, height, Description(pixels, area, quality, colour))
