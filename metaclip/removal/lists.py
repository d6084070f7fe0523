"""Lists of what to take out, and the store's memory of them: hashes alone, never an address."""

import hashlib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from metaclip.errors import ConfigError, StoreError
from metaclip.io.inputs import naming
from metaclip.io.streams import open_stream
from metaclip.pairs.uids import parse_uid
from metaclip.pairs.urls import Fault, page_base
from metaclip.pool.record import find_record
from metaclip.store.store import Store

KINDS = ("uid", "image", "url", "host", "domain", "page", "page_domain", "sha256", "pixels")
"""What a line of a list can name. `domain` is a host and all hosts below it."""

_STORED = pa.schema(
    [
        pa.field("kind", pa.string(), nullable=False),
        pa.field("hash", pa.uint64(), nullable=False),
        pa.field("low", pa.uint64(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
    ]
)
_DIGITS = {"sha256": 64, "pixels": 16}


@dataclass(frozen=True, order=True)
class Entry:
    """What one line names: a uid by its halves, anything else by one hash."""

    kind: str
    hash: int
    low: int = 0


def read_list(path: str) -> dict[Entry, int]:
    """Read a list: on each line a kind and a value, or a uid or an address alone; return the line number of each.

    A url is known by its image (`uid_hi`).

    Raises:
        ConfigError: a line is not understood; the message names it.
    """
    with naming("removal list"), open_stream(path) as stream:
        lines = stream.read().decode("utf-8", "replace").splitlines()
    found: dict[Entry, int] = {}
    for number, line in enumerate(lines, start=1):
        text = line.strip().lstrip("\ufeff")
        if text and not text.startswith("#"):
            try:
                found.setdefault(_entry(text), number)
            except ValueError as error:
                raise ConfigError(f"{path}: line {number}: {error}; known kinds: {', '.join(KINDS)}") from error
    if not found:
        raise ConfigError(f"{path}: names nothing; write a kind and a value on each line, such as `host example.org`")
    return found


def _entry(text: str) -> Entry:
    match = re.fullmatch(r"(\w+)[\s,:=]+(\S.*)", text)
    if match and match[1] in KINDS and not match[2].startswith("//"):
        kind, value = match[1], match[2].strip().strip("\"'")
    elif re.fullmatch(r"[0-9a-fA-F]{32}", text):
        kind, value = "uid", text
    elif re.match(r"https?://", text, re.IGNORECASE):
        kind, value = "url", text
    else:
        raise ValueError(f"{text[:80]!r} is neither a kind with a value, nor a uid, nor an address")
    if kind == "uid":
        return Entry("uid", *parse_uid(value))
    if kind == "image":
        return Entry("image", _hex(value, 16))
    if kind in _DIGITS:
        return Entry(kind, _hex(value, _DIGITS[kind]) >> 4 * (_DIGITS[kind] - 16))
    base = page_base(value if kind in ("url", "page") else f"http://{value.rstrip('/').strip('.')}/", None)
    if isinstance(base, Fault):
        raise ValueError(f"{value[:80]!r} is no {'address' if kind in ('url', 'page') else 'host'}")
    if kind in ("url", "page"):
        address = (base.origin + base.path + base.query).encode()
        return Entry("image" if kind == "url" else "page", xxhash.xxh3_64_intdigest(address))
    host = re.sub(r":\d+$", "", base.origin.partition("://")[2])
    return Entry(kind, xxhash.xxh3_64_intdigest(host.encode()))


def _hex(value: str, digits: int) -> int:
    if not re.fullmatch(f"[0-9a-fA-F]{{{digits}}}", value):
        raise ValueError(f"{value[:80]!r} is not {digits} hex digits")
    return int(value, 16)


@dataclass(frozen=True)
class Removals:
    """All that was asked to be taken out of a pool."""

    entries: tuple[Entry, ...]
    """Sorted, each once."""

    def __bool__(self) -> bool:
        return bool(self.entries)

    @cached_property
    def digest(self) -> str:
        """What identifies them in keys."""
        text = "\n".join(f"{entry.kind} {entry.hash:016x} {entry.low:016x}" for entry in self.entries)
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def hashes(self, kind: str) -> npt.NDArray[np.uint64]:
        """Return the hashes of a kind, sorted."""
        return np.array([entry.hash for entry in self.entries if entry.kind == kind], np.uint64)

    def named(self, table: pa.Table) -> tuple[npt.NDArray[np.bool_], set[Entry]]:
        """Return which pairs (uid_hi, uid_lo, url, page_url) are named, bool[n], and the entries that name one."""
        found = np.zeros(table.num_rows, np.bool_)
        met: set[Entry] = set()
        high, low = table.column("uid_hi").to_numpy(), table.column("uid_lo").to_numpy()
        for row in np.flatnonzero(np.isin(high, self.hashes("uid"))).tolist():
            entry = Entry("uid", int(high[row]), int(low[row]))
            if entry in self._known:
                found[row] = True
                met.add(entry)
        self._mark("image", high, np.arange(len(high)), found, met)
        for kind in ("host", "domain"):
            if len(self.hashes(kind)):
                self._by_host(kind, table.column("url"), found, met)
        if len(self.hashes("page_domain")):
            self._by_host("page_domain", table.column("page_url"), found, met)
        if len(self.hashes("page")):
            values, of_rows = _dictionary(table.column("page_url"))
            hashes = np.array([xxhash.xxh3_64_intdigest(value.encode()) for value in values], np.uint64)
            self._mark("page", hashes, of_rows, found, met)
        return found, met

    @cached_property
    def _known(self) -> frozenset[Entry]:
        return frozenset(self.entries)

    def _mark(
        self,
        kind: str,
        hashes: npt.NDArray[np.uint64],
        of_rows: npt.NDArray[np.int64],
        found: npt.NDArray[np.bool_],
        met: set[Entry],
    ) -> None:
        hit = np.isin(hashes, self.hashes(kind))
        if hit.any():
            found |= hit[of_rows]
            met.update(Entry(kind, value) for value in np.unique(hashes[hit]).tolist())

    def _by_host(self, kind: str, addresses: Any, found: npt.NDArray[np.bool_], met: set[Entry]) -> None:
        hosts = pa.compute.extract_regex(addresses, r"^[a-z]+://(?P<host>[^/?#:]*)")
        values, of_rows = _dictionary(pa.compute.fill_null(pa.compute.struct_field(hosts, "host"), ""))
        wanted = set(self.hashes(kind).tolist())
        hit = np.zeros(len(values), np.bool_)
        for number, host in enumerate(values):
            labels = host.split(".")
            names = [host] if kind == "host" else [".".join(labels[first:]) for first in range(len(labels))]
            for name in names:
                digest = xxhash.xxh3_64_intdigest(name.encode())
                if name and digest in wanted:
                    hit[number] = True
                    met.add(Entry(kind, digest))
        found |= hit[of_rows]


def _dictionary(column: Any) -> tuple[list[str], npt.NDArray[np.int64]]:
    encoded = column.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.unify_dictionaries().combine_chunks()
    return encoded.dictionary.to_pylist(), np.asarray(encoded.indices.to_numpy(), np.int64)


def is_removed(store: Store, pool: str, pair: dict[str, Any]) -> bool:
    """Return whether a pair (uid, url, copies with page_url), as `trace_pair` describes it, was taken out of a pool."""
    removals = read_removals(store, pool)
    if not removals:
        return False
    high, low = parse_uid(pair["uid"])
    pages = [copy["page_url"] for copy in pair["copies"] if copy.get("stayed", True)] or [""]
    columns = {"uid_hi": pa.array([high], pa.uint64()), "uid_lo": pa.array([low], pa.uint64())}
    table = pa.table({**columns, "url": [pair["url"]], "page_url": pages[:1]})
    return bool(removals.named(table)[0].any())


def removals_address(pool: str) -> str:
    """Return where the removals of a pool are kept, relative to the root."""
    return f"removals/{pool}.parquet"


def read_removals(store: Store, pool: str) -> Removals:
    """Return what was asked to be taken out of a pool, and of the pools that it was made of.

    Raises:
        StoreError: the file that holds it is damaged.
    """
    entries: set[Entry] = set()
    seen: set[str] = set()
    name: str | None = pool
    while name is not None and name not in seen:
        seen.add(name)
        content = store.read(removals_address(name))
        if content is not None:
            entries.update(entry for entry, _ in _parsed(store, name, content))
        record = find_record(store, name)
        name = None if record is None else record.get("survivors_of")
    return Removals(tuple(sorted(entries)))


def add_removals(store: Store, pool: str, entries: Sequence[Entry], reason: str) -> int:
    """Add to the removals of a pool, and to nothing that others add meanwhile; return how many are new."""
    new = 0

    def change(content: bytes | None) -> bytes:
        nonlocal new
        known = {} if content is None else dict(_parsed(store, pool, content))
        new = len(set(entries) - known.keys())
        both = {**dict.fromkeys(entries, reason), **known}
        rows = [
            {"kind": entry.kind, "hash": entry.hash, "low": entry.low, "reason": why}
            for entry, why in sorted(both.items())
        ]
        sink = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows, _STORED), sink)
        return sink.getvalue()

    store.update(removals_address(pool), change)
    return new


def _parsed(store: Store, pool: str, content: bytes) -> list[tuple[Entry, str]]:
    try:
        rows = pq.read_table(pa.BufferReader(content), schema=_STORED).to_pylist()
    except (pa.ArrowException, KeyError) as error:
        raise StoreError(
            f"{store.address(removals_address(pool))}: damaged: {error}. Nothing is made without it, since what"
            " was taken out would come back; restore it from a copy"
        ) from error
    return [(Entry(row["kind"], row["hash"], row["low"]), row["reason"]) for row in rows]
