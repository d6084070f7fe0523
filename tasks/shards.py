"""Ranges of shards: find their outputs in the store."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from prefect.states import Completed, State

from metaclip.config.settings import Config
from metaclip.prepare.jobs import ShardOutputs, find_shards
from metaclip.stages.source import read_listing
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from tasks.checkpoint import CACHED, Done, single

STAGES_OF: dict[str, tuple[str, ...]] = {"extract": ("extract",), "match": ("extract", "match")}
"""The stages of shards up to one of them."""


@dataclass(frozen=True)
class FoundRange:
    """The outputs of shards `first` to `last` - 1."""

    first: int
    last: int
    shards: tuple[ShardOutputs, ...]

    def missing(self, until: str) -> int:
        """Return the number of shards without an output of `extract` or `match`."""
        if until == "extract":
            return sum(one.extracted is None for one in self.shards)
        return sum(one.matched is None for one in self.shards)

    def output(self, stage: str, number: int) -> Reference | None:
        """Return the output of a stage for one of the shards, counted from the first of the range."""
        return self.shards[number].extracted if stage == "extract" else self.shards[number].matched

    def done(self, until: str) -> list[Done]:
        """Return the outputs of a range of which nothing is missing, stage by stage."""
        numbers = range(len(self.shards))
        found = [(stage, self.output(stage, number)) for stage in STAGES_OF[until] for number in numbers]
        return [Done(stage, output, True, 0.0) for stage, output in found if output is not None]


def find_ranges(
    config: Config,
    shards: str,
    ranges: Sequence[tuple[int, int]],
    metadata: tuple[Reference, ...],
    until: Literal["extract", "match"],
) -> list[FoundRange]:
    """Look for the outputs of ranges of the frozen listing by one task, `Cached` if all of them exist."""
    # The result is not that of the task, because Prefect would go through all of it.
    found: list[FoundRange] = []

    @single(config, "find-shards", f"look for shards in {len(ranges):,} ranges")
    def look() -> State[None]:
        store = Store(config.storage)
        listing = read_listing(store, shards)
        outputs = iter(
            find_shards(config, store, [shard for first, last in ranges for shard in listing[first:last]], metadata)
        )
        found[:] = [FoundRange(first, last, tuple(islice(outputs, last - first))) for first, last in ranges]
        missing, every = sum(one.missing(until) for one in found), sum(len(one.shards) for one in found)
        message = f"{until}: {every - missing:,} found, {missing:,} to make"
        return Completed(name=None if missing else CACHED, message=message)

    look()
    return found
