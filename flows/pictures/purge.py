"""After a removal: what still holds the pairs is written again without them."""

from typing import Any

from flows.finish import each_rows
from flows.run import Run
from metaclip.images.dedup.shown_job import ShownSheetsJob
from metaclip.pool.record import find_record, named_outputs
from metaclip.removal.lists import Removals
from metaclip.removal.purged_job import STAGES, PurgedJob, with_removed_pairs
from metaclip.removal.removed_job import RemovedJob
from metaclip.stages.curate import REMOVED, Removed
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from tasks.images import shown_sheets
from tasks.stages import balance, purge, removed


def purged(run: Run, stages: dict[str, Any], removals: Removals, found: tuple[Reference, ...]) -> dict[str, Any]:
    """Write every output that holds pairs which are taken out again without them; return the record's stages anew.

    An output without such a pair stays as it is, and so does its key.

    Args:
        run: its configuration is the pool's.
        stages: the outputs of the pool's record.
        removals: all of the pool.
        found: what is taken out of each balanced partition.
    """
    removals = with_removed_pairs(run.store, removals, found)
    changed = dict(stages)
    for stage in STAGES:
        if stage not in stages or stage == "balance":
            continue
        originals = run.recorded(stages, stage)
        taken = removed_of(run, originals, removals)
        both = list(zip(originals, taken, strict=True))
        jobs = [PurgedJob.of(run.store, original, each) for original, each in both if each is not None]
        done = iter(run.do(purge, *((job,) for job in jobs)) if jobs else ())
        changed[stage] = [(original if each is None else next(done)).manifest for original, each in both]
    # With the counts as they are, what is left has the same min_t; a later rebalance finds these outputs.
    parts = run.recorded(changed, "survive" if "survive" in changed else "dedup")
    (counts,) = run.recorded(stages, "count")
    changed["balance"] = [each.manifest for each in run.do(balance, *((part, counts) for part in parts))]
    return changed


def removed_of(run: Run, outputs: tuple[Reference, ...], removals: Removals) -> list[Removed | None]:
    """Return what the removals name in each of some outputs that hold pairs; None where that is nothing."""
    found = run.do(removed, *((RemovedJob(each, removals),) for each in outputs))
    return [
        Removed(each, run.store.manifest(each.manifest).file(REMOVED).sha256) if each_rows(run, each) else None
        for each in found
    ]


def sheets_without(run: Run, sheets: Reference, cover: Reference, taken: list[Removed | None]) -> Reference:
    """Return the contact sheets without what is taken out of the pairs of the pool that the pictures were of."""
    some = tuple(each for each in taken if each is not None)
    return run.do(shown_sheets, (ShownSheetsJob(sheets, cover, some),))[0] if some else sheets


def drop(store: Store, pool: str, before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Remove the outputs that were written again, but those that other pools name; return these pools.

    `metaclip gc` would keep them, since the counts and other outputs were made from them.
    """
    old = set(named_outputs({stage: before[stage] for stage in STAGES if stage in before}))
    old -= set(named_outputs(after))
    holders = []
    for name in store.names("pools"):
        record = None if name == pool else find_record(store, name)
        held = set() if record is None else old & set(named_outputs(record["stages"]))
        if held:
            holders.append(name)
            old -= held
    for manifest in sorted(old):
        folder = manifest.rpartition("/")[0]
        store.remove_all([manifest])  # first: without it the output is not there
        store.remove_all([file.path for file in store.files(folder)])
    return holders
