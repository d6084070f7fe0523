"""The survivors stage: divide lists of survivors into the uid ranges of a pool's partitions."""

import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from metaclip.errors import InputError
from metaclip.io.inputs import InputFile
from metaclip.pairs.uids import UIDS
from metaclip.stages.dedup import uid_range
from metaclip.store.job import Job
from metaclip.store.store import Store
from metaclip.store.writer import OutputWriter
from metaclip.survivors.lists import Ids, read_survivors

MEMORY_BYTES = 64 << 20
"""Bytes of ids that are in memory while lists are read; more go to an unnamed temporary file."""


@dataclass(frozen=True)
class SurvivorsJob(Job):
    """Read lists of survivors and divide them into the uid ranges of a pool's partitions."""

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
        """Write for each range that is not empty the sorted uids, and the sorted `uid_hi` of addresses.

        Raises:
            InputError: the lists name no pair.
        """
        counts: Counter[str] = Counter()
        uids, images = Buckets(UIDS, self.partitions), Buckets(np.dtype("<u8"), self.partitions)
        for file in self.files:
            for ids in read_survivors(file.path, counts):
                _scatter(ids, uids, images)
            counts["bytes_read"] += file.bytes or 0
        for number in range(self.partitions):
            for kind, buckets in (("uids", uids), ("images", images)):
                found = sorted_ids(buckets.take(number))
                counts[kind] += len(found)
                if len(found):
                    with output.file(bucket_name(kind, number)) as sink:
                        np.lib.format.write_array(sink, found, (1, 0), allow_pickle=False)
                        sink.rows = len(found)
        if not counts["uids"] + counts["images"]:
            raise InputError(
                f"survivors: {len(self.files)} files name nobody: of {counts['given']:,} given,"
                f" {counts['not_successful']:,} were not successful and {counts['unrecognised']:,} are neither"
                " 32 hex digits nor an http(s) address"
            )
        return {"counts": dict(sorted(counts.items())), "files": len(self.files)}


def bucket_name(kind: str, number: int) -> str:
    """Return the name of the file with the `uids` or `images` of one range."""
    return f"{kind}-{number:05d}.npy"


def _scatter(ids: Ids, uids: "Buckets", images: "Buckets") -> None:
    uids.add(ids.uids, ids.uids["f0"])
    images.add(ids.images, ids.images)


def sorted_ids(ids: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return ids sorted, each once."""
    if ids.dtype != UIDS:
        return np.unique(ids)
    ids = ids[np.lexsort((ids["f1"], ids["f0"]))]
    new = np.ones(len(ids), np.bool_)
    new[1:] = (ids["f0"][1:] != ids["f0"][:-1]) | (ids["f1"][1:] != ids["f1"][:-1])
    return ids[new]


class Buckets:
    """Ids by uid range, in bounded memory; they are returned one range at a time."""

    def __init__(self, dtype: np.dtype[Any], partitions: int) -> None:
        self._dtype = dtype
        self._firsts = np.array([uid_range(number, partitions)[0] for number in range(partitions)], np.uint64)
        self._held: dict[int, list[npt.NDArray[Any]]] = {}
        self._held_bytes = 0
        # It has no name, so it disappears with the process, however that ends.
        self._file = tempfile.TemporaryFile(prefix="metaclip-")  # noqa: SIM115
        self._pieces: dict[int, list[tuple[int, int]]] = {}

    def add(self, ids: npt.NDArray[Any], high: npt.NDArray[np.uint64]) -> None:
        """Add ids; `high` are their upper halves."""
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
