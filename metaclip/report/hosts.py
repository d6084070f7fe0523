"""Hosts of addresses, and how many pairs each has, with a bound on what was left out."""

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from metaclip.schemas import HOST_COUNT

_HOST = r"^[a-z]+://(?:[^/?#@]*@)?(?P<host>\[[^\]/]*\]|[^/?#:@]+)"
KEPT = 10_000
"""Hosts of a partition that are kept; what exceeds them is bounded, not lost from the totals."""
GATHERED = 64
"""Tables that are gathered before they are added up."""


def hosts(addresses: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the host of each address, without user and port; `?` where an address has none."""
    return pc.fill_null(pc.struct_field(pc.extract_regex(addresses, _HOST), "host"), "?")


def count_hosts(tables: Iterable[pa.Table]) -> pa.Table:
    """Add up columns `host` and `pairs`: exact, by falling number of pairs, then by host.

    Memory is of the distinct hosts.
    """
    total = HOST_COUNT.empty_table()
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        if len(waiting) >= GATHERED:
            total, waiting = _sum([total, *waiting]), []
    return _sum([total, *waiting]).sort_by([("pairs", "descending"), ("host", "ascending")])


def _sum(tables: list[pa.Table]) -> pa.Table:
    summed = pa.concat_tables(tables).group_by("host").aggregate([("pairs", "sum")])
    return summed.select(["host", "pairs_sum"]).rename_columns(["host", "pairs"]).cast(HOST_COUNT)


@dataclass(frozen=True)
class HostCounts:
    """The hosts of a pool or a set."""

    table: pa.Table
    """`schemas.HOST_COUNT`, largest first."""
    error: int
    """No host has more pairs than its row says, or than 0 where it has no row, by more than this."""


def merge_hosts(parts: Iterable[tuple[pa.Table, int]]) -> HostCounts:
    """Add up the hosts of partitions, each with the largest count that it left out (0 for none).

    A host's count is exact where all partitions kept it; where some did not, it is too small by at
    most what these left out, so by at most the sum of all.
    """
    error = 0

    def tables() -> Iterable[pa.Table]:
        nonlocal error
        for table, left_out in parts:
            error += left_out
            yield table

    return HostCounts(count_hosts(tables()), error)
