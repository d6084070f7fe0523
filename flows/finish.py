"""The end of every run: make a set and its report, and write the pool's record."""

from collections.abc import Mapping
from typing import Any

from flows.run import Run
from metaclip.config.settings import format_t
from metaclip.images.dedup.outputs import ImageOutputs
from metaclip.pool.record import SINGLE, write_record
from metaclip.prepare.jobs import count_job
from metaclip.removal.lists import read_removals
from metaclip.removal.removed_job import RemovedJob
from metaclip.report.job import PAGE, REPORT
from metaclip.report.planned import PlannedReport
from metaclip.report.pool_outputs import PoolOutputs
from metaclip.stages.count import PARTITIONS_A_SUM
from metaclip.stages.curate import REMOVED, CuratedSetJob, OwnT, Removed
from metaclip.stages.gather import groups_of
from metaclip.stages.group_counts import ByLanguage
from metaclip.stages.near import NearGroupsJob, NearJob, choose_shards, halvings_of, is_wanted
from metaclip.store.manifest import Reference
from tasks.report import publish, report
from tasks.stages import (
    count,
    curate_part,
    curate_set,
    curve,
    near,
    near_groups_shard,
    near_shard,
    removed,
    survey,
    tally_sum,
)

COUNTED = ("ngrams", "titles", "tally")
"""Stages that the metadata or the counts are made from; the finished pool does not need them any more."""


def count_entries(run: Run, partitions: tuple[Reference, ...]) -> Reference:
    """Count the entries of the whole pool; those of many partitions are added up in groups first, side by side."""
    metadata = run.outputs("metadata")
    sums: tuple[Reference, ...] = ()
    if len(partitions) > PARTITIONS_A_SUM:
        whole = count_job(run.config.groups, partitions, metadata)
        if whole.find(run.store, run.config.execution.verify) is None:
            sums = run.do(tally_sum, *((group,) for group in groups_of(partitions, PARTITIONS_A_SUM)))
    (counts,) = run.do(count, (partitions, metadata, sums))
    return counts


def cut_set(run: Run, balanced: tuple[Reference, ...], own: OwnT | None = None) -> None:
    """Cut all partitions at the configured t into one set, without what was asked to be taken out of the pool.

    `own` has the languages with a t of their own.
    """
    config = run.config
    whole = CuratedSetJob(
        balanced,
        config.balance.threshold,
        config.curate.rows_per_file,
        config.balance.seed,
        config.groups,
        own,
        find_removed(run, balanced),
    )
    run.do(curate_part, *((part,) for part in whole.parts()))
    (run.curated,) = run.do(curate_set, (whole,))


def count_near_misses(run: Run) -> None:
    """Count the near misses of the whole pool, if the configuration wants them for a list of this size."""
    config, shards = run.config, run.outputs("extract")
    groups = config.groups
    # Near misses are told by the paper's rule.
    rules = {"": config.rule} if groups is None else groups.rules
    named = dict(zip(rules if groups is None else groups.names, run.outputs("metadata"), strict=True))
    lists = {
        name: listed
        for name, listed in named.items()
        if rules[name] == "paper" and is_wanted(config.near, run.store.manifest(listed.manifest).statistics["entries"])
    }
    if not lists:
        return
    chosen = choose_shards(shards)
    halvings = halvings_of(sum(shard.rows for shard in chosen), config.near.most_pairs)
    if groups is None:
        metadata = lists[""]
        counted = run.do(near_shard, *((shard, metadata, halvings) for shard in chosen))
        (run.near,) = run.do(near, (NearJob(counted, metadata, halvings, len(shards)),))
    else:
        counted = run.do(near_groups_shard, *((shard, lists, halvings) for shard in chosen))
        (run.near,) = run.do(near, (NearGroupsJob(counted, tuple(lists.items()), halvings, len(shards)),))


def find_removed(run: Run, balanced: tuple[Reference, ...]) -> tuple[Removed | None, ...]:
    """Return what is taken out of each partition; nothing at all where nothing is taken out of any."""
    removals = read_removals(run.store, run.config.pool)
    if not removals and run.survivors_of is not None:  # the pool's first run: its record does not name its origin yet
        removals = read_removals(run.store, run.survivors_of)
    if not removals:
        return ()
    found = run.do(removed, *((RemovedJob(part, removals),) for part in balanced))
    taken = tuple(
        Removed(each, run.store.manifest(each.manifest).file(REMOVED).sha256) if each_rows(run, each) else None
        for each in found
    )
    return taken if any(taken) else ()


def each_rows(run: Run, reference: Reference) -> int:
    """Return how many pairs an output of the removed stage names."""
    return int(run.store.manifest(reference.manifest).statistics["counts"]["removed"])


def report_and_record(run: Run) -> None:
    """Report on the set that was made, and name all outputs of the run in the pool's record."""
    assert run.curated is not None
    metadata, (counts,) = run.outputs("metadata"), run.outputs("count")
    outputs = PoolOutputs(
        metadata=metadata[0],
        extracted=run.outputs("extract"),
        matched=run.outputs("match"),
        unique=run.outputs("dedup"),
        counts=counts,
        balanced=run.outputs("balance"),
        survived=run.outputs("survive"),
        lists=() if run.config.groups is None else tuple(zip(run.config.groups.names, metadata, strict=True)),
        by_language=ByLanguage.of(run.config.groups, run.config.balance),
        images=_images(run),
    )
    t = run.config.balance.threshold
    make_report(run, PlannedReport.of(outputs, run.curated, t, run.config.card))
    record(run, format_t(t))


def record_unreported(run: Run, stages: Mapping[str, Any], t: str) -> None:
    """Name all outputs of a run whose set gets no report in the pool's record; the report of another set stays.

    `stages` are those of the record, with that report.
    """
    run.recall(stages, *(name for name in ("curve", "survey", "report") if name in stages))
    record(run, t)


def record(run: Run, t: str) -> None:
    """Name all outputs of the run in the pool's record, and its set by its t."""
    assert run.curated is not None
    stages: dict[str, str | list[str] | dict[str, str]] = {
        name: done[0].reference.manifest if name in SINGLE else [one.reference.manifest for one in done]
        for name, done in run.done.items()
        if name not in ("curate", "near", "removed", *COUNTED)
    }
    if run.near is not None:
        stages["near"] = run.near.manifest
    if run.config.groups is not None:
        stages["metadata"] = {
            name: listed.manifest for name, listed in zip(run.config.groups.names, run.outputs("metadata"), strict=True)
        }
    config = run.config
    if run.own_t is not None:
        config = config.model_copy(update={"balance": config.balance.model_copy(update={"t": run.own_t})})
    write_record(run.store, config, stages, t, [run.curated.manifest], run.survivors_of)


def _images(run: Run) -> ImageOutputs | None:
    """Return the outputs of the stages of pictures, if the run has them."""
    if not run.outputs("image-sheets"):
        return None
    several = (run.outputs(name) for name in ("inspect", "image-filter", "image-keys", "image-pairs"))
    return ImageOutputs(*several, run.outputs("image-cover")[0], run.outputs("image-sheets")[0])


def make_report(run: Run, planned: PlannedReport) -> None:
    """Make a report and show it in the run."""
    run.do(curve, *((job,) for job in planned.curves))
    run.do(survey, *((job,) for job in planned.surveys))
    (reported,) = run.do(report, (planned.report,))
    run.curated = planned.report.parts.curated
    run.report = run.store.output_json(reported.manifest, REPORT)
    publish(run.config, run.store.address(f"{reported.folder}/{PAGE}"), run.report)
