"""The record of a pool: what its last finished run consists of."""

from collections.abc import Mapping, Sequence
from typing import Any

from metaclip.config.settings import Config
from metaclip.errors import ConfigError
from metaclip.store.store import Store


def record_address(pool: str) -> str:
    """Return the address of a pool's record, relative to the root."""
    return f"pools/{pool}.json"


def write_record(
    store: Store,
    config: Config,
    stages: Mapping[str, str | Sequence[str]],
    t: str,
    curated: Sequence[str],
    survivors_of: str | None = None,
) -> None:
    """Replace a pool's record as a whole.

    Sets of other t are kept in the record as long as they were cut from the same balanced partitions.
    `survivors_of` is the pool whose survivors this pool holds.
    """
    before = store.read_json(record_address(config.pool)) or {}
    sets: dict[str, list[str]] = {}
    if before.get("stages", {}).get("balance") == list(stages["balance"]):
        sets = {
            other: manifests
            for other, manifests in before["stages"].get("curate", {}).items()
            if all(store.find(manifest) for manifest in manifests)
        }
    sets[t] = list(curated)
    record = {
        "pool": config.pool,
        **({} if survivors_of is None else {"survivors_of": survivors_of}),
        "config": config.model_dump(mode="json"),
        "stages": {**stages, "curate": dict(sorted(sets.items(), key=lambda item: float(item[0])))},
    }
    store.write_json(record_address(config.pool), record)


def read_record(store: Store, pool: str) -> dict[str, Any]:
    """Return a pool's record.

    Raises:
        ConfigError: if the store has no finished run of that pool; the message lists the pools it has.
    """
    store.reach()
    record = store.read_json(record_address(pool))
    if record is None:
        known = ", ".join(store.names("pools")) or "none"
        raise ConfigError(f"no finished pool {pool!r} in {store.root}; there: {known}. Run `metaclip run` first")
    return dict(record)


def begun_crawls(store: Store, pool: str) -> list[str]:
    """Return the crawls that the last run of a pool started with, whether it finished or not."""
    begun = store.read_json(_begun_address(pool)) or {}
    return list(begun.get("crawls", []))


def begin_crawls(store: Store, pool: str, crawls: Sequence[str]) -> None:
    """Store the crawls that a run starts with, so that the next run continues with them.

    An interrupted run writes no record, and by the next run `latest` may be another crawl.
    """
    if crawls and list(crawls) != begun_crawls(store, pool):
        store.write_json(_begun_address(pool), {"pool": pool, "crawls": list(crawls)})


def _begun_address(pool: str) -> str:
    return f"crawls/{pool}.json"


def survivors_name(store: Store, pool: str, name: str | None) -> str:
    """Return the name of the record of a pool's survivors: `<pool>-survivors`, or the one given.

    Raises:
        ConfigError: if another pool has that name.
    """
    name = name or f"{pool}-survivors"
    there = store.read_json(record_address(name))
    if name == pool or (there is not None and there.get("survivors_of") != pool):
        raise ConfigError(
            f"{name!r} is another pool in {store.root}; name the survivors of {pool!r} differently (--as)"
        )
    return name
