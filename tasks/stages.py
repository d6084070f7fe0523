"""One task for each stage of the pipeline: find the output, or let a worker compute it."""

from typing import Any

from prefect import Task

from metaclip.browse.index_job import BrowseIndexJob
from metaclip.config.settings import Config
from metaclip.prepare.jobs import count_job, extract_job, match_job
from metaclip.removal.purged_job import PurgedJob
from metaclip.removal.removed_job import RemovedJob, TakeOutJob
from metaclip.report.curves import CurveJob
from metaclip.report.survey import SurveyJob
from metaclip.sources.listing import SourceFile
from metaclip.stages.balance import BalanceJob
from metaclip.stages.count import CountByLanguageJob, CountJob, TallySumJob
from metaclip.stages.curate import CuratedSetJob, CuratePartJob
from metaclip.stages.dedup import DedupJob
from metaclip.stages.extract import ExtractJob
from metaclip.stages.gather import GatherJob
from metaclip.stages.group_counts import ByLanguage
from metaclip.stages.match import MatchJob
from metaclip.stages.match_groups import MatchGroupsJob
from metaclip.stages.near import NearGroupsJob, NearGroupsShardJob, NearJob, NearShardJob
from metaclip.stages.partition import PartitionJob
from metaclip.stages.source import ListingJob
from metaclip.store.job import Job
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from metaclip.survivors.filter_job import SurviveJob
from metaclip.survivors.list_job import SurvivorsJob
from tasks.checkpoint import checkpointed

KINDS: dict[str, type[Job]] = {
    kind.__name__: kind
    for kind in (
        *(GatherJob, DedupJob, TallySumJob, BalanceJob, CuratePartJob, CurveJob, SurveyJob),
        *(SurviveJob, TakeOutJob),
    )
}
"""The jobs of which a pool may have thousands in one stage, so that other workers do some of them."""


def given(stage: str) -> Task[..., Any]:
    """Return the task of a stage that is given its jobs as they are."""

    def job(config: Config, job: Job) -> Job:
        return job

    return checkpointed(stage)(job)


@checkpointed("extract")
def extract(config: Config, shard: tuple[SourceFile, ...]) -> ExtractJob:
    """Read one shard's files, extract the address and texts of each image, identify the languages."""
    return extract_job(config, shard)


@checkpointed("balance")
def balance(config: Config, partition: Reference, counts: Reference) -> BalanceJob:
    """Sort one partition by min_t; this does not depend on t."""
    return BalanceJob(partition, counts, config.balance.seed, ByLanguage.of(config.groups, config.balance))


@checkpointed("browse")
def browse_index(config: Config, job: BrowseIndexJob) -> BrowseIndexJob:
    """Index one partition for the page of `metaclip browse`."""
    return job


@checkpointed("count")
def count(
    config: Config,
    partitions: tuple[Reference, ...],
    metadata: tuple[Reference, ...],
    sums: tuple[Reference, ...] = (),
) -> CountJob | CountByLanguageJob:
    """Add up the counts of all partitions, by the sums of groups of them where there are many."""
    return count_job(config.groups, partitions, metadata, sums)


@checkpointed("tally")
def tally_sum(config: Config, partitions: tuple[Reference, ...]) -> TallySumJob:
    """Add up the counts of some partitions."""
    return TallySumJob(partitions, config.groups)


@checkpointed("curate")
def curate_part(config: Config, part: CuratePartJob) -> CuratePartJob:
    """Cut one balanced partition at t."""
    return part


@checkpointed("curate")
def curate_set(config: Config, whole: CuratedSetJob) -> CuratedSetJob:
    """Commit the set when all of its parts exist."""
    return whole


@checkpointed("curve")
def curve(config: Config, job: CurveJob) -> CurveJob:
    """Count pairs and matches of one partition by step of t."""
    return job


@checkpointed("dedup")
def dedup(config: Config, members: Reference, number: int, partitions: int) -> DedupJob:
    """Merge one partition from all shards and count its entries."""
    return DedupJob(members, number, partitions, config.groups)


@checkpointed("gather")
def gather(config: Config, matched: tuple[Reference, ...]) -> GatherJob:
    """Merge a group of shards, each pair once, so that a partition reads few files."""
    return GatherJob(matched)


@checkpointed("match")
def match(config: Config, extracted: Reference, metadata: tuple[Reference, ...]) -> MatchJob | MatchGroupsJob:
    """Filter one shard by language and find all entries in its texts."""
    return match_job(config, Store(config.storage), extracted, metadata)


@checkpointed("near")
def near_shard(config: Config, extracted: Reference, metadata: Reference, halvings: int) -> NearShardJob:
    """Count how many texts of one shard miss an entry by case, punctuation, spacing or a plural."""
    return NearShardJob(extracted, metadata, config.match, halvings)


@checkpointed("near")
def near_groups_shard(
    config: Config, extracted: Reference, lists: dict[str, Reference], halvings: int
) -> NearGroupsShardJob:
    """Count how many texts of one shard of a pool by language miss an entry of their own list."""
    groups = config.groups
    assert groups is not None
    return NearGroupsShardJob.of(Store(config.storage), extracted, lists, groups, config.match, halvings)


@checkpointed("near")
def near(config: Config, job: NearJob | NearGroupsJob) -> NearJob | NearGroupsJob:
    """Add up the near misses of all shards."""
    return job


@checkpointed("partition")
def partition(config: Config, matched: tuple[Reference, ...]) -> PartitionJob:
    """List the pool's matched shards and determine its partitions."""
    return PartitionJob(matched, config.dedup.rows_per_partition)


@checkpointed("source")
def freeze_listing(config: Config, listing: ListingJob) -> ListingJob:
    """Freeze the listing, so that files that appear meanwhile change no shard."""
    return listing


@checkpointed("survey")
def survey(config: Config, job: SurveyJob) -> SurveyJob:
    """Survey one partition at a t."""
    return job


@checkpointed("survivors")
def read_survivors(config: Config, job: SurvivorsJob) -> SurvivorsJob:
    """Read lists of survivors, and divide them by uid."""
    return job


@checkpointed("survive")
def survive(config: Config, job: SurviveJob) -> SurviveJob:
    """Keep the pairs of one partition that survive, and count their entries."""
    return job


@checkpointed("removed")
def removed(config: Config, job: RemovedJob) -> RemovedJob:
    """Find the pairs of one partition that the pool's removals name."""
    return job


@checkpointed("survive")
def take_out(config: Config, job: TakeOutJob) -> TakeOutJob:
    """Leave out the removed pairs of one partition, and count what is left."""
    return job


@checkpointed("purged")
def purge(config: Config, job: PurgedJob) -> PurgedJob:
    """Write an output again without the pairs that were taken out."""
    return job
