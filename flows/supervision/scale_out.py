"""Ranges of shards on other workers: a run of `match-shards` for each."""

from collections.abc import Mapping, Sequence
from typing import Literal

from flows.supervision.supervisor import Range, Supervisor, Work, add, from_nothing
from metaclip.config.settings import Config
from metaclip.errors import StageError
from metaclip.pool.run_log import RunState, StageState
from metaclip.store.manifest import Reference
from tasks.checkpoint import Done
from tasks.progress import current_progress
from tasks.shards import STAGES_OF, FoundRange, find_ranges


def match_on_workers(
    config: Config,
    shards: str,
    before: Sequence[FoundRange],
    metadata: tuple[Reference, ...],
    until: Literal["extract", "match"],
) -> list[Done]:
    """Process all ranges by runs of `execution.deployment`; return the outputs, stage by stage, in their order.

    Args:
        config: the pool's configuration.
        shards: address of the frozen listing.
        before: what the store has of each range; those whose outputs exist are not run.
        metadata: the list of entries.
        until: the last stage.

    Raises:
        StageError: if a run failed; the other runs finish first.
        WorkerLostError: if a range's run was lost more than `execution.retries` times.
    """
    assert config.execution.deployment is not None
    waiting = [Range(found.first, found.last) for found in before if found.missing(until)]
    begun = current_progress().stages()

    def progress(told: Mapping[int, RunState]) -> dict[str, StageState]:
        return {stage: _progress(stage, begun[stage], before, told) for stage in STAGES_OF[until] if stage in begun}

    work = Work(
        "shards",
        "execution.deployment",
        config.execution.deployment,
        {"shards": shards, "until": until},
        len(before) - len(waiting),
        progress,
    )
    Supervisor(config, work, waiting).run()
    after = {found.first: found for found in before}
    if waiting:
        again = find_ranges(config, shards, [(one.first, one.last) for one in waiting], metadata, until)
        after |= {found.first: found for found in again}
    told = {one.first: one.told for one in waiting}
    for found in after.values():
        if found.missing(until):
            raise StageError(
                f"shards {found.first} to {found.last}: the run ended well, yet {found.missing(until)} outputs are not"
                " where this run looks for them. Workers must have the same version of this package and of the"
                " language model, the same storage, and no task may delete outputs meanwhile"
            )
    return [
        done
        for stage in STAGES_OF[until]
        for found in before
        for done in _outputs(stage, found, after[found.first], told.get(found.first))
    ]


def _outputs(stage: str, before: FoundRange, after: FoundRange, told: RunState | None) -> list[Done]:
    """Return a range's outputs of one stage; the time of their run is divided among those that it computed."""
    numbers = range(len(after.shards))
    computed = sum(before.output(stage, number) is None for number in numbers)
    seconds = told.stages[stage].seconds if told is not None and stage in told.stages else 0.0
    done = []
    for number in numbers:
        output = after.output(stage, number)
        assert output is not None
        cached = before.output(stage, number) is not None
        done.append(Done(stage, output, cached, 0.0 if cached else seconds / computed))
    return done


def _progress(stage: str, begun: StageState, before: Sequence[FoundRange], told: Mapping[int, RunState]) -> StageState:
    """Add up the outputs of a stage that existed before, and the progress of the runs."""
    total = from_nothing(begun)
    for found in before:
        run = told.get(found.first)
        if run is not None and stage in run.stages:
            add(total, run.stages[stage])
        else:
            standing = sum(found.output(stage, number) is not None for number in range(len(found.shards)))
            total.done += standing
            total.cached += standing
    return total
