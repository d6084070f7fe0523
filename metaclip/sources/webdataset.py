"""Read WebDataset shards: tar files of samples. A sample is an image with a `.json` and sometimes a `.txt`."""

import io
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import pyarrow as pa

from metaclip.archive.damaged_members import Break, read_members
from metaclip.archive.tars import BadHeaderError, End, Member
from metaclip.config.settings import Extract
from metaclip.errors import UnreadableFileError
from metaclip.io.streams import open_stream
from metaclip.pairs.batch import PairBatch
from metaclip.rows.columns import Row, row_of
from metaclip.rows.json_values import parse_json
from metaclip.sources.samples import SampleCollector

_MAX_MEMBER_BYTES = 16 << 20
_BLOCK = tarfile.RECORDSIZE  # tarfile copies the rest of its buffer at each read: a larger one is slower


def read_webdataset(
    path: str,
    settings: Extract,
    statistics: Counter[str],
    collector: SampleCollector | None = None,
    keep: Sequence[pa.Field] = (),
) -> Iterator[PairBatch]:
    """Yield the pairs of a tar shard (plain, gzip, zstd, bz2 or xz), in order, in batches; images are skipped.

    A sample is a run of members whose names are the same up to the first dot of the last part. Its
    address is that of its `.json`. Its texts are `texts` of its `.json`, a list of [key, text]
    (MetaCLIP's layout), or else the first known column of texts there (a list gives a pair each), or else
    its `.txt` (img2dataset's layout). `text_key` is the given key, or else the name of the field in lower
    case, or `txt`.

    Counts `records` (samples), `bytes_read`, what SampleCollector counts, `dropped.record.<reason>`, and
    damage as `dropped.file_tail.<reason>`; what was read before it stays. Where names have more dots, as
    `img.001.json`, their samples cannot be told apart: each such `.json` is `dropped.record.name_with_dots`.

    Raises:
        UnreadableFileError: empty, or not a tar file.
        TransportError: the file cannot be reached now.
    """
    collector = collector or SampleCollector(settings, statistics, keep)
    names = [field.name for field in keep]
    with open_stream(path) as stream:
        tape = _Tape(stream, statistics)
        for sample in _samples(path, tape, statistics):
            _add(sample, collector, statistics, names)
            if full := collector.take_full():
                yield full
    if rest := collector.take():
        yield rest


def read_fields(path: str, statistics: Counter[str]) -> Iterator[dict[str, Any]]:
    """Yield the fields of the `.json` of each sample of a tar shard (plain or gzip), in order.

    Counts `records` and `bytes_read`, `dropped.record.<reason>` for a sample without readable fields,
    and damage as `dropped.file_tail.<reason>`.

    Raises:
        UnreadableFileError: empty, or not a tar file.
        TransportError: the file cannot be reached now.
    """
    with open_stream(path) as stream:
        for sample in _samples(path, _Tape(stream, statistics), statistics):
            statistics["records"] += 1
            data = sample.get("json")
            fields = parse_json(data) if data is not None else None
            if isinstance(fields, dict):
                yield fields
            else:
                statistics["dropped.record.bad_json" if data is not None else "dropped.record.no_json"] += 1


def _add(
    sample: dict[str, bytes | None], collector: SampleCollector, statistics: Counter[str], keep: Sequence[str]
) -> None:
    statistics["records"] += 1
    if any(part is None for part in sample.values()):
        statistics["dropped.record.too_large"] += 1
        return
    fields: object = {}
    if (data := sample.get("json")) is not None:
        fields = parse_json(data)
    if not isinstance(fields, dict):
        statistics["dropped.record.bad_json" if fields is None else "dropped.record.not_an_object"] += 1
        return
    collector.add_row(_row(fields, sample.get("txt"), keep))


def _row(fields: dict[str, Any], txt: bytes | None, keep: Sequence[str]) -> Row:
    row = row_of(fields, (None, None), keep)
    if txt is not None and not any(value for _, value in row.texts):
        return row._replace(texts=[("txt", txt.decode("utf-8-sig", "replace"))])
    return row


