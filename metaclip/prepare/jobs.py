"""From a configuration to the jobs of its first stages, with every mistake found before any work."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from metaclip.config.settings import LATEST, Config
from metaclip.errors import StageError
from metaclip.io.client import Client, current_client, downloading
from metaclip.io.files import side_by_side
from metaclip.language.model_file import find_model, model_fingerprint
from metaclip.metadata.jobs import metadata_plan
from metaclip.pool.record import begun_crawls, record_address
from metaclip.sources.common_crawl import resolve_crawls
from metaclip.sources.listing import SourceFile, list_shards
from metaclip.stages.extract import ExtractJob
from metaclip.stages.match import MatchJob
from metaclip.stages.source import ListingJob
from metaclip.store.manifest import Reference
from metaclip.store.store import Store


def resolve(config: Config) -> Config:
    """Replace `latest` in `source.crawl` by names.

    Raises:
        InputError, TransportError: the newest crawl cannot be told.
    """
    if LATEST not in config.source.crawl:
        return config
    store = Store(config.storage)
    with downloading(_client(config)):
        return resolve_crawls(config, store.read_json(record_address(config.pool)), begun_crawls(store, config.pool))


def _client(config: Config) -> Client:
    """Return this process's client in the name that the configuration gives."""
    return replace(current_client(), contact=config.source.contact)


def check(config: Config) -> ListingJob:
    """Look at all that a run needs, and list its source.

    Raises:
        ConfigError: if the list of entries or the language model is missing.
        InputError: if a source path is missing or holds nothing usable.
        StoreError: if the store cannot be used.
    """
    config = resolve(config)
    with downloading(_client(config)):
        metadata_plan(config)
        find_model(config.extract.language_model)
        listing = ListingJob(tuple(tuple(shard) for shard in list_shards(config.source)))
    Store(config.storage).check()
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
    )


@dataclass(frozen=True)
class ShardOutputs:
    """What the store holds of one shard."""

    extracted: Reference | None
    matched: Reference | None


def find_shards(
    config: Config, store: Store, shards: Sequence[tuple[SourceFile, ...]], metadata: Reference
) -> list[ShardOutputs]:
    """Look for the outputs of many shards at once; an object store answers side by side.

    Raises:
        InputError: if a local crawl file was replaced by another since it was extracted.
    """

    def find(shard: tuple[SourceFile, ...]) -> ShardOutputs:
        extracted = extract_job(config, shard).find(store, config.execution.verify)
        if extracted is None:
            return ShardOutputs(None, None)
        job = MatchJob(extracted, metadata, config.match)
        return ShardOutputs(extracted, job.find(store, config.execution.verify))

    return side_by_side(find, shards)


def check_failed_files(store: Store, extracted: Sequence[Reference], limit: float, files: int | None = None) -> None:
    """Hold the share of files that failed for good against `extract.max_failed_files`.

    `files` is the number of all files where `extracted` holds a part of them: a part alone may
    exceed a share of itself, but none may exceed the share of all.

    Raises:
        StageError: naming the first of them.
    """
    read = side_by_side(lambda one: store.manifest(one.manifest).statistics, extracted)
    failed = [file for statistics in read for file in statistics["failed_files"]]
    if files is None:
        files = sum(statistics["counts"]["files"] for statistics in read)
    if len(failed) > limit * files:
        named = "\n".join(f"  {file['path']}: {file['reason']}: {file['detail']}" for file in failed[:10])
        raise StageError(
            f"{len(failed)} of {files} files could not be read, more than extract.max_failed_files = {limit:g} allows."
            f" Mend or remove them, or raise the limit (1 allows all); what was read is kept.\n{named}"
        )
