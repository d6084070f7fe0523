"""The stages of survivors: lists from outside, cut into uid ranges, and the pairs of a range that are in them."""

import io
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from metaclip.csr import Tally
from metaclip.errors import InputError
from metaclip.jit import frozen, kernel
from metaclip.manifest import Reference
from metaclip.metadata.inputs import InputFile
from metaclip.output import OutputWriter, group_bytes
from metaclip.schemas import MATCHED
from metaclip.stages.base import Job
from metaclip.stages.dedup import TALLY, uid_range
from metaclip.stages.extract import PAIRS
from metaclip.store import Store
from metaclip.survivors import Ids, read_survivors
from metaclip.uids import UIDS

MEMORY_BYTES = 64 << 20
"""Ids up to this size stay in memory while lists are read; more go to an unnamed temporary file."""


@dataclass(frozen=True)
class SurvivorsJob(Job):
    """Read lists of survivors and cut them into the uid ranges of a pool's partitions."""

    STAGE: ClassVar[str] = "survivors"
    VERSION: ClassVar[int] = 2

    files: tuple[InputFile, ...]
    partitions: int

    def config(self) -> Mapping[str, Any]:
        """Return the number of ranges."""
        return {"partitions": self.partitions}

    def inputs(self) -> list[str]:
        """Return the files' fingerprints: neither their names nor their order matter."""
        return sorted({file.fingerprint for file in self.files})

    def compute(self, store: Store, output: OutputWriter) -> Mapping[str, Any]:
        """Write for each range that has any the sorted uids, and the sorted `uid_hi` of addresses.

        Raises:
            InputError: lists that name nobody.
        """
        counts: Counter[str] = Counter()
        uids, images = _Buckets(UIDS, self.partitions), _Buckets(np.dtype("<u8"), self.partitions)
        for file in self.files:
            for ids in read_survivors(file.path, counts):
                _scatter(ids, uids, images)
            counts["bytes_read"] += file.bytes or 0
        for number in range(self.partitions):
            for kind, buckets in (("uids", uids), ("images", images)):
                found = _sorted(buckets.take(number))
                counts[kind] += len(found)
                if len(found):
                    with output.file(_name(kind, number)) as sink:
                        np.lib.format.write_array(sink, found, (1, 0), allow_pickle=False)
                        sink.rows = len(found)
        if not counts["uids"] + counts["images"]:
            raise InputError(
                f"survivors: {len(self.files)} files name nobody: of {counts['given']:,} given,"
                f" {counts['not_successful']:,} were not successful and {counts['unrecognised']:,} are neither"
                " 32 lower-case hex digits nor an http(s) address"
            )
        return {"counts": dict(sorted(counts.items())), "files": len(self.files)}


def _name(kind: str, number: int) -> str:
    return f"{kind}-{number:05d}.npy"


def _scatter(ids: Ids, uids: "_Buckets", images: "_Buckets") -> None:
    uids.add(ids.uids, ids.uids["f0"])
    images.add(ids.images, ids.images)


