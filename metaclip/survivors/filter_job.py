"""The survive stage: the pairs of one partition that are in the lists of survivors."""

import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from metaclip.balance.tally import Tally
from metaclip.config.groups import Groups
from metaclip.errors import InputError
from metaclip.pairs.uids import UIDS
from metaclip.schemas import MATCHED, PAIRS, conform, with_kept
from metaclip.stages.dedup import TALLY
from metaclip.store.job import Job
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from metaclip.store.writer import OutputWriter
from metaclip.survivors.list_job import bucket_name
from metaclip.survivors.members import Members
from metaclip.tables.parquet import group_bytes


@dataclass(frozen=True)
class SurviveJob(Job):
    """Keep the pairs of one partition that the lists of survivors name, by uid or by address.

    The key depends on the ids in the range of the partition, not on the files. So the same survivors in
    another format, or others outside of the range, give the same output.
    """

    STAGE: ClassVar[str] = "survive"
    VERSION: ClassVar[int] = 2

    partition: Reference
    """An output of the dedup stage, or of this stage if survivors are filtered again."""
    number: int
    partitions: int
    survivors: Reference
    uids_sha256: str | None
    images_sha256: str | None
    groups: Groups | None = None
    """Of a pool by language; the partition's key depends on them already."""

    @property
    def label(self) -> str:
        """The partition's number."""
        return f"{self.number + 1} of {self.partitions}"

    def config(self) -> Mapping[str, Any]:
        """Return the number of this range, and of all ranges."""
        return {"partition": self.number, "partitions": self.partitions}

    def inputs(self) -> list[str]:
        """Return the partition's key and the hashes of the range's uids and addresses."""
        return [self.partition.key, f"uids:{self.uids_sha256}", f"images:{self.images_sha256}"]

    def compute(self, store: Store, output: OutputWriter) -> Mapping[str, Any]:
        """Write the pairs that survive, as the dedup stage does, and their entry counts."""
        uids = self._ids(store, "uids", self.uids_sha256, UIDS)
        images = self._ids(store, "images", self.images_sha256, np.dtype("<u8"))
        members = Members(uids, images)
        counts: Counter[str] = Counter()
        tally = Tally(self.groups)
        schema = with_kept(MATCHED, store.open_parquet(self.partition, PAIRS).schema_arrow)
        rows = output.parquet(PAIRS, schema, tally.counting(self._surviving(store, members, counts)))
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
        found: npt.NDArray[Any] = np.load(io.BytesIO(store.read_bytes(self.survivors, bucket_name(kind, self.number))))
        return found

    def _surviving(self, store: Store, members: "Members", counts: Counter[str]) -> Iterator[pa.Table]:
        pairs = store.open_parquet(self.partition, PAIRS)
        for group in range(pairs.num_row_groups):
            table = conform(pairs.read_row_group(group), MATCHED)
            counts["bytes_read"] += group_bytes(pairs, group)
            counts["pairs"] += table.num_rows
            kept = members.contain(table.column("uid_hi").to_numpy(), table.column("uid_lo").to_numpy())
            yield table.take(pa.array(np.flatnonzero(kept)))


def survive_jobs(
    store: Store, survivors: Reference, partitions: tuple[Reference, ...], groups: Groups | None = None
) -> list[SurviveJob]:
    """Return the jobs that filter a pool's partitions, which are given in their order."""
    digests = {file.name: file.sha256 for file in store.manifest(survivors.manifest).files}
    return [
        SurviveJob(
            partition,
            number,
            len(partitions),
            survivors,
            digests.get(bucket_name("uids", number)),
            digests.get(bucket_name("images", number)),
            groups,
        )
        for number, partition in enumerate(partitions)
    ]


def check_survived(store: Store, survived: Sequence[Reference]) -> None:
    """Check that the survivors name at least one pair of the pool.

    Raises:
        InputError: they do not; the message says what they name.
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
