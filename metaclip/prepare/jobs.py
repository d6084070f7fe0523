"""The jobs of a configuration's first stages; all mistakes are found before any work."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from metaclip.config.groups import Groups
from metaclip.config.settings import LATEST, Config
from metaclip.errors import StageError
from metaclip.io.client import Client, current_client, downloading
from metaclip.io.storage.files import side_by_side
from metaclip.language.model_file import find_model, model_fingerprint
from metaclip.metadata.jobs import metadata_plans
from metaclip.pool.record import begun_crawls, find_record
from metaclip.sources.common_crawl import resolve_crawls
from metaclip.sources.kept_columns import check_kept_columns
from metaclip.sources.listing import SourceFile, list_shards
from metaclip.stages.count import CountByLanguageJob, CountJob
from metaclip.stages.extract import ExtractJob
from metaclip.stages.match import MatchJob
from metaclip.stages.match_groups import MatchGroupsJob
from metaclip.stages.source import ListingJob
from metaclip.store.lookup import find_many
from metaclip.store.manifest import Manifest, Reference
from metaclip.store.store import Store


def resolve(config: Config) -> Config:
    """Replace `latest` in `source.crawl` by names.

    Raises:
        InputError, TransportError: the newest crawl cannot be found out.
    """
    if LATEST not in config.source.crawl:
        return config
    store = Store(config.storage)
    with downloading(client_of(config)):
        return resolve_crawls(config, find_record(store, config.pool), begun_crawls(store, config.pool))


def client_of(config: Config) -> Client:
    """Return this process's download client, with the contact of the configuration."""
    return replace(current_client(), contact=config.source.contact, allow_private=config.source.allow_private)


def check(config: Config) -> ListingJob:
    """Check everything that a run needs, and list its source.

    Raises:
        ConfigError: if the list of entries or the language model is missing.
        InputError: if a source path is missing or contains nothing usable.
        StoreError: if the store cannot be used, or the pool's record in it is damaged.
    """
    config = resolve(config)
    listing = check_inputs(config)
    store = Store(config.storage)
    store.check()
    find_record(store, config.pool)  # a damaged one is told now and not after the work
    return listing


def check_inputs(config: Config) -> ListingJob:
    """Check what a run reads, and list its source; the store is not touched.

    Raises:
        ConfigError, InputError: as `check`.
    """
    with downloading(client_of(config)):
        metadata_plans(config)
        find_model(config.extract.language_model)
        listing = ListingJob(tuple(tuple(shard) for shard in list_shards(config.source)))
        if config.source.keep_columns:
            columns = (config.source.url_column, config.source.text_column)
            check_kept_columns(listing.shards, config.source.keep_columns, columns)
    return listing


def extract_job(config: Config, shard: tuple[SourceFile, ...]) -> ExtractJob:
    """Return the job that extracts one shard."""
    model = find_model(config.extract.language_model)
    return ExtractJob(
        shard,
        config.extract,
        str(model),
        model_fingerprint(model),
        config.source.url_column,
        config.source.text_column,
        tuple(config.source.keep_columns),
    )


def match_job(
    config: Config, store: Store, extracted: Reference, metadata: tuple[Reference, ...]
) -> MatchJob | MatchGroupsJob:
    """Return the job that matches one shard.

    Args:
        config: the configuration of the pool.
        store: where the shard is.
        extracted: the shard's pairs.
        metadata: the list of entries, or that of each group of languages, in the order of their names.
    """
    groups = config.groups
    if groups is None:
        (listed,) = metadata
        return MatchJob(extracted, listed, config.match)
    return MatchGroupsJob.of(store, extracted, dict(zip(groups.names, metadata, strict=True)), config.match, groups)


def count_job(
    groups: Groups | None,
    partitions: tuple[Reference, ...],
    metadata: tuple[Reference, ...],
    sums: tuple[Reference, ...] = (),
) -> CountJob | CountByLanguageJob:
    """Return the job that counts the matches of each entry over all partitions.

    Args:
        groups: groups of languages of the pool; None where it has one list.
        partitions: the pool's pairs.
        metadata: the list of entries, or that of each group of languages, in the order of their names.
        sums: counts of groups of the partitions that were added up before, if they were.
    """
    if groups is None:
        return CountJob(partitions, metadata[0], sums)
    return CountByLanguageJob(partitions, tuple(zip(groups.names, metadata, strict=True)), groups.reference, sums)


class FailedFiles(NamedTuple):
    """The files of a shard, and those of them that failed for good."""

    files: int
    failed: tuple[str, ...]
    """Path, reason and detail of each."""
    reasons: tuple[str, ...]

    @classmethod
    def of(cls, manifest: Manifest) -> "FailedFiles":
        """Return those that the manifest of an extracted shard tells of."""
        statistics = manifest.statistics
        failed = (f"{file['path']}: {file['reason']}: {file['detail']}" for file in statistics["failed_files"])
        reasons = tuple(file["reason"] for file in statistics["failed_files"])
        return cls(statistics["counts"]["files"], tuple(failed), reasons)


@dataclass(frozen=True)
class ShardOutputs:
    """The outputs of one shard that are in the store."""

    extracted: Reference | None
    matched: Reference | None
    files: FailedFiles | None = None
    """Of the extracted shard."""


def find_shards(
    config: Config, store: Store, shards: Sequence[tuple[SourceFile, ...]], metadata: tuple[Reference, ...]
) -> list[ShardOutputs]:
    """Find the outputs of many shards at once, with one look at the store for each stage.

    Raises:
        InputError: if a local crawl file was replaced by another since it was extracted.
    """
    verify = config.execution.verify
    extracted = find_many(store, [extract_job(config, shard) for shard in shards], verify, FailedFiles.of)
    jobs = [match_job(config, store, one[0], metadata) for one in extracted if one is not None]
    matched = iter(find_many(store, jobs, verify, lambda _: None))

    def outputs(one: tuple[Reference, FailedFiles] | None) -> ShardOutputs:
        if one is None:
            return ShardOutputs(None, None)
        match = next(matched)
        return ShardOutputs(one[0], match[0] if match is not None else None, one[1])

    return [outputs(one) for one in extracted]


def read_failed_files(store: Store, extracted: Sequence[Reference]) -> list[FailedFiles]:
    """Return the files of extracted shards."""
    return side_by_side(lambda one: FailedFiles.of(store.manifest(one.manifest)), extracted)


def failed_by_reason(shards: Iterable[FailedFiles]) -> Counter[str]:
    """Return how many files failed for good, by reason."""
    return Counter(reason for shard in shards for reason in shard.reasons)


def check_failed_files(shards: Sequence[FailedFiles], limit: float, files: int | None = None) -> None:
    """Check that the share of files that failed for good is at most `extract.max_failed_files`.

    If `shards` is only a part of the shards, `files` is the number of files of all shards: the limit
    applies to all files, not to those of the part.

    Raises:
        StageError: it is larger; the message names the first of the files.
    """
    failed = [file for shard in shards for file in shard.failed]
    if files is None:
        files = sum(shard.files for shard in shards)
    if len(failed) > limit * files:
        named = "\n".join(f"  {file}" for file in failed[:10])
        raise StageError(
            f"{len(failed)} of {files} files could not be read, more than extract.max_failed_files = {limit:g} allows."
            f" Mend or remove them, or raise the limit (1 allows all); what was read is kept.\n{named}"
        )
