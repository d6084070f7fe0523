"""What a pool consists of, and whether all of it stands."""

from typing import Any

from metaclip.manifest import Manifest
from metaclip.record import read_record
from metaclip.store import Store, Verify


def pool_status(storage: str, pool: str, verify: Verify = "size") -> dict[str, Any]:
    """Look at every output of a finished pool.

    Returns:
        `stages` with outputs, missing, rows and bytes of each, `sets` by t, and `missing`, the number
        of outputs that are not whole.

    Raises:
        ConfigError: if the store has no finished pool of that name.
    """
    store = Store(storage)
    stages = dict(read_record(store, pool)["stages"])
    curated: dict[str, list[str]] = stages.pop("curate")
    summaries = []
    for stage, addresses in stages.items():
        addresses = [addresses] if isinstance(addresses, str) else addresses
        summaries.append(_summary(stage, [store.find(address, verify) for address in addresses]))
    sets = {}
    for t, addresses in curated.items():
        found = [store.find(address, verify) for address in addresses]
        summaries.append(_summary(f"curate t={t}", found))
        rows = sum(manifest.rows for manifest in found if manifest)
        sets[t] = {"rows": rows, "folder": store.address(addresses[0].rsplit("/", 1)[0])}
    missing = sum(summary["missing"] for summary in summaries)
    return {"pool": pool, "storage": storage, "stages": summaries, "sets": sets, "missing": missing}


def _summary(stage: str, found: list[Manifest | None]) -> dict[str, Any]:
    whole = [manifest for manifest in found if manifest is not None]
    return {
        "stage": stage,
        "outputs": len(found),
        "missing": len(found) - len(whole),
        "rows": sum(manifest.rows for manifest in whole),
        "bytes": sum(file.bytes for manifest in whole for file in manifest.files),
    }
