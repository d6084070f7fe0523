"""Another t or seed for a finished pool, or its survivors: stages before balancing are not run again."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from prefect import flow
from prefect.runtime import flow_run
from pydantic import Field

from flows.finish import count_entries, cut_set, record_unreported, report_and_record
from flows.pictures.clean import IMAGE_STAGES, clean_images
from flows.run import Run
from flows.runner import task_runner
from flows.summary import summarize
from flows.supervision.turns import give_up_after_crashes
from metaclip.balance.counts import tail_t
from metaclip.config.images import Images
from metaclip.config.loading import parse_config
from metaclip.config.settings import Config, Threshold, format_t
from metaclip.errors import ConfigError
from metaclip.explore.by_language import own_t
from metaclip.explore.size_curve import StoredSizeCurve
from metaclip.images.decoder import require_pillow
from metaclip.images.downloaded import downloaded_files
from metaclip.io.inputs import InputFile
from metaclip.pool.record import read_record
from metaclip.pool.record import survivors_name as name_of_survivors
from metaclip.stages.curate import set_name
from metaclip.stages.group_counts import reference_counts
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from metaclip.survivors.filter_job import check_survived, survive_jobs
from metaclip.survivors.list_job import SurvivorsJob
from metaclip.survivors.lists import survivor_files
from tasks.progress import current_progress, reporting
from tasks.stages import balance, read_survivors, survive
from tasks.workers import workers_for


def _run_name() -> str:
    wanted = flow_run.parameters
    if wanted.get("survivors"):
        return f"{wanted['pool']} survivors"
    if wanted.get("images"):
        return f"{wanted['pool']} images"
    if wanted.get("t") is not None:
        return f"{wanted['pool']} t={format_t(wanted['t'])}"
    for name in ("target_pairs", "tail_share"):
        if wanted.get(name) is not None:
            return f"{wanted['pool']} {name}={wanted[name]}"
    return str(wanted["pool"])


@flow(name="rebalance", flow_run_name=_run_name, task_runner=task_runner())
def rebalance(
    pool: str,
    storage: str,
    t: Threshold | None = None,
    target_pairs: Annotated[int, Field(ge=1)] | None = None,
    tail_share: Annotated[float, Field(gt=0, le=1)] | None = None,
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None,
    survivors: list[str] | None = None,
    survivors_name: str | None = None,
    language_t: dict[str, Threshold] | None = None,
    images: str | None = None,
    image_settings: Images | None = None,
) -> dict[str, Any]:
    """Curate a finished pool, or its survivors, at another t. Give one of t, target_pairs and tail_share.

    Args:
        pool: Name of the pool.
        storage: Root of the store that holds it: a folder, or an address such as s3://bucket/prefix.
        t: Entries with more than t matches are sampled down; `inf` keeps every matched pair.
        target_pairs: Instead of t: the size of the set; the smallest t that reaches it is used.
        tail_share: Instead of t: the tail share, such as 0.06, which is the share of all matches that
            belongs to entries with at most t matches; the smallest such t is used.
        seed: Seed of the draws. Empty: the pool's own seed, with which sets of growing t are nested; with
            survivors, the pool's seed plus one, so that the draws do not depend on those that chose them.
        survivors: Files, folders or globs that name the pairs that remain after a download or a filter:
            img2dataset's output (Parquet with `status`, or tar shards), or lists of uids or image
            addresses (Parquet, JSON Lines, text, npy of dtype u8,u8). Only these pairs are counted, and
            the result becomes a pool of its own. Empty for the whole pool.
        survivors_name: Name of that pool; empty for `<pool>-survivors`, or `<pool>-images` with images.
        language_t: Of a pool by language: the t of each of these languages, instead of what the rule gives it; the
            others follow t, by default the pool's. Such a set is no prefix: pairs are read up to the largest t of the
            reference language that one of these needs, and filtered. It gets no report.
        images: Folder or address that `metaclip images download` wrote. The pictures are inspected, filtered, and
            each is kept once; only the pairs whose picture stays are counted, and become a pool of its own.
        image_settings: What is left out, and what counts as the same picture. Empty: the pool's `images`.

    Returns:
        The summary of the run, see `flows.summary.summarize`.

    Raises:
        ConfigError: if the store has no finished pool of that name, or not exactly one of the three is given.
        InputError: if the survivors cannot be read, or none of them is in this pool.
    """
    if sum(wanted is not None for wanted in (t, target_pairs, tail_share)) != 1 and not language_t:
        raise ConfigError("rebalance: give exactly one of t, target_pairs and tail_share")
    if language_t and (target_pairs is not None or tail_share is not None or survivors or images):
        raise ConfigError("rebalance: language_t goes with t alone, which is for the other languages")
    if survivors and images:
        raise ConfigError("rebalance: give survivors or images, not both; one can follow on the pool of the other")
    if survivors_name and not (survivors or images):
        raise ConfigError("rebalance: survivors_name names the survivors' pool, but no survivors are given")
    if image_settings is not None and not images:
        raise ConfigError("rebalance: image_settings are for images, but none are given")
    store = Store(storage)
    record = read_record(store, pool)
    stages, origin = record["stages"], record.get("survivors_of")
    if images:
        require_pillow()
        downloaded_files(images)
        survivors_name = survivors_name or f"{pool}-images"
        if image_settings is not None:
            record["config"]["images"] = image_settings.model_dump(mode="json")
    files = survivor_files(survivors) if survivors else []
    if survivors or images:
        origin = pool
        record["config"]["pool"] = name_of_survivors(store, pool, survivors_name)
        if seed is None:
            # The download was often chosen by the pool's draws already, so the remaining draws are low.
            # Balancing with the same draws again would keep too much.
            seed = (record["config"]["balance"]["seed"] + 1) % 2**63
    own_t = None if survivors or images else record["config"]["balance"]["t"]
    run = Run(_changed(record["config"], storage, t, seed), origin, own_t)
    gathered = ("gather",) if "gather" in stages else ()
    run.recall(stages, "metadata", "source", "extract", "match", *gathered, "partition", "dedup")
    give_up_after_crashes(run.config.execution.retries)
    if "near" in stages and not survivors:
        run.recall(stages, "near")
        (run.near,) = run.outputs("near")
    with reporting(run.config) as progress, workers_for(run.config):
        partitions = run.recorded(stages, "survive" if "survive" in stages else "dedup")
        if survivors or images:
            if images:
                partitions = clean_images(run, images, run.recorded(stages, "count")[0], partitions)
            else:
                partitions = _survivors(run, tuple(files), partitions)
            counts = count_entries(run, partitions)
        else:
            run.recall(stages, *(name for name in ("survivors", *IMAGE_STAGES, "survive") if name in stages), "count")
            (counts,) = run.outputs("count")
        balanced = run.do(balance, *((part, counts) for part in partitions))
        if target_pairs is not None:
            t = StoredSizeCurve(store, balanced).t(target_pairs)
        elif tail_share is not None:
            t = tail_t(reference_counts(store, counts, run.config.groups), tail_share)
        run.config = _changed(record["config"], storage, t, seed)
        if language_t:
            return _by_own_t(run, stages, counts, balanced, language_t)
        cut_set(run, balanced)
        report_and_record(run)
        return summarize(run, progress.logger.cost)


def _by_own_t(
    run: Run,
    stages: dict[str, Any],
    counts: Reference,
    balanced: tuple[Reference, ...],
    language_t: Mapping[str, float | Literal["inf"]],
) -> dict[str, Any]:
    """Cut the set of languages with a t of their own, and say how much was read for it."""
    own = own_t(run.config, run.store, counts, {name: float(t) for name, t in language_t.items()})
    cut_set(run, balanced, own)
    assert run.curated is not None
    cut = [run.store.manifest(done.reference.manifest) for done in run.done["curate"]]
    read = sum(part.statistics["counts"].get("pairs_read", 0) for part in cut)
    size = sum(part.statistics["counts"].get("bytes_read", 0) for part in cut)
    name = set_name(run.config.balance.threshold, own)
    record_unreported(run, stages, name)
    return {
        **summarize(run, current_progress().logger.cost),
        "t": name,
        "read": {
            "prefix_t": format_t(own.prefix),
            "pairs": read,
            "of": sum(one.rows for one in balanced),
            "curated": run.curated.rows,
            "megabytes": round(size / 1e6, 3),
        },
    }


def _survivors(run: Run, files: tuple[InputFile, ...], partitions: tuple[Reference, ...]) -> tuple[Reference, ...]:
    """Keep the pairs of each partition that the lists name."""
    (listed,) = run.do(read_survivors, (SurvivorsJob(files, len(partitions)),))
    survived = run.do(survive, *((job,) for job in survive_jobs(run.store, listed, partitions, run.config.groups)))
    check_survived(run.store, survived)
    return survived


def _changed(tree: dict[str, Any], storage: str, t: float | str | None, seed: int | None) -> Config:
    """Return the pool's configuration with what this run changes."""
    tree = {**tree, "storage": storage, "balance": dict(tree["balance"])}
    if t is not None:
        tree["balance"]["t"] = t
    if seed is not None:
        tree["balance"]["seed"] = seed
    # The number of processes was chosen for the machine of the earlier run.
    tree["execution"] = {key: value for key, value in tree["execution"].items() if key != "processes"}
    return parse_config(tree, "rebalance")
