"""The files that a pool's stages wrote, told apart from those of other pools in the same store."""

from typing import Any

from metaclip.config.settings import format_t
from metaclip.errors import ConfigError
from metaclip.explore.pool import FinishedPool, reference
from metaclip.pool.record import addresses_of
from metaclip.store.manifest import Reference


def list_files(storage: str, name: str, stage: str, t: float | None = None) -> dict[str, Any]:
    """Return the data files of one stage of a finished pool.

    Args:
        storage: root of the store.
        name: of the pool.
        stage: a stage that the pool's record names, such as `balance` or `curate`.
        t: with `curate`, which of the pool's sets; the pool's own t by default.

    Returns:
        JSON values: `pool`, `stage`, `t` (of `curate`), and `files`, each with its whole `address`, `bytes`,
        `sha256` and `rows`, in the order of shards or partitions.

    Raises:
        ConfigError: an unknown pool or stage, or no set at that t; the message names those there.
        StoreError: a manifest is missing.
    """
    pool = FinishedPool.open(storage, name)
    found: dict[str, Any] = {"pool": name, "stage": stage}
    if stage == "curate":
        found["t"] = format_t(pool.t(t))
    elif t is not None:
        raise ConfigError(f"stage {stage!r} has the same files for every t; leave t out, or ask for `curate`")
    found["files"] = [
        {
            "address": pool.store.address(f"{output.folder}/{file.name}"),
            "bytes": file.bytes,
            "sha256": file.sha256,
            "rows": file.rows,
        }
        for output in _outputs(pool, stage, t)
        for file in pool.store.manifest(output.manifest).files
    ]
    return found


def _outputs(pool: FinishedPool, stage: str, t: float | None) -> list[Reference]:
    if stage == "curate":
        return [pool.set(t)]
    if stage not in pool.stages:
        raise ConfigError(f"pool {pool.config.pool!r} has no stage {stage!r}; there: {', '.join(pool.stages)}")
    return [reference(address) for address in addresses_of(pool.stages[stage])]