def _samples(path: str, tape: "_Tape", statistics: Counter[str]) -> Iterator[dict[str, bytes | None]]:
    """Yield the `.json` and `.txt` of each sample, None for one that is too large."""
    key: str | None = None
    sample: dict[str, bytes | None] = {}
    odd = 0  # members whose names have more dots
    for member, archive in _members(path, tape):
        folder, slash, name = member.name.rpartition("/")
        stem, _, suffix = name.partition(".")
        if key is not None and key != folder + slash + stem:
            if sample or not odd:
                yield sample
            else:
                _count_odd(odd, statistics)
            sample, odd = {}, 0
        key = folder + slash + stem
        odd += suffix.lower().endswith(".json")
        if suffix.lower() in ("json", "txt"):
            try:
                sample[suffix.lower()] = _content(archive, member)
            except tarfile.TarError:
                tape.tear("truncated")
                break
    if tape.torn:
        statistics["dropped.file_tail." + tape.torn] += 1
    if odd and not sample:
        _count_odd(odd, statistics)
    elif key is not None and not tape.torn:
        yield sample
    elif key is not None:
        # It is not known what is missing of the last sample.
        statistics["records"] += 1
        statistics["dropped.record.truncated"] += 1


def _count_odd(count: int, statistics: Counter[str]) -> None:
    statistics["records"] += count
    statistics["dropped.record.name_with_dots"] += count


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes | None:
    if member.size > _MAX_MEMBER_BYTES:
        return None
    file = archive.extractfile(member)
    return file.read() if file else b""


def _members(path: str, tape: "_Tape") -> Iterator[tuple[tarfile.TarInfo, tarfile.TarFile]]:
    """Yield the files in a tar archive; if the end is not a proper one, the tape is marked as torn."""
    try:
        archive = tarfile.open(fileobj=tape, mode="r|", bufsize=_BLOCK, tarinfo=Member)  # noqa: SIM115 (closed below)
    except tarfile.TarError as error:
        if tape.position == 0:
            raise UnreadableFileError(path, "empty", "the file is empty") from error
        raise UnreadableFileError(path, "not_tar", f"not a tar file: {error}") from error
    with archive:
        try:
            while (member := archive.next()) is not None:
                if member.isfile():
                    yield member, archive
                archive.members.clear()  # type: ignore[attr-defined]  # it would grow with the shard
        except tarfile.TarError as error:
            tape.tear("bad_header" if isinstance(error, BadHeaderError) else "truncated")
            return
        # tarfile treats anything that is not a header as the end; the real end is a block of zeros.
        mark = tape.last(archive.offset, tarfile.BLOCKSIZE)
        if len(mark) < tarfile.BLOCKSIZE:
            tape.tear("truncated")
        elif mark.strip(b"\0"):
            tape.tear("corrupt")


class _Tape(io.BufferedIOBase):
    """The decompressed archive, which tarfile reads forward; its last two blocks are kept."""

    def __init__(self, stream: BinaryIO, statistics: Counter[str]) -> None:
        super().__init__()
        self.position = 0
        self.torn = ""
        """Why the archive ends before its end, if it does."""
        self._events = read_members(_Counted(stream, statistics), 0)
        self._piece = b""
        self._used = 0  # bytes of the piece
        self._kept = b""
        self._end = End()

    def read(self, size: int | None = -1, /) -> bytes:
        """Return so many bytes, fewer at the end."""
        wanted = size or 0
        data = self._piece[self._used : self._used + wanted]
        self._used += len(data)
        while len(data) < wanted and not self.torn and (event := next(self._events, None)) is not None:
            if isinstance(event, Break):
                self.tear(event.reason)  # a tar archive has no marks where reading could continue
            elif isinstance(event, bytes):
                self._piece, self._used = event, wanted - len(data)
                data += event[: self._used]
        if wanted:
            self._end.check(data)
        self.position += len(data)
        self._kept = (self._kept + data)[-2 * _BLOCK :]
        return data

    def tear(self, reason: str) -> None:
        """Record why the archive ends here; only the first reason is kept."""
        self.torn = self.torn or reason

    def last(self, offset: int, size: int) -> bytes:
        """Return bytes at an offset near the end of what was read."""
        start = offset - (self.position - len(self._kept))
        return self._kept[start : start + size]


class _Counted:
    """The bytes of the stored file, counted as they are read."""

    def __init__(self, stream: BinaryIO, statistics: Counter[str]) -> None:
        self._stream = stream
        self._statistics = statistics

    def read(self, size: int, /) -> bytes:
        data = self._stream.read(size)
        self._statistics["bytes_read"] += len(data)
        return data
