"""From a configuration to the jobs of its first stages, with every mistake found before any work."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from metaclip.client import Client, current_client, downloading
from metaclip.config import LATEST, Config
from metaclip.crawl import SourceFile, list_shards
from metaclip.crawls import resolve_crawls
from metaclip.entries import fingerprint
from metaclip.errors import StageError
from metaclip.files import side_by_side
from metaclip.language import find_model, model_fingerprint
from metaclip.manifest import Reference
from metaclip.metadata.dump import can_be_split, is_dump
from metaclip.metadata.inputs import list_inputs
from metaclip.metadata.titles import pageview_addresses
from metaclip.metadata.wordnet import wordnet_fingerprint
from metaclip.record import begun_crawls, record_address
from metaclip.stages.base import Job
from metaclip.stages.build import BuildJob
from metaclip.stages.extract import ExtractJob
from metaclip.stages.match import MatchJob
from metaclip.stages.metadata import MetadataJob
from metaclip.stages.ngrams import NgramsJob
from metaclip.stages.source import ListingJob
from metaclip.stages.titles import TitlesJob
from metaclip.store import Store

J = TypeVar("J", bound=Job)


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


@dataclass(frozen=True)
class MetadataPlan:
    """The jobs of the metadata: counts of source files, and the list that is built of them or given."""

    ngrams: tuple[NgramsJob, ...]
    titles: tuple[TitlesJob, ...]
    job: MetadataJob | BuildJob


def metadata_plan(config: Config) -> MetadataPlan:
    """Return the jobs that lead to the configured list of entries.

    Raises:
        ConfigError: a file of the sources, or the given list, is missing.
        InputError: WordNet's database is missing or is none.
        TransportError: a server that is out of reach for now.
    """
    settings, spaced = config.metadata, config.match.space_entries
    if settings.entries is not None:
        address = settings.entries
        if "://" not in address:
            address = str(Path(address).absolute())
        return MetadataPlan((), (), MetadataJob(address, fingerprint(address), spaced))
    words = ngrams_jobs(settings.words.paths, "metadata.words.paths", config)
    pairs = ngrams_jobs(settings.pairs.paths, "metadata.pairs.paths", config)
    views = titles_jobs(config)
    wordnet = wordnet_fingerprint(settings.wordnet.path) if settings.wordnet.use != "none" else None
    build = BuildJob(settings, wordnet, _outputs(words), _outputs(pairs), _outputs(views), spaced)
    return MetadataPlan(tuple(_distinct([*words, *pairs])), tuple(views), build)


def ngrams_jobs(paths: list[str], field: str, config: Config) -> list[NgramsJob]:
    """Return the jobs that count words and pairs: one for each file, and for each part of a large dump."""
    memory = config.execution.ngram_memory_mb << 20
    jobs = []
    for file in list_inputs(paths, field):
        if not is_dump(file.path):
            jobs.append(NgramsJob(file.path, file.fingerprint, "counts", bytes_read=file.bytes, memory_bytes=memory))
            continue
        step = config.metadata.bytes_per_task
        size = file.bytes if can_be_split(file.path) else None
        for start in range(0, size or 1, step):
            end = start + step if size is not None and start + step < size else None
            read = (end or size or 0) - start if size is not None else file.bytes
            jobs.append(NgramsJob(file.path, file.fingerprint, "dump", start, end, read, memory))
    return _distinct(jobs)


def titles_jobs(config: Config) -> list[TitlesJob]:
    """Return the jobs that sum the views of titles, one for each hourly file."""
    titles = config.metadata.titles
    paths = [*titles.paths, *pageview_addresses(titles.dates, titles.address)]
    return _distinct(
        [
            TitlesJob(file.path, file.fingerprint, tuple(titles.domains), titles.min_hourly_views, file.bytes)
            for file in list_inputs(paths, "metadata.titles")
        ]
    )


def _distinct(jobs: list[J]) -> list[J]:
    """Return each job once: a file under two names is counted once."""
    return list({job.key: job for job in jobs}.values())


def _outputs(jobs: Sequence[Job]) -> tuple[Reference, ...]:
    """Return where the outputs of jobs will be; their rows are not known yet."""
    return tuple(Reference(job.manifest, job.key, 0) for job in jobs)


def extract_job(config: Config, shard: tuple[SourceFile, ...]) -> ExtractJob:
    """Return the job that extracts one shard."""
    model = find_model(config.extract.language_model)
    state = model.stat()
    return ExtractJob(
        shard,
        config.extract,
        str(model),
        _model_fingerprint(model, (state.st_size, state.st_mtime_ns)),
        config.source.url_column,
        config.source.text_column,
    )


@lru_cache(maxsize=4)
def _model_fingerprint(model: Path, _state: tuple[int, int]) -> str:
    """Read a model once for a process, unless it changes."""
    return model_fingerprint(model)


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
