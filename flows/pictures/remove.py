"""Take pairs out of a pool's sets, now and in every later run."""

from collections.abc import Mapping
from typing import Any, Literal

from prefect import flow

from flows.finish import count_entries, cut_set, each_rows, record_unreported, report_and_record
from flows.pictures.clean import IMAGE_STAGES
from flows.pictures.purge import drop, purged, removed_of, sheets_without
from flows.run import Run
from flows.runner import task_runner
from flows.summary import summarize_stage
from metaclip.config.loading import parse_config
from metaclip.config.settings import Config, parse_t
from metaclip.errors import ConfigError
from metaclip.explore.by_language import own_t, parse_set_name
from metaclip.images.fate import images_of_hashes
from metaclip.pool.record import read_record, survivors_name
from metaclip.removal.lists import Entry, Removals, add_removals, read_list, read_removals
from metaclip.removal.purged_job import STAGES
from metaclip.removal.removed_job import RemovedJob, TakeOutJob, entries_met
from metaclip.stages.curate import REMOVED
from metaclip.store.manifest import Reference
from metaclip.store.store import Store
from tasks.progress import reporting
from tasks.stages import balance, removed, take_out
from tasks.workers import workers_for

Counts = Literal["frozen", "anew"]

_RECORDED = (
    *("metadata", "source", "extract", "match", "gather", "partition", "dedup", "survivors", *IMAGE_STAGES, "survive"),
    *("count", "balance"),
)
"""The stages before a set, in their order."""


@flow(name="remove", flow_run_name="{pool} removal", task_runner=task_runner())
def remove_pairs(
    pool: str,
    storage: str,
    listed: str,
    reason: str = "",
    counts: Counts = "frozen",
    dry_run: bool = False,
    purge: bool = False,
) -> dict[str, Any]:
    """Take out of a pool's sets what a list names, and keep it out of every later run.

    Args:
        pool: Name of the pool.
        storage: Root of the store that holds it: a folder, or an address such as s3://bucket/prefix.
        listed: A file that names a uid, image, url, host, domain, page, page_domain, sha256 or pixels on each line.
        reason: Why, in a word; kept beside the hashes.
        counts: `frozen`: the sets become what they were without these pairs. `anew`: what is left is counted and
            balanced again, as a pool of its own, `<pool>-removed`.
        dry_run: Only tell what would be taken out; nothing is kept or written but the outputs that tell it.
        purge: Write the outputs that hold the texts (extract to balance) again without them, and remove the old ones;
            with frozen counts alone.

    Returns:
        `entries` of the list, how many of them are new, `unknown` lines, `removed` pairs, and for each set of the pool
        its pairs `before` and now; `still_hold`, the stages whose outputs hold the texts, and with purge
        `held_by`, the other pools whose records name such outputs.

    Raises:
        ConfigError: no such pool, a line is not understood, or purge with counts anew.
        StoreError: an output of the pool is missing.
    """
    if purge and counts == "anew":
        raise ConfigError("remove: purge goes with frozen counts; count anew first, and then purge both pools")
    store = Store(storage)
    record = read_record(store, pool)
    config = parse_config({**record["config"], "storage": storage}, f"pool {pool}")
    stages = record["stages"]
    lines = read_list(listed)
    given = images_of_hashes(store, stages, lines)
    known = read_removals(store, pool)
    removals = Removals(tuple(sorted({*known.entries, *given})))
    run = Run(config, record.get("survivors_of"))
    with reporting(config), workers_for(config):
        balanced = run.recorded(stages, "balance")
        found = run.do(removed, *((RemovedJob(part, removals),) for part in balanced))
        met = entries_met(store, found, removals)
        unknown = sorted({given[entry] for entry in given if entry not in met} | _lines_without(lines, given))
        done = {
            "pool": pool,
            "entries": len(lines),
            "new": len(set(given) - set(known.entries)),
            "unknown": unknown,
            "removed": sum(each_rows(run, each) for each in found),
            "partitions": [number for number, each in enumerate(found) if each_rows(run, each)],
            "dry_run": dry_run,
        }
        if not dry_run:
            add_removals(store, pool, list(given), reason)
        if not dry_run and "image-sheets" in stages:
            stages = _shown(run, stages, removals)
        if purge and not dry_run:
            stages = purged(run, stages, removals, found)
        if counts == "anew":
            done["sets"] = {} if dry_run else _anew(store, record, config, stages, found)
        else:
            done["sets"] = _recut(run, stages, dry_run)
    done["still_hold"] = [name for name in STAGES if name in stages and not (purge and not dry_run)]
    if purge and not dry_run:
        done["held_by"] = drop(store, pool, record["stages"], stages)
    done["stages"] = [summarize_stage(store, name, each) for name, each in run.done.items()]
    return done


