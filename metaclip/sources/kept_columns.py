"""The columns that `source.keep_columns` names, as the files of a pool have them, told before any work."""

import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice

import pyarrow as pa
import pyarrow.parquet as pq

from metaclip.errors import ConfigError, InputError, UnreadableFileError
from metaclip.io.streams import open_stream, scheme
from metaclip.rows.columns import Wanted
from metaclip.rows.kept import LOOKED_AT, joined, parquet_field, told_fields
from metaclip.sources.listing import SourceFile
from metaclip.sources.pair_files import rows_of_pairs
from metaclip.sources.webdataset import read_fields

CHECKED = 200
"""Local files whose columns are looked at before a run; of more, so many are spread over all."""


def kept_fields(files: Iterable[SourceFile], names: Sequence[str], wanted: Wanted) -> list[pa.Field]:
    """Return the columns of files, wide enough for all; one that cannot be read as a whole says nothing.

    Raises:
        InputError: a file has no such column, or one that cannot be kept.
        TransportError: a file cannot be reached now.
    """
    found = []
    for file in files:
        try:
            found.append(_fields(file, names, wanted))
        except UnreadableFileError:  # its reader tells and counts it
            continue
    return joined("source", found) if found else [pa.field(name, pa.string()) for name in names]


def _fields(file: SourceFile, names: Sequence[str], wanted: Wanted) -> list[pa.Field]:
    if file.kind in ("warc", "wat"):
        raise ConfigError(
            f"source.keep_columns: {file.path} is a {file.kind.upper()} file, which has no columns; leave it out"
        )
    counts: Counter[str] = Counter()
    if file.kind == "webdataset":
        return told_fields(file.path, names, islice(read_fields(file.path, counts), LOOKED_AT))
    with open_stream(file.path) as stream:
        head = stream.read(4)
        if head != b"PAR1":
            rows = rows_of_pairs(file.path, stream, counts, wanted, names, head)
            return told_fields(file.path, names, (row.kept for row in islice(rows, LOOKED_AT)))
        with tempfile.TemporaryFile() as fetched:
            source = stream
            if scheme(file.path) in ("http", "https"):
                fetched.write(head)
                while piece := stream.read(1 << 20):
                    fetched.write(piece)
                source = fetched
            try:
                metadata = pq.read_metadata(source)
            except (pa.ArrowException, OSError) as error:
                raise UnreadableFileError(file.path, "bad_parquet", f"not a whole Parquet file: {error}") from error
            schema = metadata.schema.to_arrow_schema()
            if not metadata.num_rows and not {*names} <= {*schema.names}:
                return told_fields(file.path, names, ())
            return [parquet_field(file.path, schema, name) for name in names]


def check_kept_columns(shards: Sequence[Sequence[SourceFile]], names: Sequence[str], wanted: Wanted) -> None:
    """Make sure before any work that files have the columns: local ones, and the first that is elsewhere.

    Raises:
        ConfigError, InputError: they have not; the message names the file.
    """
    files = [file for shard in shards for file in shard]
    local = [file for file in files if not scheme(file.path)]
    step = max(1, len(local) // CHECKED)
    elsewhere = [file for file in files if scheme(file.path)][:1]
    for file in (file for file in files if file.kind in ("warc", "wat")):
        _fields(file, names, wanted)
    try:
        kept_fields([*local[::step], *elsewhere], names, wanted)
    except InputError as error:
        raise ConfigError(str(error)) from error
