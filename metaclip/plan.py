"""From a configuration to the jobs of its first stages, with every mistake found before any work."""

from pathlib import Path

from metaclip.config import Config
from metaclip.crawl import SourceFile, list_shards
from metaclip.entries import fingerprint
from metaclip.errors import StageError
from metaclip.language import find_model, model_fingerprint
from metaclip.manifest import Reference
from metaclip.stages.extract import ExtractJob
from metaclip.stages.metadata import MetadataJob
from metaclip.stages.source import ListingJob
from metaclip.store import Store


def check(config: Config) -> ListingJob:
    """Look at all that a run needs, and list its source.

    Raises:
        ConfigError: if the list of entries or the language model is missing.
        InputError: if a source path is missing or holds nothing usable.
        StoreError: if the store cannot be used.
    """
    metadata_job(config)
    find_model(config.extract.language_model)
    listing = ListingJob(tuple(tuple(shard) for shard in list_shards(config.source)))
    Store(config.storage).check()
    return listing


def metadata_job(config: Config) -> MetadataJob:
    """Return the job that takes over the configured list of entries."""
    address = config.metadata.entries
    if "://" not in address:
        address = str(Path(address).absolute())
    return MetadataJob(address, fingerprint(address))


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


def check_failed_files(store: Store, extracted: list[Reference], limit: float) -> None:
    """Hold the share of files that failed for good against `extract.max_failed_files`.

    Raises:
        StageError: naming the first of them.
    """
    files, failed = 0, []
    for reference in extracted:
        statistics = store.manifest(reference.manifest).statistics
        files += statistics["counts"]["files"]
        failed += statistics["failed_files"]
    if len(failed) > limit * files:
        named = "\n".join(f"  {file['path']}: {file['reason']}: {file['detail']}" for file in failed[:10])
        raise StageError(
            f"{len(failed)} of {files} files could not be read, more than extract.max_failed_files = {limit:g} allows."
            f" Mend or remove them, or raise the limit (1 allows all); what was read is kept.\n{named}"
        )
