"""The image-filter stage: which rows of an inspected file are left out, and why. It decodes nothing."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from metaclip.config.images import Filter, HashList
from metaclip.errors import ConfigError, InputError
from metaclip.images.dedup.near import BITS, nearest
from metaclip.images.hash_lists import LEAST_QUALITY, Hashes, read_hashes, words_of
from metaclip.images.inspect_job import IMAGES
from metaclip.io.inputs import InputFile, inputs_of
from metaclip.io.streams import open_stream
from metaclip.pairs.uids import UIDS, parse_uids
from metaclip.schemas import JUDGED
from metaclip.store.job import Job
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from metaclip.store.writer import OutputWriter

REASONS = "reasons.parquet"
SHOWN_BELOW = 0.2
"""A picture with a larger score of `safety` is on no contact sheet."""

_COLUMNS = ("uid_hi", "uid_lo", "status", "width", "height", "area64", "quality", "bytes_sha256", "pixels", "bytes")

_Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class FilterFiles:
    """The files that a filter names, with what identifies their content."""

    eval_sets: tuple[tuple[HashList, str], ...]
    block: tuple[tuple[HashList, str], ...]
    scores: tuple[InputFile, ...]

    @classmethod
    def of(cls, settings: Filter) -> "FilterFiles":
        """Look the files up.

        Raises:
            ConfigError: a file is missing, or is no list of hashes.
        """

        def known(given: list[HashList], field: str) -> tuple[tuple[HashList, str], ...]:
            found = []
            for each in given:
                (file,) = inputs_of([each.path], f"images.filter.{field}: {each.name}")
                read_hashes(each)  # a mistake is told before any work
                found.append((each, file.fingerprint))
            return tuple(found)

        scores = inputs_of(settings.score_files, "images.filter.score_files") if settings.score_files else []
        _check_scores(scores, settings)
        return cls(known(settings.eval_sets, "eval_sets"), known(settings.block, "block"), tuple(scores))


@dataclass(frozen=True)
class ImageFilterJob(Job):
    """Judge the rows of one inspected file."""

    STAGE: ClassVar[str] = "image-filter"
    VERSION: ClassVar[int] = 1

    inspected: Reference
    settings: Filter
    files: FilterFiles

    def config(self) -> Mapping[str, Any]:
        """Return the thresholds, and the names and radii of lists; where files lie does not matter."""
        plain = self.settings.model_dump(mode="json", exclude_defaults=True, exclude={"score_files"})
        for field in ("eval_sets", "block"):
            if field in plain:
                plain[field] = [{"name": each["name"], "radius": each.get("radius", 31)} for each in plain[field]]
        return plain

    def inputs(self) -> list[str]:
        """Return the key of the inspected file, and the fingerprints of the lists."""
        lists = [fingerprint for _, fingerprint in (*self.files.block, *self.files.eval_sets)]
        return [self.inspected.key, *lists, *(file.fingerprint for file in self.files.scores)]

    def compute(self, store: Store, output: OutputWriter) -> Mapping[str, Any]:
        """Write for each row the first reason to leave it out; count each reason first and alone."""
        counts: Counter[str] = Counter()
        block = [read_hashes(each) for each, _ in self.files.block]
        eval_sets = [read_hashes(each) for each, _ in self.files.eval_sets]
        scores = _Scores(self.files.scores, self._wanted())
        file = store.open_parquet(self.inspected, IMAGES)

        def judged() -> Iterator[pa.Table]:
            for group in range(file.num_row_groups):
                table = file.read_row_group(group, columns=list(_COLUMNS))
                yield self._judge(table, block, eval_sets, scores, counts)

        rows = output.parquet(REASONS, JUDGED, judged())
        counts["rows"] = rows
        counts["kept"] = rows - sum(count for name, count in counts.items() if name.startswith("first."))
        return {"counts": dict(sorted(counts.items()))}

    def _wanted(self) -> list[str]:
        return list(dict.fromkeys([*self.settings.scores, *self.settings.safety]))

    def _judge(
        self, table: pa.Table, block: list[Hashes], eval_sets: list[Hashes], scores: "_Scores", counts: Counter[str]
    ) -> pa.Table:
        verdict = _Verdict(table.num_rows, counts)
        shown = np.ones(table.num_rows, np.bool_)
        for hashes in block:
            met, distance = _on_list(table, hashes)
            verdict.add("block", hashes.name, met, distance)
            shown &= ~met
        for hashes in eval_sets:
            verdict.add("eval_set", hashes.name, *_on_list(table, hashes))
        status = np.asarray(table.column("status").to_pylist(), object)
        good = status == "ok"
        for name in sorted(set(status[~good])):
            verdict.add(str(name), "", status == name)
        width, height = (table.column(side).to_numpy().astype(np.int64) for side in ("width", "height"))
        short, long = np.minimum(width, height), np.maximum(width, height)
        if self.settings.min_side:
            verdict.add("min_side", "", good & (short < self.settings.min_side))
        if self.settings.max_aspect:
            verdict.add("max_aspect", "", good & (long > self.settings.max_aspect * short))
        if self.settings.min_bytes:
            verdict.add("min_bytes", "", good & (table.column("bytes").to_numpy() < self.settings.min_bytes))
        if self.files.scores:
            of_rows = scores.of(table)
            for name, (least, largest) in self.settings.scores.items():
                values = of_rows[name]
                verdict.add("no_score", name, good & np.isnan(values))
                outside = np.zeros(len(values), np.bool_)
                if least is not None:
                    outside |= values < least
                if largest is not None:
                    outside |= values > largest
                verdict.add("score", name, good & outside)
                if name in self.settings.safety:
                    shown &= ~outside
            for name in self.settings.safety:
                if name in of_rows:
                    shown &= ~(of_rows[name] > SHOWN_BELOW)
        return verdict.table(table, shown & good)


class _Verdict:
    """The first reason of each row."""

    def __init__(self, rows: int, counts: Counter[str]) -> None:
        self._reason: npt.NDArray[Any] = np.full(rows, "", object)
        self._by: npt.NDArray[Any] = np.full(rows, "", object)
        self._distance = np.full(rows, -1, np.int64)
        self._counts = counts

    def add(self, reason: str, by: str, met: _Flags, distance: npt.NDArray[np.int64] | None = None) -> None:
        """Add a reason that some rows have."""
        first = met & (self._reason == "")
        name = f"{reason}.{by}" if by else reason
        # Names that took nothing are counted too, so that a report can say so.
        self._counts[f"alone.{name}"] += int(met.sum())
        self._counts[f"first.{name}"] += int(first.sum())
        self._reason[first], self._by[first] = reason, by
        if distance is not None:
            self._distance[first] = distance[first]

    def table(self, table: pa.Table, shown: _Flags) -> pa.Table:
        """Return the rows of `schemas.JUDGED`."""
        distance = pa.array(self._distance, mask=self._distance < 0)
        columns = [
            table.column("uid_hi"),
            table.column("uid_lo"),
            pa.array(self._reason, pa.string()),
            pa.array(self._by, pa.string()),
            distance,
            pa.array(shown),
        ]
        return pa.table(columns, JUDGED.names).cast(JUDGED)


def _on_list(table: pa.Table, hashes: Hashes) -> tuple[_Flags, npt.NDArray[np.int64]]:
    """Return which rows are on a list, and their distance to it; flat pictures by their bytes and pixels alone."""
    distance = np.full(table.num_rows, BITS, np.int64)
    bytes_ = table.column("bytes_sha256").to_pylist()
    same = np.array([each in hashes.bytes_sha256 for each in bytes_], np.bool_)
    pixels = table.column("pixels")
    there = np.asarray(pixels.is_valid().to_numpy())
    same[there] |= np.isin(pixels.drop_null().to_numpy(), hashes.pixels)
    if len(hashes.areas):
        clear = np.flatnonzero(there & (table.column("quality").to_numpy() >= LEAST_QUALITY))
        areas = words_of(table.column("area64").combine_chunks().take(pa.array(clear)))
        distance[clear] = nearest(areas, hashes)
    distance[same] = 0
    return distance <= hashes.radius, distance


def _check_scores(files: list[InputFile], settings: Filter) -> None:
    """Check that the score files have uids, and each score that is asked for stands in one.

    Raises:
        ConfigError: they have not.
    """
    there: set[str] = set()
    for file in files:
        try:
            with open_stream(file.path) as stream:
                names = pq.read_schema(pa.BufferReader(stream.read())).names
        except pa.ArrowException as error:
            raise ConfigError(f"images.filter.score_files: {file.path}: cannot be read as Parquet: {error}") from error
        if "uid" not in names:
            raise ConfigError(f"images.filter.score_files: {file.path}: no column uid, but {', '.join(names)}")
        there.update(names)
    missing = [name for name in settings.scores if name not in there]
    if missing:
        raise ConfigError(
            f"images.filter.scores: {', '.join(missing)}: in none of the score files, which have"
            f" {', '.join(sorted(there - {'uid'})) or 'no column'}"
        )


class _Scores:
    """Scores of score files, by uid."""

    def __init__(self, files: tuple[InputFile, ...], names: list[str]) -> None:
        self._uids = np.zeros(0, UIDS)
        self._values: dict[str, npt.NDArray[np.float64]] = {}
        self._names = names
        tables = [self._read(file) for file in files]
        if tables:
            table = pa.concat_tables(tables)
            uids = parse_uids(table.column("uid"))
            order = np.lexsort((uids["f1"], uids["f0"]))
            self._uids = uids[order]
            self._values = {name: table.column(name).to_numpy()[order] for name in names}

    def _read(self, file: InputFile) -> pa.Table:
        with open_stream(file.path) as stream:
            table = pq.read_table(pa.BufferReader(stream.read()))
        columns = {"uid": table.column("uid").cast(pa.string())}
        try:
            for name in self._names:
                there = name in table.column_names
                columns[name] = (
                    table.column(name).cast(pa.float64()).fill_null(np.nan)
                    if there
                    else pa.chunked_array([pa.array(np.full(table.num_rows, np.nan))])
                )
        except pa.ArrowException as error:
            raise InputError(f"images.filter.score_files: {file.path}: a score is no number: {error}") from error
        return pa.table(columns)

    def of(self, table: pa.Table) -> dict[str, npt.NDArray[np.float64]]:
        """Return the scores of rows by name; NaN where a row has none. Of several of one uid the first number."""
        high, low = table.column("uid_hi").to_numpy(), table.column("uid_lo").to_numpy()
        found = {name: np.full(len(high), np.nan) for name in self._values}
        place, end = (np.searchsorted(self._uids["f0"], high, side) for side in ("left", "right"))
        rows = np.flatnonzero(place < end)
        while len(rows):
            same = rows[self._uids["f1"][place[rows]] == low[rows]]
            for name, values in self._values.items():
                lacking = same[np.isnan(found[name][same])]
                found[name][lacking] = values[place[lacking]]
            place[rows] += 1
            rows = rows[place[rows] < end[rows]]
        return found


def kept_rows(store: Store, inspected: Reference, judged: Reference, columns: list[str]) -> Iterator[pa.Table]:
    """Yield the rows of an inspected file that the filter left."""
    images, reasons = store.open_parquet(inspected, IMAGES), store.open_parquet(judged, REASONS)
    for group in range(images.num_row_groups):
        kept = np.asarray(reasons.read_row_group(group, columns=["reason"]).column(0).to_pylist(), object) == ""
        yield images.read_row_group(group, columns=columns).filter(pa.array(kept))
