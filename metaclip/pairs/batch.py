"""Image-text pairs in Arrow columns, as readers return them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from metaclip.schemas import PAIR

COLUMNS = pa.schema([PAIR.field(name) for name in ("url", "text", "text_key", "page_url")])
"""Columns of a pair in a reader."""


@dataclass(frozen=True, slots=True)
class PairBatch:
    """Image-text pairs; the properties return columns as lists, which is slow."""

    table: pa.Table = field(default_factory=COLUMNS.empty_table)
    """Columns as in COLUMNS: the image's absolute http(s) address as `urls.resolve` returns it; the text as
    `clean_text` returns it, never empty; the attribute that it was in; the page's address as it is in the
    record."""

    @classmethod
    def from_lists(
        cls, urls: Sequence[str], texts: Sequence[str], text_keys: Sequence[str], page_urls: Sequence[str]
    ) -> "PairBatch":
        """Make a batch from lists of equal length."""
        columns = (urls, texts, text_keys, page_urls)
        return cls(pa.table([pa.array(column, pa.string()) for column in columns], schema=COLUMNS))

    def with_columns(self, columns: Iterable[tuple[pa.Field, pa.Array]]) -> "PairBatch":
        """Return the batch with columns of a file's own after the others."""
        table = self.table
        for field_, values in columns:
            table = table.append_column(field_, values)
        return PairBatch(table)

    @classmethod
    def concatenate(cls, batches: "Iterable[PairBatch | PackedBatch]") -> "PairBatch":
        """Join batches, in one piece if it fits into Arrow string columns."""
        plain = (batch.unpack() if isinstance(batch, PackedBatch) else batch for batch in batches)
        return cls(pa.concat_tables([batch.table for batch in plain]).combine_chunks())

    def pack(self) -> "PackedBatch":
        """Compress the batch."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, COLUMNS, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
            writer.write_table(self.table)
        return PackedBatch(sink.getvalue(), len(self))

    def pieces(self) -> list["PairBatch"]:
        """Return the pieces of the batch, in order."""
        if self.table.column("url").num_chunks <= 1:
            return [self]
        return [PairBatch(pa.Table.from_batches([piece])) for piece in self.table.to_batches()]

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @property
    def urls(self) -> list[str]:
        """Addresses of images."""
        return self._list("url")

    @property
    def texts(self) -> list[str]:
        """Texts."""
        return self._list("text")

    @property
    def text_keys(self) -> list[str]:
        """Attributes that the texts were in."""
        return self._list("text_key")

    @property
    def page_urls(self) -> list[str]:
        """Addresses of pages."""
        return self._list("page_url")

    def _list(self, name: str) -> list[str]:
        values: list[str] = self.table.column(name).to_pylist()
        return values


@dataclass(frozen=True, slots=True)
class PackedBatch:
    """A batch that waits, compressed."""

    data: pa.Buffer
    rows: int

    def unpack(self) -> PairBatch:
        """Return the batch."""
        with pa.ipc.open_stream(self.data) as reader:
            return PairBatch(reader.read_all())

    def __len__(self) -> int:
        return self.rows
