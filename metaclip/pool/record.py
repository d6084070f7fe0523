"""The record of a pool: what its last finished run consists of."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from metaclip.config.settings import POOL_NAME, Config, parse_t
from metaclip.errors import ConfigError, StoreError
from metaclip.store.manifest import json_bytes, one_line
from metaclip.store.store import Store

LISTS = "metadata"
"""The stage with one output for the whole pool, or one for each group of languages, by the group's name."""

SINGLE = ("metadata", "source", "partition", "survivors", "image-cover", "image-sheets", "count", "near", "report")
"""Stages with one output for the whole pool; the record names it without a list."""

BROWSE = "browse"
"""The stage with the index of a page to browse; it stays as long as the pool is balanced as it was."""

_ALWAYS = ("metadata", "source", "extract", "match", "partition", "dedup", "count", "balance", "curate")
"""Stages that every finished pool has."""

_ADDRESS = re.compile(r"(?P<stage>[a-z][a-z0-9_-]*)-v\d+/[A-Za-z0-9_]+/manifest\.json")


def record_address(pool: str) -> str:
    """Return the address of a pool's record, relative to the root."""
    return f"pools/{pool}.json"


def named_outputs(stages: object) -> list[str]:
    """Return the addresses of the manifests that a record's `stages` name.

    Raises:
        ValueError: in one line, if anything is not of the form that `write_record` writes.
    """
    if not isinstance(stages, Mapping):
        raise ValueError("`stages` are not the stages of a pool")
    found: list[str] = []
    for stage, value in stages.items():
        if stage == "curate":
            if not isinstance(value, Mapping):
                raise ValueError("`curate` has no sets by t")
            for t, addresses in value.items():
                parse_t(t.split(";")[0])  # languages with a t of their own come behind
                found += _addresses(stage, addresses)
        elif stage == LISTS and isinstance(value, Mapping):
            found += _addresses(stage, list(value.values()))
        else:
            found += [_address(stage, value)] if stage in SINGLE else _addresses(stage, value)
    if not found:
        raise ValueError("it names no outputs")
    return found


def _addresses(stage: str, value: object) -> list[str]:
    if not isinstance(value, list):
        raise ValueError(f"{stage}: {_short(value)} is no address of a manifest in a list")
    if not value:
        raise ValueError(f"{stage}: it names no outputs")
    return [_address(stage, each) for each in value]


def _address(stage: str, value: object) -> str:
    found = _ADDRESS.fullmatch(value) if isinstance(value, str) else None
    if found is None or found["stage"] != stage:
        raise ValueError(f"{stage}: {_short(value)} is no address of a manifest of this stage")
    return found[0]


def _short(value: object) -> str:
    return repr(value)[:100]


def _complete(stages: dict[str, Any]) -> dict[str, Any]:
    named_outputs(stages)
    lacking = [stage for stage in _ALWAYS if not stages.get(stage)]
    if lacking:
        raise ValueError(f"it names no outputs of {', '.join(lacking)}")
    return stages


class _Source(BaseModel):
    model_config = ConfigDict(strict=True)

    crawl: list[str] = []


class _Configuration(BaseModel):
    """What a record's configuration has in every version."""

    model_config = ConfigDict(strict=True)

    source: _Source
    balance: dict[str, Any]
    execution: dict[str, Any]


class _Record(BaseModel):
    """The form of a pool's record."""

    model_config = ConfigDict(strict=True)

    pool: str
    survivors_of: str | None = None
    config: Annotated[dict[str, Any], AfterValidator(lambda tree: _Configuration.model_validate(tree) and tree)]
    stages: Annotated[dict[str, Any], AfterValidator(_complete)]


def _place(name: str) -> tuple[float, str]:
    """Return by what sets are ordered: their t, then the languages with a t of their own."""
    return float(name.split(";")[0]), name


def addresses_of(named: str | Sequence[str] | Mapping[str, str]) -> list[str]:
    """Return the addresses that a record names for a stage: one, a list, or by group of languages."""
    if isinstance(named, str):
        return [named]
    return list(named.values()) if isinstance(named, Mapping) else list(named)


def has_record(store: Store, pool: str) -> bool:
    """Return whether a pool has a record, be it damaged."""
    return store.read(record_address(pool)) is not None


def find_record(store: Store, pool: str) -> dict[str, Any] | None:
    """Return a pool's record, None where it has none; its configuration may be that of another version.

    Raises:
        StoreError: in one line, if it is damaged.
    """
    content = store.read(record_address(pool))
    return None if content is None else _parsed(store, pool, content)


def _parsed(store: Store, pool: str, content: bytes) -> dict[str, Any]:
    found = parse_json(store, record_address(pool), content)
    try:
        record = _Record.model_validate(found)
    except ValidationError as error:
        raise damaged(store, pool, one_line(error)) from error
    if record.pool != pool:
        raise damaged(store, pool, f"it is that of {record.pool!r}")
    return dict(found)


def parse_json(store: Store, address: str, content: bytes) -> Any:
    """Return JSON that was read from an address.

    Raises:
        StoreError: if it is none.
    """
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{store.address(address)}: not valid JSON: {error}; {_WAY_OUT}") from error


def damaged(store: Store, pool: str, reason: str) -> StoreError:
    """Return the error for a pool's record that cannot be used."""
    return StoreError(f"{store.address(record_address(pool))}: not a pool's record: {reason}; {_WAY_OUT}")


_WAY_OUT = "delete it and run the pool again, which finds its outputs and writes it anew"


