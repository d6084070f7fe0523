"""Records of an archive in batches: those of `metaclip.archive.records`, without an object for each.

Nearly every archive is gzip, and its records lie one after the other with nothing odd about them. So it is
decompressed into a buffer (`metaclip.archive.decompress`), and `metaclip.archive.batch_kernel` finds the records
there. From the first record that is odd in any way, or too large, and in other files from the start,
`records.read_records` reads, and what was returned before is left out.

Equals `metaclip.archive.records`; held by tests/metaclip/archive/test_batches.py.
"""

import io
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from metaclip.archive.batch_kernel import BLOCK, BLOCK_END, KIND, ODD, URL, URL_END, find_records
from metaclip.archive.damaged_members import GZIP_MAGIC
from metaclip.archive.decompress import DAMAGE, Inflater
from metaclip.archive.records import TYPES, clean_address, count_continuations, read_records
from metaclip.archive.wacz import open_stream
from metaclip.errors import TransportError
from metaclip.kernels.jit import plain
from metaclip.kernels.utf8 import encode

BATCH_BYTES = 4 << 20
"""About so much is in a batch: a fraction of what caches hold, and many records."""

_MOST_BYTES = 16 << 20  # longer records are left to `read_records`, so that memory stays bounded
_MOST_RECORDS = 4096
_PADDING = 64
_HEADER, _BEHIND = b"WARC/", b"\r\n\r\n"
"""What begins a record, and what stands behind its block."""
_THREAD = threading.local()


@dataclass(frozen=True, slots=True)
class RecordBatch:
    """Some records, valid until the next batch is asked for."""

    data: bytearray
    """What they lie in, for the user to write to; blocks have a zero byte behind them, and 64 bytes of
    whatever kind."""
    blocks: npt.NDArray[np.int64]
    """int64[records, 2]: where each block starts and ends (for a response: HTTP head and payload)."""
    addresses: npt.NDArray[np.int64]
    """int64[records, 2]: where the address that the header states starts and ends."""

    @classmethod
    def of(cls, records: Iterable[tuple[str, bytes]]) -> "RecordBatch":
        """Put records together, given by address and block."""
        urls, blocks = list[bytes](), list[bytes]()
        for url, block in records:
            urls.append(url.encode("utf-8", "surrogatepass"))
            blocks.append(block)
        parts = [*blocks, *urls]
        sizes = np.fromiter(map(len, parts), np.int64, len(parts))
        ends = np.cumsum(sizes + 1) - 1
        spans = np.column_stack([ends - sizes, ends])
        return cls(bytearray(b"\0").join([*parts, bytes(_PADDING)]), spans[: len(blocks)], spans[len(blocks) :])

    def __len__(self) -> int:
        return len(self.blocks)

    def url(self, record: int) -> str:
        """Return the address of a record, as `records.Record.url`."""
        start, end = self.addresses[record].tolist()
        return _address(bytes(self.data[start:end]))

    def urls(self, records: npt.NDArray[np.int64]) -> pa.StringArray:
        """Return the addresses of some records, each as `url` does."""
        data = memoryview(self.data)
        starts, ends = self.addresses[records].T.tolist()
        written = [data[start:end] for start, end in zip(starts, ends, strict=True)]
        joined = b"".join(written)
        if _ODD_ADDRESS.search(joined):
            return pa.array([_address(bytes(one)) for one in written], pa.string())
        offsets = np.zeros(len(written) + 1, np.int32)
        np.cumsum(np.fromiter(map(len, written), np.int32, len(written)), out=offsets[1:])
        return pa.StringArray.from_buffers(len(written), pa.py_buffer(offsets), pa.py_buffer(joined))

    def block(self, record: int) -> memoryview:
        """Return the block of a record, without a copy."""
        start, end = self.blocks[record].tolist()
        return memoryview(self.data)[start:end]


def read_batches(
    path: str, types: frozenset[str], statistics: Counter[str], max_record_bytes: int
) -> Iterator[RecordBatch]:
    """Read the records of some types, in the file's order.

    Counts, bounds of memory and errors are those of `records.read_records`.
    """
    given = 0
    if not plain():
        regular = _RegularFile(path, types, max_record_bytes)
        for batch in regular.batches():
            given += len(batch)
            yield batch
        if regular.ended:
            statistics.update(regular.counts)
            return
    held: list[tuple[str, bytes]] = []
    size = 0
    for record in read_records(path, types, statistics, max_record_bytes):
        if given:
            given -= 1
            continue
        held.append((record.url, record.body))
        size += len(record.body)
        if size >= BATCH_BYTES:
            batch = RecordBatch.of(held)
            # A large record is not to be in memory twice while its batch is used.
            held, size, record.body = [], 0, b""
            yield batch
    if held:
        yield RecordBatch.of(held)


# Whatever may have to be decoded or cleaned.
_ODD_ADDRESS = re.compile(rb"[^!-;=-~]")


def _address(written: bytes) -> str:
    url = written.decode("utf-8", "replace")
    return clean_address(written.decode("latin-1") if "\ufffd" in url else url)


