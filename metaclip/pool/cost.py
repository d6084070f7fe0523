"""What a run took, and what that costs."""

from dataclasses import asdict
from typing import Any

from metaclip.config.prices import Prices
from metaclip.processes.meter import Cost


def describe(cost: Cost, prices: Prices) -> dict[str, Any]:
    """Return the cost of a run as JSON values.

    Returns:
        What `Cost` has, and `dollars` if there are prices: `cores`, `requests` and `out` as far as they have one, the
        `total` of these, and `storage_a_month`, what a month of all bytes written costs.
    """
    described = asdict(cost) | {"core_seconds": round(cost.core_seconds, 3)}
    once = {
        "cores": (prices.core_hour, cost.core_seconds / 3600),
        "requests": (prices.thousand_requests, cost.store_requests / 1000),
        "out": (prices.gigabyte_out, cost.store_bytes_read / 1e9),
    }
    dollars = {name: price * amount for name, (price, amount) in once.items() if price is not None}
    if dollars:
        dollars["total"] = sum(dollars.values())
    if prices.gigabyte_month is not None:
        dollars["storage_a_month"] = prices.gigabyte_month * cost.bytes_written / 1e9
    if dollars:
        described["dollars"] = {name: round(each, 6) for name, each in dollars.items()}
    return described
