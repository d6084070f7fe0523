"""For repeated runs of the newest crawl: whether there is anything new to do."""

from pydantic import ValidationError

from metaclip.config.settings import LATEST, Config
from metaclip.metadata.build_job import BuildJob
from metaclip.metadata.jobs import metadata_plans
from metaclip.metadata.list_job import MetadataJob
from metaclip.pool.record import addresses_of, find_record
from metaclip.pool.status import pool_status
from metaclip.prepare.jobs import extract_job
from metaclip.report.curves import CurveJob
from metaclip.report.job import ReportJob
from metaclip.report.survey import SurveyJob
from metaclip.stages.balance import BalanceJob
from metaclip.stages.count import CountJob
from metaclip.stages.curate import CuratedSetJob
from metaclip.stages.dedup import DedupJob
from metaclip.stages.extract import ExtractJob
from metaclip.stages.match import MatchJob
from metaclip.stages.match_groups import MatchGroupsJob
from metaclip.stages.near import NearJob
from metaclip.stages.partition import PartitionJob
from metaclip.stages.source import ListingJob
from metaclip.store.job import Job
from metaclip.store.store import Store

STAGES: tuple[type[Job], ...] = (
    *(ListingJob, MetadataJob, BuildJob, ExtractJob, MatchJob, PartitionJob, DedupJob, CountJob, BalanceJob),
    *(MatchGroupsJob, NearJob, CuratedSetJob, CurveJob, SurveyJob, ReportJob),
)
"""The jobs whose outputs a pool's record names."""


def has_nothing_new(asked: Config, config: Config, listing: ListingJob) -> bool:
    """Return whether a run of `latest` would only repeat the pool's last finished run.

    `asked` is the configuration that may contain `latest`, and `config` the one with the names of
    crawls. True only if no setting that affects a result differs, no input has changed, this version of
    the package would write the same outputs, and all of them exist.
    """
    store = Store(config.storage)
    record = find_record(store, config.pool)
    if LATEST not in asked.source.crawl or record is None:
        return False
    try:
        before = Config.model_validate(record["config"])
    except ValidationError:  # written by a version with other settings
        return False
    stages = record["stages"]
    written = [address for name, value in stages.items() if name != "curate" for address in addresses_of(value)]
    written += [address for addresses in stages["curate"].values() for address in addresses]
    return (
        _shaping(before) == _shaping(config)
        and stages["source"] == listing.manifest
        and addresses_of(stages["metadata"]) == [plan.job.manifest for plan in metadata_plans(config).values()]
        and stages["extract"] == [extract_job(config, shard).manifest for shard in listing.shards]
        and {address.split("/")[0] for address in written} <= {f"{job.STAGE}-v{job.VERSION}" for job in STAGES}
        and not pool_status(config.storage, config.pool, config.execution.verify)["missing"]
    )


def _shaping(config: Config) -> dict[str, object]:
    """Return the settings that affect a result."""
    return config.model_dump(
        mode="json", exclude={"storage": True, "execution": True, "source": {"max_downloads", "contact"}}
    )