class _RegularFile:
    """A gzip file as far as its records are in order."""

    def __init__(self, path: str, types: frozenset[str], max_record_bytes: int) -> None:
        self.counts: Counter[str] = Counter()
        self.ended = False
        """Whether all of it was."""
        self._path = path
        self._types = types
        self._limit = max_record_bytes
        self._most = min(max_record_bytes, _MOST_BYTES)

    def batches(self) -> Iterator[RecordBatch]:
        """Give the records of the wanted types."""
        with closing(_Source(self._path)) as source:
            if source.is_gzip:
                with closing(Inflater(source)) as inflater, _lent_buffer() as data:
                    yield from self._batches(inflater, data)
                self.counts["bytes_read"] = source.bytes_read

    def _batches(self, inflater: Inflater, data: bytearray) -> Iterator[RecordBatch]:
        kinds = sorted(TYPES)
        names, bounds = _names()
        wanted = np.array([kind in self._types for kind in kinds])
        by_kind = np.zeros(len(kinds), np.int64)
        held = 0  # bytes of `data` that are filled
        found = np.empty((_MOST_RECORDS, 5), np.int64)
        begun = np.empty(0, np.int64)  # where in `data` members begin
        while True:
            # Enough for one batch at a time, and for what it ends within.
            array = np.frombuffer(data, np.uint8)
            try:
                held = inflater.fill(array, held, len(data) - _PADDING)
            except TransportError:
                raise
            except DAMAGE:
                return
            # Where there is no room for another member, the last one's end is as good as another header.
            whole = inflater.ended or inflater.blocked
            count, at, why, length = find_records(array, 0, held, whole, names, bounds, found)
            begun = np.concatenate([begun, inflater.starts])
            sound = _before_hidden(array, begun, found[:count, BLOCK_END])
            if sound < count:
                count, why = sound, ODD
            picked = found[:count][wanted[found[:count, KIND]]]
            if (picked[:, BLOCK_END] - picked[:, BLOCK]).max(initial=0) > self._limit:
                return
            by_kind += np.bincount(found[:count, KIND], minlength=len(kinds))
            array[picked[:, BLOCK_END]] = 0
            if len(picked):
                yield RecordBatch(data, picked[:, BLOCK : BLOCK_END + 1], picked[:, URL : URL_END + 1])
            if why == ODD or length > self._most + (64 << 10):
                return
            if inflater.ended and at == held:
                break
            if inflater.ended and not count:
                return
            room = len(data) - _PADDING
            if length > room:
                room = length + BATCH_BYTES
            elif inflater.blocked and not count:  # a member takes more than there is room for
                if room < self._most:
                    room *= 2
                else:
                    inflater.stream()
            if room + _PADDING > len(data):
                data = data[at:held] + bytes(room + _PADDING - (held - at))
            else:
                data[: held - at] = data[at:held]
            held -= at
            begun = begun[np.searchsorted(begun, at) :] - at
        self.counts["records"] = int(by_kind.sum())
        for kind, number in zip(kinds, by_kind.tolist(), strict=True):
            if number:
                self.counts[f"records.{kind}"] = number
        count_continuations(self.counts, self._types)
        self.ended = bool(self.counts["records"])


def _before_hidden(array: npt.NDArray[np.uint8], begun: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]) -> int:
    """Return how many records, given by their blocks' ends, come before one in which a member with a header begins."""
    if not len(ends):
        return 0
    starts = np.concatenate([[0], ends[:-1] + len(_BEHIND)])
    inside = begun[: np.searchsorted(begun, ends[-1])]
    if np.array_equal(inside, starts):
        return len(ends)
    hidden = np.setdiff1d(inside, starts)
    headed = (array[hidden[:, None] + np.arange(len(_HEADER))] == np.frombuffer(_HEADER, np.uint8)).all(1)
    return int(np.searchsorted(ends, hidden[headed][0])) if headed.any() else len(ends)


@contextmanager
def _lent_buffer() -> Iterator[bytearray]:
    """Lend the buffer that a thread keeps: new memory takes longer to get than to fill."""
    buffer: bytearray = getattr(_THREAD, "buffer", None) or bytearray(2 * BATCH_BYTES + _PADDING)
    _THREAD.buffer = None  # whoever reads another file meanwhile needs one of its own
    yield buffer
    _THREAD.buffer = buffer


@cache
def _names() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    return encode(sorted(TYPES), "types")


class _Source(io.RawIOBase):
    """The bytes of a file as `Inflater` asks for them, counted."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.bytes_read = 0
        self._path = path
        self._stream: Any = open_stream(path)
        # Whoever can fill memory that is given saves a copy.
        self._fill: Callable[[Any], int] = getattr(self._stream, "readinto", self._copy)
        head = bytearray(len(GZIP_MAGIC))
        self._ahead = bytes(head[: self._filled(head)])
        self.is_gzip = self._ahead == GZIP_MAGIC

    def readable(self) -> bool:
        """Say that this is a source."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer as far as it goes; 0 at the end."""
        size = len(self._ahead)
        if size:
            buffer[:size] = self._ahead
            self._ahead = b""
        else:
            size = self._filled(buffer)
        self.bytes_read += size
        return size

    def close(self) -> None:
        """Close the file."""
        self._stream.close()
        super().close()

    def _filled(self, buffer: Any) -> int:
        try:
            return self._fill(buffer)
        except OSError as error:
            raise TransportError(f"{self._path}: reading failed at byte {self.bytes_read}: {error}") from error

    def _copy(self, buffer: Any) -> int:
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