def _sorted(ids: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return ids sorted, each once."""
    if ids.dtype != UIDS:
        return np.unique(ids)
    ids = ids[np.lexsort((ids["f1"], ids["f0"]))]
    new = np.ones(len(ids), np.bool_)
    new[1:] = (ids["f0"][1:] != ids["f0"][:-1]) | (ids["f1"][1:] != ids["f1"][:-1])
    return ids[new]


class _Buckets:
    """Ids by uid range, in bounded memory; one range at a time is taken back."""

    def __init__(self, dtype: np.dtype[Any], partitions: int) -> None:
        self._dtype = dtype
        self._firsts = np.array([uid_range(number, partitions)[0] for number in range(partitions)], np.uint64)
        self._held: dict[int, list[npt.NDArray[Any]]] = {}
        self._held_bytes = 0
        # Has no name, so that it vanishes with the process however that ends.
        self._file = tempfile.TemporaryFile(prefix="metaclip-")  # noqa: SIM115
        self._pieces: dict[int, list[tuple[int, int]]] = {}

    def add(self, ids: npt.NDArray[Any], high: npt.NDArray[np.uint64]) -> None:
        """Add ids, of which `high` are the upper halves."""
        numbers = np.searchsorted(self._firsts, high, "right") - 1
        order = np.argsort(numbers, kind="stable")
        ids, numbers = ids[order], numbers[order]
        present, starts = np.unique(numbers, return_index=True)
        for number, piece in zip(present.tolist(), np.split(ids, starts[1:]), strict=False):
            self._held.setdefault(number, []).append(piece)
        self._held_bytes += ids.nbytes
        if self._held_bytes > MEMORY_BYTES:
            self._spill()

    def _spill(self) -> None:
        for number, pieces in self._held.items():
            data = np.concatenate(pieces).tobytes()
            self._pieces.setdefault(number, []).append((self._file.tell(), len(data)))
            self._file.write(data)
        self._held, self._held_bytes = {}, 0

    def take(self, number: int) -> npt.NDArray[Any]:
        """Return the ids of one range."""
        stored = []
        for start, size in self._pieces.get(number, []):
            self._file.seek(start)
            stored.append(np.frombuffer(self._file.read(size), self._dtype))
        self._file.seek(0, 2)
        return np.concatenate([np.zeros(0, self._dtype), *stored, *self._held.get(number, [])])


@dataclass(frozen=True)
class SurviveJob(Job):
    """Keep of one partition the pairs that survivors name, by uid or by address.

    Its key is made of the ids of its range, not of the files that named them: the same survivors in
    another form, or others outside of the range, give the same output.
    """

    STAGE: ClassVar[str] = "survive"
    VERSION: ClassVar[int] = 2

    partition: Reference
    """An output of the dedup stage, or of this one: a filter of a filter."""
    number: int
    partitions: int
    survivors: Reference
    uids_sha256: str | None
    images_sha256: str | None

    @property
    def label(self) -> str:
        """The partition's number."""
        return f"{self.number + 1} of {self.partitions}"

    def config(self) -> Mapping[str, Any]:
        """Return which range this is."""
        return {"partition": self.number, "partitions": self.partitions}

    def inputs(self) -> list[str]:
        """Return the partition's key and the hashes of the range's uids and addresses."""
        return [self.partition.key, f"uids:{self.uids_sha256}", f"images:{self.images_sha256}"]

    def compute(self, store: Store, output: OutputWriter) -> Mapping[str, Any]:
        """Write the pairs that survive, as the dedup stage does, and how often each entry is in them."""
        uids = self._ids(store, "uids", self.uids_sha256, UIDS)
        images = self._ids(store, "images", self.images_sha256, np.dtype("<u8"))
        members = _Members(uids, images)
        counts: Counter[str] = Counter()
        tally = Tally()
        rows = output.parquet(PAIRS, MATCHED, tally.counting(self._surviving(store, members, counts)))
        tally.write(output, TALLY)
        counts.update(
            {
                "survived": rows,
                "uids": len(uids),
                "images": len(images),
                "unknown_uids": members.unknown_uids,
                "unknown_images": members.unknown_images,
            }
        )
        return {"counts": dict(sorted(counts.items()))}

    def _ids(self, store: Store, kind: str, digest: str | None, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
        if digest is None:
            return np.zeros(0, dtype)
        found: npt.NDArray[Any] = np.load(io.BytesIO(store.read_bytes(self.survivors, _name(kind, self.number))))
        return found

    def _surviving(self, store: Store, members: "_Members", counts: Counter[str]) -> Iterator[pa.Table]:
        pairs = store.open_parquet(self.partition, PAIRS)
        for group in range(pairs.num_row_groups):
            table = pairs.read_row_group(group).cast(MATCHED)
            counts["bytes_read"] += group_bytes(pairs, group)
            counts["pairs"] += table.num_rows
            kept = members.contain(table.column("uid_hi").to_numpy(), table.column("uid_lo").to_numpy())
            yield table.take(pa.array(np.flatnonzero(kept)))


def survive_jobs(store: Store, survivors: Reference, partitions: tuple[Reference, ...]) -> list[SurviveJob]:
    """Return the jobs that filter a pool's partitions, given in their order."""
    digests = {file.name: file.sha256 for file in store.manifest(survivors.manifest).files}
    return [
        SurviveJob(
            partition,
            number,
            len(partitions),
            survivors,
            digests.get(_name("uids", number)),
            digests.get(_name("images", number)),
        )
        for number, partition in enumerate(partitions)
    ]


def check_survived(store: Store, survived: Sequence[Reference]) -> None:
    """Hold it against survivors if they name no pair of the pool.

    Raises:
        InputError: with what they name.
    """
    if any(reference.rows for reference in survived):
        return
    counts: Counter[str] = Counter()
    for reference in survived:
        counts.update(store.manifest(reference.manifest).statistics["counts"])
    raise InputError(
        f"survivors: none of {counts['uids']:,} uids and {counts['images']:,} addresses is of a pair of this pool,"
        f" which has {counts['pairs']:,}; are they of another pool?"
    )


class _Members:
    """Sorted survivors, and which of them were met."""

    def __init__(self, uids: npt.NDArray[Any], images: npt.NDArray[np.uint64]) -> None:
        self._high = frozen(uids["f0"], np.uint64)
        self._low = frozen(uids["f1"], np.uint64)
        self._images = np.ascontiguousarray(images, np.uint64)
        self._met_uids = np.zeros(len(uids), np.bool_)
        self._met_images = np.zeros(len(images), np.bool_)

    def contain(self, high: npt.NDArray[np.uint64], low: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        """Return for each pair whether its uid or its image is a survivor, bool[n]."""
        found = np.zeros(len(high), np.bool_)
        _find(self._high, self._low, frozen(high, np.uint64), frozen(low, np.uint64), self._met_uids, found)
        if len(self._images):
            at = np.minimum(np.searchsorted(self._images, high), len(self._images) - 1)
            named = self._images[at] == high
            self._met_images[at[named]] = True
            found |= named
        return found

    @property
    def unknown_uids(self) -> int:
        """Survivors that no pair has the uid of."""
        return int(np.count_nonzero(~self._met_uids))

    @property
    def unknown_images(self) -> int:
        """Survivors that no pair has the image of."""
        return int(np.count_nonzero(~self._met_images))


@kernel
def _find(sorted_high: Any, sorted_low: Any, high: Any, low: Any, met: Any, found: Any) -> None:
    """Look up each (high, low) by halving."""
    for row in range(high.size):
        first, end = 0, sorted_high.size
        while first < end:
            middle = (first + end) // 2
            if sorted_high[middle] < high[row] or (sorted_high[middle] == high[row] and sorted_low[middle] < low[row]):
                first = middle + 1
            else:
                end = middle
        if first < sorted_high.size and sorted_high[first] == high[row] and sorted_low[first] == low[row]:
            found[row] = True
            met[first] = True
