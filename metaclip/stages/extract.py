"""The extract stage: the crawl or pair files of one shard become image-text pairs, each uid once."""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from metaclip.config.settings import Extract
from metaclip.errors import InputError, UnreadableFileError
from metaclip.kernels.ways import Work
from metaclip.language.identifier import LanguageIdentifier
from metaclip.pairs.batch import COLUMNS, PairBatch
from metaclip.pairs.uid_columns import uid_columns
from metaclip.schemas import PAIR, PAIRS
from metaclip.sources.kept_columns import kept_fields
from metaclip.sources.listing import SourceFile
from metaclip.sources.pair_files import read_pairs
from metaclip.sources.warc import read_warc
from metaclip.sources.wat import read_wat
from metaclip.sources.webdataset import read_webdataset
from metaclip.store.job import Job
from metaclip.store.manifest import Manifest
from metaclip.store.store import Store, Verify
from metaclip.store.writer import OutputWriter
from metaclip.tables.unique import UniquePairs

logger = logging.getLogger(__name__)

_SECONDS_PER_MB = {"warc": 0.035, "wat": 0.05, "pairs": 0.3, "webdataset": 0.05}
"""What the plain way takes for a megabyte of a file, about."""
_GROUP = {"webdataset": "pairs"}
"""The group of kernels of a kind, where it has not the kind's name."""
_SOME_BYTES = 100_000_000
"""How large a file is taken to be where its size is not known."""


@dataclass(frozen=True)
class ExtractJob(Job):
    """Extract one shard."""

    STAGE: ClassVar[str] = "extract"
    VERSION: ClassVar[int] = 3

    files: tuple[SourceFile, ...]
    settings: Extract
    model: str
    """Path of the language model on this machine."""
    model_fingerprint: str
    url_column: str | None = None
    text_column: str | None = None
    keep_columns: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The first file's name."""
        name = self.files[0].path.rsplit("/", 1)[-1]
        return name if len(self.files) == 1 else f"{name} +{len(self.files) - 1}"

    def config(self) -> Mapping[str, Any]:
        """Return the settings that the pairs depend on: rules, model, kinds and columns."""
        config = self.settings.model_dump(mode="json", exclude={"max_failed_files", "language_model", "html_parser"})
        config["language_model"] = self.model_fingerprint
        config["kinds"] = [file.kind for file in self.files]
        if any(file.kind == "pairs" for file in self.files):
            config["columns"] = [self.url_column, self.text_column]
        if self.keep_columns:
            config["keep_columns"] = list(self.keep_columns)
        return config

    def inputs(self) -> list[str]:
        """Return the files' fingerprints."""
        return [file.fingerprint for file in self.files]

    def work(self) -> Work:
        """Return the kernels of the files' kinds."""
        groups = {_GROUP.get(file.kind, file.kind) for file in self.files}
        sizes = (_SOME_BYTES if file.bytes is None else file.bytes for file in self.files)
        rates = (_SECONDS_PER_MB[file.kind] for file in self.files)
        return Work(tuple(sorted(groups)), sum(size / 1e6 * rate for size, rate in zip(sizes, rates, strict=True)))

    def find_manifest(self, store: Store, verify: Verify, sizes: Mapping[str, int] | None = None) -> Manifest | None:
        """Return the manifest of the output if it stands.

        Raises:
            InputError: if a crawl file, which is identified by its path only, was replaced since.
        """
        found = super().find_manifest(store, verify, sizes)
        if found is not None:
            sizes = found.statistics["file_bytes"]
            for file in self.files:
                before = sizes.get(file.path)
                if None not in (before, file.bytes) and before != file.bytes:
                    raise InputError(
                        f"{file.path}: has {file.bytes:,} bytes now and had {before:,} when it was extracted. Crawl"
                        f" files are known by their path: give the new file another name, or delete"
                        f" {store.address(self.folder)} to extract it again"
                    )
        return found

    def compute(self, store: Store, output: OutputWriter) -> Mapping[str, Any]:
        """Read the files one after the other; a file that cannot be read is listed, and the others are still read."""
        counts: Counter[str] = Counter()
        failed: list[dict[str, str]] = []
        languages: Counter[str] = Counter()
        keep = kept_fields(self.files, self.keep_columns, self._columns) if self.keep_columns else []
        schema = pa.schema([*PAIR, *keep])
        pairs = UniquePairs(schema)
        identifier = load_identifier(self.model)
        for file in self.files:
            counts["files"] += 1
            own: Counter[str] = Counter()
            try:
                for batch in self._read(file, own, keep):
                    pairs.append(_tabulate(batch, identifier, languages, schema))
                self._check_records(file, own)
            except UnreadableFileError as error:
                logger.warning("%s: left out: %s", file.path, error.detail)
                counts["failed_files"] += 1
                failed.append({"path": file.path, "reason": error.reason, "detail": error.detail})
            counts.update(own)
        counts["pairs"] = output.parquet(PAIRS, schema, pairs.tables())
        counts["dropped.pair.repeat"] = pairs.rows - counts["pairs"]
        return {
            "counts": {name: counts[name] for name in sorted(counts)},
            "failed_files": failed,
            "file_bytes": {file.path: file.bytes for file in self.files},
            "languages": dict(sorted(languages.items())),
        }

    def _check_records(self, file: SourceFile, counts: Counter[str]) -> None:
        """Check that not too many of a file's records were refused.

        Raises:
            UnreadableFileError: there were; what was read of the file stays.
        """
        start = "dropped.record."
        refused = Counter({name.removeprefix(start): n for name, n in counts.items() if name.startswith(start)})
        del refused["continuation"]  # a crawler's choice, and no fault
        bad = refused.total()
        records = max(counts["records"], bad)
        if bad > self.settings.max_bad_records * records:
            named = ", ".join(f"{reason} {count:,}" for reason, count in refused.most_common(3))
            raise UnreadableFileError(
                file.path,
                "too_many_bad_records",
                f"{bad:,} of {records:,} records were refused ({named}), more than extract.max_bad_records ="
                f" {self.settings.max_bad_records:g} allows; what could be read of it is kept",
            )

    @property
    def _columns(self) -> tuple[str | None, str | None]:
        return self.url_column, self.text_column

    def _read(self, file: SourceFile, counts: Counter[str], keep: Sequence[pa.Field]) -> Iterator[PairBatch]:
        match file.kind:
            case "warc":
                return read_warc(file.path, self.settings, counts)
            case "wat":
                return read_wat(file.path, self.settings, counts)
            case "pairs":
                url, text = self._columns
                return read_pairs(file.path, self.settings, counts, url_column=url, text_column=text, keep=keep)
            case "webdataset":
                return read_webdataset(file.path, self.settings, counts, keep=keep)


@lru_cache(maxsize=1)
def load_identifier(model: str) -> LanguageIdentifier:
    """Load the language model, once in each process."""
    return LanguageIdentifier(Path(model))


def _tabulate(batch: PairBatch, identifier: LanguageIdentifier, languages: Counter[str], schema: pa.Schema) -> pa.Table:
    labels, scores = identifier.identify_array(batch.table.column("text"))
    languages.update({count["values"]: count["counts"] for count in labels.value_counts().to_pylist()})
    high, low = uid_columns(batch.table.column("url"), batch.table.column("text"))
    found, own = batch.table.columns[: len(COLUMNS)], batch.table.columns[len(COLUMNS) :]
    return pa.table([high, low, *found, labels.cast(pa.string()), pa.array(scores), *own], schema=schema)
