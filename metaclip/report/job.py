"""The report stage: the input, what was dropped and why, and what balancing did to the entries."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import msgspec
import pyarrow as pa

from metaclip.config.card import Card
from metaclip.config.settings import format_t
from metaclip.images.dedup.sheets_job import SHEETS
from metaclip.report.figures import figures
from metaclip.report.pool_outputs import SetParts
from metaclip.store.job import Job
from metaclip.store.manifest import Reference, StoredFile
from metaclip.store.store import Store
from metaclip.store.writer import OutputWriter

REPORT = "report.json"
PAGE = "report.html"
ENTRY_COUNTS = "entry_counts.parquet"
ENTRY_COUNTS_JSON = "entry_counts.json"
CROISSANT = "croissant.json"
CARD = "README.md"

_ROWS = 1 << 16


@dataclass(frozen=True)
class ReportJob(Job):
    """Report on one set of a pool."""

    STAGE: ClassVar[str] = "report"
    VERSION: ClassVar[int] = 6

    parts: SetParts
    t: float
    card: Card

    @property
    def label(self) -> str:
        """The set's t."""
        return f"t={format_t(self.t)}"

    def config(self) -> Mapping[str, Any]:
        """Return t, which divides the entries into head and tail, and the settings of the card."""
        return {"t": format_t(self.t), "card": self.card.model_dump(mode="json")}

    def inputs(self) -> list[str]:
        """Return the keys of all outputs that the report is made from."""
        return self.parts.keys

    def compute(self, store: Store, output: OutputWriter) -> Mapping[str, Any]:
        """Write `report.json`, the page with its plots, each entry's counts, and the data card."""
        # The plotting library takes a second to import, which would slow down every command.
        from metaclip.report.card import data_card
        from metaclip.report.croissant import croissant
        from metaclip.report.page import page
        from metaclip.report.plots import plots

        found = figures(store, self.parts, self.t)
        output.json(REPORT, found.content, 1)
        output.parquet(ENTRY_COUNTS, found.entries.schema, iter([found.entries]))
        with output.file(ENTRY_COUNTS_JSON) as sink:
            for piece in _count_lists(found.entries):
                sink.write(piece)
        drawn = plots(found)
        for name, plot in drawn.items():
            with output.file(f"{name}.svg") as sink:
                sink.write(plot.svg.encode())
        with output.file(PAGE) as sink:
            sink.write(page(found, drawn, self.card.title, self._sheets(store)).encode())
        files = data_files(store, self.parts.curated)
        output.json(CROISSANT, croissant(found, self.card, files, output.written(ENTRY_COUNTS)), 0)
        with output.file(CARD) as sink:
            sink.write(data_card(found, self.card).encode())
        return {"funnel": found.content["funnel"]}

    def _sheets(self, store: Store) -> list[Any]:
        images = self.parts.pool.images
        return [] if images is None else list(store.output_json(images.sheets.manifest, SHEETS))


def _count_lists(entries: pa.Table) -> Iterator[bytes]:
    """Write entries as a JSON list in the order of their ids: `[entry, count, curated count]`, one on each line.

    In a pool by language the language comes first.
    """
    encode = msgspec.json.Encoder().encode
    separator = b"[\n"
    columns = [name for name in ("language", "entry", "count", "curated_count") if name in entries.column_names]
    for batch in entries.select(columns).to_batches(_ROWS):
        rows = zip(*(column.to_pylist() for column in batch.columns), strict=True)
        yield separator + b",\n".join(map(encode, rows))
        separator = b",\n"
    yield b"\n]\n" if entries.num_rows else b"[]\n"


def data_files(store: Store, curated: Reference) -> list[StoredFile]:
    """Return a set's Parquet files."""
    return [file for file in store.manifest(curated.manifest).files if file.name.endswith(".parquet")]