def _shown(run: Run, stages: dict[str, Any], removals: Removals) -> dict[str, Any]:
    """Leave what is taken out off the contact sheets; return the record's stages anew."""
    (sheets,), (cover,) = run.recorded(stages, "image-sheets"), run.recorded(stages, "image-cover")
    taken = removed_of(run, run.recorded(stages, "dedup"), removals)
    return {**stages, "image-sheets": sheets_without(run, sheets, cover, taken).manifest}


def _lines_without(lines: Mapping[Entry, int], given: Mapping[Entry, int]) -> set[int]:
    """Return the lines of hashes that no picture of the pool has."""
    return set(lines.values()) - set(given.values())


def _recut(run: Run, stages: Mapping[str, Any], dry_run: bool) -> dict[str, Any]:
    """Cut every set of the pool again, without what is taken out; return the pairs of each before and now."""
    own = run.config
    sets: dict[str, Any] = {}
    for name, addresses in stages["curate"].items():
        before = run.store.manifest(addresses[0]).statistics["counts"]["curated"]
        sets[name] = {"before": before}
        if dry_run:
            continue
        t, of_languages = parse_set_name(name)
        at_t = own.model_copy(update={"balance": own.balance.model_copy(update={"t": parse_t(t)})})
        once = Run(at_t, run.survivors_of, own.balance.t)
        once.recall(stages, *(stage for stage in _RECORDED if stage in stages))
        if "near" in stages:
            once.recall(stages, "near")
            (once.near,) = once.outputs("near")
        if of_languages:
            cut_set(once, once.outputs("balance"), own_t(at_t, once.store, once.outputs("count")[0], of_languages))
            record_unreported(once, read_record(run.store, own.pool)["stages"], name)
        else:
            cut_set(once, once.outputs("balance"))
            report_and_record(once)
            run.add(once.done["report"])
        assert once.curated is not None
        now = run.store.manifest(once.curated.manifest).statistics["counts"]["curated"]
        sets[name] |= {"now": now, "folder": run.store.address(once.curated.folder)}
        run.add(once.done["curate"])
    return sets


def _anew(
    store: Store, record: Mapping[str, Any], config: Config, stages: Mapping[str, Any], found: tuple[Reference, ...]
) -> dict[str, Any]:
    """Count and balance what is left again, as a pool of its own."""
    pool = config.pool
    if pool.endswith("-removed"):
        raise ConfigError(f"{pool} was counted anew already; take out of the pool that it was made of")
    name = survivors_name(store, pool, f"{pool}-removed")
    run = Run(config.model_copy(update={"pool": name}), pool)
    gathered = ("gather",) if "gather" in stages else ()
    run.recall(stages, "metadata", "source", "extract", "match", *gathered, "partition", "dedup")
    partitions = run.recorded(stages, "survive" if "survive" in stages else "dedup")
    digests = [store.manifest(each.manifest).file(REMOVED).sha256 for each in found]
    groups = config.groups
    jobs = [TakeOutJob(*each, groups) for each in zip(partitions, found, digests, strict=True)]
    left = run.do(take_out, *((job,) for job in jobs))
    counts = count_entries(run, left)
    cut_set(run, run.do(balance, *((part, counts) for part in left)))
    report_and_record(run)
    assert run.curated is not None
    before = store.manifest(record["stages"]["curate"][next(iter(stages["curate"]))][0]).statistics["counts"]["curated"]
    now = store.manifest(run.curated.manifest).statistics["counts"]["curated"]
    return {
        str(config.balance.t): {"before": before, "now": now, "folder": store.address(run.curated.folder), "pool": name}
    }
