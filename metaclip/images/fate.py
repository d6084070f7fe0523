"""What became of the picture of a pair, from the outputs that a pool's record names."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from metaclip.errors import ConfigError
from metaclip.images.inspect_job import IMAGES
from metaclip.pairs.uids import parse_uid
from metaclip.removal.lists import Entry
from metaclip.store.manifest import Reference
from metaclip.store.store import Store

_SHOWN = ("status", "width", "height", "stored_width", "stored_height", "bytes", "quality", "shard", "key")


def images_of_hashes(store: Store, stages: Mapping[str, Any], lines: Mapping[Entry, int]) -> dict[Entry, int]:
    """Replace hashes of pictures (`sha256`, `pixels`) by the images that have them, with the line of each.

    Raises:
        ConfigError: there are hashes, and the pool's pictures were not inspected.
    """
    hashes = {entry: line for entry, line in lines.items() if entry.kind in ("sha256", "pixels")}
    found = {entry: line for entry, line in lines.items() if entry not in hashes}
    if not hashes:
        return found
    if "inspect" not in stages:
        line = min(hashes.values())
        raise ConfigError(
            f"line {line}: a hash of a picture, and no picture of this pool was inspected; name the pool that"
            " `metaclip rebalance --images` made, or give uids or addresses"
        )
    for address in stages["inspect"]:
        table = store.open_parquet(_reference(store, address), IMAGES).read(
            columns=["uid_hi", "bytes_sha256", "pixels"]
        )
        for high, digest, pixels in zip(*(column.to_pylist() for column in table.columns), strict=True):
            for kind, value in (("sha256", digest and int.from_bytes(digest[:8], "big")), ("pixels", pixels)):
                line_ = None if value is None else hashes.get(Entry(kind, value))
                if line_ is not None:
                    found[Entry("image", high)] = line_
    return found


def picture_fate(store: Store, stages: Mapping[str, Any], uid: str) -> dict[str, Any] | None:
    """Return what became of the picture of a pair: its status, the reason, the keeper and the distance.

    None where the pool has no pictures, or no row of the export had this uid.
    """
    if "inspect" not in stages:
        return None
    high, low = parse_uid(uid)
    for inspected, judged in zip(stages["inspect"], stages["image-filter"], strict=True):
        row = _row(store, inspected, IMAGES, high, low)
        if row is None:
            continue
        verdict = _row(store, judged, "reasons.parquet", high, low)
        assert verdict is not None  # the filter has a row for each
        found = {name: row[name] for name in _SHOWN} | {"reason": verdict["reason"], "by": verdict["by"]}
        found["distance"] = verdict["distance"]
        if verdict["reason"]:
            return {**found, "why": f"the filter left it out: {verdict['reason']} {verdict['by']}".rstrip()}
        return {**found, **_covered(store, stages, high)}
    return None


def shown_place(store: Store, stages: Mapping[str, Any], uid: str) -> tuple[str, str, str] | None:
    """Return where the picture of a pair is, if it may be shown: the address of its `inspect` output, shard and key."""
    high, low = parse_uid(uid)
    for inspected, judged in zip(stages["inspect"], stages["image-filter"], strict=True):
        row = _row(store, inspected, IMAGES, high, low)
        if row is not None:
            verdict = _row(store, judged, "reasons.parquet", high, low)
            may = verdict is not None and verdict["shown"] and row["status"] == "ok"
            return (inspected, row["shard"], row["key"]) if may else None
    return None


def _covered(store: Store, stages: Mapping[str, Any], high: int) -> dict[str, Any]:
    dropped = store.open_parquet(_reference(store, stages["image-cover"]), "dropped.parquet")
    for group in range(dropped.num_row_groups):
        table = dropped.read_row_group(group)
        place = int(np.searchsorted(table.column("image").to_numpy(), high))
        if place < table.num_rows and table.column("image")[place].as_py() == high:
            row = table.slice(place, 1).to_pylist()[0]
            kind = ("the same bytes as", "the same pixels as", "a copy of")[row["kind"]]
            keeper = f"{row['keeper']:016x}"
            why = f"{kind} image {keeper}, which stays; {row['distance']} of 256 bits differ"
            return {"reason": "duplicate", "keeper": keeper, "distance": row["distance"], "why": why}
    return {"why": "it stays"}


def _row(store: Store, address: str, name: str, high: int, low: int) -> dict[str, Any] | None:
    file = store.open_parquet(_reference(store, address), name)
    for group in range(file.num_row_groups):
        bounds = file.metadata.row_group(group).column(0).statistics
        if bounds is not None and bounds.has_min_max and not bounds.min <= high <= bounds.max:
            continue
        table = file.read_row_group(group)
        same = pc.and_(
            pc.equal(table.column("uid_hi"), pa.scalar(high, pa.uint64())),
            pc.equal(table.column("uid_lo"), pa.scalar(low, pa.uint64())),
        )
        rows: list[dict[str, Any]] = table.filter(same).to_pylist()
        if rows:
            return rows[0]
    return None


def _reference(store: Store, address: str) -> Reference:
    return Reference(address, store.manifest(address).key, 0)