def write_record(
    store: Store,
    config: Config,
    stages: Mapping[str, str | Sequence[str] | Mapping[str, str]],
    t: str,
    curated: Sequence[str],
    survivors_of: str | None = None,
) -> None:
    """Replace a pool's record as a whole, and nothing that another run has written meanwhile.

    Sets of other t are kept in the record as long as they were cut from the same balanced partitions.
    `survivors_of` is the pool whose survivors this pool holds.

    Raises:
        StoreError: if the record there is damaged, or cannot be written.
    """
    standing: dict[str, bool] = {}

    def stands(manifest: str) -> bool:
        if manifest not in standing:
            standing[manifest] = store.find(manifest) is not None
        return standing[manifest]

    def change(content: bytes | None) -> bytes:
        before = {} if content is None else _parsed(store, config.pool, content)["stages"]
        sets: dict[str, list[str]] = {}
        index: dict[str, list[str]] = {}
        if before.get("balance") == list(stages["balance"]):
            sets = {other: named for other, named in before["curate"].items() if all(map(stands, named))}
            if BROWSE in before and all(map(stands, before[BROWSE])):
                index = {BROWSE: before[BROWSE]}
        sets[t] = list(curated)
        record = {
            "pool": config.pool,
            **({} if survivors_of is None else {"survivors_of": survivors_of}),
            "config": config.model_dump(mode="json"),
            "stages": {
                **stages,
                **index,
                "curate": dict(sorted(sets.items(), key=lambda item: (float(item[0].split(";")[0]), item[0]))),
            },
        }
        return json_bytes(record)

    store.update(record_address(config.pool), change)


def add_index(store: Store, pool: str, balanced: Sequence[str], index: Sequence[str]) -> None:
    """Name the index of a pool in its record, unless the pool was balanced anew meanwhile.

    Raises:
        StoreError: if the record is damaged or gone, or cannot be written.
    """

    def change(content: bytes | None) -> bytes:
        if content is None:
            raise StoreError(f"{store.address(record_address(pool))}: missing; run the pool again")
        record = _parsed(store, pool, content)
        stages = dict(record["stages"])
        if stages["balance"] == list(balanced):
            sets = stages.pop("curate")
            record["stages"] = {**stages, BROWSE: list(index), "curate": sets}
        return json_bytes(record)

    if read_record(store, pool)["stages"].get(BROWSE) != list(index):
        store.update(record_address(pool), change)


def read_record(store: Store, pool: str) -> dict[str, Any]:
    """Return a pool's record.

    Raises:
        ConfigError: if the store has no finished run of that pool; the message lists the pools it has.
        StoreError: if the record is damaged, or was written with settings that this version does not know.
    """
    store.reach()
    record = find_record(store, pool)
    if record is None:
        known = ", ".join(store.names("pools")) or "none"
        start = "; relative paths start at the folder that the command runs in" * (store.is_local and known == "none")
        raise ConfigError(f"no finished pool {pool!r} in {store.root}; there: {known}. Run `metaclip run` first{start}")
    try:
        Config.model_validate(record["config"])
    except ValidationError as error:
        raise damaged(store, pool, f"its configuration cannot be used: {one_line(error)}") from error
    return record


def begun_crawls(store: Store, pool: str) -> list[str]:
    """Return the crawls that the last run of a pool started with, whether it finished or not.

    Raises:
        StoreError: if the file that names them is damaged.
    """
    return _crawls(store, pool, store.read(_begun_address(pool)))


def _crawls(store: Store, pool: str, content: bytes | None) -> list[str]:
    if content is None:
        return []
    found = parse_json(store, _begun_address(pool), content)
    crawls = found.get("crawls") if isinstance(found, dict) else None
    if not isinstance(crawls, list) or not all(isinstance(name, str) for name in crawls):
        raise StoreError(f"{store.address(_begun_address(pool))}: names no crawls; delete it and run the pool again")
    return crawls


def begin_crawls(store: Store, pool: str, crawls: Sequence[str], *, joining: bool = False) -> None:
    """Store the crawls that a run starts with, so that the next run continues with them.

    An interrupted run writes no record, and by the next run `latest` may be another crawl. With `joining`,
    for a run of `latest`, crawls that another run has begun with meanwhile are kept too.
    """
    if not crawls:
        return

    def change(content: bytes | None) -> bytes:
        others = _crawls(store, pool, content) if joining else []
        return json_bytes({"pool": pool, "crawls": list(dict.fromkeys([*crawls, *others]))})

    if joining or list(crawls) != begun_crawls(store, pool):
        store.update(_begun_address(pool), change)


def _begun_address(pool: str) -> str:
    return f"crawls/{pool}.json"


def survivors_name(store: Store, pool: str, name: str | None) -> str:
    """Return the name of the record of a pool's survivors: `<pool>-survivors`, or the one given.

    Raises:
        ConfigError: if another pool has that name, or no pool can have it.
    """
    name = name or f"{pool}-survivors"
    if not re.fullmatch(POOL_NAME, name):
        raise ConfigError(
            f"{name!r} cannot be the name of a pool: letters, digits, `.`, `_` and `-`, at most 100, beginning with a"
            " letter or digit (--as)"
        )
    there = find_record(store, name)
    if name == pool or (there is not None and there.get("survivors_of") != pool):
        raise ConfigError(
            f"{name!r} is another pool in {store.root}; name the survivors of {pool!r} differently (--as)"
        )
    return name
