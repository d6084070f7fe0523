"""What a pool consists of, whether all of it is complete, and what its runs are doing, from the store alone."""

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from metaclip.io.storage.files import side_by_side
from metaclip.pool.record import addresses_of, read_record, record_address
from metaclip.pool.run_log import RunState, runs_of
from metaclip.store.distrust import doubtful
from metaclip.store.manifest import Manifest
from metaclip.store.store import Store, Verify

RUNS = 5
"""At most so many runs that ended are reported."""


def pool_status(storage: str, pool: str, verify: Verify = "size") -> dict[str, Any]:
    """Check every output of a pool's last finished run, and report its runs.

    Returns:
        `stages`: outputs, missing, rows and bytes of each; `sets`: by t; `missing`: the number of
        incomplete outputs; `doubtful`: the folders of outputs that may have been made from an altered
        one; `runs`: active runs, lost runs and the last runs that ended, the newest
        last, with done, cached, failed, rate and projected end by stage.

    Raises:
        ConfigError: if the store has no pool of that name.
    """
    store = Store(storage)
    store.reach()
    runs = runs_of(store, pool)
    # A pool with runs may have no record yet; a pool with neither does not exist.
    finished = store.read(record_address(pool)) is not None or not runs
    summaries: list[dict[str, Any]] = []
    sets: dict[str, Any] = {}
    altered: list[str] = []
    if finished:
        stages = dict(read_record(store, pool)["stages"])
        curated: dict[str, list[str]] = stages.pop("curate")
        for stage, addresses in stages.items():
            summaries.append(_summary(stage, _find_manifests(store, addresses_of(addresses), verify, altered)))
        for t, addresses in curated.items():
            found = _find_manifests(store, addresses, verify, altered)
            summaries.append(_summary(f"curate t={t}", found))
            rows = sum(manifest.rows for manifest in found if manifest)
            sets[t] = {"rows": rows, "folder": store.address(addresses[0].rsplit("/", 1)[0])}
    return {
        "pool": pool,
        "storage": storage,
        "finished": finished,
        "stages": summaries,
        "sets": sets,
        "missing": sum(summary["missing"] for summary in summaries),
        "doubtful": sorted({store.address(str(PurePosixPath(each).parent)) for each in doubtful(store, altered)}),
        "runs": _runs(runs),
    }


def _find_manifests(
    store: Store, addresses: Sequence[str], verify: Verify, altered: list[str]
) -> list[Manifest | None]:
    """Return the manifests of the complete outputs; add the keys of altered ones to `altered`."""
    examined = side_by_side(lambda address: store.examine(address, verify), addresses)
    for address, found in zip(addresses, examined, strict=True):
        if found.is_altered:
            altered.append(PurePosixPath(address).parent.name)
    return [found.manifest for found in examined]


def _runs(runs: Sequence[RunState]) -> list[dict[str, Any]]:
    """Describe runs that no other run started; the others are counted in the run that started them."""
    top = [run for run in runs if run.parent is None]
    unfinished = [run for run in top if run.state == "running"]
    ended = [run for run in top if run.state != "running"][-RUNS:]
    children = [run.parent for run in runs if run.parent is not None and run.is_active]
    return [
        {
            "run": run.run,
            "flow": run.flow,
            "state": run.state if run.state != "running" or run.is_active else "lost",
            "host": run.host,
            "started": run.started.isoformat(timespec="seconds"),
            "updated": run.updated.isoformat(timespec="seconds"),
            "waits_for": run.waits_for if run.is_active else "",
            "runs_on_workers": children.count(run.run),
            "stages": [_stage(name, run) for name in run.stages],
            "failures": run.failures,
            "message": run.message,
            "note": run.note,
        }
        for run in sorted([*unfinished, *ended], key=lambda run: (run.started, run.run))
    ]


def _stage(name: str, run: RunState) -> dict[str, Any]:
    stage = run.stages[name]
    seconds = (stage.updated - stage.started).total_seconds()
    rate, end = stage.per_minute, stage.projected_end() if run.is_active else None
    return {
        "stage": name,
        "total": stage.total,
        "done": stage.done,
        "cached": stage.cached,
        "failed": stage.failed,
        "rows_per_second": round(stage.rows / seconds, 1) if stage.rows and seconds > 0 else None,
        "per_minute": round(rate, 2) if rate is not None else None,
        "projected_end": end.isoformat(timespec="seconds") if end is not None else None,
        "outlook": stage.outlook() if end is not None else "",
    }


def _summary(stage: str, found: Sequence[Manifest | None]) -> dict[str, Any]:
    whole = [manifest for manifest in found if manifest is not None]
    return {
        "stage": stage,
        "outputs": len(found),
        "missing": len(found) - len(whole),
        "rows": sum(manifest.rows for manifest in whole),
        "bytes": sum(file.bytes for manifest in whole for file in manifest.files),
    }
