"""A range of shards as one task: find its outputs in the store."""

from dataclasses import dataclass

from prefect import task
from prefect.states import Completed, State

from metaclip.config.settings import Config
from metaclip.prepare.jobs import ShardOutputs, find_shards
from metaclip.stages.source import read_listing
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from tasks.checkpoint import CACHED


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


@task(name="find-shards", task_run_name="shards {first} to {last}", persist_result=False, retries=2)
def find_range(
    config: Config, shards: str, first: int, last: int, metadata: tuple[Reference, ...], until: str
) -> State[FoundRange] | FoundRange:
    """Look for the outputs of a range of the frozen listing; `Cached` if all of them exist."""
    store = Store(config.storage)
    chosen = read_listing(store, shards)[first:last]
    found = FoundRange(first, last, tuple(find_shards(config, store, chosen, metadata)))
    if not found.missing(until):
        return Completed(name=CACHED, message=f"{len(chosen)} shards stand", data=found)
    return found
