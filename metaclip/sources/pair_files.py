"""Read existing pairs: Parquet, JSON and text with separators, of image addresses with texts.

Examples are LAION's and DataComp's metadata, cc2dataset's output, CC12M, Wukong, and this project's own sets.
"""

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import pyarrow as pa

from metaclip.archive.damaged_members import read_members
from metaclip.config.settings import Extract
from metaclip.errors import UnreadableFileError
from metaclip.io.streams import open_stream, scheme
from metaclip.pairs.batch import PairBatch
from metaclip.rows.columns import Row, Wanted
from metaclip.rows.parquet_rows import read_parquet
from metaclip.rows.text_rows import form_of, read_text
from metaclip.sources.samples import SampleCollector


def read_pairs(
    path: str,
    settings: Extract,
    statistics: Counter[str],
    *,
    url_column: str | None = None,
    text_column: str | None = None,
    collector: SampleCollector | None = None,
    keep: Sequence[pa.Field] = (),
) -> Iterator[PairBatch]:
    """Yield the pairs of a file of pairs, in order, in batches.

    Parquet, JSON (one object a line, or an array) or text with separators (CSV, TSV); all but Parquet plain, gzip,
    zstd, bz2 or xz. The content decides the form, and the name where it does not. From a web server Parquet is
    downloaded to a temporary file first. `text_key` is the column of that name, or else the lower-case name of the
    column of the text. The page's address is the column `page_url` or `referrer`, or else empty. A file without a
    byte has no rows. Counts `records`, `bytes_read`, what SampleCollector counts, `dropped.record.<reason>`, and
    damage as `dropped.file_part.<reason>` or `dropped.file_tail.<reason>`. The columns `keep` follow those of a pair.

    Raises:
        InputError: if a column does not exist, or exists twice; the message lists the columns of the file.
        UnreadableFileError: of no known form.
        TransportError: the file cannot be reached now.
    """
    collector = collector or SampleCollector(settings, statistics, keep)
    names = [field.name for field in keep]
    with open_stream(path) as stream:
        for row in rows_of_pairs(path, stream, statistics, (url_column, text_column), names):
            collector.add_row(row)
            if full := collector.take_full():
                yield full
    if rest := collector.take():
        yield rest


def rows_of_pairs(
    path: str,
    stream: BinaryIO,
    statistics: Counter[str],
    wanted: Wanted,
    keep: Sequence[str] = (),
    head: bytes | None = None,
) -> Iterator[Row]:
    """Yield the rows of a file of pairs as it has them; `head` if its first bytes were read already."""
    head = stream.read(4) if head is None else head
    if head == b"PAR1":
        yield from _parquet(path, stream, statistics, wanted, keep)
        return
    if not head and form_of(path) == "parquet":
        raise UnreadableFileError(path, "empty", "the file is empty")
    yield from read_text(path, read_members(_CountedStream(head, stream, statistics), 0), statistics, wanted, keep)


def _parquet(
    path: str, stream: BinaryIO, statistics: Counter[str], wanted: Wanted, keep: Sequence[str]
) -> Iterator[Row]:
    with tempfile.TemporaryFile() as fetched:
        if scheme(path) in ("http", "https"):
            # The footer is read first, and a web server can only be read forward efficiently.
            fetched.write(b"PAR1")
            shutil.copyfileobj(stream, fetched, 1 << 20)
        try:
            yield from read_parquet(path, fetched if fetched.tell() else stream, statistics, wanted, keep)
        except (pa.ArrowException, OSError) as error:
            raise UnreadableFileError(path, "bad_parquet", f"not a whole Parquet file: {error}") from error


class _CountedStream:
    """The stream, starting again with the bytes that were already read, and counting what is read."""

    def __init__(self, head: bytes, stream: BinaryIO, statistics: Counter[str]) -> None:
        self._head = head
        self._stream = stream
        self._statistics = statistics

    def read(self, size: int, /) -> bytes:
        data, self._head = self._head or self._stream.read(size), b""
        self._statistics["bytes_read"] += len(data)
        return data
