"""The end of every run: make a set and its report, and write the pool's record."""

from flows.run import Run
from metaclip.config.settings import format_t
from metaclip.pool.record import SINGLE, write_record
from metaclip.report.job import PAGE, REPORT
from metaclip.report.planned import PlannedReport
from metaclip.report.pool_outputs import PoolOutputs
from metaclip.stages.curate import CuratedSetJob
from metaclip.stages.near import NearJob, choose_shards, halvings_of, is_wanted
from metaclip.store.manifest import Reference
from tasks.report import publish, report
from tasks.stages import curate_part, curate_set, curve, near, near_shard, survey

COUNTED = ("ngrams", "titles")
"""Stages that the metadata is built from; the finished pool does not need them any more."""


def cut_set(run: Run, balanced: tuple[Reference, ...]) -> None:
    """Cut all partitions at the configured t into one set."""
    whole = CuratedSetJob(
        balanced, run.config.balance.threshold, run.config.curate.rows_per_file, run.config.balance.seed
    )
    run.do(curate_part, *((part,) for part in whole.parts()))
    (run.curated,) = run.do(curate_set, (whole,))


def count_near_misses(run: Run) -> None:
    """Count the near misses of the whole pool, if the configuration wants them for a list of this size."""
    (metadata,), shards = run.outputs("metadata"), run.outputs("extract")
    settings = run.config.near
    if not is_wanted(settings, run.store.manifest(metadata.manifest).statistics["entries"]):
        return
    chosen = choose_shards(shards)
    halvings = halvings_of(sum(shard.rows for shard in chosen), settings.most_pairs)
    counted = run.do(near_shard, *((shard, metadata, halvings) for shard in chosen))
    (run.near,) = run.do(near, (NearJob(counted, metadata, halvings, len(shards)),))


def report_and_record(run: Run) -> None:
    """Report on the set that was made, and name all outputs of the run in the pool's record."""
    assert run.curated is not None
    (metadata,), (counts,) = run.outputs("metadata"), run.outputs("count")
    outputs = PoolOutputs(
        metadata=metadata,
        extracted=run.outputs("extract"),
        matched=run.outputs("match"),
        unique=run.outputs("dedup"),
        counts=counts,
        balanced=run.outputs("balance"),
        survived=run.outputs("survive"),
    )
    t = run.config.balance.threshold
    make_report(run, PlannedReport.of(outputs, run.curated, t, run.config.card))
    stages = {
        name: done[0].reference.manifest if name in SINGLE else [one.reference.manifest for one in done]
        for name, done in run.done.items()
        if name not in ("curate", "near", *COUNTED)
    }
    if run.near is not None:
        stages["near"] = run.near.manifest
    config = run.config
    if run.own_t is not None:
        config = config.model_copy(update={"balance": config.balance.model_copy(update={"t": run.own_t})})
    write_record(run.store, config, stages, format_t(t), [run.curated.manifest], run.survivors_of)


def make_report(run: Run, planned: PlannedReport) -> None:
    """Make a report and show it in the run."""
    run.do(curve, *((job,) for job in planned.curves))
    run.do(survey, *((job,) for job in planned.surveys))
    (reported,) = run.do(report, (planned.report,))
    run.curated = planned.report.parts.curated
    run.report = run.store.output_json(reported.manifest, REPORT)
    publish(run.config, run.store.address(f"{reported.folder}/{PAGE}"), run.report)
